//! One table for each comparison.

use super::Report;
use crate::cost::Cost;
use crate::round::{Outcome, Series, Spread};
use crate::server::Asked;
use crate::site::Finalized;
use crate::sound::Fidelity;
use crate::store::{OverS3, Ready};
use crate::usage::Usage;
use std::fmt::Write as _;

const MIB: f64 = (1 << 20) as f64;

/// Every table that something was measured for.
pub(super) fn write(report: &Report, text: &mut String) {
    if let Some(outcome) = &report.disk {
        disk("30 minutes of 1080p on a local disk", outcome, text);
    }
    if let Some(outcome) = &report.hours {
        disk("8 hours of 1080p on a local disk", outcome, text);
    }
    if let Some(ready) = &report.ready {
        to_ready(ready, text);
    }
    if let Some(store) = &report.store {
        over_s3(store, text);
    }
    if let Some(cost) = &report.cost {
        instructions(cost, text);
    }
}

fn spread(Spread { median, least, most }: Spread) -> String {
    format!("{median:.2} ({least:.2}–{most:.2})")
}

fn disk(title: &str, outcome: &Outcome, text: &mut String) {
    let set = &outcome.set;
    let _ = write!(
        text,
        "\n## {title}\n\n{} and {} segments, {} samples, {:.3} GB.\n\n| | rounds | wall s | CPU s | RSS MiB | read | \
         written | temporary disk | exit | lost video, audio | A/V shift |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
        set.video,
        set.audio,
        outcome.samples,
        set.bytes as f64 / 1e9
    );
    for series in &outcome.series {
        row(series, set.bytes as f64, text);
    }
    let of = |key: &str| outcome.series.iter().find(|series| series.key == key);
    if let (Some(spool), Some(hashed), Some(ffmpeg)) = (of("spool"), of("spool-sha256"), of("ffmpeg")) {
        let wall = |series: &Series| series.spread(|run| run.wall_s).median;
        let cpu = |series: &Series| series.spread(|run| run.cpu_s).median;
        let _ = write!(
            text,
            "\nAgainst FFmpeg with tracks joined before: {:.2} × faster with {:.2} of its CPU; with SHA-256 {:.2} × faster with \
             {:.2} of its CPU.\n",
            wall(ffmpeg) / wall(spool),
            cpu(spool) / cpu(ffmpeg),
            wall(ffmpeg) / wall(hashed),
            cpu(hashed) / cpu(ffmpeg)
        );
    }
}

fn row(series: &Series, set_bytes: f64, text: &mut String) {
    let median = |number: fn(&Usage) -> f64| series.spread(number).median;
    let exits: std::collections::BTreeSet<i32> = series.runs.iter().map(|run| run.exit).collect();
    let exits: Vec<String> = exits.iter().map(i32::to_string).collect();
    let (lost, shift) =
        if series.floor { ("–".to_owned(), "–".to_owned()) } else { said(series.fidelity.as_ref()) };
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} | {:.1} | {:.3} × | {:.3} × | {} | {} | {lost} | {shift} |",
        series.name,
        series.runs.len(),
        spread(series.spread(|run| run.wall_s)),
        spread(series.spread(|run| run.cpu_s)),
        series.spread(|run| run.rss_bytes as f64).most / MIB,
        median(|run| run.read_bytes as f64) / set_bytes,
        median(|run| run.written_bytes as f64) / set_bytes,
        bytes(series.spread(|run| run.temporary_bytes as f64).most),
        exits.join(", "),
    );
}

fn said(fidelity: Option<&Fidelity>) -> (String, String) {
    let Some(found) = fidelity else { return ("everything".to_owned(), "–".to_owned()) };
    let shift = found.shift_ms.map_or("unknown".to_owned(), |shift| format!("{:+.1} ms", shift + 0.0));
    (format!("{}, {}", found.lost_video, found.lost_audio), shift.replace("-0.0", "+0.0"))
}

fn bytes(bytes: f64) -> String {
    if bytes == 0.0 { "0".to_owned() } else { format!("{:.2} GB", bytes / 1e9) }
}

fn to_ready(ready: &Ready, text: &mut String) {
    let of = |number: fn(&Finalized) -> f64| spread(Spread::of(ready.runs.iter().map(number).collect()));
    let rss = Spread::of(ready.runs.iter().map(|run| run.rss_bytes as f64).collect()).most / MIB;
    let (lost, shift) = said(ready.fidelity.as_ref());
    let _ = write!(
        text,
        "\n## From complete to ready, 10 minutes of 1080p on a local store\n\n`spool serve` and `spool work` with their \
         defaults on a private Postgres; {:.3} GB in {} segments were sent before.\nThe time is from the call \
         `recording-complete` to the state `ready`: completeness, plan, mux with SHA-256 of every segment and of the result, \
         reading back, decoding samples, publishing.\n\n| rounds | complete → ready s | of it the `mux` job s | CPU s | RSS MiB \
         | lost video, audio | A/V shift |\n|---|---|---|---|---|---|---|\n| {} | {} | {} | {} | {rss:.1} | {lost} | {shift} |\n",
        ready.set.bytes as f64 / 1e9,
        ready.set.video + ready.set.audio,
        ready.runs.len(),
        of(|run| run.wall_s),
        of(|run| run.job_s),
        of(|run| run.cpu_s),
    );
}

fn over_s3(store: &OverS3, text: &mut String) {
    let _ = write!(
        text,
        "\n## 30 minutes of 1080p over S3\n\nA server on loopback, on the same disk and processors.\nThe first result was there \
         {:.2} s after the word that the recording is complete; the rounds make it again.\nThe usual flow reads ten objects at \
         a time into files, joins them, runs FFmpeg and uploads parts of 64 MiB one after the other.\n\n| | delay | rounds | \
         wall s | CPU s | RSS MiB | requests | read | written | temporary disk | lost video, audio | A/V shift \
         |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        store.first.wall_s
    );
    for delayed in &store.sets {
        let delay = format!("{} ms", delayed.delay_ms);
        job("mux job, defaults", &delay, &delayed.spool, store, text);
        job("mux job, no hashing", &delay, &delayed.bare, store, text);
        let of = |number: fn(&Usage) -> f64| Spread::of(delayed.flow.iter().map(|(run, _)| number(run)).collect());
        let (lost, shift) = said(store.flow_fidelity.as_ref());
        let _ = writeln!(
            text,
            "| download, FFmpeg, upload | {delay} | {} | {} | {} | {:.1} | {} | {} | {lost} | {shift} |",
            delayed.flow.len(),
            spread(of(|run| run.wall_s)),
            spread(of(|run| run.cpu_s)),
            of(|run| run.rss_bytes as f64).most / MIB,
            traffic(delayed.flow.iter().map(|(_, asked)| asked), store.set_bytes),
            bytes(of(|run| run.temporary_bytes as f64).most),
        );
    }
    let hours = &store.hours;
    let _ = write!(
        text,
        "\n### 8 hours that another uploader wrote into the bucket\n\n{:.3} GB; the first time the heads of all segments are \
         read by ranges to make their indexes, the second time the indexes are in the database.\n\n| | complete → ready s | \
         `mux` job s | CPU s | RSS MiB | requests | read | written |\n|---|---|---|---|---|---|---|---|\n",
        hours.set_bytes as f64 / 1e9
    );
    for (name, (run, asked)) in
        std::iter::once(("first", &hours.first)).chain(hours.again.iter().map(|again| ("again", again)))
    {
        let _ = writeln!(
            text,
            "| {name} | {:.2} | {:.2} | {:.2} | {:.1} | {} |",
            run.wall_s,
            run.job_s,
            run.cpu_s,
            run.rss_bytes as f64 / MIB,
            traffic([asked].into_iter(), hours.set_bytes),
        );
    }
}

fn job(name: &str, delay: &str, runs: &[(Finalized, Asked)], store: &OverS3, text: &mut String) {
    let of = |number: fn(&Finalized) -> f64| Spread::of(runs.iter().map(|(run, _)| number(run)).collect());
    let (lost, shift) = said(store.fidelity.as_ref());
    let _ = writeln!(
        text,
        "| {name} | {delay} | {} | {} | {} | {:.1} | {} | 0 | {lost} | {shift} |",
        runs.len(),
        spread(of(|run| run.job_s)),
        spread(of(|run| run.cpu_s)),
        of(|run| run.rss_bytes as f64).most / MIB,
        traffic(runs.iter().map(|(_, asked)| asked), store.set_bytes),
    );
}

/// Three cells: requests, and both directions as multiples of the set.
fn traffic<'a>(asked: impl Iterator<Item = &'a Asked> + Clone, set_bytes: u64) -> String {
    let median =
        |number: fn(&Asked) -> u64| Spread::of(asked.clone().map(|asked| number(asked) as f64).collect()).median;
    let of = |bytes: f64| bytes / set_bytes as f64;
    format!(
        "{:.0} | {:.3} × | {:.3} ×",
        median(|asked| asked.gets + asked.others),
        of(median(|asked| asked.sent_bytes)),
        of(median(|asked| asked.taken_bytes))
    )
}

fn instructions(cost: &Cost, text: &mut String) {
    let each = |count: u64| count as f64 / cost.samples.max(1) as f64;
    let _ = write!(
        text,
        "\n## What index and layout cost a sample\n\n8 hours: {} samples in {} chunks, counted by Valgrind in the program \
         (nothing of the kernel).\nA packed index has {:.2} bytes a sample, the header of the result {:.2}.\n\n| stage | \
         instructions a sample | in all |\n|---|---|---|\n| walk the heads, pack the index | {:.0} | {:.2} G |\n| lay out: \
         timeline, chunks, sizes | {:.0} | {:.2} G |\n| generate the header | {:.0} | {:.2} G |\n",
        cost.samples,
        cost.chunks,
        each(cost.packed_bytes),
        each(cost.header_bytes),
        each(cost.index),
        cost.index as f64 / 1e9,
        each(cost.layout),
        cost.layout as f64 / 1e9,
        each(cost.header),
        cost.header as f64 / 1e9,
    );
}
