//! The engine of this process as gauges, read when somebody asks.

use super::{names, read_when_asked};
use crate::clock::Clock;
use ::queue::Engine;
use prometheus::Registry;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The engines of this process: none in one that only takes in, then there are no such gauges.
#[derive(Clone, Default)]
pub(super) struct Working(Arc<Mutex<Vec<Part>>>);

struct Part {
    engine: Engine,
    pool: String,
    clock: Clock,
}

impl Working {
    /// Registers the gauges of whatever engines there will be.
    pub(super) fn new(registry: &Registry) -> Working {
        let working = Working::default();
        let shown = working.clone();
        let gauges = [names::WORKER_SLOTS, names::WORKER_BUSY, names::WORKER_HEARTBEAT_SECONDS, names::DRAINING];
        read_when_asked(registry, &gauges, move || shown.families());
        working
    }

    pub(super) fn add(&self, engine: Engine, pool: &str, clock: Clock) {
        let part = Part { engine, pool: pool.to_owned(), clock };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    fn families(&self) -> Vec<MetricFamily> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (slots, busy) = (names::WORKER_SLOTS.gauges(), names::WORKER_BUSY.gauges());
        let (beat, draining) = (names::WORKER_HEARTBEAT_SECONDS.gauges(), names::DRAINING.gauges());
        for Part { engine, pool, clock } in parts.iter() {
            let pool = [pool.as_str()];
            slots.with_label_values(&pool).add(engine.slots() as f64);
            busy.with_label_values(&pool).add(engine.busy() as f64);
            let at = engine.beat_age().map_or(0.0, |age| seconds_of(clock) - age.as_secs_f64());
            let latest = beat.with_label_values(&pool);
            latest.set(latest.get().max(at));
            draining.with_label_values(&pool).set(f64::from(u8::from(engine.is_draining())));
        }
        [slots, busy, beat, draining].iter().flat_map(Collector::collect).collect()
    }
}

/// Now, in seconds since the epoch of Unix.
pub(super) fn seconds_of(clock: &Clock) -> f64 {
    Duration::from_micros(u64::try_from(clock.now().timestamp_micros()).unwrap_or_default()).as_secs_f64()
}
