//! What tells rows apart and how they can be put in order.

use super::list::Row;
use crate::source::rows::{JobRow, QueueRow, RecordingRow, WorkerRow};
use crate::verdict;
use domain::id::RecordingId;
use std::cmp::Ordering;
use uuid::Uuid;

impl Row for RecordingRow {
    type Id = RecordingId;
    const SORTS: &'static [&'static str] = &["trouble", "newest", "state", "owner", "last change"];

    fn id(&self) -> RecordingId {
        self.id.clone()
    }

    fn order(&self, other: &Self, sort: usize) -> Ordering {
        match sort {
            0 => verdict::order(self, other),
            1 => other.created_at.cmp(&self.created_at),
            2 => self.state.as_str().cmp(other.state.as_str()),
            3 => self.owner.as_str().cmp(other.owner.as_str()),
            _ => other.state_at.cmp(&self.state_at),
        }
    }
}

impl Row for JobRow {
    type Id = Uuid;
    const SORTS: &'static [&'static str] = &["due", "state", "kind", "queue", "attempt", "age"];

    fn id(&self) -> Uuid {
        self.id
    }

    fn order(&self, other: &Self, sort: usize) -> Ordering {
        match sort {
            0 => Ordering::Equal,
            1 => self.standing.cmp(&other.standing),
            2 => self.kind.as_str().cmp(other.kind.as_str()),
            3 => self.queue.as_str().cmp(other.queue.as_str()),
            4 => other.attempt.cmp(&self.attempt),
            _ => self.created_at.cmp(&other.created_at),
        }
    }
}

impl Row for WorkerRow {
    type Id = Uuid;
    const SORTS: &'static [&'static str] = &["trouble", "name", "busy", "memory"];

    fn id(&self) -> Uuid {
        self.id
    }

    fn order(&self, other: &Self, sort: usize) -> Ordering {
        match sort {
            0 => Ordering::Equal,
            1 => self.name.as_str().cmp(other.name.as_str()),
            2 => other.busy.cmp(&self.busy),
            _ => other.memory_bytes.cmp(&self.memory_bytes),
        }
    }
}

impl Row for QueueRow {
    type Id = String;
    const SORTS: &'static [&'static str] = &["name", "waiting", "running"];

    fn id(&self) -> String {
        self.name.as_str().to_owned()
    }

    fn order(&self, other: &Self, sort: usize) -> Ordering {
        match sort {
            0 => Ordering::Equal,
            1 => other.available.n.cmp(&self.available.n),
            _ => other.running.n.cmp(&self.running.n),
        }
    }
}
