//! Requests and segments that come in.

use super::names;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Bounds of durations in seconds: from what a local disk takes to sync to what a request may take.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What became of a segment; the label of [`names::SEGMENTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentOutcome {
    /// Acknowledged, and new.
    New,
    /// Acknowledged, and there already.
    Same,
    /// Not acknowledged.
    Refused,
}

impl SegmentOutcome {
    fn word(self) -> &'static str {
        match self {
            SegmentOutcome::New => "new",
            SegmentOutcome::Same => "same",
            SegmentOutcome::Refused => "refused",
        }
    }
}

#[derive(Debug)]
pub(super) struct Requests {
    requests: IntCounterVec,
    seconds: HistogramVec,
    segments: IntCounterVec,
    segment_bytes: IntCounter,
    puts_open: IntGauge,
}

impl Requests {
    pub(super) fn new(registry: &Registry) -> Requests {
        const VALID: &str = "name and labels are constants of the right form";
        let opts = |name: names::Name| Opts::new(name.name, name.help);
        let requests = Requests {
            requests: names::HTTP_REQUESTS.counters(),
            seconds: names::HTTP_SECONDS.histograms(&SECONDS),
            segments: names::SEGMENTS.counters(),
            segment_bytes: IntCounter::with_opts(opts(names::SEGMENT_BYTES)).expect(VALID),
            puts_open: IntGauge::with_opts(opts(names::PUTS_OPEN)).expect(VALID),
        };
        for outcome in [SegmentOutcome::New, SegmentOutcome::Same, SegmentOutcome::Refused] {
            requests.segments.with_label_values(&[outcome.word()]);
        }
        super::register(registry, requests.requests.clone());
        super::register(registry, requests.seconds.clone());
        super::register(registry, requests.segments.clone());
        super::register(registry, requests.segment_bytes.clone());
        super::register(registry, requests.puts_open.clone());
        requests
    }

    pub(super) fn request(&self, route: &str, status: u16, seconds: f64) {
        self.requests.with_label_values(&[route, &status.to_string()]).inc();
        let of_route: Histogram = self.seconds.with_label_values(&[route]);
        of_route.observe(seconds);
    }

    pub(super) fn segment(&self, outcome: SegmentOutcome, size_bytes: u64) {
        self.segments.with_label_values(&[outcome.word()]).inc();
        if outcome == SegmentOutcome::New {
            self.segment_bytes.inc_by(size_bytes);
        }
    }

    pub(super) fn put_opened(&self) -> OpenPut {
        self.puts_open.inc();
        OpenPut(self.puts_open.clone())
    }
}

/// A segment that is coming in.
#[derive(Debug)]
pub struct OpenPut(IntGauge);

impl Drop for OpenPut {
    fn drop(&mut self) {
        self.0.dec();
    }
}
