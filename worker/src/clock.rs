//! What time it is, by the database's clock.
//!
//! Tokens expire, and machines disagree about the time; so nobody asks the machine. The clock is read from the database
//! and carried on with a monotonic timer, so that it also runs while the database is away.

use crate::db;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DatabaseConnection;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

/// The database's clock. Cheap to clone; clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock {
    anchor: Arc<RwLock<(DateTime<Utc>, Instant)>>,
}

impl Clock {
    /// Reads the database's clock.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn read(db: &DatabaseConnection) -> Result<Clock, db::Error> {
        Ok(Clock { anchor: Arc::new(RwLock::new(anchor(db).await?)) })
    }

    /// Reads it again: a monotonic timer drifts, and stands still while a laptop sleeps.
    ///
    /// # Errors
    /// The database does not answer; the clock goes on from the last reading.
    pub async fn adjust(&self, db: &DatabaseConnection) -> Result<(), db::Error> {
        let anchor = anchor(db).await?;
        *self.anchor.write().unwrap_or_else(PoisonError::into_inner) = anchor;
        Ok(())
    }

    /// A clock that begins at `now`; for tests.
    pub fn starting_at(now: DateTime<Utc>) -> Clock {
        Clock { anchor: Arc::new(RwLock::new((now, Instant::now()))) }
    }

    /// Now.
    pub fn now(&self) -> DateTime<Utc> {
        let (at, read) = *self.anchor.read().unwrap_or_else(PoisonError::into_inner);
        let since = TimeDelta::from_std(read.elapsed()).unwrap_or(TimeDelta::MAX);
        at.checked_add_signed(since).unwrap_or(at)
    }
}

/// The database's time and the moment it was asked: half of the round trip is lost, which no expiry notices.
async fn anchor(db: &DatabaseConnection) -> Result<(DateTime<Utc>, Instant), db::Error> {
    Ok((db::settings::now(db).await?, Instant::now()))
}
