//! The truth about what this process runs.
//!
//! An attempt is in here from its claim until its end is committed or its row is known to be somebody else's.
//! `forget` is the only place that gives a slot back.

use super::lane::Lane;
use crate::ctx::JobCtx;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

/// One attempt, told from every other by its job and its epoch: a fenced attempt may still be ending here when the same
/// process has claimed the job again.
pub(crate) type Key = (Uuid, i64);

struct Entry {
    ctx: JobCtx,
    lane: Arc<Lane>,
    /// Its end is on the way: a missing row then means success, not a loss.
    finishing: bool,
}

#[derive(Default)]
pub(crate) struct Held {
    map: Mutex<HashMap<Key, Entry>>,
}

impl Held {
    pub(crate) fn insert(&self, ctx: JobCtx, lane: Arc<Lane>) {
        self.map().insert(ctx.key(), Entry { ctx, lane, finishing: false });
    }

    /// Gives the slot back. Says whether the attempt was held.
    pub(crate) fn forget(&self, key: Key) -> bool {
        let Some(entry) = self.map().remove(&key) else { return false };
        entry.lane.release(1);
        true
    }

    pub(crate) fn set_finishing(&self, key: Key, finishing: bool) {
        if let Some(entry) = self.map().get_mut(&key) {
            entry.finishing = finishing;
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<JobCtx> {
        self.map().get(&key).map(|entry| entry.ctx.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.map().len()
    }

    /// Every attempt with whether its end is on the way.
    pub(crate) fn snapshot(&self) -> Vec<(JobCtx, bool)> {
        self.map().values().map(|entry| (entry.ctx.clone(), entry.finishing)).collect()
    }

    /// Held and not finishing, now.
    pub(crate) fn is_open(&self, key: Key) -> bool {
        self.map().get(&key).is_some_and(|entry| !entry.finishing)
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
