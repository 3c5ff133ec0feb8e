//! The worker's own way: a recording is sent to `spool serve` and finalized by `spool work`, over a folder or over S3.

use crate::contender::Programs;
use crate::flow;
use crate::server::{Asked, Server};
use crate::set::Set;
use crate::site::{Finalized, Recording, Site};
use crate::sound::{self, Fidelity, Truth};
use crate::usage::{self, Usage};
use anyhow::Result;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What is added to every read of an object, besides nothing.
const DELAY: Duration = Duration::from_millis(30);

/// From the word that a recording is complete to its result, on a local store.
pub(crate) struct Ready {
    pub(crate) set: Set,
    pub(crate) runs: Vec<Finalized>,
    pub(crate) fidelity: Option<Fidelity>,
}

/// Everything over S3.
#[derive(Default)]
pub(crate) struct OverS3 {
    pub(crate) set_bytes: u64,
    /// The word, then the first result.
    pub(crate) first: Finalized,
    pub(crate) sets: Vec<Delayed>,
    pub(crate) fidelity: Option<Fidelity>,
    pub(crate) flow_fidelity: Option<Fidelity>,
    pub(crate) hours: Hours,
}

/// The runs with one delay.
#[derive(Default)]
pub(crate) struct Delayed {
    pub(crate) delay_ms: u64,
    /// With the settings as they are.
    pub(crate) spool: Vec<(Finalized, Asked)>,
    /// Without hashing.
    pub(crate) bare: Vec<(Finalized, Asked)>,
    /// Download, join, FFmpeg, upload.
    pub(crate) flow: Vec<(Usage, Asked)>,
}

/// Eight hours that another uploader wrote into the bucket.
#[derive(Default)]
pub(crate) struct Hours {
    pub(crate) set_bytes: u64,
    /// With the heads of all segments read before.
    pub(crate) first: (Finalized, Asked),
    /// Again, from the stored indexes.
    pub(crate) again: Vec<(Finalized, Asked)>,
}

/// Sends a recording as often as there are rounds, and finalizes each.
pub(crate) async fn ready(programs: &Programs, set: &Set, rounds: usize, work: &Path) -> Result<Ready> {
    let site = Site::start(&programs.spool, &work.join("site"), None, &[]).await?;
    let mut ready = Ready { set: set.clone(), runs: Vec::new(), fidelity: None };
    for round in 0..rounds {
        let recording = site.create("spool").await?;
        site.send(&recording, set).await?;
        rustix::fs::sync();
        let run = site.complete(&recording).await?;
        eprintln!("{} round {}: ready after {:.2} s, job {:.2} s", set.recipe.name, round + 1, run.wall_s, run.job_s);
        let objects = work.join("site/objects");
        if round == 0 {
            let result = objects.join(site.result_key(&recording).await?);
            ready.fidelity = fidelity(set, &result, work)?;
        }
        ready.runs.push(run);
        // The next one needs the room, and nobody reads this one again.
        let _ = fs::remove_dir_all(objects.join("bench").join(&recording.id));
    }
    drop(site);
    fs::remove_dir_all(work)?;
    Ok(ready)
}

/// Half an hour with and without delay, in turns with the usual flow; then eight hours.
pub(crate) async fn over_s3(programs: &Programs, set: &Set, long: &Set, rounds: usize, work: &Path) -> Result<OverS3> {
    let server = Server::start(&work.join("server")).await?;
    let mut site = Site::start(&programs.spool, &work.join("site"), Some(&server), &[]).await?;
    let recording = site.create("spool").await?;
    let begun = Instant::now();
    site.send(&recording, set).await?;
    eprintln!("{}: sent and stored in {:.1} s", set.recipe.name, begun.elapsed().as_secs_f64());
    server.asked();
    let mut over = OverS3 { set_bytes: set.bytes, first: site.complete(&recording).await?, ..OverS3::default() };
    let result = server.objects().join(site.result_key(&recording).await?);
    over.fidelity = fidelity(set, &result, work)?;
    over.sets = vec![Delayed::default(), Delayed { delay_ms: DELAY.as_millis() as u64, ..Delayed::default() }];
    for round in 0..rounds {
        for delayed in &mut over.sets {
            server.delay(Duration::from_millis(delayed.delay_ms));
            site.work_with(&[])?;
            let run = remux(&site, &server, &recording).await?;
            delayed.spool.push(run);
            site.work_with(&["mux.hash=false"])?;
            let bare = remux(&site, &server, &recording).await?;
            delayed.bare.push(bare);
            let flow = usual(&server, set, &recording, work)?;
            eprintln!(
                "S3, {} ms, round {}: spool {:.2} s, without hashing {:.2} s, usual flow {:.2} s",
                delayed.delay_ms,
                round + 1,
                run.0.job_s,
                bare.0.job_s,
                flow.0.wall_s
            );
            if over.flow_fidelity.is_none() {
                over.flow_fidelity = fidelity(set, &server.objects().join(FLOW_RESULT), work)?;
            }
            delayed.flow.push(flow);
        }
    }
    server.delay(Duration::ZERO);
    site.work_with(&[])?;
    over.hours = hours(&site, &server, long).await?;
    drop(site);
    fs::remove_dir_all(work)?;
    Ok(over)
}

async fn remux(site: &Site, server: &Server, recording: &Recording) -> Result<(Finalized, Asked)> {
    settle(server);
    let run = site.remux(recording).await?;
    let asked = server.asked();
    // A remux keeps the result before it; here nobody reads that.
    let key = site.result_key(recording).await?;
    for entry in fs::read_dir(server.objects().join("bench").join(&recording.id))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".mp4") && !key.ends_with(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok((run, asked))
}

/// Key of what the usual flow makes.
const FLOW_RESULT: &str = "flow/result.mp4";

fn usual(server: &Server, set: &Set, recording: &Recording, work: &Path) -> Result<(Usage, Asked)> {
    let scratch = work.join("scratch");
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch)?;
    settle(server);
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("flow").args(["--endpoint", &server.endpoint()]).current_dir(&scratch);
    command.args(["--prefix", &format!("bench/{}/segments/", recording.id)]);
    command.args(["--video", &set.video.to_string(), "--audio", &set.audio.to_string(), "--result", FLOW_RESULT]);
    let usage = usage::run(&mut command, &scratch)?;
    anyhow::ensure!(usage.exit == 0, "{} failed", flow::NAME);
    fs::remove_dir_all(&scratch)?;
    Ok((usage, server.asked()))
}

/// Another uploader's recording: its objects lie in the bucket before anybody hears of it.
async fn hours(site: &Site, server: &Server, set: &Set) -> Result<Hours> {
    let recording = site.create("bucket").await?;
    let segments = server.objects().join("bench").join(&recording.id).join("segments");
    for (track, _) in set.tracks() {
        fs::create_dir_all(segments.join(track))?;
        for name in set.names(track) {
            fs::hard_link(set.folder.join(&name), segments.join(&name))?;
        }
    }
    settle(server);
    let first = site.complete(&recording).await?;
    let first = (first, server.asked());
    eprintln!("{} over S3: ready after {:.1} s, job {:.2} s", set.recipe.name, first.0.wall_s, first.0.job_s);
    let again = remux(site, server, &recording).await?;
    eprintln!("{} over S3 again: job {:.2} s", set.recipe.name, again.0.job_s);
    Ok(Hours { set_bytes: set.bytes, first, again: vec![again] })
}

fn settle(server: &Server) {
    rustix::fs::sync();
    server.asked();
}

fn fidelity(set: &Set, result: &Path, work: &Path) -> Result<Option<Fidelity>> {
    let before = work.join("joined");
    let joined = sound::joined(set, &before)?;
    let fidelity = Truth::of(&joined[0], &joined[1])?.holds(result)?;
    fs::remove_dir_all(before)?;
    Ok(Some(fidelity))
}
