//! Rows as the source would give them, each of a number: what has the same number is the same thing.

use chrono::{DateTime, TimeDelta, Utc};
use domain::id::RecordingId;
use domain::recording::State;
use domain::standing::Standing;
use tui::source::clean::Clean;
use tui::source::rows::{JobRow, JobView, Number, NumberKind, Pause, QueueRow, RecordingRow, RecordingView, WorkerRow};
use uuid::Uuid;

/// The database's clock in every answer.
pub(crate) fn clock() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

pub(crate) fn job_id(n: u32) -> Uuid {
    Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + u128::from(n))
}

pub(crate) fn recording_id(n: u32) -> RecordingId {
    format!("rec-{n}").parse().unwrap()
}

pub(crate) fn job(n: u32, standing: Standing) -> JobRow {
    let ago = |seconds: i64| clock() - TimeDelta::seconds(seconds + i64::from(n));
    JobRow {
        id: job_id(n),
        queue: Clean::new("mux"),
        kind: Clean::new("mux"),
        standing,
        subject: Some(Clean::new(format!("rec-{n}"))),
        owner: Some(Clean::new("eu-7")),
        attempt: n % 4,
        max_attempts: 10,
        crashes: 0,
        snoozes: 0,
        run_at: ago(60),
        started_at: Some(ago(50)),
        finished_at: (!standing.is_live()).then(|| ago(10)),
        worker: Some(Clean::new("w07")),
        reason: None,
        error_class: Some(Clean::new("transient")),
        error: Some(Clean::new("get segment: \u{1b}[31mSlowDown")),
        created_at: ago(120),
    }
}

pub(crate) fn job_view(n: u32, standing: Standing) -> JobView {
    JobView {
        row: job(n, standing),
        unique_key: None,
        priority: 2,
        cancel_at: None,
        payload: Clean::lines("{\n  \"recording\": \"rec-1\"\n}"),
        payload_cut: false,
        checkpoint: Vec::new(),
        attempts: Vec::new(),
        progress: None,
    }
}

pub(crate) fn recording(n: u32) -> RecordingRow {
    RecordingRow {
        id: recording_id(n),
        owner: Clean::new("eu-7"),
        state: State::Live,
        state_at: clock() - TimeDelta::seconds(i64::from(n)),
        provisional: false,
        tail_confirmed: true,
        degraded: false,
        from_bucket: false,
        paused: false,
        created_at: clock() - TimeDelta::seconds(600 + i64::from(n)),
        listed_index: Some(n),
        listed_at: Some(clock()),
        heard_at: Some(clock()),
        duration_ms: None,
        result_bytes: None,
        error_code: None,
        job: None,
    }
}

pub(crate) fn recording_view(n: u32, jobs: Vec<JobRow>) -> RecordingView {
    RecordingView {
        row: recording(n),
        policy: Clean::new("degrade"),
        webhook: None,
        liveness: Some(Clean::new("recording")),
        signalled_at: None,
        ended_at: None,
        declared_at: None,
        plan_version: 1,
        frozen_version: 0,
        gaps_accepted: false,
        error: None,
        tracks: Vec::new(),
        listing_ended_at: None,
        target_duration_s: Some(2),
        stored_seq: 0,
        manifest_seq: 0,
        manifest_at: None,
        gaps: Vec::new(),
        gap_count: 0,
        result: None,
        mux: None,
        jobs,
        events: Vec::new(),
    }
}

pub(crate) fn number(n: u64) -> Number {
    Number { n, kind: NumberKind::Exact, at: None }
}

pub(crate) fn queue(name: &str, paused: bool) -> QueueRow {
    let pause = Pause { at: Some(clock()), by: Some(Clean::new("kim")), reason: None, until: None };
    QueueRow {
        name: Clean::new(name),
        paused: paused.then_some(pause),
        max_running: None,
        key_max: None,
        scheduled: number(0),
        available: number(3),
        running: number(1),
        retryable: number(0),
        oldest_at: Some(clock()),
        flow: (4, 1),
    }
}

pub(crate) fn worker(n: u32) -> WorkerRow {
    WorkerRow {
        id: Uuid::from_u128(u128::from(n) + 1),
        name: Clean::new(format!("w{n:02}")),
        node: None,
        version: Some(Clean::new("0.1.0")),
        queues: vec![Clean::new("mux")],
        slots: Some(2),
        busy: Some(n % 3),
        draining: n % 4 == 3,
        memory_bytes: Some(u64::from(n) << 20),
        started_at: clock(),
        lease_until: clock(),
        running: Vec::new(),
    }
}
