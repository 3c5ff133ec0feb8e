//! `spool recording verify`: whether the result of a recording is still what its row and its `result.json` say.

use super::look::{Depth, Looked, look};
use super::told::Told;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use ::worker::config::Config;
use ::worker::db::recordings::{Recording, Served};
use ::worker::result::Source;
use ::worker::storage::{self, Store};
use anyhow::Context as _;
use domain::id::RecordingId;
use domain::key::Keys;
use domain::mux::GapCause;
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Answer {
    recording: RecordingId,
    result: String,
    #[serde(flatten)]
    looked: Looked,
    compared_with: Option<String>,
}

/// Checks the result that a recording serves, by ranges of the object.
pub(crate) async fn run(recording: &Recording, config: &Config, full: bool, out: Output) -> anyhow::Result<Exit> {
    let id = &recording.id;
    let Some(served) = &recording.result else {
        let why = format!("recording {id} is {} and has no result", recording.state);
        return Err(Failure::refused(why).hint(format!("`spool recording show {id}` tells how it stands")).into());
    };
    let store = Store::open(&config.storage).await?;
    let keys = Keys::new(&recording.owner, id);
    let json = keys.result_json(served.version);
    let told = match store.get(&json).await {
        Ok(bytes) => Some(Told::parse(&bytes).with_context(|| format!("read {json}"))?),
        Err(storage::Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let compared_with = told.is_some().then_some(json);
    let told = row(told.unwrap_or_default(), recording, served);
    let looked = match store.stat(&served.key).await? {
        None => Looked { defects: vec![format!("the store has no {}", served.key)], ..Looked::default() },
        Some(meta) => {
            let depth = if full { Depth::Full } else { Depth::Samples };
            let source = Source::new(&store, keys, &served.key);
            let mut looked = look(&source, meta.size_bytes, depth, Some(&told)).await?;
            if let (Some(expected), Some(found)) = (&served.etag, &meta.etag)
                && expected != found
            {
                looked.known.push(format!("its entity tag is {found} instead of {expected}: it was written again"));
            }
            looked
        }
    };
    let answer = Answer { recording: id.clone(), result: served.key.clone(), looked, compared_with };
    out.answer(&answer, |answer| answer.looked.text(&answer.result))?;
    Ok(answer.looked.exit())
}

/// What is told beside the result, with what the row says of it: the row is what is served.
fn row(told: Told, recording: &Recording, served: &Served) -> Told {
    let corrupt = recording.gaps.iter().filter(|gap| gap.cause == GapCause::Corrupt);
    let gaps = told.gaps.iter().chain(corrupt).cloned().collect();
    Told {
        bytes: Some(served.size_bytes),
        sha256: served.sha256.or(told.sha256),
        duration_ms: Some(served.duration_ms),
        gaps,
        ..told
    }
}
