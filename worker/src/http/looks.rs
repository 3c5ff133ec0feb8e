//! How recordings stand, looked at once for everybody who watches.
//!
//! Viewers have nothing to do but look, so what one of them was just told is good for the others. Whoever changes something
//! asks for himself: a web app must read what it has written.

use super::problem::Problem;
use super::{Api, recordings};
use domain::id::RecordingId;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex as Turn;

/// How long a look is good for: viewers ask about once a second.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Recordings that are remembered before old looks are forgotten.
const KEPT: usize = 1000;

/// What was seen last of one recording. Held while somebody looks, so that the others wait for the same look.
type Seen = Arc<Turn<Option<(Instant, Value)>>>;

/// Looks of this process. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Looks(Arc<Mutex<HashMap<RecordingId, Seen>>>);

impl Looks {
    /// How the recording stands, or stood a second ago at most.
    pub(crate) async fn shared(&self, api: &Api, id: &RecordingId) -> Result<Value, Problem> {
        let seen = self.of(id);
        let mut last = seen.lock().await;
        if let Some((at, value)) = &*last
            && at.elapsed() < GOOD_FOR
        {
            return Ok(value.clone());
        }
        Ok(anew(api, id, &mut last).await?.1)
    }

    /// How the recording stands in a look that has not begun before this was called, and when that was. What it finds is
    /// everybody's from then on: a viewer who hears of it as an event is not shown an older state when he asks.
    pub(crate) async fn fresh(&self, api: &Api, id: &RecordingId) -> Result<(Instant, Value), Problem> {
        let asked = Instant::now();
        let seen = self.of(id);
        let mut last = seen.lock().await;
        match &*last {
            Some((at, value)) if *at >= asked => Ok((*at, value.clone())),
            _ => anew(api, id, &mut last).await,
        }
    }

    fn of(&self, id: &RecordingId) -> Seen {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT && !all.contains_key(id) {
            // Those that nobody waits for and that are good for nothing any more.
            all.retain(|_, seen| {
                let good =
                    |last: &Option<(Instant, Value)>| last.as_ref().is_some_and(|(at, _)| at.elapsed() < GOOD_FOR);
                Arc::strong_count(seen) > 1 || seen.try_lock().map_or(true, |last| good(&last))
            });
        }
        all.entry(id.clone()).or_default().clone()
    }
}

/// Looks, and keeps what was seen under the moment in which the look began: nothing of it is older. An error is nobody's
/// but his who met it; the next one looks again.
async fn anew(api: &Api, id: &RecordingId, last: &mut Option<(Instant, Value)>) -> Result<(Instant, Value), Problem> {
    let begun = Instant::now();
    let value = recordings::look(api, id).await?;
    *last = Some((begun, value.clone()));
    Ok((begun, value))
}
