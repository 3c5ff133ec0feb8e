//! The same through libavformat: the plan's objects are taken apart in a child process, then made into a result like every
//! other.
//!
//! Its bytes depend on the linked libraries, so each attempt writes a key of its own: nothing that a late one does touches
//! what is served.

use super::publish::{publish, served};
use super::write::write;
use super::{declared_ms, weigh_with};
use crate::context::Context;
use crate::db::plans::Frozen;
use crate::result::decode::Deaths;
use crate::result::odd::{self, OddLaid};
use crate::result::{self, Expected, Source, Story};
use domain::job::Mux;
use domain::key::Keys;
use domain::mux::Plan;
use queue::{JobCtx, JobError, Outcome, Progress};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Time between two reports of progress.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Makes, verifies and publishes the result.
pub(super) async fn make(cx: &Context, ctx: &JobCtx, job: &Mux, frozen: &Frozen) -> Result<Outcome, JobError> {
    let laid = take_apart(cx, ctx, frozen).await?;
    let keys = Keys::new(&frozen.plan.owner, &frozen.plan.recording);
    let key = keys.result_of_epoch(job.version, ctx.epoch());
    let report = match write(cx, ctx, job, &laid.layout, &laid.segments, &key).await? {
        Ok(report) => report,
        Err(ended) => return Ok(ended),
    };
    let deaths = if ctx.attempt() == 1 { Deaths::Doubted } else { Deaths::Blamed };
    let expected = Expected { facts: &laid.layout.expected(), layout: Some(&laid.layout), deaths };
    let source = Source::new(&cx.store, keys.clone(), &key);
    let checked = result::check(cx, &source, &key, &expected).await?;
    let carried_out = Frozen { plan: laid.carried_out(&frozen.plan), ..frozen.clone() };
    let story = Story {
        frozen: &carried_out,
        checked: &checked,
        key: &key,
        sha256: report.sha256,
        declared_ms: declared_ms(cx, &job.recording).await?,
        engine: "libavformat",
        laid: Some((&laid.layout, report.payload.as_slice())),
    };
    // The plan knew the objects alone. What taking them apart has shown is weighed like what decoding shows, and before
    // anything says that there is a result.
    let (planned, shown) = carried_out.plan.gaps.split_at(frozen.plan.gaps.len());
    let planned = Plan { gaps: planned.to_vec(), ..carried_out.plan.clone() };
    let gaps = weigh_with(cx, &planned, shown, &checked).await?;
    cx.store.put(&keys.result_json(job.version), result::describe(&story).into()).await?;
    publish(cx, ctx, &carried_out.plan, &gaps, served(&frozen.plan, key, report.sha256, &checked)).await
}

/// Has a child take the plan's objects apart, and tells how far it is.
async fn take_apart(cx: &Context, ctx: &JobCtx, frozen: &Frozen) -> Result<OddLaid, JobError> {
    let per_mille = AtomicU32::new(0);
    let note = |share: f64| per_mille.store((share * 1000.0) as u32, Ordering::Relaxed);
    tokio::select! {
        laid = odd::lay_out(cx, &frozen.plan, note) => Ok(laid?),
        () = tell(ctx, &per_mille) => unreachable!("progress is told until the objects are taken apart"),
    }
}

async fn tell(ctx: &JobCtx, per_mille: &AtomicU32) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let pct = per_mille.load(Ordering::Relaxed) as f32 / 10.0;
        let progress = Progress { pct: Some(pct), stage: Some("take apart".to_owned()), ..Progress::default() };
        ctx.progress(progress).await;
    }
}
