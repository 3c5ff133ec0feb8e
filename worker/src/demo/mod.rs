//! The demo: everything up from nothing, one live recording of a synthetic source, and what becomes of it.
//!
//! Owns a data folder and the processes it starts, which are the very ones of production: `spool migrate`, `spool serve`,
//! `spool work`, `spool-record`, and at a terminal `spool-tui` in the foreground. It takes no way that a web app, a
//! recorder, a viewer or an operator would not take, so that what it shows is true. Standard output is kept for the last
//! line of a headless run.

mod api;
mod child;
mod console;
mod follow;
mod home;
mod show;
mod stage;
mod up;

use crate::cli::exit::{Exit, Failure, sentence};
use crate::cli::{interrupted, output};
use anyhow::Context as _;
use api::Created;
use child::{Process, Start};
use console::Console;
pub(crate) use console::has_terminal;
use domain::segment::{Name, Track};
use follow::Teller;
use home::Home;
use serde::Serialize;
use show::Show;
use stage::Stage;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use up::Up;

/// Whose the demo's recordings are.
const OWNER: &str = "demo";

/// Between two looks at the recording; it bounds the error of the measured time.
const LOOK: Duration = Duration::from_millis(50);

/// Everything but the recording itself: a first `initdb` and the start of the processes, mux and cleanup. For a headless
/// run only, where nobody sees that it hangs.
const MARGIN: Duration = Duration::from_secs(150);

/// What is wanted.
#[derive(Debug)]
pub(crate) struct Options {
    /// End in one line of JSON instead of serving on.
    pub(crate) headless: bool,
    /// Open the console instead of telling in plain text; there is a terminal for it.
    pub(crate) console: bool,
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

/// What comes and goes while the rest stays.
#[derive(Debug, Default)]
struct Guests {
    recorder: Option<Process>,
    console: Option<Console>,
    /// What the recording came to; from then on Ctrl-C is the usual end of a demo at a terminal and no interruption.
    seen: Option<Exit>,
}

impl Guests {
    /// Sends them away. The console first: a terminal in its modes would be of no use to whoever is told the rest.
    async fn leave(self) -> anyhow::Result<()> {
        let closed = match self.console {
            Some(console) => console.close().await,
            None => Ok(()),
        };
        match self.recorder {
            Some(recorder) => closed.and(recorder.stop().await),
            None => closed,
        }
    }
}

/// Runs the demo to its end and takes everything down again.
pub(crate) async fn run(options: Options) -> anyhow::Result<Exit> {
    let home = Home::open(&options.data)?;
    let (mut stage, mut guests) = (Stage::default(), Guests::default());
    let mut answer = Answer { status: "failed", ..Answer::default() };
    let outcome = tokio::select! {
        outcome = whole(&mut stage, &mut guests, &home, &options, &mut answer) => outcome,
        signal = sent_away() => signal.map(|()| Exit::Interrupted),
    };
    let outcome = match (outcome, guests.seen) {
        (Ok(Exit::Interrupted), Some(exit)) => Ok(exit),
        (outcome, _) => outcome,
    };
    let left = guests.leave().await;
    let stopped = stage.stop().await.context("stop the demo");
    if options.headless && !matches!(outcome, Ok(Exit::Interrupted)) {
        output::json(&answer)?;
    }
    let exit = outcome?;
    left.and(stopped).map(|()| exit)
}

/// Waits for Ctrl-C, a termination signal or the loss of the terminal. Whoever has turned the last one off, as `nohup`
/// does, has no terminal as standard error.
async fn sent_away() -> anyhow::Result<()> {
    if !std::io::stderr().is_terminal() {
        return interrupted().await;
    }
    let mut hung_up = signal(SignalKind::hangup())?;
    tokio::select! {
        signal = interrupted() => signal,
        _ = hung_up.recv() => Ok(()),
    }
}

/// The recording, and then the time that a person takes to look around.
async fn whole(
    stage: &mut Stage,
    guests: &mut Guests,
    home: &Home,
    options: &Options,
    answer: &mut Answer,
) -> anyhow::Result<Exit> {
    let teller = Teller::new(&home.log("demo"))?;
    if options.headless {
        let bound = options.duration + MARGIN;
        let played = tokio::time::timeout(bound, play(stage, guests, home, options, answer, &teller));
        return played.await.unwrap_or_else(|_| {
            let text = format!("the demo has not come to its end within {} s", bound.as_secs());
            Err(Failure::failed(text).hint(format!("look at the logs in {}", home.logs().display())).into())
        });
    }
    let exit = match play(stage, guests, home, options, answer, &teller).await {
        // Whoever steers may break the recording, and wants to repair it then. Is a process gone, the demo ends below.
        Err(error) if guests.console.is_some() => {
            teller.step(&format!("error: {}", sentence(&error)));
            Exit::Failed
        }
        played => played?,
    };
    if let Some(console) = guests.console.as_mut().filter(|console| console.is_open()) {
        tokio::select! {
            left = console.left() => back(&teller, home, left?),
            failure = stage.broken() => return Err(failure.into()),
        }
    }
    guests.seen = Some(exit);
    output::complain("Serving on. Ctrl-C ends the demo.");
    // Until the person has seen enough.
    Err(stage.broken().await.into())
}

/// From nothing to a verified result whose segments are gone.
async fn play(
    stage: &mut Stage,
    guests: &mut Guests,
    home: &Home,
    options: &Options,
    answer: &mut Answer,
    teller: &Teller,
) -> anyhow::Result<Exit> {
    let recorder = stage::sibling("spool-record")?;
    let console = options.console.then(|| stage::sibling("spool-tui")).transpose()?;
    options.keep.as_deref().map_or(Ok(()), clear)?;
    teller.step(&format!("data folder {}", home.root().display()));
    let up = up::bring(stage, home, &options.set).await?;
    let created = up.api.create(OWNER).await.context("create a recording")?;
    answer.recording = Some(created.id.clone());
    announce(&up, &created, home, teller, options.console).await?;
    let record = guests.recorder.insert(record(&recorder, home, &up, &created, options)?);
    let show = Show { api: &up.api, stage, teller, recording: &created.id };
    let results = home.results();
    let shown = show.whole(record, &up.setting, &results, answer);
    let Some(program) = console else { return shown.await };

    teller.step("opening the console: ? for its keys, Ctrl-C leaves it");
    teller.hush();
    let console = guests.console.insert(Console::open(&program, &created.id, &up.setting.env)?);
    let mut shown = std::pin::pin!(shown);
    tokio::select! {
        exit = &mut shown => exit,
        left = console.left() => {
            back(teller, home, left?);
            shown.await
        }
    }
}

/// Where a person can look. Before a console opens in front of it, a few lines are enough; the log has them all.
async fn announce(up: &Up, created: &Created, home: &Home, teller: &Teller, few: bool) -> anyhow::Result<()> {
    let (base, id) = (&up.base, &created.id);
    let (shell, own) = (home.shell(&up.setting.env)?, stage::installed()?);
    let token = up.api.playback(id).await.context("ask for a playback token")?.token;
    let say = |what: String| if few { teller.note(&what) } else { teller.step(&what) };
    teller.step(&format!("API and worker are up: {base}"));
    say(format!("in another terminal: . {} && {} job ls --state ended", shell.display(), own.display()));
    teller.step(&format!("watch it: {base}/watch/{id}?token={token}"));
    say(format!("status: {base}/api/recordings/{id}?token={token}"));
    say(format!("result, once it is ready: {base}/media/{id}/result.mp4?token={token}"));
    Ok(())
}

/// The terminal is ours again.
fn back(teller: &Teller, home: &Home, left: ExitStatus) {
    if !left.success() {
        teller.step(&format!("the console ended ({left}); going on in plain text"));
    }
    teller.speak();
    let program = stage::installed().map_or_else(|_| "spool-tui".into(), |own| own.with_file_name("spool-tui"));
    let shell = home.root().join("demo.env");
    teller.step(&format!("the console again, in another terminal: . {} && {}", shell.display(), program.display()));
    teller.step(&format!("everything that was told, with the addresses: {}", home.log("demo").display()));
}

/// Starts the recorder.
fn record(program: &Path, home: &Home, up: &Up, created: &Created, options: &Options) -> anyhow::Result<Process> {
    let arguments = recorder_arguments(&up.base, created, options);
    let mut env = up.setting.env.clone();
    env.insert("SPOOL_UPLOAD_TOKEN".to_owned(), created.upload_token.clone());
    // The API is on this machine: a proxy that the environment names knows nothing of it.
    env.insert("NO_PROXY".to_owned(), "127.0.0.1,localhost".to_owned());
    Process::start(Start { name: "record", program, arguments, env: &env, log: home.log("record") })
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
