//! What is logged and what is counted.
//!
//! Names of metrics are constants here; labels come from closed sets, never from ids or text of a request.

use crate::config::{Log, LogFormat};
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use std::sync::Arc;
use thiserror::Error;
use tracing_subscriber::EnvFilter;

/// Requests by route and status.
pub const HTTP_REQUESTS: &str = "spool_http_requests_total";
/// Time from the head of a request to the head of its answer, by route.
pub const HTTP_SECONDS: &str = "spool_http_request_duration_seconds";
/// Segments by what became of them.
pub const SEGMENTS: &str = "spool_segments_total";
/// Bytes of segments that were acknowledged.
pub const SEGMENT_BYTES: &str = "spool_segment_bytes_total";
/// Segments that are coming in now.
pub const PUTS_OPEN: &str = "spool_segments_incoming";

/// Every metric of this module.
pub const NAMES: [&str; 5] = [HTTP_REQUESTS, HTTP_SECONDS, SEGMENTS, SEGMENT_BYTES, PUTS_OPEN];

/// Bounds of durations in seconds: from what a local disk takes to sync to what a request may take.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The log's filter cannot be read.
#[derive(Debug, Error)]
#[error("setting log.filter is not a list of levels like \"info,worker=debug\"")]
pub struct FilterError(#[source] tracing_subscriber::filter::ParseError);

/// Starts the log on standard error, once for the process. A second call changes nothing.
///
/// # Errors
/// The filter cannot be read.
pub fn start_log(config: &Log) -> Result<(), FilterError> {
    let filter = EnvFilter::try_new(&config.filter).map_err(FilterError)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
    Ok(())
}

/// What became of a segment; the label of [`SEGMENTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentOutcome {
    /// Acknowledged, and new.
    New,
    /// Acknowledged, and there already.
    Same,
    /// Not acknowledged.
    Refused,
}

/// What is counted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    counted: Arc<Counted>,
}

#[derive(Debug)]
struct Counted {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    segments: IntCounterVec,
    segment_bytes: IntCounter,
    puts_open: IntGauge,
}

impl Metrics {
    /// Metrics of this process, all at zero.
    pub fn new() -> Metrics {
        const VALID: &str = "name and labels are constants of the right form";
        let registry = Registry::new();
        let requests = IntCounterVec::new(Opts::new(HTTP_REQUESTS, "requests"), &["route", "status"]).expect(VALID);
        let seconds = HistogramOpts::new(HTTP_SECONDS, "time to the head of the answer").buckets(SECONDS.to_vec());
        let seconds = HistogramVec::new(seconds, &["route"]).expect(VALID);
        let segments = IntCounterVec::new(Opts::new(SEGMENTS, "segments sent"), &["outcome"]).expect(VALID);
        let segment_bytes = IntCounter::new(SEGMENT_BYTES, "bytes acknowledged").expect(VALID);
        let puts_open = IntGauge::new(PUTS_OPEN, "segments coming in").expect(VALID);
        let collectors: [Box<dyn prometheus::core::Collector>; 5] = [
            Box::new(requests.clone()),
            Box::new(seconds.clone()),
            Box::new(segments.clone()),
            Box::new(segment_bytes.clone()),
            Box::new(puts_open.clone()),
        ];
        for collector in collectors {
            registry.register(collector).expect("each name is registered once");
        }
        // Memory, open files and processor time, where the system tells them.
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("each name is registered once");
        Metrics { counted: Arc::new(Counted { registry, requests, seconds, segments, segment_bytes, puts_open }) }
    }

    /// The registry, for other parts to put theirs in.
    pub fn registry(&self) -> &Registry {
        &self.counted.registry
    }

    /// Counts a request. `route` is the route's template, never the path itself.
    pub fn request(&self, route: &str, status: u16, seconds: f64) {
        self.counted.requests.with_label_values(&[route, &status.to_string()]).inc();
        self.counted.seconds.with_label_values(&[route]).observe(seconds);
    }

    /// Counts a segment.
    pub fn segment(&self, outcome: SegmentOutcome, size_bytes: u64) {
        let word = match outcome {
            SegmentOutcome::New => "new",
            SegmentOutcome::Same => "same",
            SegmentOutcome::Refused => "refused",
        };
        self.counted.segments.with_label_values(&[word]).inc();
        if outcome == SegmentOutcome::New {
            self.counted.segment_bytes.inc_by(size_bytes);
        }
    }

    /// Counts a segment as coming in until the value is dropped.
    pub fn put_opened(&self) -> OpenPut {
        self.counted.puts_open.inc();
        OpenPut(self.counted.puts_open.clone())
    }

    /// Everything, as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.counted.registry.gather(), &mut text);
        encoded.expect("metrics are written to memory");
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_names_units_and_closed_labels() {
        let metrics = Metrics::new();
        metrics.request("/healthz", 200, 0.01);
        metrics.segment(SegmentOutcome::New, 5);
        let open = metrics.put_opened();
        let text = metrics.text();
        for name in NAMES {
            assert!(name.starts_with("spool_") && text.contains(name), "{name}");
        }
        assert!(text.contains("spool_segment_bytes_total 5") && text.contains("spool_segments_incoming 1"));
        drop(open);
        assert!(metrics.text().contains("spool_segments_incoming 0"));
    }
}
