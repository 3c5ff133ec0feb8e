//! `spool serve`, `spool work`: the processes that stay, and what they start in limits of its own.

use super::exit::Exit;
use super::interrupted;
use ::worker::auth::Keyring;
use ::worker::config::Config;
use ::worker::context::Context;
use ::worker::http::health::Readiness;
use ::worker::{child, serve, telemetry, work};
use domain::job::Queue;
use tokio_util::sync::CancellationToken;

/// Which queues are worked.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkArgs {
    /// Work only these queues: ingest, control, mux, preview, webhook; else those of the settings.
    #[arg(long = "queue", value_name = "QUEUE", value_delimiter = ',', value_parser = queue)]
    queues: Vec<Queue>,
}

fn queue(word: &str) -> Result<Queue, String> {
    let known = || Queue::ALL.map(Queue::as_str).join(", ");
    Queue::parse(word).ok_or_else(|| format!("no such queue; there are {}", known()))
}

/// Answers the API until told to stop, and in `local` staging brings what it takes in into the store. A stop on request is
/// a good end.
pub(crate) async fn serve(config: Config) -> anyhow::Result<Exit> {
    telemetry::start_log(&config.log)?;
    // A missing secret is told before anything is opened.
    Keyring::open(&config.auth)?;
    Box::pin(serve::run(Context::open(config).await?, on_signal())).await?;
    Ok(Exit::Ok)
}

/// Works queues until told to stop.
pub(crate) async fn work(args: WorkArgs, config: Config) -> anyhow::Result<Exit> {
    telemetry::start_log(&config.log)?;
    let queues = match args.queues {
        named if !named.is_empty() => named,
        // The settings have been checked: every word is a queue.
        _ => config.work.queues.iter().filter_map(|word| Queue::parse(word)).collect(),
    };
    let cx = Context::open(config).await?;
    let (stop, idle) = (on_signal(), CancellationToken::new());
    let readiness = Readiness::of_worker();
    // A process that drains is asked how it fares until nothing runs any more; its engine says that it is not ready.
    let health = serve::observe(&cx, readiness.clone(), idle.clone()).await?;
    let working = async {
        let ended = work::run(cx, &queues, &readiness, stop).await;
        idle.cancel();
        ended
    };
    let (ended, ()) = tokio::join!(working, health);
    ended?;
    Ok(Exit::Ok)
}

/// Work inside FFmpeg's libraries.
pub(crate) fn child() -> anyhow::Result<Exit> {
    child::serve()?;
    Ok(Exit::Ok)
}

/// Cancelled by the first Ctrl-C or termination signal; by a second one the process ends at once.
fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        if interrupted().await.is_err() {
            tracing::error!("signals cannot be waited for");
        }
        stop.cancel();
        if interrupted().await.is_ok() {
            std::process::exit(Exit::Interrupted.code().into());
        }
    });
    token
}
