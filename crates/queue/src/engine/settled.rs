//! Attempts that say they have ended in their handler's own transaction, remembered until the look at the own rows
//! believes them. An attempt is told to the pump before it leaves the hands of this process, so that a look which misses
//! it there finds it here.

use super::held::Key;
use crate::{
    ctx::JobCtx,
    outcome::{Failed, Transition, Verdict},
};
use std::collections::HashMap;

/// Remembered between two looks; what is more than these is believed.
const SETTLED_MAX: usize = 1024;

#[derive(Default)]
pub(super) struct Settled(HashMap<Key, JobCtx>);

impl Settled {
    pub(super) fn note(&mut self, key: Key, ctx: Option<JobCtx>) {
        if let Some(ctx) = ctx.filter(|_| self.0.len() < SETTLED_MAX) {
            self.0.insert(key, ctx);
        }
    }

    /// How an attempt ends whose row is still there although it has settled: it did not commit. Handed back, it would do
    /// the same for ever; failed, it has a last attempt. `None`: it never said that it had settled.
    pub(super) fn not_committed(&self, key: Key) -> Option<Transition> {
        let ctx = self.0.get(&key)?;
        tracing::error!(job.id = %ctx.id(), job.kind = ctx.kind(), "handler settled its job without a commit");
        ctx.transition(Verdict::Failed(Failed::unsettled()))
    }

    /// The rows of all of them are gone, or they have been told.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
