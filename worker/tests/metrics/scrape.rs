//! What Prometheus reads.

use crate::support::{Api, PATIENCE, Site, wait};
use crate::text;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use worker::telemetry::names::{self, Name};

/// Every metric is there, says what happened, is explained, and is as Prometheus' own checker wants it.
pub(crate) async fn check(site: &Site, serve: &Api, work: &Api) {
    let collected = async || {
        let text = text(serve, "/metrics").await;
        let fresh = value(&text, "spool_workers{queue=\"mux\"}") == Some(1.0);
        fresh.then_some(text)
    };
    let served = wait::until("the queues were looked at with the worker there", PATIENCE, collected).await;
    let completed = "spool_jobs_completed_total{kind=\"preview\",outcome=\"completed\",queue=\"preview\"}";
    let worked = wait::until("the pictures are counted", PATIENCE, async || {
        let text = text(work, "/metrics").await;
        (value(&text, completed) == Some(1.0)).then_some(text)
    })
    .await;
    every_name_is_there(&served, &worked);
    what_happened_is_counted(site, &served, &worked).await;
    for (who, text) in [("serve", &served), ("work", &worked)] {
        promtool(who, text);
    }
}

fn every_name_is_there(served: &str, worked: &str) {
    let of_queues = [
        names::QUEUE_JOBS,
        names::QUEUE_LOAD,
        names::QUEUE_OLDEST_SECONDS,
        names::QUEUE_PAUSED,
        names::WORKERS,
        names::COLLECTED_SECONDS,
    ];
    let of_workers = [
        names::WORKER_SLOTS,
        names::WORKER_BUSY,
        names::WORKER_HEARTBEAT_SECONDS,
        names::DRAINING,
        names::JOBS_ENQUEUED,
    ];
    for name in names::ALL {
        let (here, there) = (has(served, name), has(worked, name));
        assert!(here || there, "{} is in no scrape", name.name);
        assert!(!(there && of_queues.contains(&name)), "{}: a worker shows the queues", name.name);
        assert!(!(here && of_workers.contains(&name)), "{}: what does not work shows a worker", name.name);
    }
    let known: BTreeSet<_> = names::ALL.iter().map(|name| name.name).collect();
    for line in served.lines().chain(worked.lines()).filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(known.contains(name) || name.starts_with("process_"), "{name} is not in the list of names");
    }
}

fn has(text: &str, name: Name) -> bool {
    text.contains(&format!("# TYPE {} ", name.name))
}

async fn what_happened_is_counted(site: &Site, served: &str, worked: &str) {
    let ended = "SELECT count(*) FROM queue.job_archive WHERE kind = 'mux' AND outcome = 0";
    assert_eq!(site.count(ended, []).await, 1);
    let once = [
        "spool_jobs_enqueued_total{kind=\"mux\",queue=\"mux\"}",
        "spool_jobs_completed_total{kind=\"mux\",outcome=\"completed\",queue=\"mux\"}",
        "spool_job_duration_seconds_count{kind=\"mux\",outcome=\"completed\",queue=\"mux\"}",
        "spool_job_queue_wait_seconds_count{kind=\"mux\",queue=\"mux\"}",
    ];
    for series in once {
        assert_eq!(value(worked, series), Some(1.0), "{series}");
    }
    for series in [
        "spool_jobs_discarded_total{kind=\"mux\",queue=\"mux\",reason=\"poison\"}",
        "spool_leases_lost_total{queue=\"ingest\"}",
        "spool_draining{pool=\"io\"}",
    ] {
        assert_eq!(value(worked, series), Some(0.0), "{series}");
    }
    assert_eq!(value(worked, "spool_worker_slots{pool=\"io\"}"), site_slots(site));
    for (text, series) in [
        (worked, "spool_worker_heartbeat_timestamp_seconds{pool=\"io\"}"),
        (worked, "spool_storage_request_duration_seconds_count{op=\"copy\",outcome=\"ok\"}"),
        (worked, "spool_db_query_duration_seconds_count{outcome=\"ok\",query=\"plans\"}"),
        (worked, "spool_db_query_duration_seconds_count{outcome=\"ok\",query=\"queue\"}"),
        (served, "spool_storage_request_duration_seconds_count{op=\"put\",outcome=\"ok\"}"),
        (served, "spool_db_query_duration_seconds_count{outcome=\"ok\",query=\"segments\"}"),
        (served, "spool_collector_last_success_timestamp_seconds"),
        (served, "spool_http_requests_total{route=\"/api/recordings/{id}\",status=\"200\"}"),
    ] {
        assert!(value(text, series).is_some_and(|value| value > 0.0), "{series}: {:?}", value(text, series));
    }
    let pool: f64 = ["busy", "idle", "unopened"]
        .iter()
        .filter_map(|state| value(served, &format!("spool_db_pool_connections{{state=\"{state}\"}}")))
        .sum();
    assert_eq!(pool, f64::from(site.config().database.pool_max));
}

fn site_slots(site: &Site) -> Option<f64> {
    let slots = site.config().work.slots;
    let lanes = |queue| worker::jobs::KINDS.iter().filter(move |kind| kind.spec().queue == queue).count();
    // `noop` is found on any queue, so it has slots in each.
    let noop = domain::job::Kind::Noop.spec().queue;
    let all = domain::job::Queue::ALL.map(|queue| slots.of(queue) * (lanes(queue) + usize::from(queue != noop)));
    Some(all.iter().sum::<usize>() as f64)
}

/// The value of a series, written as Prometheus writes it.
pub(crate) fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// `promtool check metrics`, of which nothing is excused.
fn promtool(who: &str, text: &str) {
    let mut child = Command::new(program())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool cannot be started ({error}); run scripts/tools.sh promtool"));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "metrics of {who}: {}", String::from_utf8_lossy(&said));
}

/// Where setup puts it, or the system's.
fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_spool")).ancestors().nth(2).unwrap();
    let fetched = target.join("tools/bin/promtool");
    if fetched.exists() { fetched } else { PathBuf::from("promtool") }
}

/// The page for people has every metric with its type and its labels, and none that is not there.
#[test]
fn every_metric_is_explained() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `spool_")).collect();
    for Name { name, labels, .. } in names::ALL {
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} is missing in docs/metrics.md"));
        let cells: Vec<&str> = row.split(" | ").collect();
        let written: Vec<&str> =
            cells[2].split(", ").map(|label| label.trim_matches('`')).filter(|l| *l != "–").collect();
        assert_eq!(written, *labels, "{name} in docs/metrics.md");
        let kind = match name {
            name if name.ends_with("_total") => "counter",
            name if name.ends_with("_duration_seconds") || name.ends_with("_wait_seconds") => "histogram",
            _ => "gauge",
        };
        assert_eq!(cells[1], kind, "{name} in docs/metrics.md");
    }
    assert_eq!(rows.len(), names::ALL.len(), "docs/metrics.md explains what is not there");
}
