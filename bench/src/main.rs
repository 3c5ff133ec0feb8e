//! Measures the mux beside its peers, on a local disk and over S3, and writes what came out as a document.
//!
//! Everything is made and run in one folder; nothing of it is needed afterwards, but sets are kept, as they take longest.

mod contender;
mod cost;
mod flow;
mod listing;
mod machine;
mod objects;
mod report;
mod round;
mod server;
mod set;
mod site;
mod sound;
mod store;
mod usage;

use anyhow::Result;
use clap::Parser;
use contender::{Contender, Programs};
use set::Set;
use std::path::PathBuf;
use std::time::Instant;

/// Measures the mux beside its peers.
#[derive(Debug, Parser)]
#[command(name = "bench-mux")]
enum Command {
    /// Runs every comparison and writes the document.
    Run(Args),
    /// Makes the sets and nothing else.
    Sets(Args),
    /// The usual finalizer over an object store, in the current folder.
    #[command(hide = true)]
    Flow(flow::Args),
}

#[derive(Debug, clap::Args)]
struct Args {
    /// `spool`, of a release build.
    #[arg(long)]
    spool: PathBuf,
    /// The environment of `scripts/tools.sh peers`, if there is one.
    #[arg(long)]
    peers: Option<PathBuf>,
    /// Where everything is made and run.
    #[arg(long)]
    work: PathBuf,
    /// The document.
    #[arg(long)]
    out: PathBuf,
    /// Small sets and few rounds: whether it runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// No more rounds than these.
    #[arg(long, default_value_t = usize::MAX)]
    rounds: usize,
    /// Only some parts: disk, hours, ready, store, cost.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Flow(args) => flow::run(args).await,
        Command::Sets(args) => sets(&args).map(drop),
        Command::Run(args) => run(args).await,
    }
}

/// The sets of one run.
struct Sets {
    half_hour: Set,
    ten_minutes: Set,
    eight_hours: Set,
    made_s: f64,
}

fn sets(args: &Args) -> Result<Sets> {
    let begun = Instant::now();
    let size = |recipe: set::Recipe| if args.quick { recipe.quick() } else { recipe };
    let at = |recipe| Set::at(&args.work.join("sets"), size(recipe));
    let (half_hour, ten_minutes) = (at(set::HALF_HOUR)?, at(set::TEN_MINUTES)?);
    let eight_hours = at(set::EIGHT_HOURS)?;
    Ok(Sets { half_hour, ten_minutes, eight_hours, made_s: begun.elapsed().as_secs_f64() })
}

async fn run(mut args: Args) -> Result<()> {
    std::fs::create_dir_all(&args.work)?;
    for path in [&mut args.work, &mut args.spool].into_iter().chain(&mut args.peers) {
        *path = std::path::absolute(&*path)?;
    }
    let programs = Programs::find(&args.spool, args.peers.as_deref())?;
    let sets = sets(&args)?;
    let begun = Instant::now();
    let wanted = |part: &str| args.only.is_empty() || args.only.iter().any(|only| only == part);
    let rounds = |rounds: usize| rounds.min(if args.quick { 2 } else { args.rounds });
    let work = args.work.join("run");
    let mut report = report::Report::new(machine::Machine::seen(&args.work)?, &programs, args.quick);
    report.made_s = sets.made_s;
    if wanted("disk") {
        let contenders = contender::local(&programs, &sets.half_hour);
        report.disk = Some(round::run(&sets.half_hour, &contenders, rounds(7), &work)?);
    }
    if wanted("hours") {
        // FFmpeg takes half a minute for each, so only the pair of the targets meets in every round.
        let contenders: Vec<_> =
            contender::local(&programs, &sets.eight_hours).into_iter().map(Contender::sparing).collect();
        report.hours = Some(round::run(&sets.eight_hours, &contenders, rounds(3), &work)?);
    }
    if wanted("ready") {
        report.ready = Some(store::ready(&programs, &sets.ten_minutes, rounds(5), &work).await?);
    }
    if wanted("store") {
        report.store = Some(store::over_s3(&programs, &sets.half_hour, &sets.eight_hours, rounds(3), &work).await?);
    }
    if wanted("cost") {
        report.cost = cost::of(&sets.eight_hours, &work)?;
    }
    report.took_s = begun.elapsed().as_secs_f64();
    std::fs::write(&args.out, report.render())?;
    print!("{}", report.verdicts());
    Ok(())
}
