//! What is shown: one bad night in a store that throttles, told once for every frame.

use chrono::{DateTime, TimeDelta, Utc};
use domain::recording::State;
use domain::segment::Track;
use domain::standing::Standing;
use tui::app::{App, Screen};
use tui::source::ask::Resource;
use tui::source::clean::Clean;
use tui::source::rows::*;
use tui::source::told::Value;
use uuid::Uuid;

/// The database's clock.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_774_149_164, 0).unwrap()
}

/// So many seconds ago.
pub(crate) fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

fn clean(text: &str) -> Clean {
    Clean::new(text)
}

fn some(text: &str) -> Option<Clean> {
    Some(clean(text))
}

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0195_b9e4_7c00_7000_8000_0000_0000_0000 + n)
}

/// What there is of a resource on that night.
pub(crate) fn of(resource: Resource, app: &App) -> Option<Value> {
    let recording = match &app.screen {
        Screen::Recording(id) => Some(id.as_str()),
        _ => app.recordings.selected.as_ref().map(|id| id.as_str()),
    };
    let chosen = match &app.screen {
        Screen::Job(id) => Some(*id),
        _ => app.jobs.selected,
    };
    Some(match resource {
        Resource::Recordings => {
            Value::Recordings(RecordingPage { rows: recordings(), next: Some(cursor()), window: None })
        }
        Resource::Recording => Value::Recording(Box::new(match recording? {
            "standup-0322" => live(),
            "demo-7-final" => muxing(),
            "townhall-q1" => ready(),
            "board-2026-q1" => failed(),
            _ => troubled(),
        })),
        Resource::Jobs => Value::Jobs(JobPage { rows: jobs(), next: None, window: None }),
        Resource::Job => {
            let row = jobs().into_iter().find(|row| Some(row.id) == chosen)?;
            Value::Job(Box::new(JobView { row, ..job() }))
        }
        Resource::Workers => Value::Workers(workers()),
        Resource::Queues => Value::Queues(queues()),
        Resource::Numbers => Value::Numbers(Box::new(numbers())),
        Resource::Count => return None,
    })
}

fn cursor() -> RecordingCursor {
    RecordingCursor { created_at: ago(900_000), id: "the-oldest".parse().unwrap() }
}

fn exact(n: u64) -> Number {
    Number { n, kind: NumberKind::Exact, at: None }
}

pub(crate) fn numbers() -> Numbers {
    let estimate = |n| Number { n, kind: NumberKind::Estimate, at: Some(ago(40)) };
    Numbers {
        live: [exact(0), exact(3), Number { n: 10_001, kind: NumberKind::Capped, at: None }, exact(6), exact(14)],
        ended: [estimate(2_914_000), exact(2), exact(31), exact(0)],
        recordings: [exact(5), exact(3), exact(212), exact(2), estimate(48_200), exact(1), exact(0)],
        workers: 4,
        paused: vec![clean("preview")],
        oldest_ended_at: Some(ago(14 * 86_400)),
    }
}

pub(crate) fn row(id: &str, owner: &str, state: State, age: i64) -> RecordingRow {
    RecordingRow {
        id: id.parse().unwrap(),
        owner: clean(owner),
        state,
        state_at: ago(age.min(40)),
        provisional: false,
        tail_confirmed: true,
        degraded: false,
        from_bucket: false,
        paused: false,
        created_at: ago(age),
        listed_index: None,
        listed_at: None,
        heard_at: None,
        duration_ms: None,
        result_bytes: None,
        error_code: None,
        job: None,
    }
}

fn brief(kind: &str, standing: Standing, attempt: u32, error: Option<&str>) -> Option<JobBrief> {
    Some(JobBrief { id: id(1), kind: clean(kind), standing, attempt, error: error.map(clean) })
}

const SLOW_DOWN: &str = "put segment video/412: the store asks to slow down (503 SlowDown)";

/// A page with everything that goes wrong, and what goes well.
pub(crate) fn recordings() -> Vec<RecordingRow> {
    let on = |row: RecordingRow, listed: i64, heard: i64| RecordingRow {
        listed_index: Some(412),
        listed_at: Some(ago(listed)),
        heard_at: Some(ago(heard)),
        ..row
    };
    let done = |row: RecordingRow, seconds: u64, bytes: u64| RecordingRow {
        duration_ms: Some(seconds * 1_000),
        result_bytes: Some(bytes),
        ..row
    };
    let mut rows = vec![
        on(row("standup-0322", "eu-7", State::Live, 1_300), 1, 3),
        RecordingRow {
            job: brief("upload", Standing::Retryable, 9, Some(SLOW_DOWN)),
            ..on(row("9f3ac0de-77c1-4b1e-9c55-a3f09e12c1aa", "eu-7", State::Live, 4_364), 95, 2)
        },
        on(row("allhands-march", "globex", State::Live, 3_720), 41, 7),
        on(row("interview-3321", "acme", State::Live, 610), 130, 128),
        RecordingRow { paused: true, ..on(row("workshop-day-2", "initech", State::Live, 9_000), 300, 4) },
        row("just-made", "acme", State::Live, 12),
        RecordingRow { error_code: some("too-many-gaps"), ..row("board-2026-q1", "acme", State::Failed, 7_260) },
        RecordingRow {
            error_code: some("mux-discarded"),
            job: brief("mux", Standing::Running, 4, None),
            ..row("support-call-88112", "umbrella", State::Failed, 12_400)
        },
        RecordingRow {
            job: brief("mux", Standing::Running, 2, None),
            ..row("demo-7-final", "globex", State::Finalizing, 5_100)
        },
        RecordingRow {
            job: brief("manifest_check", Standing::Scheduled, 1, None),
            provisional: true,
            ..row("lecture-14", "uni-bern", State::Finalizing, 8_000)
        },
        RecordingRow { state_at: ago(340), ..row("stuck-one", "uni-bern", State::Finalizing, 9_400) },
        RecordingRow {
            degraded: true,
            ..done(row("townhall-q1", "globex", State::Ready, 20_000), 4_364, 2_912_000_000)
        },
        RecordingRow {
            tail_confirmed: false,
            ..done(row("retro-march", "eu-7", State::Ready, 22_000), 1_810, 610_000_000)
        },
        done(row("onboarding-12", "acme", State::Ready, 30_000), 640, 201_000_000),
    ];
    rows.push(row("abandoned-1", "initech", State::Cancelled, 90_000));
    for n in 0..6_u32 {
        let seconds = 1_200 + u64::from(n) * 77;
        let age = 100_000 + i64::from(n) * 40_000;
        rows.push(done(row(&format!("archive-{:04}", 9_100 - n), "acme", State::Archived, age), seconds, 300_000_000));
    }
    rows
}

fn run(from: u32, to: u32, cell: Cell) -> Run {
    Run { from, to, cell }
}

fn strip(track: Track, runs: &[Run]) -> Strip {
    let mut counts = Counts::default();
    for run in runs {
        let n = run.to - run.from + 1;
        match run.cell {
            Cell::Stored => counts.stored += n,
            Cell::Received => counts.received += n,
            Cell::Late => counts.late += n,
            Cell::Missing => counts.missing += n,
            Cell::Lost => counts.lost += n,
        }
    }
    Strip { track, runs: runs.to_vec(), counts, last_index: runs.last().map_or(0, |run| run.to) }
}

fn track(track: Track, runs: &[Run]) -> TrackView {
    let strip = strip(track, runs);
    let stored = u64::from(strip.counts.stored + strip.counts.received + strip.counts.late);
    let last = strip.last_index;
    let video = track == Track::Video;
    TrackView {
        codec: some(if video { "avc1.64002a" } else { "mp4a.40.2" }),
        size: video.then_some((1_920, 1_080)),
        declared_last: None,
        duration_ms: stored * 2_000,
        size_bytes: stored * if video { 620_000 } else { 33_000 },
        received_at: Some(ago(1)),
        waiting_since: None,
        listed_seq: u64::from(last),
        listed_index: last,
        listed_at: Some(ago(1)),
        edge_at: Some(now() - TimeDelta::milliseconds(2_300)),
        listed_gaps: 0,
        strip,
    }
}

fn view(row: RecordingRow, tracks: Vec<TrackView>) -> RecordingView {
    RecordingView {
        row,
        policy: clean("degrade"),
        webhook: some("app"),
        liveness: some("recording"),
        signalled_at: None,
        ended_at: None,
        declared_at: None,
        plan_version: 0,
        frozen_version: 0,
        gaps_accepted: false,
        error: None,
        tracks,
        listing_ended_at: None,
        target_duration_s: Some(2),
        stored_seq: 0,
        manifest_seq: 0,
        manifest_at: Some(ago(9)),
        gaps: Vec::new(),
        gap_count: 0,
        result: None,
        mux: None,
        jobs: Vec::new(),
        events: Vec::new(),
    }
}

fn event(seq: u64, kind: &str, at: i64) -> EventRow {
    EventRow { seq, kind: clean(kind), at: ago(at) }
}

/// All is well.
pub(crate) fn live() -> RecordingView {
    let row = recordings().remove(0);
    let tracks = vec![
        track(Track::Video, &[run(1, 410, Cell::Stored), run(411, 412, Cell::Received)]),
        track(Track::Audio, &[run(1, 411, Cell::Stored), run(412, 412, Cell::Received)]),
    ];
    let jobs = vec![JobRow { attempt: 38, ..job_row(1, "upload", "ingest", Standing::Running, "standup-0322") }];
    RecordingView { jobs, stored_seq: 821, manifest_seq: 812, ..view(row, tracks) }
}

/// The store throttles: holes, lost bytes, a retry.
pub(crate) fn troubled() -> RecordingView {
    let row = recordings().remove(1);
    let video = track(
        Track::Video,
        &[
            run(1, 1_234, Cell::Stored),
            run(1_235, 1_238, Cell::Missing),
            run(1_239, 1_900, Cell::Stored),
            run(1_901, 1_906, Cell::Late),
            run(1_907, 2_130, Cell::Stored),
            run(2_131, 2_131, Cell::Lost),
            run(2_132, 2_178, Cell::Stored),
            run(2_179, 2_182, Cell::Received),
        ],
    );
    let audio = track(Track::Audio, &[run(1, 2_181, Cell::Stored), run(2_182, 2_182, Cell::Received)]);
    let behind = |track: TrackView| TrackView {
        waiting_since: Some(ago(95)),
        listed_at: Some(ago(95)),
        edge_at: Some(ago(97)),
        listed_gaps: 4,
        ..track
    };
    let jobs = vec![
        JobRow {
            attempt: 9,
            error: some(SLOW_DOWN),
            error_class: some("store-throttled"),
            run_at: now() + TimeDelta::seconds(12),
            ..job_row(1, "upload", "ingest", Standing::Retryable, row.id.as_str())
        },
        ended(2, "webhook", Standing::Completed, 4_300, row.id.as_str()),
        JobRow {
            error: some("worker w07 was lost while it ran"),
            attempt: 10,
            ..ended(3, "preview", Standing::Discarded, 1_800, row.id.as_str())
        },
        ended(4, "probe", Standing::Completed, 2_400, row.id.as_str()),
    ];
    RecordingView {
        jobs,
        stored_seq: 4_354,
        manifest_seq: 4_300,
        manifest_at: Some(ago(104)),
        events: vec![event(1, "recording.reopened", 2_000)],
        ..view(row, vec![behind(video), TrackView { listed_gaps: 0, ..behind(audio) }])
    }
}

/// More is missing than the policy allows.
pub(crate) fn failed() -> RecordingView {
    let row = recordings().into_iter().find(|row| row.id.as_str() == "board-2026-q1").unwrap();
    let holes = [run(1, 120, Cell::Stored), run(121, 560, Cell::Missing), run(561, 702, Cell::Stored)];
    let tracks = vec![
        TrackView { declared_last: Some(702), ..track(Track::Video, &holes) },
        TrackView { declared_last: Some(702), ..track(Track::Audio, &holes) },
    ];
    let jobs = vec![
        JobRow {
            error: None,
            reason: some("too-many-gaps"),
            ..ended(24, "manifest_check", Standing::Completed, 400, "board-2026-q1")
        },
        ended(27, "upload", Standing::Completed, 460, "board-2026-q1"),
    ];
    RecordingView {
        signalled_at: Some(ago(470)),
        declared_at: Some(ago(471)),
        ended_at: Some(ago(470)),
        stored_seq: 524,
        manifest_seq: 524,
        error: Some((clean("too-many-gaps"), clean("63 % of the recording is missing, and at most 50 % may be"))),
        jobs,
        events: vec![event(2, "recording.failed", 400), event(1, "recording.finalizing", 470)],
        ..view(row, tracks)
    }
}

/// Being written.
pub(crate) fn muxing() -> RecordingView {
    let row = RecordingRow { id: "demo-7-final".parse().unwrap(), ..recordings().remove(8) };
    let tracks = vec![
        TrackView { declared_last: Some(2_550), ..track(Track::Video, &[run(1, 2_550, Cell::Stored)]) },
        TrackView { declared_last: Some(2_550), ..track(Track::Audio, &[run(1, 2_550, Cell::Stored)]) },
    ];
    let mux = MuxView {
        job: JobBrief { id: id(7), kind: clean("mux"), standing: Standing::Running, attempt: 2, error: None },
        max_attempts: 10,
        started_at: Some(ago(24)),
        worker: some("w12"),
        progress: Some(Progress {
            pct: Some(63.2),
            done: Some(1_053_000_000),
            total: Some(1_665_000_000),
            unit: some("bytes"),
            stage: some("write"),
            eta_s: Some(14),
            at: now(),
        }),
    };
    let jobs = vec![
        JobRow {
            attempt: 2,
            started_at: Some(ago(24)),
            worker: some("w12"),
            error: some("worker w07 was lost while it ran"),
            ..job_row(7, "mux", "mux", Standing::Running, "demo-7-final")
        },
        ended(8, "manifest_check", Standing::Completed, 40, "demo-7-final"),
        ended(9, "upload", Standing::Completed, 41, "demo-7-final"),
    ];
    RecordingView {
        signalled_at: Some(ago(44)),
        declared_at: Some(ago(45)),
        listing_ended_at: Some(ago(39)),
        frozen_version: 1,
        plan_version: 1,
        stored_seq: 5_100,
        manifest_seq: 5_100,
        manifest_at: Some(ago(41)),
        events: vec![event(1, "recording.finalizing", 44)],
        mux: Some(mux),
        jobs,
        ..view(row, tracks)
    }
}

/// Made, with gaps.
pub(crate) fn ready() -> RecordingView {
    let row = RecordingRow { id: "townhall-q1".parse().unwrap(), ..recordings().remove(11) };
    let gap = |n: u64, track: Track| GapRow {
        track,
        from_ms: 2_470_000 + n * 61_000,
        to_ms: 2_478_000 + n * 61_000,
        segments: Some((1_235 + n as u32 * 30, 1_238 + n as u32 * 30)),
        cause: clean(if n.is_multiple_of(2) { "never received" } else { "bytes were damaged in staging" }),
    };
    let tracks = vec![
        TrackView {
            declared_last: Some(2_182),
            ..track(
                Track::Video,
                &[run(1, 1_234, Cell::Stored), run(1_235, 1_238, Cell::Missing), run(1_239, 2_182, Cell::Stored)],
            )
        },
        TrackView { declared_last: Some(2_182), ..track(Track::Audio, &[run(1, 2_182, Cell::Stored)]) },
    ];
    let gaps: Vec<GapRow> = (0..3).map(|n| gap(n, if n == 2 { Track::Audio } else { Track::Video })).collect();
    RecordingView {
        signalled_at: Some(ago(15_000)),
        declared_at: Some(ago(15_001)),
        listing_ended_at: Some(ago(14_990)),
        frozen_version: 1,
        plan_version: 1,
        gap_count: gaps.len(),
        gaps,
        result: Some(ResultView {
            version: 1,
            key: clean("globex/townhall-q1/result.mp4"),
            size_bytes: 2_912_000_000,
            sha256: some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
            duration_ms: 4_364_000,
            size: Some((1_920, 1_080)),
            fps: Some(30.0),
            video_codec: some("h264"),
            audio_codec: some("aac"),
        }),
        jobs: vec![
            JobRow {
                run_at: now() + TimeDelta::seconds(71_000),
                attempt: 0,
                ..job_row(11, "cleanup", "control", Standing::Scheduled, "townhall-q1")
            },
            ended(12, "preview", Standing::Completed, 14_900, "townhall-q1"),
            ended(13, "mux", Standing::Completed, 14_960, "townhall-q1"),
        ],
        events: vec![
            event(3, "recording.preview_ready", 14_900),
            event(2, "recording.ready", 14_950),
            event(1, "recording.finalizing", 15_000),
        ],
        ..view(row, tracks)
    }
}

fn job_row(n: u128, kind: &str, queue: &str, standing: Standing, subject: &str) -> JobRow {
    let running = standing == Standing::Running;
    JobRow {
        id: id(n),
        queue: clean(queue),
        kind: clean(kind),
        standing,
        subject: some(subject),
        owner: some("eu-7"),
        attempt: 1,
        max_attempts: 10,
        crashes: 0,
        snoozes: 0,
        run_at: ago(4),
        started_at: running.then(|| ago(4)),
        finished_at: None,
        worker: running.then(|| clean("w12")),
        reason: None,
        error_class: None,
        error: None,
        created_at: ago(7_000),
    }
}

fn ended(n: u128, kind: &str, standing: Standing, at: i64, subject: &str) -> JobRow {
    JobRow {
        started_at: Some(ago(at + 3)),
        finished_at: Some(ago(at)),
        worker: some("w07"),
        ..job_row(n, kind, queue(kind), standing, subject)
    }
}

fn queue(kind: &str) -> &str {
    match kind {
        "upload" => "ingest",
        "mux" | "preview" | "webhook" => kind,
        _ => "control",
    }
}

pub(crate) fn jobs() -> Vec<JobRow> {
    let wait = |seconds: i64| now() + TimeDelta::seconds(seconds);
    let mut rows = vec![
        JobRow {
            attempt: 9,
            run_at: wait(12),
            error: some(SLOW_DOWN),
            error_class: some("store-throttled"),
            ..job_row(1, "upload", "ingest", Standing::Retryable, "9f3ac0de-77c1-4b1e-9c55-a3f09e12c1aa")
        },
        JobRow { started_at: Some(ago(24)), ..job_row(7, "mux", "mux", Standing::Running, "demo-7-final") },
        JobRow {
            started_at: Some(ago(1)),
            worker: some("w03"),
            ..job_row(20, "upload", "ingest", Standing::Running, "standup-0322")
        },
        JobRow { attempt: 0, ..job_row(21, "upload", "ingest", Standing::Available, "allhands-march") },
        JobRow {
            attempt: 0,
            run_at: wait(22),
            snoozes: 2,
            ..job_row(22, "manifest_check", "control", Standing::Scheduled, "lecture-14")
        },
        JobRow {
            attempt: 2,
            run_at: wait(250),
            error: some("POST https://app.example/hooks: the receiver answered 500"),
            ..job_row(23, "webhook", "webhook", Standing::Retryable, "retro-march")
        },
        JobRow {
            attempt: 10,
            error: some("verify result: track video has 4 samples fewer than the plan"),
            error_class: some("result-differs"),
            ..ended(24, "mux", Standing::Discarded, 400, "board-2026-q1")
        },
        JobRow {
            attempt: 3,
            crashes: 3,
            error: some("the child was killed (signal 9)"),
            ..ended(25, "preview", Standing::Discarded, 1_800, "support-call-88112")
        },
        ended(26, "preview", Standing::Cancelled, 2_000, "abandoned-1"),
    ];
    for n in 0..14 {
        rows.push(ended(30 + n, "upload", Standing::Completed, 60 + i64::try_from(n).unwrap() * 45, "archive-9100"));
    }
    rows
}

/// The discarded mux, with everything that was tried.
pub(crate) fn job() -> JobView {
    let attempt = |n: u32, outcome: &str, at: i64, error: &[&str]| AttemptRow {
        attempt: n,
        outcome: clean(outcome),
        worker: some(if n.is_multiple_of(2) { "w12" } else { "w07" }),
        started_at: Some(ago(at + 31)),
        ended_at: ago(at),
        error_class: (!error.is_empty()).then(|| clean("result-differs")),
        error: error.iter().map(|line| clean(line)).collect(),
    };
    let long = [
        "verify result: track video has 4 samples fewer than the plan",
        "caused by: read back acme/board-2026-q1/result.mp4: 12,221 of 12,225 samples in stbl",
    ];
    JobView {
        row: jobs().remove(6),
        unique_key: some("mux:board-2026-q1:1"),
        priority: 5,
        cancel_at: None,
        payload: [
            "{",
            "  \"recording\": \"board-2026-q1\",",
            "  \"version\": 1,",
            "  \"bytes\": 18446744073709551617",
            "}",
        ]
        .iter()
        .map(|line| clean(line))
        .collect(),
        payload_cut: false,
        checkpoint: vec![clean("{ \"copied\": 1053000000 }")],
        attempts: vec![
            attempt(10, "discarded", 400, &long),
            attempt(9, "failed", 900, &long),
            attempt(8, "lost", 1_900, &["the worker's lease ran out"]),
            attempt(7, "snoozed", 2_400, &[]),
            attempt(6, "handed_back", 2_500, &[]),
            attempt(
                5,
                "failed",
                2_900,
                &["get acme/board-2026-q1/segments/video/segment_041.m4s: connection reset by peer"],
            ),
        ],
        progress: None,
    }
}

pub(crate) fn workers() -> Vec<WorkerRow> {
    let worker = |n: u128, name: &str, queues: &[&str], busy: u32| WorkerRow {
        id: id(n),
        name: clean(name),
        node: some("node-3"),
        version: some("0.1.0"),
        queues: queues.iter().map(|queue| clean(queue)).collect(),
        slots: Some(8),
        busy: Some(busy),
        draining: false,
        memory_bytes: Some(61_000_000),
        started_at: ago(90_000),
        lease_until: now() + TimeDelta::seconds(12),
        running: Vec::new(),
    };
    let runs = |n: u128, kind: &str, at: i64, pct: Option<f32>| RunningJob {
        id: id(n),
        kind: clean(kind),
        subject: some("demo-7-final"),
        attempt: 1,
        started_at: Some(ago(at)),
        pct,
    };
    vec![
        WorkerRow {
            running: vec![runs(7, "mux", 24, Some(63.2)), runs(8, "mux", 3, Some(4.0)), runs(9, "preview", 8, None)],
            ..worker(1, "w12", &["mux", "preview"], 3)
        },
        WorkerRow {
            running: vec![runs(20, "upload", 1, None), runs(21, "webhook", 2, None)],
            ..worker(2, "w03", &["ingest", "control", "webhook"], 2)
        },
        worker(3, "w04", &["ingest", "control", "webhook"], 0),
        WorkerRow {
            draining: true,
            running: vec![runs(22, "upload", 40, None)],
            ..worker(4, "w05", &["ingest", "control", "webhook"], 1)
        },
        WorkerRow {
            lease_until: ago(75),
            running: vec![runs(23, "mux", 300, Some(22.0))],
            ..worker(5, "w07", &["mux", "preview"], 1)
        },
    ]
}

pub(crate) fn queues() -> Vec<QueueRow> {
    let lane = |name: &str, running: u64, available: u64| QueueRow {
        name: clean(name),
        paused: None,
        max_running: None,
        key_max: None,
        scheduled: exact(0),
        available: exact(available),
        running: exact(running),
        retryable: exact(0),
        oldest_at: (available > 0).then(|| ago(4)),
        flow: (210, 0),
    };
    vec![
        QueueRow { scheduled: exact(3), ..lane("control", 1, 0) },
        QueueRow {
            available: Number { n: 10_001, kind: NumberKind::Capped, at: None },
            retryable: exact(13),
            oldest_at: Some(ago(96)),
            flow: (48_210, 912),
            ..lane("ingest", 3, 1)
        },
        QueueRow { max_running: Some(2), key_max: Some(1), flow: (12, 1), ..lane("mux", 2, 7) },
        QueueRow {
            paused: Some(Pause {
                at: Some(ago(700)),
                by: some("dora@ops-1"),
                reason: some("GPU node is being replaced"),
                until: Some(now() + TimeDelta::seconds(1_800)),
            }),
            flow: (0, 0),
            ..lane("preview", 0, 41)
        },
        QueueRow { retryable: exact(1), ..lane("webhook", 0, 0) },
    ]
}
