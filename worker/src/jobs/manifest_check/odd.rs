//! Whether what is wrong with an initialization section is that it is no ISO file: then libavformat may read the recording.

use crate::config::Engine;
use crate::context::Context;
use crate::db::recordings::Recording;
use crate::odd::{HEAD_BYTES_MAX, Head, head_of_init};
use domain::completeness::{self, Completeness, Seen};
use domain::id::Sha256;
use domain::key::Keys;
use domain::mux::PlanObject;
use domain::recording::Source;
use domain::segment::Name;
use queue::JobError;
use std::collections::BTreeMap;

/// Judges a recording that another uploader has written by its objects alone. `None`: it is not of another container, or
/// nobody may read it by libavformat.
pub(super) async fn judge(cx: &Context, recording: &Recording, seen: &Seen) -> Result<Option<Completeness>, JobError> {
    // What comes through our own ingest is refused there when it is no ISO file.
    if cx.config.mux.engine == Engine::Index || recording.source != Source::Bucket {
        return Ok(None);
    }
    let keys = Keys::new(&recording.owner, &recording.id);
    let (mut inits, mut odd) = (BTreeMap::new(), false);
    for object in seen.objects.iter().filter(|object| object.index == 0) {
        let range = 0..object.size_bytes.min(HEAD_BYTES_MAX);
        let bytes = cx.store.get_range(&keys.segment(object.track, Name::Init), range).await?;
        odd |= head_of_init(&bytes) == Head::Odd;
        inits.insert(object.track, PlanObject { size_bytes: object.size_bytes, sha256: Sha256::of(&bytes) });
    }
    Ok(odd.then(|| completeness::check_odd(seen, &inits)))
}
