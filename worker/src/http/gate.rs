//! How much one recording may send at once, and all of them together.
//!
//! A recorder that catches up, or one that is broken, must not take the disk from the others.

use super::problem::{Code, Problem};
use crate::telemetry::{Metrics, OpenPut};
use domain::id::RecordingId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest wait for a place among all that are coming in; then the sender is told to come back.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Recordings remembered before the quiet ones are forgotten.
const KNOWN_MAX: usize = 10_000;

/// Lets segments in. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    all: Arc<Semaphore>,
    each: Arc<Mutex<HashMap<RecordingId, Senders>>>,
    open_max: u32,
    per_second: u32,
}

#[derive(Debug)]
struct Senders {
    open: u32,
    /// Segments that may still come within the running second, and when it began.
    left: u32,
    since: Instant,
}

/// A place for one segment, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Gate,
    recording: RecordingId,
    _all: OwnedSemaphorePermit,
    _counted: OpenPut,
}

impl Gate {
    pub(crate) fn new(all_max: u32, open_max: u32, per_second: u32) -> Gate {
        let all = Arc::new(Semaphore::new(all_max as usize));
        Gate { all, each: Arc::default(), open_max, per_second }
    }

    /// A place for one more segment of `recording`.
    pub(crate) async fn enter(&self, recording: &RecordingId, metrics: &Metrics) -> Result<Place, Problem> {
        self.count(recording)?;
        let waiting = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.all).acquire_owned()).await;
        let Ok(Ok(permit)) = waiting else {
            self.leave(recording);
            return Err(Problem::new(Code::TooManyRequests).detail("too many segments are coming in"));
        };
        let (gate, recording) = (self.clone(), recording.clone());
        Ok(Place { gate, recording, _all: permit, _counted: metrics.put_opened() })
    }

    fn count(&self, recording: &RecordingId) -> Result<(), Problem> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let second = Duration::from_secs(1);
        if each.len() >= KNOWN_MAX {
            each.retain(|_, senders| senders.open > 0 || now.duration_since(senders.since) < second);
        }
        let fresh = || Senders { open: 0, left: self.per_second, since: now };
        let senders = each.entry(recording.clone()).or_insert_with(fresh);
        if now.duration_since(senders.since) >= second {
            (senders.left, senders.since) = (self.per_second, now);
        }
        if senders.open >= self.open_max || senders.left == 0 {
            let problem = Problem::new(Code::TooManyRequests).object(recording);
            return Err(problem.detail("this recording sends too many segments at once"));
        }
        senders.open += 1;
        senders.left -= 1;
        Ok(())
    }

    fn leave(&self, recording: &RecordingId) {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(senders) = each.get_mut(recording) {
            senders.open = senders.open.saturating_sub(1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.leave(&self.recording);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gate_bounds_each_recording_and_lets_others_in() {
        let gate = Gate::new(10, 2, 3);
        let metrics = Metrics::new();
        let [a, b] = ["a", "b"].map(|id| RecordingId::parse(id).unwrap());
        let first = gate.enter(&a, &metrics).await.unwrap();
        let _second = gate.enter(&a, &metrics).await.unwrap();
        assert_eq!(gate.enter(&a, &metrics).await.unwrap_err().code, Code::TooManyRequests);
        let _other = gate.enter(&b, &metrics).await.unwrap();
        drop(first);
        let _third = gate.enter(&a, &metrics).await.unwrap();
        drop(_third);
        // Three in this second; the place that is free does not help.
        let refused = gate.enter(&a, &metrics).await;
        assert!(refused.is_err() || gate.each.lock().unwrap()[&a].since.elapsed() < Duration::from_secs(1));
    }
}
