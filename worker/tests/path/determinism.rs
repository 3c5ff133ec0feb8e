//! One set has one result: whoever muxes it, on how many cores, and however often it was killed on the way; by hand and in
//! a service.

use crate::crash::Pipe;
use crate::mux::{dash, mux, spool};
use crate::support::api::Recording;
use crate::support::{Api, PATIENCE, Running, Set, Site, invariants, wait};
use domain::id::Sha256;
use domain::segment::Track;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Recorded sound and picture of seven seconds, of which one segment is cut off and one is lost.
fn damaged(folder: &Path) {
    dash(folder, "aac", "mp4");
    let cut = folder.join("in/video/segment_003.m4s");
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    fs::remove_file(folder.join("in/audio/segment_002.m4s")).unwrap();
}

/// The same objects in a folder of another name, written in another order.
fn copied(from: &Path, to: &Path) {
    for track in ["audio", "video"] {
        fs::create_dir_all(to.join(track)).unwrap();
        let mut paths: Vec<PathBuf> =
            fs::read_dir(from.join(track)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort_by(|one, other| other.cmp(one));
        for path in paths {
            fs::copy(&path, to.join(track).join(path.file_name().unwrap())).unwrap();
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Everything that is told of a result but where it is and whether it was hashed.
fn told(mut answer: Value) -> Value {
    answer["result"] = Value::Null;
    answer["sha256"] = Value::Null;
    answer
}

/// One of the cores that this process may run on, and all of them, as `taskset` reads it.
fn cores() -> (String, String) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let all = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned();
    (all.split([',', '-']).next().unwrap().to_owned(), all)
}

fn sha256(path: &Path) -> String {
    Sha256::of(&fs::read(path).unwrap()).to_string()
}

/// Processes that mux one folder to files of their own.
struct Runs {
    folder: tempfile::TempDir,
}

impl Runs {
    /// `name` is the folder of the result, in which nothing else is; the words before the program say how it runs.
    fn start(&self, name: &str, source: &str, threads: &str, cores: &str) -> Running {
        fs::create_dir_all(self.at(name)).unwrap();
        let mut command = Command::new("taskset");
        command.args(["-c", cores, env!("CARGO_BIN_EXE_spool"), "mux", "--json", source, "-o"]);
        command.arg(format!("{name}/out.mp4")).current_dir(self.folder.path());
        command.env("TOKIO_WORKER_THREADS", threads);
        Running::start(command, &self.at(&format!("{name}.log")))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

#[test]
fn one_set_has_one_digest_whoever_makes_it_and_whatever_killed_it() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let runs = Runs { folder: tempfile::tempdir().unwrap() };
    damaged(runs.folder.path());
    copied(&runs.at("in"), &runs.at("again"));

    fs::create_dir(runs.at("first")).unwrap();
    let begun = Instant::now();
    let (code, first) = mux(runs.folder.path(), &["in", "-o", "first/out.mp4"]);
    let takes = begun.elapsed();
    assert_eq!((code, &first["status"]), (3, &json!("degraded")), "{first}");
    let kinds: Vec<&str> =
        first["repairs"].as_array().unwrap().iter().map(|repair| repair["kind"].as_str().unwrap()).collect();
    assert!(["salvage", "hold", "silence"].iter().all(|kind| kinds.contains(kind)), "{first}");
    let digest = sha256(&runs.at("first/out.mp4"));
    assert_eq!(first["sha256"], json!(digest));
    let first = told(first);
    let assert_same = |name: &str, mut run: Running| {
        assert_eq!(run.wait(PATIENCE).code(), Some(3), "{name}: {}", run.log());
        assert_eq!(names(&runs.at(name)), ["out.mp4"], "seed {seed}");
        assert_eq!(sha256(&runs.at(&format!("{name}/out.mp4"))), digest, "{name}, seed {seed}");
        let answer = run.log().lines().find_map(|line| serde_json::from_str(line).ok());
        assert_eq!(told(answer.unwrap()), first, "{name}, seed {seed}");
    };

    // At the same time, on one core and on all, with one thread and with many, from a folder listed in another order.
    let (core, all) = cores();
    let (core, all) = (core.as_str(), all.as_str());
    let ways = [("one", "in", "1", core), ("many", "in", "16", all), ("other", "again", "2", all)];
    let together = ways.map(|(name, source, threads, cores)| (name, runs.start(name, source, threads, cores)));
    together.into_iter().for_each(|(name, run)| assert_same(name, run));

    // Without a digest, and without a look at what was made.
    let words = ["mux", "in", "-o", "first/bare.mp4", "--no-hash", "--verify", "none", "--engine", "index"];
    assert_eq!(spool(runs.folder.path(), &words).status.code(), Some(3));
    assert_eq!(sha256(&runs.at("first/bare.mp4")), digest);

    // Killed while it writes, over and over, and begun again on what is left each time.
    for name in ["killed", "shot", "struck"] {
        for _ in 0..random.random_range(1..4) {
            let mut run = runs.start(name, "in", "4", all);
            std::thread::sleep(takes.mul_f64(random.random_range(0.0..1.2)));
            run.kill();
            let left = names(&runs.at(name));
            assert!(left.iter().all(|name| ["out.mp4", "out.mp4.part"].contains(&&**name)), "{left:?} seed {seed}");
        }
        assert_same(name, runs.start(name, "in", "2", all));
    }
    // At the very moment when its file is there, which the others may have missed.
    let part = runs.at("torn/out.mp4.part");
    let torn = (0..20).any(|_| {
        let mut run = runs.start("torn", "again", "2", all);
        let begun = Instant::now();
        while !part.exists() && run.is_alive() {
            assert!(begun.elapsed() < PATIENCE, "{}", run.log());
            std::thread::sleep(Duration::from_micros(200));
        }
        run.kill();
        part.exists()
    });
    assert!(torn, "no process was killed while it wrote");
    assert_same("torn", runs.start("torn", "again", "2", all));
}

/// Names of results that are being written, have some bytes, and have not appeared.
fn half_written(site: &Site) -> Vec<String> {
    let aside = fs::read_dir(site.objects().join(".aside")).unwrap().map(Result::unwrap);
    let begun = aside.filter(|entry| entry.metadata().is_ok_and(|meta| meta.len() > 0));
    let names = begun.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.contains("result.mp4")).collect()
}

/// A picture of noise, so large that a part of it is on disk long before the end: some megabytes in six segments.
fn noisy(folder: &Path) -> Set {
    let words = "-v error -f lavfi -i testsrc2=size=640x360:rate=30:duration=12,noise=alls=60:allf=t -c:v libx264 \
         -preset ultrafast -qp 20 -g 60 -pix_fmt yuv420p -f dash -seg_duration 2 -use_template 1 -use_timeline 0 \
         -init_seg_name init.mp4 -media_seg_name segment_$Number%03d$.m4s manifest.mpd";
    let folder = folder.join("noisy");
    fs::create_dir(&folder).unwrap();
    let output = Command::new("ffmpeg").args(words.split_whitespace()).current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let segments = (1..=6).map(|index| fs::read(folder.join(format!("segment_{index:03}.m4s"))).unwrap()).collect();
    let init = fs::read(folder.join("init.mp4")).unwrap();
    Set { tracks: BTreeMap::from([(Track::Video, (init, segments))]), duration_ms: 12_000 }
}

async fn finished(api: &Api, set: &Set) -> Recording {
    let recording = api.create("owner-1").await;
    api.put_set(&recording, set).await;
    assert_eq!(api.end(&recording, set).await.status, 202);
    assert_eq!(api.complete(&recording).await, "queued");
    recording
}

/// Processes that are killed, one after the other.
const KILLS: usize = 2;

/// The mux waits in the middle of writing for a segment that does not come, at a place drawn at random; there its process
/// is killed, and another one takes over. Nothing that was written before may show in what it makes.
#[tokio::test(flavor = "multi_thread")]
async fn job_that_is_killed_in_the_middle_of_writing_makes_the_bytes_of_one_that_is_not() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut site = Site::new().await;
    let quick =
        [("QUEUE__LEASE", "2s"), ("QUEUE__HEARTBEAT", "500ms"), ("QUEUE__RESCUE", "500ms"), ("QUEUE__POLL", "200ms")];
    quick.iter().for_each(|(key, value)| site.set(&format!("SPOOL__{key}"), value));
    let (_serve, api) = site.serve().await;
    let set = noisy(site.folder());
    let last = set.last_index(Track::Video);
    let result = |recording: &Recording| site.objects().join(format!("owner-1/{}/result.mp4", recording.id));

    let mut work = site.work();
    let undisturbed = finished(&api, &set).await;
    api.until_state(&undisturbed, "ready").await;
    let expected = sha256(&result(&undisturbed));

    let queue = |verb: &str| assert!(site.spool(&["queue", verb, "mux"]).status().unwrap().success());
    queue("pause");
    let recording = finished(&api, &set).await;
    let waits = "SELECT count(*) FROM queue.job WHERE kind = 'mux' AND state = 2";
    wait::until("the mux waits", PATIENCE, async || (site.count(waits, []).await == 1).then_some(())).await;
    for round in 0..KILLS {
        let segment = random.random_range(last * 2 / 3..=last);
        let name = format!("owner-1/{}/segments/video/segment_{segment:03}.m4s", recording.id);
        let (pipe, before) = (Pipe::instead_of(site.objects().join(name)), half_written(&site));
        if round == 0 {
            queue("resume");
        } else {
            work = site.work();
        }
        let held = pipe.until_read().await;
        let is_new = || half_written(&site).iter().any(|name| !before.contains(name));
        wait::until("some of the result is written", PATIENCE, async || is_new().then_some(())).await;
        work.kill();
        assert!(!result(&recording).exists(), "it was in the middle");
        pipe.restore();
        drop(held);
    }
    let _work = site.work();
    let ready = api.until_state(&recording, "ready").await;
    let attempts = site.attempts("mux").await;
    assert_eq!(attempts.iter().filter(|outcome| *outcome == "lost").count(), KILLS, "{attempts:?}, seed {seed}");
    assert_eq!(sha256(&result(&recording)), expected, "seed {seed}");
    assert_eq!(ready["result"]["sha256"], json!(expected));
    invariants::hold(&site).await;
}
