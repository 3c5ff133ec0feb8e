//! What the stored sample indexes of a recording amount to.

use crate::accept::Refusal;
use crate::context::Context;
use crate::db::plans;
use crate::db::recordings::Recording;
use domain::completeness::Seen;
use domain::segment::{Shape, Track};
use media::init::Init;
use media::{shape, silence};
use queue::JobError;
use std::collections::HashMap;
use std::sync::Arc;

/// Adds what is inside the segments to what was seen: one statement a track, and no segment is read. Segments whose
/// samples contradict one another lose their place on the time axis, and with it their place in the result.
pub(super) async fn observe(cx: &Context, recording: &Recording, seen: &mut Seen) -> Result<(), JobError> {
    for track in Track::ALL {
        if !seen.rows.iter().any(|row| row.track == track && row.span.is_some()) {
            continue;
        }
        let Some(init) = init(cx, recording, track).await? else { continue };
        if track == Track::Audio {
            seen.silent_frame = silence::frame(&init).map(|frame| frame.duration);
        }
        let indexes = plans::sample_indexes(&cx.db, &recording.id, track).await?;
        // Hours of samples take some tens of milliseconds, in which the runtime has other things to do.
        let shapes = tokio::task::spawn_blocking(move || shapes(&indexes, &init)).await;
        let shapes = shapes.expect("reading checked bytes does not panic");
        for row in seen.rows.iter_mut().filter(|row| row.track == track && row.index > 0) {
            match shapes.get(&row.index) {
                Some(Some(shape)) => drop(seen.shapes.insert((track, row.index), *shape)),
                Some(None) => row.span = None,
                // Another build's index: whoever lays the result out says so.
                None => {}
            }
        }
    }
    Ok(())
}

fn shapes(indexes: &HashMap<u32, Vec<u8>>, init: &Init) -> HashMap<u32, Option<Shape>> {
    let shape = |(&index, packed): (&u32, &Vec<u8>)| Some((index, shape::of(packed, init).ok()?));
    indexes.iter().filter_map(shape).collect()
}

/// `None` of a track whose initialization section cannot be used: the verdict will say so.
async fn init(cx: &Context, recording: &Recording, track: Track) -> Result<Option<Arc<Init>>, JobError> {
    match cx.inits.get(cx, recording, track).await {
        Ok(init) => Ok(Some(init)),
        Err(Refusal::Database(error)) => Err(error.into()),
        Err(Refusal::Storage(error)) => Err(error.into()),
        Err(Refusal::Staging(error)) => Err(error.into()),
        Err(error) => {
            tracing::debug!(recording.id = %recording.id, segment.track = %track, error = %error, "samples cannot be judged");
            Ok(None)
        }
    }
}
