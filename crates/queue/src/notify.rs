//! Tells listening workers that a queue has something to run.
//!
//! Rung after the commit, never inside it: a commit that notifies takes a lock that all such commits share. Lost wake-ups
//! cost one poll.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Channel of wake-ups; the payload is the queue.
pub(crate) const READY: &str = "queue_ready";
/// Channel of what operators did: look at the own rows now.
pub(crate) const CTL: &str = "queue_ctl";

/// At most one wake-up of a queue per this time and process; workers coalesce no better than that.
const QUIET: Duration = Duration::from_millis(10);

/// Rings for a queue, at most once in 10 ms, and once more at the end of a burst: without that the last job of the burst
/// would wait for the poll.
#[derive(Clone)]
pub struct Bell {
    db: DatabaseConnection,
    rung: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Bell {
    /// A bell over this pool. One per process, else the quiet time is not kept.
    pub fn new(db: &DatabaseConnection) -> Self {
        Bell { db: db.clone(), rung: Arc::default() }
    }

    /// Rings soon. Returns at once; must be called within a tokio runtime.
    pub fn ring(&self, queue: &str) {
        let now = Instant::now();
        let at = {
            let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
            match rung.get(queue).copied() {
                // The trailing one is on its way already.
                Some(last) if last > now => return,
                Some(last) => {
                    let at = (last + QUIET).max(now);
                    rung.insert(queue.to_owned(), at);
                    at
                }
                None => {
                    rung.insert(queue.to_owned(), now);
                    now
                }
            }
        };
        let (db, queue) = (self.db.clone(), queue.to_owned());
        tokio::spawn(async move {
            sleep_until(at).await;
            if let Err(error) = notify(&db, &queue).await {
                tracing::debug!(queue, error = %error, "wake-up not sent, the poll will find it");
            }
        });
    }
}

/// Rings at once, on this connection. For callers that end right after.
///
/// # Errors
/// The database did not take it.
pub async fn notify<C: ConnectionTrait>(db: &C, queue: &str) -> Result<(), sea_orm::DbErr> {
    let ring =
        Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_notify($1, $2)", [READY.into(), queue.into()]);
    db.execute_raw(ring).await.map(|_| ())
}
