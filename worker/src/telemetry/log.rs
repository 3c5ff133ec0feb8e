//! The log: lines for people, or one flat JSON object a line for machines.

use crate::config::{Log, LogFormat};
use serde_json::{Map, Value};
use std::fmt;
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

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
        LogFormat::Text => lines.finish().with(filter_fn(may_be_logged)).try_init(),
        LogFormat::Json => {
            lines.fmt_fields(JsonFields::new()).event_format(Flat).finish().with(filter_fn(may_be_logged)).try_init()
        }
    };
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
    Ok(())
}

/// Whether a span or an event may be written at all, whatever `log.filter` says.
///
/// The spans of sea-orm carry what they were called with, and for a connection that is its address with the password.
pub fn may_be_logged(what: &Metadata<'_>) -> bool {
    !(what.is_span() && what.target().starts_with("sea_orm"))
}

/// One object a line: time, level, target, message, then the fields of the spans from the outermost, then the event's.
/// Of two fields with one name the inner one stands, as it is the nearer to what happened.
struct Flat;

impl<S, N> FormatEvent<S, N> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> tracing_subscriber::fmt::FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        for span in ctx.event_scope().into_iter().flat_map(|spans| spans.from_root()) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().map_or("", |fields| fields.as_str());
            if let Ok(Value::Object(fields)) = serde_json::from_str(fields) {
                line.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        // Last: no field may stand for one of them.
        let meta = event.metadata();
        line.insert("timestamp".to_owned(), time.into());
        line.insert("level".to_owned(), meta.level().as_str().into());
        line.insert("target".to_owned(), meta.target().into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Takes fields as they are: numbers stay numbers.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn take(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Lines;

        fn make_writer(&'a self) -> Lines {
            self.clone()
        }
    }

    #[test]
    fn line_is_one_flat_object_with_the_fields_of_its_spans() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt().with_writer(lines.clone());
        let subscriber = subscriber.fmt_fields(JsonFields::new()).event_format(Flat).finish();
        tracing::subscriber::with_default(subscriber, || {
            let job =
                tracing::info_span!("job", job.id = "j1", queue = "mux", level = "no", late = tracing::field::Empty);
            let _job = job.enter();
            let inner = tracing::info_span!("inner", recording.id = %"r1", queue = "inner");
            let _inner = inner.enter();
            job.record("late", 7);
            tracing::warn!(size_bytes = 5_u64, share = 0.5, done = true, error = %"a \"quoted\"\nerror", "it happened");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let mut line: Value = serde_json::from_str(&text).unwrap();
        let time = line["timestamp"].take();
        assert!(chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).is_ok(), "{time}");
        let expected = serde_json::json!({
            "timestamp": null, "level": "WARN", "target": module_path!(), "message": "it happened", "job.id": "j1",
            "recording.id": "r1", "queue": "inner", "late": 7, "size_bytes": 5, "share": 0.5, "done": true,
            "error": "a \"quoted\"\nerror",
        });
        assert_eq!(line, expected);
    }
}
