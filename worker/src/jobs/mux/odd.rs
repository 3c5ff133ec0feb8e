//! The same through libavformat: the plan's objects are taken apart in a child process, then made into a result like every
//! other.
//!
//! Its bytes depend on the linked libraries, so each attempt writes a key of its own: nothing that a late one does touches
//! what is served.

use super::publish::{publish, served};
use super::write::{once_more, write};
use super::{CORRUPT, declared_ms, weigh_with};
use crate::context::Context;
use crate::db::plans::Frozen;
use crate::db::recordings;
use crate::result::decode::Deaths;
use crate::result::odd::{self, OddLaid, Which};
use crate::result::{self, Checked, Expected, Source, Story, leftovers};
use domain::corrupt;
use domain::id::Sha256;
use domain::job::Mux;
use domain::key::Keys;
use domain::mux::{Gap, Plan};
use domain::retry::Fault;
use media::mux::MuxReport;
use queue::{JobCtx, JobError, Outcome, Progress};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Time between two reports of progress.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Makes, verifies and publishes the result.
pub(super) async fn make(
    cx: &Context,
    ctx: &JobCtx,
    job: &Mux,
    frozen: &Frozen,
    which: Which,
) -> Result<Outcome, JobError> {
    let keys = Keys::new(&frozen.plan.owner, &frozen.plan.recording);
    let making = Making { cx, ctx, job, frozen, keys: &keys };
    let made = match making.found().await? {
        Some(found) => found,
        None => match Box::pin(making.anew(which)).await? {
            Ok(made) => made,
            Err(ended) => return Ok(ended),
        },
    };
    // A viewer of the result before may still be reading it; `cleanup` comes when nobody does.
    let before = recordings::get(&cx.db, &job.recording).await?.and_then(|recording| recording.result);
    let Made { key, gaps, sha256, checked } = made;
    let outcome = publish(cx, ctx, &frozen.plan, &gaps, served(&frozen.plan, key.clone(), sha256, &checked)).await?;
    if outcome == Outcome::Settled {
        let kept = [Some(key.as_str()), before.as_ref().map(|served| served.key.as_str())];
        let kept: Vec<&str> = kept.into_iter().flatten().collect();
        if let Err(error) = leftovers::sweep(&cx.store, &keys, job.version, &kept).await {
            tracing::warn!(recording.id = %job.recording, error = %error, "results of unpublished attempts are left for cleanup");
        }
    }
    Ok(outcome)
}

/// A verified result that is not published yet.
struct Made {
    key: String,
    gaps: Vec<Gap>,
    sha256: Option<Sha256>,
    checked: Checked,
}

struct Making<'a> {
    cx: &'a Context,
    ctx: &'a JobCtx,
    job: &'a Mux,
    frozen: &'a Frozen,
    keys: &'a Keys,
}

impl Making<'_> {
    /// A decoder that dies ends the first attempt, since it may be the machine's fault; in a later one it is the
    /// recording's.
    fn deaths(&self) -> Deaths {
        if self.ctx.attempt() == 1 { Deaths::Doubted } else { Deaths::Blamed }
    }

    /// The result that an earlier attempt made and could not publish: looked at again by its own word, for nobody else
    /// knows what it was to be, and not made again. One that does not hold is as good as none.
    async fn found(&self) -> Result<Option<Made>, JobError> {
        let Making { cx, frozen, keys, .. } = *self;
        let told = result::told(cx, keys, &frozen.plan, frozen.sha256).await?;
        let Some((key, told)) = told.and_then(|told| Some((told.key_of_attempt(keys)?, told))) else { return Ok(None) };
        let source = Source::new(&cx.store, keys.clone(), &key);
        let expected = Expected { facts: &told.facts(), layout: None, deaths: self.deaths() };
        match result::check(cx, &source, &key, &expected).await {
            Ok(checked) if checked.etag == told.etag => {
                tracing::info!(storage.key = key, "result of an earlier attempt found");
                Ok(Some(Made { key, gaps: told.gaps, sha256: told.sha256, checked }))
            }
            Err(error) if !error.is_of_the_result() => Err(error.into()),
            found => {
                let error = found.err().map(tracing::field::display);
                tracing::warn!(storage.key = key, error, "result of an earlier attempt does not hold, made again");
                Ok(None)
            }
        }
    }

    /// Makes the result under a key of this attempt. The inner error is how the attempt ends when nobody wants the result
    /// any more.
    async fn anew(&self, which: Which) -> Result<Result<Made, Outcome>, JobError> {
        let Making { cx, ctx, job, frozen, keys } = *self;
        let laid = take_apart(cx, ctx, frozen, which).await?;
        let key = keys.result_of_epoch(job.version, ctx.epoch());
        let report = match write(cx, ctx, job, &laid.layout, &laid.segments, &key).await? {
            Ok(report) => report,
            Err(ended) => return Ok(Err(ended)),
        };
        let (gaps, checked) = self.tell(&laid, &report, &key).await?;
        Ok(Ok(Made { key, gaps, sha256: report.sha256, checked }))
    }

    /// Verifies the result and weighs what it lacks. One that does not hold, or lacks too much, is deleted; one that could
    /// not be looked at stays until a later attempt has published its own.
    async fn look_at(&self, laid: &OddLaid, key: &str) -> Result<(Vec<Gap>, Checked), JobError> {
        let Making { cx, keys, .. } = *self;
        let expected = Expected { facts: &laid.layout.expected(), layout: Some(&laid.layout), deaths: self.deaths() };
        let source = Source::new(&cx.store, keys.clone(), key);
        let checked = match result::check(cx, &source, key, &expected).await {
            Ok(checked) => checked,
            Err(error) => {
                if error.is_of_the_result() {
                    self.delete(key).await;
                }
                return Err(error.into());
            }
        };
        // The plan's gaps were weighed when it was judged. What taking its objects apart has shown beyond them is weighed
        // like what decoding shows.
        let weighed = weigh_with(cx, &laid.plan, &laid.lost, &checked).await;
        if weighed.as_ref().is_err_and(|error| error.class() == CORRUPT) {
            self.delete(key).await;
        }
        Ok((weighed?, checked))
    }

    async fn delete(&self, key: &str) {
        if let Err(error) = self.cx.store.delete(&[key.to_owned()]).await {
            tracing::warn!(storage.key = key, error = %error, "result that does not hold is left for cleanup");
        }
    }

    /// Looks at the result, and only then says in `result.json` that there is one.
    async fn tell(&self, laid: &OddLaid, report: &MuxReport, key: &str) -> Result<(Vec<Gap>, Checked), JobError> {
        let Making { cx, ctx, job, frozen, keys } = *self;
        let (gaps, checked) = self.look_at(laid, key).await?;
        let told = Plan { gaps: corrupt::together(&laid.plan.gaps, &laid.lost), ..laid.plan.clone() };
        let story = Story {
            frozen: &Frozen { plan: told, ..frozen.clone() },
            checked: &checked,
            key,
            sha256: report.sha256,
            declared_ms: declared_ms(cx, &job.recording).await?,
            engine: "libavformat",
            laid: Some((&laid.layout, report.payload.as_slice())),
        };
        // Every attempt has a result of its own and all have one `result.json`: minutes after the result was written it
        // must not be an attempt that slept through its lease that says which one counts.
        if !ctx.is_mine().await? {
            return Err(JobError::new(Fault::Cancelled, "lost", "the job was taken from this attempt"));
        }
        cx.store.put(&keys.result_json(job.version), result::describe(&story).into()).await?;
        Ok((gaps, checked))
    }
}

/// Has a child take the plan's objects apart, and tells how far it is.
async fn take_apart(cx: &Context, ctx: &JobCtx, frozen: &Frozen, which: Which) -> Result<OddLaid, JobError> {
    let per_mille = AtomicU32::new(0);
    let note = |share: f64| per_mille.store((share * 1000.0) as u32, Ordering::Relaxed);
    tokio::select! {
        laid = odd::lay_out(cx, &frozen.plan, which, note) => laid.map_err(|error| match error.is_source_changed() {
            true => once_more(ctx, error),
            false => error.into(),
        }),
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
