//! Makes, verifies and publishes the result of one plan version.
//!
//! Done when: the recording is ready and points to a result that was read back and is what was planned.
//! Safe to repeat: yes. The same plan gives the same bytes under a key of its own version, and publishing is a
//! compare-and-set on state and plan version in the transaction that ends the job.

mod odd;
mod publish;
mod write;

use super::{Job, obsolete, unless_locked};
use crate::config::Engine;
use crate::context::Context;
use crate::db::plans::{Frozen, Unreadable};
use crate::db::recordings::{self, Advanced, From};
use crate::db::{self, plans, segments};
use crate::result::decode::Deaths;
use crate::result::odd::Which;
use crate::result::{self, Checked, Expected, Source, Story};
use domain::corrupt::{self, Extent, Rules};
use domain::id::{RecordingId, Sha256};
use domain::job::Mux;
use domain::key::Keys;
use domain::mux::{Gap, LAYOUTS_ODD, Plan};
use domain::recording::{Cause, State};
use domain::retry::Fault;
use media::layout::Layout;
use publish::{publish, served};
use queue::{JobCtx, JobError, Outcome};
use serde_json::json;
use write::write;

impl Job for Mux {
    async fn run(&self, cx: &Context, ctx: &JobCtx) -> Result<Outcome, JobError> {
        if let Err(ended) = begin(cx, self).await? {
            return Ok(ended);
        }
        let frozen = planned(cx, self).await?;
        let is_odd = LAYOUTS_ODD.contains(&frozen.plan.layout_version);
        if is_odd && cx.config.mux.engine == Engine::Index {
            let why = "only libavformat can read this recording, and mux.engine is index";
            return Err(JobError::new(Fault::Permanent, "engine", why));
        }
        let which = match cx.config.mux.engine {
            Engine::Libavformat => Some(Which::Every),
            Engine::Auto | Engine::Index => is_odd.then_some(Which::Odd),
        };
        if let Some(which) = which {
            return Box::pin(odd::make(cx, ctx, self, &frozen, which)).await;
        }
        let layout = result::lay_out(cx, &frozen.plan).await?;
        let keys = Keys::new(&frozen.plan.owner, &frozen.plan.recording);
        let key = keys.result(self.version);
        let made = Making { cx, ctx, job: self, frozen: &frozen, layout: &layout, keys: &keys, key: &key };
        let (checked, sha256) = match made.found().await? {
            Some(found) => found,
            None => match made.anew().await? {
                Ok(made) => made,
                Err(ended) => return Ok(ended),
            },
        };
        let gaps = weigh(cx, &frozen.plan, &checked).await?;
        publish(cx, ctx, &frozen.plan, &gaps, served(&frozen.plan, key.clone(), sha256, &checked)).await
    }
}

/// Class of a result that lacks more than the rules let pass.
const CORRUPT: &str = "corrupt-media";

/// What a result is made of, and who makes it.
struct Making<'a> {
    cx: &'a Context,
    ctx: &'a JobCtx,
    job: &'a Mux,
    frozen: &'a Frozen,
    layout: &'a Layout,
    keys: &'a Keys,
    key: &'a str,
}

impl Making<'_> {
    fn source(&self) -> Source {
        Source::new(&self.cx.store, self.keys.clone(), self.key)
    }

    /// Looks at what is stored. A decoder that dies ends the first attempt, since it may be the machine's fault; in a later
    /// one it is the recording's, and said of the place that it died at.
    async fn check(&self) -> Result<Checked, result::Unsound> {
        let deaths = if self.ctx.attempt() == 1 { Deaths::Doubted } else { Deaths::Blamed };
        let expected = Expected { facts: &self.layout.expected(), layout: Some(self.layout), deaths };
        result::check(self.cx, &self.source(), self.key, &expected).await
    }

    /// The result that an earlier attempt made and could not publish, because its recording was held or its process
    /// ended: verified again, not made again. One that does not hold is as good as none.
    async fn found(&self) -> Result<Option<(Checked, Option<Sha256>)>, JobError> {
        let told = result::told(self.cx, self.keys, &self.frozen.plan, self.frozen.sha256).await?;
        let Some(told) = told else { return Ok(None) };
        match self.check().await {
            Ok(checked) if told.is_of(&checked, &self.frozen.plan) => {
                tracing::info!(storage.key = self.key, "result of an earlier attempt found");
                Ok(Some((checked, told.sha256)))
            }
            Err(error) if !error.is_of_the_result() => Err(error.into()),
            found => {
                let error = found.err().map(tracing::field::display);
                tracing::warn!(storage.key = self.key, error, "result of an earlier attempt does not hold, made again");
                Ok(None)
            }
        }
    }

    /// Makes the result, verifies it, and only then says so in `result.json`. The inner error is how the attempt ends
    /// when nobody wants the result any more.
    async fn anew(&self) -> Result<Result<(Checked, Option<Sha256>), Outcome>, JobError> {
        let Making { cx, ctx, job, frozen, layout, keys, key } = *self;
        let source = self.source().tagged(segments::etags(&cx.db, &job.recording).await?);
        let report = match write(cx, ctx, job, layout, &source, key).await? {
            Ok(report) => report,
            Err(ended) => return Ok(Err(ended)),
        };
        let checked = self.check().await?;
        let laid = Some((layout, report.payload.as_slice()));
        let declared_ms = declared_ms(cx, &job.recording).await?;
        let (sha256, engine) = (report.sha256, "index");
        let story = Story { frozen, checked: &checked, key, sha256, declared_ms, engine, laid };
        cx.store.put(&keys.result_json(job.version), result::describe(&story).into()).await?;
        Ok(Ok((checked, report.sha256)))
    }
}

/// How long the recorder said that it recorded.
async fn declared_ms(cx: &Context, id: &RecordingId) -> Result<Option<u64>, JobError> {
    let recording = recordings::get(&cx.db, id).await?;
    Ok(recording.and_then(|recording| recording.declared).map(|declared| declared.duration_ms))
}

/// The gaps of the result: what its plan lacks, and what cannot be decoded. Too much of that is a failure by the same
/// policy and share that the plan was made by.
async fn weigh(cx: &Context, plan: &Plan, checked: &Checked) -> Result<Vec<Gap>, JobError> {
    weigh_with(cx, plan, &[], checked).await
}

/// The same where the making of the result has shown more than was planned.
async fn weigh_with(cx: &Context, plan: &Plan, shown: &[Gap], checked: &Checked) -> Result<Vec<Gap>, JobError> {
    let found = &corrupt::together(shown, &checked.findings.gaps);
    let Some(recording) = recordings::get(&cx.db, &plan.recording).await? else { return Ok(Vec::new()) };
    let rules = Rules {
        policy: recording.policy,
        max_gap_ratio: cx.config.live.max_gap_ratio,
        accept_gaps: recording.gaps_accepted,
    };
    let extent = Extent::of(plan, checked.readback.duration_ms);
    let weighed = corrupt::weigh(rules, &plan.gaps, found, extent);
    weighed.map_err(|error| JobError::new(Fault::Permanent, CORRUPT, error))?;
    if !found.is_empty() {
        let what = checked.findings.what.as_deref();
        tracing::warn!(recording.id = %plan.recording, gaps = found.len(), what, "segments cannot be decoded");
    }
    Ok(corrupt::together(&plan.gaps, found))
}

/// Looks whether there is something to do. A recording that failed at this very plan version goes on: a retry of the job
/// is a retry of the recording.
async fn begin(cx: &Context, job: &Mux) -> Result<Result<(), Outcome>, JobError> {
    let tx = db::begin(&cx.db).await?;
    let recording = match unless_locked(recordings::lock(&tx, &job.recording).await)? {
        Ok(Some(recording)) if recording.plan_version == job.version => recording,
        Ok(_) => return Ok(Err(obsolete())),
        Err(later) => return Ok(Err(later)),
    };
    match recording.state {
        State::Finalizing => return Ok(Ok(())),
        State::Failed => {}
        State::Live | State::Ready | State::Archived | State::Cancelled | State::Deleted => return Ok(Err(obsolete())),
    }
    match recordings::advance(&tx, &job.recording, From::of(&recording), Cause::Revive, json!({})).await? {
        Advanced::To(_) => db::commit(tx).await?,
        Advanced::Refused(_) | Advanced::Changed => return Ok(Err(obsolete())),
    }
    tracing::info!(recording.id = %job.recording, "failed recording taken up again");
    Ok(Ok(()))
}

async fn planned(cx: &Context, job: &Mux) -> Result<Frozen, JobError> {
    let refuse = |fault, class, why: String| Err(JobError::new(fault, class, why).context("read plan"));
    match plans::get(&cx.db, &job.recording, job.version).await? {
        Some(Ok(frozen)) => Ok(frozen),
        // During a rolling update a worker of the other build may be there already.
        Some(Err(Unreadable::Layout { found })) => refuse(
            Fault::NotYet,
            "layout-version",
            format!("the plan has layout version {found}, unknown to this build"),
        ),
        Some(Err(Unreadable::Damaged)) => {
            refuse(Fault::Permanent, "plan-damaged", "the plan is not what was frozen".to_owned())
        }
        None => refuse(Fault::Permanent, "no-plan", "there is no plan of this version".to_owned()),
    }
}
