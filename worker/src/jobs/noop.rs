//! Does nothing, for as long as it is told to.
//!
//! Done when: the time has passed.
//! Safe to repeat: yes, it has no effect.

use super::Job;
use crate::context::Context;
use domain::job::Noop;
use queue::{JobCtx, JobError, Outcome};
use std::time::Duration;

impl Job for Noop {
    async fn run(&self, _: &Context, _: &JobCtx) -> Result<Outcome, JobError> {
        if self.wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.wait_ms)).await;
        }
        Ok(Outcome::Completed)
    }
}
