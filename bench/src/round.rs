//! Interleaved rounds: A B C A B C …, so that whatever else the machine does meets all of them alike.

use crate::contender::{Contender, Place};
use crate::set::Set;
use crate::sound::{self, Fidelity, Truth};
use crate::usage::{self, Usage};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

/// The runs of one contender.
pub(crate) struct Series {
    pub(crate) key: &'static str,
    pub(crate) name: String,
    pub(crate) floor: bool,
    pub(crate) runs: Vec<Usage>,
    /// Length of its result.
    pub(crate) result_bytes: u64,
    /// What its result lacks; of a floor, and where there was no result, nothing is known.
    pub(crate) fidelity: Option<Fidelity>,
}

/// The series of one set.
pub(crate) struct Outcome {
    pub(crate) set: Set,
    pub(crate) samples: u64,
    pub(crate) series: Vec<Series>,
}

/// Runs every contender in every round. `work` is emptied.
pub(crate) fn run(set: &Set, contenders: &[Contender], rounds: usize, work: &Path) -> Result<Outcome> {
    let (scratch, before) = (work.join("scratch"), work.join("joined"));
    let joined = sound::joined(set, &before)?;
    let truth = Truth::of(&joined[0], &joined[1])?;
    let place = Place { set, joined: &joined, scratch: &scratch };
    let mut series: Vec<Series> = contenders.iter().map(Series::of).collect();
    warm(set, &joined)?;
    for round in 0..rounds {
        for (contender, series) in contenders.iter().zip(&mut series) {
            if round >= contender.rounds_max {
                continue;
            }
            clean(&scratch)?;
            let usage = usage::run(&mut contender.command(&place), &scratch)?;
            eprintln!(
                "{} round {}: {}: {:.2} s, cpu {:.2} s, exit {}",
                set.recipe.name,
                round + 1,
                contender.name,
                usage.wall_s,
                usage.cpu_s,
                usage.exit
            );
            let result = scratch.join("result.mp4");
            series.result_bytes = fs::metadata(&result).map_or(0, |metadata| metadata.len());
            if round == 0 && !contender.floor && series.result_bytes > 0 {
                // A result that cannot be read at all has lost everything.
                series.fidelity = truth.holds(&result).ok();
            }
            series.runs.push(usage);
        }
    }
    fs::remove_dir_all(work).context("clean up")?;
    Ok(Outcome { set: set.clone(), samples: truth.samples(), series })
}

impl Series {
    fn of(contender: &Contender) -> Series {
        let (key, name, floor) = (contender.key, contender.name.clone(), contender.floor);
        Series { key, name, floor, runs: Vec::new(), result_bytes: 0, fidelity: None }
    }

    /// Median, least and most of one number of the runs.
    pub(crate) fn spread(&self, number: impl Fn(&Usage) -> f64) -> Spread {
        Spread::of(self.runs.iter().map(number).collect())
    }
}

/// Median, least and most.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(mut numbers: Vec<f64>) -> Spread {
        numbers.sort_by(f64::total_cmp);
        let n = numbers.len();
        let (Some(&least), Some(&most)) = (numbers.first(), numbers.last()) else { return Spread::default() };
        Spread { median: (numbers[(n - 1) / 2] + numbers[n / 2]) / 2.0, least, most }
    }
}

/// Everything that is read lies in the kernel's memory, as it does when segments have just come in.
fn warm(set: &Set, joined: &[std::path::PathBuf; 2]) -> Result<()> {
    let objects = set.tracks().map(|(track, _)| set.names(track)).concat();
    let objects = objects.iter().map(|name| set.folder.join(name));
    for path in objects.chain(joined.iter().cloned()) {
        std::io::copy(&mut fs::File::open(path)?, &mut std::io::sink())?;
    }
    Ok(())
}

/// An empty folder on a disk that has nothing left to write.
fn clean(scratch: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(scratch);
    fs::create_dir_all(scratch)?;
    Ok(rustix::fs::syncfs(fs::File::open(scratch)?)?)
}
