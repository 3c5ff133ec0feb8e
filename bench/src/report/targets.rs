//! What was promised, and whether the numbers keep it.

use super::Report;
use crate::round::{Outcome, Series, Spread};
use crate::server::Asked;
use crate::site::Finalized;
use crate::store::{Delayed, OverS3};

/// Most resident memory of a mux.
const RSS_MAX_MIB: f64 = 64.0;

/// One promise.
pub(crate) struct Target {
    what: String,
    promised: &'static str,
    measured: String,
    holds: bool,
}

impl Target {
    /// For a terminal.
    pub(crate) fn line(&self) -> String {
        format!("{}: {}: {} ({})\n", self.verdict(), self.what, self.measured, self.promised)
    }

    /// For the document.
    pub(crate) fn row(&self) -> String {
        format!("| {} | {} | {} | {} |\n", self.what, self.promised, self.measured, self.verdict())
    }

    fn verdict(&self) -> &'static str {
        if self.holds { "holds" } else { "**does not hold**" }
    }
}

/// Every target that something was measured for.
pub(crate) fn of(report: &Report) -> Vec<Target> {
    let mut targets = Vec::new();
    for (name, outcome) in [("30 minutes on disk", &report.disk), ("8 hours on disk", &report.hours)] {
        if let Some(outcome) = outcome {
            on_disk(name, outcome, &mut targets);
        }
    }
    if let Some(ready) = &report.ready {
        let wall = Spread::of(ready.runs.iter().map(|run| run.wall_s).collect());
        let measured = format!("{:.2} s", wall.median);
        let what = "10 minutes, local store: complete → ready".to_owned();
        targets.push(Target { what, promised: "≤ 3 s", measured, holds: wall.median <= 3.0 });
        rss("10 minutes, local store", &ready.runs, &mut targets);
    }
    if let Some(store) = &report.store {
        over_s3(store, &mut targets);
    }
    targets
}

fn on_disk(name: &str, outcome: &Outcome, targets: &mut Vec<Target>) {
    let series = |key: &str| outcome.series.iter().find(|series| series.key == key);
    let (Some(spool), Some(hashed), Some(ffmpeg)) = (series("spool"), series("spool-sha256"), series("ffmpeg")) else {
        return;
    };
    let median = |series: &Series, number: fn(&crate::usage::Usage) -> f64| series.spread(number).median;
    let wall = median(ffmpeg, |run| run.wall_s) / median(spool, |run| run.wall_s);
    let mut add = |what: &str, promised, measured, holds| {
        targets.push(Target { what: format!("{name}: {what}"), promised, measured, holds });
    };
    add("wall against FFmpeg, both without hashing", "≥ 2 × faster", format!("{wall:.2} ×"), wall >= 2.0);
    let cpu = median(spool, |run| run.cpu_s) / median(ffmpeg, |run| run.cpu_s);
    add("CPU against FFmpeg, both without hashing", "≤ 1/3", format!("{cpu:.3}"), cpu <= 1.0 / 3.0);
    let most = spool.spread(|run| run.rss_bytes as f64).most.max(hashed.spread(|run| run.rss_bytes as f64).most);
    let mib = most / (1 << 20) as f64;
    add("memory, with and without SHA-256", "≤ 64 MiB", format!("{mib:.1} MiB"), mib <= RSS_MAX_MIB);
    let set = outcome.set.bytes as f64;
    let read = spool.spread(|run| run.read_bytes as f64).most / set;
    add("bytes read", "≤ 1.03 × the segments", format!("{read:.4} ×"), read <= 1.03);
    let written = spool.spread(|run| run.written_bytes as f64).most / set;
    add("bytes written", "≤ 1.01 × the segments", format!("{written:.4} ×"), written <= 1.01);
    let temporary = spool.spread(|run| run.temporary_bytes as f64).most;
    add("temporary disk", "0", format!("{temporary:.0}"), temporary == 0.0);
    let whole = spool.fidelity.as_ref().is_some_and(crate::sound::Fidelity::holds);
    add("every packet, no A/V shift", "all", if whole { "all" } else { "not all" }.to_owned(), whole);
}

fn rss(name: &str, runs: &[Finalized], targets: &mut Vec<Target>) {
    let most = Spread::of(runs.iter().map(|run| run.rss_bytes as f64).collect()).most / (1 << 20) as f64;
    let idle = Spread::of(runs.iter().map(|run| run.idle_bytes as f64).collect()).least / (1 << 20) as f64;
    let what = format!("{name}: memory of the whole working process");
    let measured = format!("{most:.1} MiB, before the job {idle:.1} MiB");
    targets.push(Target { what, promised: "≤ 64 MiB", measured, holds: most <= RSS_MAX_MIB });
}

fn over_s3(store: &OverS3, targets: &mut Vec<Target>) {
    for delayed in &store.sets {
        let name = format!("30 minutes over S3, {} ms", delayed.delay_ms);
        against_flow(&name, delayed, targets);
        rss(&name, &delayed.spool.iter().map(|(run, _)| *run).collect::<Vec<_>>(), targets);
        moved(&name, &delayed.spool, store.set_bytes, targets);
    }
    let name = "8 hours over S3";
    let again: Vec<_> = store.hours.again.iter().map(|(run, _)| *run).collect();
    rss(name, &again, targets);
    moved(name, &store.hours.again, store.hours.set_bytes, targets);
}

fn against_flow(name: &str, delayed: &Delayed, targets: &mut Vec<Target>) {
    let median = |numbers: Vec<f64>| Spread::of(numbers).median;
    let wall = median(delayed.flow.iter().map(|(run, _)| run.wall_s).collect())
        / median(delayed.bare.iter().map(|(run, _)| run.job_s).collect());
    let what = format!("{name}: whole job against download, FFmpeg, upload, both without hashing");
    targets.push(Target { what, promised: "≥ 2 × faster", measured: format!("{wall:.2} ×"), holds: wall >= 2.0 });
    let cpu = median(delayed.bare.iter().map(|(run, _)| run.cpu_s).collect())
        / median(delayed.flow.iter().map(|(run, _)| run.cpu_s).collect());
    let what = format!("{name}: CPU of the same");
    targets.push(Target { what, promised: "≤ 1/3", measured: format!("{cpu:.3}"), holds: cpu <= 1.0 / 3.0 });
}

fn moved(name: &str, runs: &[(Finalized, Asked)], set_bytes: u64, targets: &mut Vec<Target>) {
    let most = |number: fn(&Asked) -> u64| {
        Spread::of(runs.iter().map(|(_, asked)| number(asked) as f64).collect()).most / set_bytes as f64
    };
    let (read, written) = (most(|asked| asked.sent_bytes), most(|asked| asked.taken_bytes));
    let what = format!("{name}: bytes read, with reading the result back");
    targets.push(Target {
        what,
        promised: "≤ 1.03 × the segments",
        measured: format!("{read:.4} ×"),
        holds: read <= 1.03,
    });
    let what = format!("{name}: bytes written");
    targets.push(Target {
        what,
        promised: "≤ 1.01 × the segments",
        measured: format!("{written:.4} ×"),
        holds: written <= 1.01,
    });
}
