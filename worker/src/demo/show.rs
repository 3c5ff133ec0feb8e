//! One recording of the demo, from its first segment until its segments are gone.

use super::api::{Api, Status};
use super::child::Process;
use super::follow::Teller;
use super::stage::{Setting, Stage, told};
use super::{Answer, LOOK};
use crate::cli::exit::{Exit, Failure};
use anyhow::Context as _;
use domain::id::{OwnerId, RecordingId};
use domain::key::Keys;
use std::path::{Path, PathBuf};
use std::time::Instant;
use worker::storage::{Service, Store};

/// A recording that is being watched.
pub(super) struct Show<'a> {
    pub(super) api: &'a Api,
    pub(super) stage: &'a mut Stage,
    pub(super) teller: &'a Teller,
    pub(super) recording: &'a str,
}

impl Show<'_> {
    /// Watches it to its end and fills in the answer on the way.
    pub(super) async fn whole(
        mut self,
        record: &mut Process,
        setting: &Setting,
        results: &Path,
        answer: &mut Answer,
    ) -> anyhow::Result<Exit> {
        self.while_recording(record).await?;
        self.teller.step("the recorder has sent everything");
        let signalled = Instant::now();
        again(async || self.api.complete(self.recording).await).await.context("say that the recording is complete")?;
        let ready = self.until(|status| matches!(status.state.as_str(), "ready" | "archived")).await?;
        answer.time_to_ready_ms = u64::try_from(signalled.elapsed().as_millis()).unwrap_or(u64::MAX);
        answer.segments = ready.tracks.values().map(|counts| counts.stored).sum();
        let facts = ready.result.as_ref().context("the recording is ready but has no result")?;
        answer.duration_ms = facts.duration_ms;
        let keys = Keys::new(&OwnerId::parse(&ready.owner_id)?, &RecordingId::parse(self.recording)?);
        let store = Store::open(&setting.config.storage).await.context("open the store")?;
        let path = local_result(&store, setting, &keys.result(ready.plan_version), results).await?;
        self.teller.step(&format!("result: {}", path.display()));
        answer.result = Some(path);
        self.until(|status| status.state == "archived").await?;
        self.until_segments_are_gone(&store, &keys).await?;
        self.teller.step("the segments are deleted, the result stays");
        let degraded = !ready.gaps.is_empty();
        answer.status = if degraded { "degraded" } else { "complete" };
        Ok(if degraded { Exit::Degraded } else { Exit::Ok })
    }

    /// Tells what comes in until the recorder has ended, and ended well.
    async fn while_recording(&mut self, record: &mut Process) -> anyhow::Result<()> {
        loop {
            let look = tokio::time::sleep(LOOK);
            tokio::select! {
                status = record.ended() => {
                    let status = status?;
                    if status.success() {
                        return Ok(());
                    }
                    return Err(told(record, format!("the recorder failed ({status})")).into());
                }
                failure = self.stage.broken() => return Err(failure.into()),
                () = look => {}
            }
            self.look().await?;
        }
    }

    /// Tells how the recording goes on until it is as wanted; a recording that failed is an end too.
    async fn until(&mut self, wanted: impl Fn(&Status) -> bool) -> anyhow::Result<Status> {
        loop {
            let status = self.look().await?;
            if wanted(&status) {
                return Ok(status);
            }
            if matches!(status.state.as_str(), "failed" | "cancelled" | "deleted") {
                let why = status.error.map_or_else(String::new, |error| format!(": {}: {}", error.code, error.message));
                let hint = format!("`spool recording show {}` says more", self.recording);
                return Err(Failure::failed(format!("the recording is {}{why}", status.state)).hint(hint).into());
            }
            self.pause().await?;
        }
    }

    async fn until_segments_are_gone(&mut self, store: &Store, keys: &Keys) -> anyhow::Result<()> {
        loop {
            let mut listing = store.list(&keys.segments_prefix()).await.context("list the segments")?;
            if listing.page(1).await.context("list the segments")?.is_empty() {
                return Ok(());
            }
            self.pause().await?;
        }
    }

    async fn look(&mut self) -> anyhow::Result<Status> {
        let asked = again(async || self.api.status(self.recording).await).await;
        let status = asked.context("ask how the recording stands")?;
        self.teller.status(&status);
        Ok(status)
    }

    async fn pause(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => Ok(()),
            failure = self.stage.broken() => Err(failure.into()),
        }
    }
}

/// Asks once more: a demo that was stopped with Ctrl-Z in the middle of a question finds it too old when it goes on.
async fn again<T>(mut ask: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    match ask().await {
        Ok(answer) => Ok(answer),
        Err(_) => ask().await,
    }
}

/// Where the result lies on this disk: in the store itself, or brought here from one that is elsewhere.
async fn local_result(store: &Store, setting: &Setting, key: &str, results: &Path) -> anyhow::Result<PathBuf> {
    let storage = &setting.config.storage;
    if storage.service == Service::Fs {
        let path = Path::new(&storage.root).join(key);
        return path.canonicalize().with_context(|| format!("find the result {}", path.display()));
    }
    let bytes = store.get(key).await.context("bring the result here")?;
    let path = results.join(key.replace('/', "-"));
    std::fs::create_dir_all(results).with_context(|| format!("make {}", results.display()))?;
    std::fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}
