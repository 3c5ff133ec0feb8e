//! Events on their way to web apps.

use super::names;
use prometheus::{HistogramVec, IntCounterVec, Registry};

/// Bounds of durations in seconds: from a receiver beside us to the longest delivery that may be set.
const SECONDS: [f64; 9] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 60.0];

/// What became of a try; the label of [`names::DELIVERIES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver has the event.
    Delivered,
    /// Not taken; it goes out again.
    Failed,
    /// Not taken for so long that a person has to ask for it.
    Parked,
    /// The receiver wants no more events.
    Gone,
}

impl DeliveryOutcome {
    const ALL: [DeliveryOutcome; 4] =
        [DeliveryOutcome::Delivered, DeliveryOutcome::Failed, DeliveryOutcome::Parked, DeliveryOutcome::Gone];

    fn word(self) -> &'static str {
        match self {
            DeliveryOutcome::Delivered => "delivered",
            DeliveryOutcome::Failed => "failed",
            DeliveryOutcome::Parked => "parked",
            DeliveryOutcome::Gone => "gone",
        }
    }
}

pub(super) struct Deliveries {
    tries: IntCounterVec,
    seconds: HistogramVec,
}

impl Deliveries {
    pub(super) fn new(registry: &Registry) -> Deliveries {
        let deliveries =
            Deliveries { tries: names::DELIVERIES.counters(), seconds: names::DELIVERY_SECONDS.histograms(&SECONDS) };
        for outcome in DeliveryOutcome::ALL {
            deliveries.tries.with_label_values(&[outcome.word()]);
            deliveries.seconds.with_label_values(&[outcome.word()]);
        }
        super::register(registry, deliveries.tries.clone());
        super::register(registry, deliveries.seconds.clone());
        deliveries
    }

    pub(super) fn tried(&self, outcome: DeliveryOutcome, seconds: f64) {
        self.tries.with_label_values(&[outcome.word()]).inc();
        self.seconds.with_label_values(&[outcome.word()]).observe(seconds);
    }
}
