//! What happens to jobs in this process: the engine's events as counters and histograms.

use super::names;
use ::queue::{End, Event, TakenBack};
use domain::job::{Kind, Queue};
use prometheus::{HistogramVec, IntCounterVec, Registry};
use std::time::Duration;

/// Bounds of run times in seconds: from an upload of one segment to the longest mux.
const RUN_SECONDS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0];
/// Bounds of waits in seconds: from a wake-up to an outage.
const WAIT_SECONDS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 600.0];

/// How a job ends.
const JOB_OUTCOMES: [&str; 4] = ["completed", "discarded", "cancelled", "superseded"];
/// How an attempt ends.
const ATTEMPT_OUTCOMES: [&str; 6] = ["completed", "failed", "snoozed", "discarded", "cancelled", "handed_back"];
/// Why a job is given up.
const GIVEN_UP: [&str; 4] = ["attempts", "permanent", "poison", "decided"];
/// Classes of errors that are told apart; any other is [`OTHER`].
const CLASSES: [&str; 17] = [
    "child",
    "child-crash",
    "child-limit",
    "child-timeout",
    "database",
    "dropped",
    "error",
    "lost",
    "panic",
    "source-changed",
    "staging",
    "stopped",
    "storage",
    "timeout",
    "unwound",
    "verify-failed",
    "webhook",
];
/// Whatever is in no closed set: an operator or a newer program may write any word into a row.
const OTHER: &str = "other";

#[derive(Debug)]
pub(super) struct Jobs {
    enqueued: IntCounterVec,
    completed: IntCounterVec,
    retried: IntCounterVec,
    discarded: IntCounterVec,
    lost: IntCounterVec,
    ran: HistogramVec,
    waited: HistogramVec,
}

impl Jobs {
    pub(super) fn new(registry: &Registry) -> Jobs {
        let jobs = Jobs {
            enqueued: names::JOBS_ENQUEUED.counters(),
            completed: names::JOBS_COMPLETED.counters(),
            retried: names::JOBS_RETRIED.counters(),
            discarded: names::JOBS_DISCARDED.counters(),
            lost: names::LEASES_LOST.counters(),
            ran: names::JOB_SECONDS.histograms(&RUN_SECONDS),
            waited: names::JOB_WAIT_SECONDS.histograms(&WAIT_SECONDS),
        };
        for counters in [&jobs.enqueued, &jobs.completed, &jobs.retried, &jobs.discarded, &jobs.lost] {
            super::register(registry, counters.clone());
        }
        super::register(registry, jobs.ran.clone());
        super::register(registry, jobs.waited.clone());
        jobs
    }

    /// Makes every series of these queues, at zero: what does not exist cannot be compared with what it was before.
    pub(super) fn prepare(&self, queues: &[Queue]) {
        for queue in Queue::ALL {
            self.lost.with_label_values(&[queue.as_str()]);
        }
        for kind in Kind::ALL {
            let queue = kind.spec().queue;
            // A kind that is found on any queue is a test's, and makes its series when it comes.
            if !queues.contains(&queue) || kind == Kind::Noop {
                continue;
            }
            let labels = [queue.as_str(), kind.as_str()];
            self.enqueued.with_label_values(&labels);
            self.waited.with_label_values(&labels);
            let with = |last: &'static str| [labels[0], labels[1], last];
            for outcome in JOB_OUTCOMES {
                self.completed.with_label_values(&with(outcome));
            }
            for outcome in ATTEMPT_OUTCOMES {
                self.ran.with_label_values(&with(outcome));
            }
            for reason in GIVEN_UP {
                self.discarded.with_label_values(&with(reason));
            }
            for class in CLASSES {
                self.retried.with_label_values(&with(class));
            }
            self.retried.with_label_values(&with(OTHER));
        }
    }

    pub(super) fn hear(&self, event: Event<'_>) {
        match event {
            Event::Claimed(claim) => {
                let labels = [queue_word(claim.queue), kind_word(claim.kind)];
                self.waited.with_label_values(&labels).observe(claim.waited.as_secs_f64());
                if claim.first {
                    self.enqueued.with_label_values(&labels).inc();
                }
            }
            Event::Ended(end) => self.ended(&end),
            Event::TakenBack(back) => self.taken_back(&back),
        }
    }

    fn ended(&self, end: &End<'_>) {
        let (queue, kind) = (queue_word(end.queue), kind_word(end.kind));
        self.observe(queue, kind, end.outcome, end.ran);
        match end.job {
            Some(outcome) => self.completed.with_label_values(&[queue, kind, outcome]).inc(),
            None if end.outcome == "failed" => {
                self.retried.with_label_values(&[queue, kind, class_word(end.class)]).inc();
            }
            // Snoozed or handed back: nothing failed.
            None => {}
        }
        if end.job == Some("discarded") {
            self.discarded.with_label_values(&[queue, kind, given_up(end.reason, end.class)]).inc();
        }
    }

    fn taken_back(&self, back: &TakenBack<'_>) {
        let (queue, kind) = (queue_word(back.queue), kind_word(back.kind));
        let class = if back.lost { "lost" } else { "timeout" };
        if back.lost {
            self.lost.with_label_values(&[queue]).inc();
        }
        match back.job {
            Some(outcome) => self.completed.with_label_values(&[queue, kind, outcome]).inc(),
            None => self.retried.with_label_values(&[queue, kind, class]).inc(),
        }
        if back.job == Some("discarded") {
            self.discarded.with_label_values(&[queue, kind, given_up(back.reason, class)]).inc();
        }
    }

    fn observe(&self, queue: &str, kind: &str, outcome: &str, ran: Duration) {
        self.ran.with_label_values(&[queue, kind, outcome]).observe(ran.as_secs_f64());
    }
}

fn queue_word(queue: &str) -> &'static str {
    Queue::parse(queue).map_or(OTHER, Queue::as_str)
}

fn kind_word(kind: &str) -> &'static str {
    Kind::parse(kind).map_or(OTHER, Kind::as_str)
}

fn class_word(class: &str) -> &'static str {
    CLASSES.into_iter().find(|known| *known == class).unwrap_or(OTHER)
}

/// The attempts are spent, it killed its processes, its error will not clear, or the job itself decided so.
fn given_up(reason: &str, class: &str) -> &'static str {
    match reason {
        "attempts" => "attempts",
        "poison" => "poison",
        _ if class.is_empty() => "decided",
        _ => "permanent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::queue::Claim;
    use prometheus::{Encoder as _, TextEncoder};

    fn text(registry: &Registry) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn end(
        outcome: &'static str,
        job: Option<&'static str>,
        class: &'static str,
        reason: &'static str,
    ) -> Event<'static> {
        Event::Ended(End { queue: "mux", kind: "mux", outcome, job, class, reason, ran: Duration::from_secs(2) })
    }

    #[test]
    fn every_series_is_there_before_anything_happens() {
        let registry = Registry::new();
        let jobs = Jobs::new(&registry);
        jobs.prepare(&[Queue::Mux]);
        let before = text(&registry);
        jobs.hear(Event::Claimed(Claim { queue: "mux", kind: "mux", waited: Duration::from_secs(1), first: true }));
        for (outcome, job, class, reason) in [
            ("completed", Some("completed"), "", ""),
            ("failed", None, "storage", ""),
            ("failed", Some("superseded"), "storage", ""),
            ("snoozed", None, "", ""),
            ("discarded", Some("discarded"), "storage", "attempts"),
            ("discarded", Some("discarded"), "storage", "storage"),
            ("discarded", Some("discarded"), "", "no such plan"),
            ("cancelled", Some("cancelled"), "", ""),
            ("failed", None, "never heard of", ""),
        ] {
            jobs.hear(end(outcome, job, class, reason));
        }
        let back = |lost, job, reason| Event::TakenBack(TakenBack { queue: "mux", kind: "mux", lost, job, reason });
        jobs.hear(back(true, None, ""));
        jobs.hear(back(false, None, ""));
        jobs.hear(back(true, Some("discarded"), "poison"));
        let after = text(&registry);
        let series = |text: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect()
        };
        assert_eq!(series(&before), series(&after), "an event made a series that was not there at the start");
        for line in [
            "spool_jobs_enqueued_total{kind=\"mux\",queue=\"mux\"} 1",
            "spool_jobs_completed_total{kind=\"mux\",outcome=\"discarded\",queue=\"mux\"} 4",
            "spool_jobs_completed_total{kind=\"mux\",outcome=\"superseded\",queue=\"mux\"} 1",
            "spool_jobs_retried_total{kind=\"mux\",queue=\"mux\",reason=\"storage\"} 1",
            "spool_jobs_retried_total{kind=\"mux\",queue=\"mux\",reason=\"lost\"} 1",
            "spool_jobs_retried_total{kind=\"mux\",queue=\"mux\",reason=\"timeout\"} 1",
            "spool_jobs_retried_total{kind=\"mux\",queue=\"mux\",reason=\"other\"} 1",
            "spool_jobs_discarded_total{kind=\"mux\",queue=\"mux\",reason=\"attempts\"} 1",
            "spool_jobs_discarded_total{kind=\"mux\",queue=\"mux\",reason=\"permanent\"} 1",
            "spool_jobs_discarded_total{kind=\"mux\",queue=\"mux\",reason=\"poison\"} 1",
            "spool_jobs_discarded_total{kind=\"mux\",queue=\"mux\",reason=\"decided\"} 1",
            "spool_leases_lost_total{queue=\"mux\"} 2",
            "spool_job_duration_seconds_count{kind=\"mux\",outcome=\"failed\",queue=\"mux\"} 3",
            "spool_job_queue_wait_seconds_bucket{kind=\"mux\",queue=\"mux\",le=\"0.5\"} 0",
            "spool_job_queue_wait_seconds_bucket{kind=\"mux\",queue=\"mux\",le=\"1\"} 1",
        ] {
            assert!(after.lines().any(|found| found == line), "no {line} in:\n{after}");
        }
    }
}
