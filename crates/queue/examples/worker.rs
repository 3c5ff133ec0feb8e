//! A worker process over an existing database: claims `nap` jobs until it is told to stop.
//!
//! `worker DATABASE_URL [LEASE_MS]`. Prints its identity, then a line for each start and end of a handler.

use domain::job::{KindSpec, OnFence, Queue, mask};
use domain::retry::RetryPolicy;
use queue::{Config, JobCtx, JobKind, Outcome, Runtime};
use sea_orm::Database;
use serde::{Deserialize, Serialize};
use std::{io::Write, time::Duration};

/// Sleeps, or takes its process with it.
#[derive(Serialize, Deserialize)]
struct Nap {
    ms: u64,
    #[serde(default)]
    blocking: bool,
    #[serde(default)]
    abort: bool,
}

impl JobKind for Nap {
    fn spec() -> KindSpec {
        KindSpec {
            name: "nap",
            queue: Queue::Mux,
            priority: 5,
            unique_mask: mask::LIVE,
            retry: RetryPolicy::DEFAULT,
            max_runtime: Duration::from_secs(600),
            crash_cap: 10,
            on_end: None,
            on_fence: OnFence::Finish,
        }
    }
}

fn say(line: &str) {
    // The reader may be gone; the work goes on.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

async fn nap(job: Nap, ctx: JobCtx) -> Outcome {
    say(&format!("start {} {}", ctx.id(), ctx.attempt()));
    let time = Duration::from_millis(job.ms);
    if job.abort {
        std::process::abort();
    }
    if job.blocking {
        // The mistake that must not cost the lease: a handler that blocks its thread.
        std::thread::sleep(time);
    } else {
        tokio::time::sleep(time).await;
    }
    say(&format!("end {} {}", ctx.id(), ctx.attempt()));
    Outcome::Completed
}

/// One thread, so that a blocking handler blocks everything but the heartbeat.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut words = std::env::args().skip(1);
    let url = words.next().ok_or_else(|| anyhow::anyhow!("usage: worker DATABASE_URL [LEASE_MS]"))?;
    let mut config = Config { pod: Some("example".to_owned()), ..Config::default() };
    if let Some(lease_ms) = words.next() {
        config.lease = Duration::from_millis(lease_ms.parse()?);
        config.beat = config.lease / 5;
        config.fence_margin = config.lease / 4;
        config.call = config.lease / 3;
        config.rescue = config.lease / 5;
        config.poll = config.poll.min(config.lease / 5);
        config.grace = config.lease / 5;
    }
    let runtime = Runtime::new(Database::connect(url).await?, config).register::<Nap, _, _>(4, nap);
    say(&format!("worker {}", runtime.engine().worker_id()));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let signal = async {
        terminate.recv().await;
    };
    runtime.run(signal, Duration::from_secs(2)).await?;
    say("gone");
    Ok(())
}
