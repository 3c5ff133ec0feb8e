//! The demo: everything up from nothing, one live recording of a synthetic source, and what becomes of it.
//!
//! Owns a data folder and the processes it starts, which are the very ones of production: `spool migrate`, `spool serve`,
//! `spool work` and `spool-record`. It takes no way that a web app, a recorder or a viewer would not take, so that what
//! it shows is true. Standard output is kept for the last line of a headless run.

mod api;
mod child;
mod follow;
mod home;
mod show;
mod stage;

use crate::cli::exit::{Exit, Failure};
use crate::cli::{interrupted, output};
use anyhow::Context as _;
use api::{Api, Created};
use child::{Process, Start};
use domain::segment::{Name, Track};
use follow::Teller;
use home::Home;
use serde::Serialize;
use show::Show;
use stage::{Setting, Stage};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whose the demo's recordings are.
const OWNER: &str = "demo";

/// Between two looks at the recording; it bounds the error of the measured time.
const LOOK: Duration = Duration::from_millis(50);

/// Tries to find free ports: two demos that begin together meet at most once.
const STARTS_MAX: u32 = 3;

/// Everything but the recording itself: a first `initdb` and the start of the processes, mux and cleanup.
const MARGIN: Duration = Duration::from_secs(150);

/// What is wanted.
#[derive(Debug)]
pub(crate) struct Options {
    /// End in one line of JSON instead of serving on.
    pub(crate) headless: bool,
    /// How long to record.
    pub(crate) duration: Duration,
    /// Where to copy what the recorder sent.
    pub(crate) keep: Option<PathBuf>,
    /// The data folder.
    pub(crate) data: PathBuf,
    /// Settings for every process, as section.key and value; they win.
    pub(crate) set: Vec<(String, String)>,
}

/// The last line of a headless run (`CONTRACTS §2`).
#[derive(Debug, Default, Serialize)]
struct Answer {
    recording: Option<String>,
    result: Option<PathBuf>,
    duration_ms: u64,
    time_to_ready_ms: u64,
    segments: u64,
    status: &'static str,
}

/// Runs the demo to its end and takes everything down again.
pub(crate) async fn run(options: Options) -> anyhow::Result<Exit> {
    let home = Home::open(&options.data)?;
    let mut stage = Stage::default();
    let mut answer = Answer { status: "failed", ..Answer::default() };
    let bound = options.duration + MARGIN;
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(bound, play(&mut stage, &home, &options, &mut answer)) => {
            outcome.unwrap_or_else(|_| {
                let text = format!("the demo has not come to its end within {} s", bound.as_secs());
                Err(Failure::failed(text).hint(format!("look at the logs in {}", home.logs().display())).into())
            })
        }
        signal = interrupted() => signal.map(|()| Exit::Interrupted),
    };
    let outcome = match outcome {
        Ok(exit @ (Exit::Ok | Exit::Degraded)) if !options.headless => serve_on(&mut stage, exit).await,
        outcome => outcome,
    };
    let stopped = stage.stop().await.context("stop the demo");
    if options.headless && !matches!(outcome, Ok(Exit::Interrupted)) {
        output::json(&answer)?;
    }
    let exit = outcome?;
    stopped.map(|()| exit)
}

/// Until the person has seen enough: the usual end of a demo at a terminal, so no interruption.
async fn serve_on(stage: &mut Stage, exit: Exit) -> anyhow::Result<Exit> {
    output::complain("Serving on. Ctrl-C ends the demo.");
    tokio::select! {
        failure = stage.broken() => Err(failure.into()),
        signal = interrupted() => signal.map(|()| exit),
    }
}

/// From nothing to a verified result whose segments are gone.
async fn play(stage: &mut Stage, home: &Home, options: &Options, answer: &mut Answer) -> anyhow::Result<Exit> {
    let mut teller = Teller::new();
    let recorder = stage::sibling("spool-record")?;
    options.keep.as_deref().map_or(Ok(()), clear)?;
    teller.step(&format!("data folder {}", home.root().display()));
    let mut setting = stage.set(home, &options.set).await.context("prepare")?;
    migrate(home, &setting).await?;
    let api = start(stage, home, &mut setting).await?;
    let base = format!("http://{}", setting.config.http.listen);
    teller.step(&format!("API and worker are up: {base}"));
    let (shell, own) = (home.shell(&setting.env)?, stage::installed()?);
    teller.step(&format!("in another terminal: . {} && {} job ls --state ended", shell.display(), own.display()));

    let created = api.create(OWNER).await.context("create a recording")?;
    answer.recording = Some(created.id.clone());
    let playback = api.playback(&created.id).await.context("ask for a playback token")?.token;
    teller.step(&format!("watch it: {base}/watch/{}?token={playback}", created.id));
    teller.step(&format!("status: {base}/api/recordings/{}?token={playback}", created.id));
    teller.step(&format!("result, once it is ready: {base}/media/{}/result.mp4?token={playback}", created.id));

    let arguments = recorder_arguments(&base, &created, options);
    let mut env = setting.env.clone();
    env.insert("SPOOL_UPLOAD_TOKEN".to_owned(), created.upload_token.clone());
    // The API is on this machine: a proxy that the environment names knows nothing of it.
    env.insert("NO_PROXY".to_owned(), "127.0.0.1,localhost".to_owned());
    let record = Start { name: "record", program: &recorder, arguments, env: &env, log: home.log("record") };
    let mut record = Process::start(record)?;
    let show = Show { api: &api, stage, teller: &mut teller, recording: &created.id };
    let exit = show.whole(&mut record, &setting, &home.results(), answer).await;
    record.stop().await?;
    exit
}

fn recorder_arguments(base: &str, created: &Created, options: &Options) -> Vec<OsString> {
    let seconds = options.duration.as_secs().to_string();
    let words = ["test:", "--realtime", "--url", base, "--recording", &created.id, "--seconds", &seconds, "--json"];
    let mut arguments: Vec<OsString> = words.map(OsString::from).to_vec();
    if let Some(keep) = &options.keep {
        arguments.extend([OsString::from("--out"), keep.into()]);
    }
    arguments
}

/// Segments of an earlier recording in the folder would be taken for this one's. Only what has a segment's name goes.
fn clear(keep: &Path) -> anyhow::Result<()> {
    for track in Track::ALL {
        let Ok(entries) = std::fs::read_dir(keep.join(track.as_str())) else { continue };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| Name::parse(name).is_ok()) {
                std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// Brings the schema up to date, as an init container would.
async fn migrate(home: &Home, setting: &Setting) -> anyhow::Result<()> {
    let program = stage::own_program()?;
    let (arguments, env, log) = (setting.arguments("migrate"), &setting.env, home.log("migrate"));
    let mut process = Process::start(Start { name: "migrate", program: &program, arguments, env, log })?;
    match process.ended().await? {
        status if status.success() => Ok(()),
        status => Err(stage::told(&process, format!("migrate failed ({status})")).into()),
    }
}

/// Starts API and worker, on other ports when somebody was faster, and waits until they answer.
async fn start(stage: &mut Stage, home: &Home, setting: &mut Setting) -> anyhow::Result<Api> {
    for _ in 0..STARTS_MAX {
        stage.start(home, setting, "serve")?;
        stage.start(home, setting, "work")?;
        let api = Api::new(format!("http://{}", setting.config.http.listen), service_token(setting)?)?;
        let failure = tokio::select! {
            failure = stage.broken() => failure,
            () = until_ready(&api) => return Ok(api),
        };
        if !stage.evade(setting).await? {
            return Err(failure.into());
        }
    }
    Err(Failure::failed("every port that was free was taken at once").into())
}

async fn until_ready(api: &Api) {
    while !api.is_ready().await {
        tokio::time::sleep(LOOK).await;
    }
}

/// The token part of the first `name:token`.
fn service_token(setting: &Setting) -> anyhow::Result<String> {
    let tokens = setting.config.auth.service_tokens.expose();
    let first = tokens.split(',').next().and_then(|pair| pair.trim().split_once(':'));
    let (_, token) = first.ok_or_else(|| Failure::configuration("no service token is configured"))?;
    Ok(token.to_owned())
}
