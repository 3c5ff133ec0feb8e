//! Whether what is wrong with an initialization section is that it is no ISO file: then libavformat may read the recording.

use crate::config::Engine;
use crate::context::Context;
use crate::db::recordings::Recording;
use crate::odd::{HEAD_BYTES_MAX, Head, head_of_init};
use crate::result::Tags;
use crate::result::odd::digest;
use crate::storage::{self, is_entity_tag};
use domain::completeness::{self, Completeness, Seen};
use domain::id::Sha256;
use domain::key::Keys;
use domain::mux::{PlanObject, PlanSegment, PlanTrack};
use domain::recording::Source;
use domain::segment::Name;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use queue::JobError;
use std::collections::{BTreeMap, BTreeSet};

/// Judges a recording that another uploader has written by its objects alone. `None`: it is not of another container, or
/// nobody may read it by libavformat.
pub(super) async fn judge(
    cx: &Context,
    recording: &Recording,
    seen: &Seen,
    etags: &Tags,
) -> Result<Option<Completeness>, JobError> {
    // What comes through our own ingest is refused there when it is no ISO file.
    if cx.config.mux.engine == Engine::Index || recording.source != Source::Bucket {
        return Ok(None);
    }
    let keys = Keys::new(&recording.owner, &recording.id);
    let (mut inits, mut odd) = (BTreeMap::new(), BTreeSet::new());
    for object in seen.objects.iter().filter(|object| object.index == 0) {
        let range = 0..object.size_bytes.min(HEAD_BYTES_MAX);
        let bytes = cx.store.get_range(&keys.segment(object.track, Name::Init), range).await?;
        if head_of_init(&bytes) == Head::Odd {
            odd.insert(object.track);
        }
        inits.insert(object.track, PlanObject { size_bytes: object.size_bytes, sha256: Sha256::of(&bytes) });
    }
    if odd.is_empty() {
        return Ok(None);
    }
    let mut verdict = completeness::check_odd(seen, &inits);
    if let Completeness::Complete(plan) | Completeness::Incomplete(plan) = &mut verdict {
        for track in plan.tracks.iter_mut().filter(|track| odd.contains(&track.track)) {
            seal(cx, &keys, track, etags).await?;
        }
    }
    Ok(Some(verdict))
}

/// Writes into the plan what its objects are held to when they are taken apart: no row tells of them. That is the entity
/// tag; where the store has none, the digest, for which each object is read once.
async fn seal(cx: &Context, keys: &Keys, planned: &mut PlanTrack, etags: &Tags) -> Result<(), JobError> {
    let track = planned.track;
    let object = |segment: PlanSegment| {
        let (key, listed) = (keys.segment(track, Name::Media(segment.index)), etags.get(&(track, segment.index)));
        async move {
            let etag = match listed.filter(|etag| is_entity_tag(etag)) {
                Some(etag) => Some(etag.clone()),
                None if cx.store.is_folder() => None,
                // Some servers tell of it only when they are asked for the object.
                None => cx
                    .store
                    .stat(&key)
                    .await?
                    .filter(|meta| meta.size_bytes == segment.size_bytes)
                    .and_then(|meta| meta.etag),
            };
            let sha256 = match etag {
                Some(_) => None,
                None => Some(digest(&cx.store, &key, segment.size_bytes).await?),
            };
            Ok::<_, storage::Error>((segment.index, etag, sha256))
        }
    };
    let reads = usize::try_from(cx.config.bucket.reads_max).unwrap_or(usize::MAX);
    let objects: Vec<_> = planned.segments.iter().copied().map(object).collect();
    let sealed: Vec<_> = stream::iter(objects).buffered(reads).try_collect().await?;
    for (segment, (index, etag, sha256)) in planned.segments.iter_mut().zip(sealed) {
        segment.sha256 = sha256;
        planned.etags.extend(etag.map(|etag| (index, etag)));
    }
    Ok(())
}
