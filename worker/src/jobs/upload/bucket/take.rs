//! Commits what was read: rows, events and the listing for viewers in one transaction.

use super::super::settle::go_on;
use super::super::{list, takes_segments};
use crate::context::Context;
use crate::db::bucket::{Found, Object};
use crate::db::{self, bucket, events, listing};
use domain::id::RecordingId;
use domain::recording::admit;
use queue::JobError;
use serde_json::json;

/// Takes objects in and lists what viewers may now see. Says how many were new; `None` when the recording takes nothing
/// any more.
///
/// A plan that is frozen meanwhile waits for this transaction or is waited for: both hold the recording's row. After the
/// freeze nothing comes in, so that what has a row is in the plan.
pub(super) async fn take(cx: &Context, id: &RecordingId, objects: Vec<Object>) -> Result<Option<usize>, JobError> {
    if objects.is_empty() {
        return Ok(Some(0));
    }
    let tx = db::begin(&cx.db).await?;
    let held = listing::hold(&tx, id).await?.filter(takes_segments);
    let Some(recording) = held.filter(|recording| admit(recording.door()).is_ok()) else { return Ok(None) };
    let mut taken = 0;
    for object in &objects {
        if !bucket::take(&tx, id, object).await? {
            continue;
        }
        taken += 1;
        let (track, index) = (object.track, object.name.index());
        if let Found::Damaged { class, defect, salvaged } = &object.found {
            tracing::warn!(recording.id = %id, segment.track = %track, segment.index = index, error = defect, "damaged object in the bucket");
            let salvaged = salvaged.is_some();
            let body =
                json!({ "track": track, "index": index, "cause": class, "defect": defect, "salvaged": salvaged });
            events::append(&tx, id, "segment.damaged", body).await?;
        }
    }
    if taken > 0 {
        go_on(&tx, recording).await?;
        list::append(cx, &tx, id).await?;
    }
    db::commit(tx).await?;
    Ok(Some(taken))
}
