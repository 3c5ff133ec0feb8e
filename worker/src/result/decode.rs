//! Drives the decoding of a result in child processes, and leads every way in which that can end to an outcome.
//!
//! A decoder that dies of a stranger's bytes is told from damage once: the attempt ends, and the next one may find that it
//! was the machine. From then on the place that kills children counts as damaged, so that no recording waits for ever.

use crate::child::{self, ObjectError, Program};
use media::readback::RangedReader;
use media::sampling::{Damage, Findings, Next, Place, Search, Seen, Unsound};
use std::time::Duration;
use thiserror::Error;

/// Longest decode of one round of places: a few pictures each, or a dozen segments.
const BOUND: Duration = Duration::from_secs(120);

/// Longest decode of one place of which it is known that it may kill: a crash comes soon, and only a hang waits so long.
const BOUND_ALONE: Duration = Duration::from_secs(20);

/// What it means that a child dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deaths {
    /// Perhaps the machine: the search ends with an error, and is tried again.
    Doubted,
    /// What it decoded: that place is damaged.
    Blamed,
}

/// Why a search has no findings.
#[derive(Debug, Error)]
pub enum Error<R: std::error::Error + 'static> {
    /// What there is cannot be shown.
    #[error(transparent)]
    Unsound(Unsound),
    /// No child could look at it, or it could not be read.
    #[error(transparent)]
    Object(ObjectError<R>),
}

/// The word for what makes a result unsound.
pub fn class(unsound: &Unsound) -> &'static str {
    match unsound {
        Unsound::Nothing { .. } => "nothing-decodable",
        Unsound::ConfigChange { .. } => "unsupported-config-change",
    }
}

/// Carries a search out on an object of `size_bytes` bytes, whose ranges `reader` gives.
///
/// # Errors
/// See [`enum@Error`].
pub async fn search<R: RangedReader>(
    program: &Program,
    reader: &R,
    size_bytes: u64,
    mut search: Search,
    deaths: Deaths,
) -> Result<Findings, Error<R::Error>> {
    loop {
        let places = match search.ask() {
            Next::Look(places) => places,
            Next::Done(found) => return found.map_err(Error::Unsound),
        };
        let seen = match program.look(reader, size_bytes, places.clone(), BOUND).await {
            Ok(seen) => seen,
            Err(ObjectError::Child(error)) if may_be_a_place(&error, deaths) => {
                tracing::warn!(error = %error, "decoder failed, its places are tried one by one");
                one_by_one(program, reader, size_bytes, &places, error).await.map_err(Error::Object)?
            }
            Err(error) => return Err(Error::Object(error)),
        };
        search.tell(&seen);
    }
}

/// Whether it may be one of the places that a child failed at, and it is to be found out.
fn may_be_a_place(error: &child::Error, deaths: Deaths) -> bool {
    let refused = matches!(error, child::Error::Refused { .. });
    refused || (error.is_death() && deaths == Deaths::Blamed)
}

/// A child for each place. When every one of them is refused it is not the places, and the first answer stands; when every
/// one of them dies, nothing can be decoded.
async fn one_by_one<R: RangedReader>(
    program: &Program,
    reader: &R,
    size_bytes: u64,
    places: &[Place],
    first: child::Error,
) -> Result<Vec<Seen>, ObjectError<R::Error>> {
    let (mut all, mut refused) = (Vec::new(), 0);
    for place in places {
        match program.look(reader, size_bytes, vec![*place], BOUND_ALONE).await {
            Ok(seen) => all.extend(seen),
            Err(ObjectError::Child(error)) if may_be_a_place(&error, Deaths::Blamed) => {
                refused += usize::from(matches!(error, child::Error::Refused { .. }));
                let what = format!(
                    "the decoder fails at {}.{:03} s: {error}",
                    place.at_us / 1_000_000,
                    place.at_us / 1000 % 1000
                );
                let damage = Damage { offset: place.offset.unwrap_or(0), at_us: None, what, framed: false };
                all.push(Seen { samples: 0, frames: 0, picture: None, damage: Some(damage) });
            }
            Err(error) => return Err(error),
        }
    }
    if refused == places.len() { Err(ObjectError::Child(first)) } else { Ok(all) }
}
