//! How the engine talks to the database: always with a bound, and never through a connection in doubt.
//!
//! [`Hot`] is a connection that one loop holds for itself: it skips the pool's checks and keeps generic plans, which
//! must not be forced on the application's own queries. [`call`] borrows one from the pool for the rare rest.
//! A connection whose call was cut short is dropped, never given back: the pool would wait for its answer without end.

use futures_util::future::BoxFuture;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Why a call failed, as far as it decides what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fail {
    /// No answer, or none that speaks about the rows: hold everything and try again.
    #[error("database away: {0}")]
    Away(String),
    /// A row of the batch can never be written as it is.
    #[error("statement refused ({code})")]
    Refused { code: String },
    /// A row of the batch meets a unique index.
    #[error("duplicate key")]
    Duplicate,
    /// A row is locked by somebody else, or was part of a deadlock.
    #[error("row locked")]
    Locked,
}

impl Fail {
    fn of(error: &sqlx::Error) -> Fail {
        let Some(code) = error.as_database_error().and_then(|e| e.code().map(|c| c.into_owned())) else {
            return Fail::Away(error.to_string());
        };
        match code.as_str() {
            "23505" => Fail::Duplicate,
            "55P03" | "40P01" | "40001" => Fail::Locked,
            refused if refused.starts_with("22") || refused.starts_with("23") => Fail::Refused { code },
            _ => Fail::Away(error.to_string()),
        }
    }
}

/// A connection held by one loop.
pub(crate) struct Hot {
    options: Arc<PgConnectOptions>,
    name: &'static str,
    call: Duration,
    connection: Option<PgConnection>,
    away: bool,
}

impl Hot {
    pub(crate) fn new(pool: &PgPool, name: &'static str, call: Duration) -> Self {
        Hot { options: pool.connect_options(), name, call, connection: None, away: false }
    }

    /// Runs one exchange within the call bound, connecting first when there is no connection.
    pub(crate) async fn run<T: Send>(
        &mut self,
        exchange: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send,
    ) -> Result<T, Fail> {
        let bound = self.call;
        self.run_within(bound, exchange).await
    }

    /// The same with a bound of its own.
    pub(crate) async fn run_within<T: Send>(
        &mut self,
        bound: Duration,
        exchange: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send,
    ) -> Result<T, Fail> {
        // Taken out for the call: whatever cuts it short, even the end of this future, loses the connection and not its state.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(bound).await?,
        };
        let result = match timeout(bound, exchange(&mut connection)).await {
            Ok(Ok(value)) => {
                self.connection = Some(connection);
                if std::mem::take(&mut self.away) {
                    tracing::info!(connection = self.name, "database is back");
                }
                return Ok(value);
            }
            Ok(Err(error)) => {
                // A table or column that is not there: kept and tried again like an outage, but a person must look.
                if error.as_database_error().and_then(|e| e.code()).is_some_and(|code| code.starts_with("42")) {
                    tracing::error!(connection = self.name, error = %error, "schema does not fit this program");
                }
                Fail::of(&error)
            }
            Err(_) => Fail::Away(format!("no answer within {} ms", bound.as_millis())),
        };
        if let Fail::Away(cause) = &result {
            self.lost(cause);
        } else {
            self.connection = Some(connection);
        }
        Err(result)
    }

    /// Drops the connection: what it might still say is of no use.
    pub(crate) fn close(&mut self) {
        self.connection = None;
    }

    async fn connect(&mut self, bound: Duration) -> Result<PgConnection, Fail> {
        let options = (*self.options).clone().application_name(self.name);
        // The server stops a statement too, and a transaction that goes on no more: what we gave up on must not hold its
        // locks, also where the server does not hear that we are gone.
        let settings = format!(
            "SET plan_cache_mode = force_generic_plan; SET jit = off; SET statement_timeout = {call}; \
             SET idle_in_transaction_session_timeout = {call}; SET lock_timeout = {LOCK_TIMEOUT_MS}",
            call = self.call.as_millis(),
        );
        let connecting = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            sqlx::raw_sql(sqlx::AssertSqlSafe(settings)).execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        let cause = match timeout(bound, connecting).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {} ms", bound.as_millis()),
        };
        self.lost(&cause);
        Err(Fail::Away(cause))
    }

    fn lost(&mut self, cause: &str) {
        if !std::mem::replace(&mut self.away, true) {
            tracing::warn!(connection = self.name, error = cause, "database is away, trying on");
        }
    }
}

/// A row that an operator's transaction holds must not stall the loop; shorter than deadlock detection (1 s).
const LOCK_TIMEOUT_MS: u64 = 300;

/// Runs one exchange on a connection of the pool, within the bound for getting it and again for using it.
pub(crate) async fn call<T: Send>(
    pool: &PgPool,
    bound: Duration,
    exchange: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send,
) -> Result<T, Fail> {
    let mut connection = match timeout(bound, pool.acquire()).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(Fail::of(&error)),
        Err(_) => return Err(Fail::Away("no free connection".into())),
    };
    let fail = match timeout(bound, exchange(&mut connection)).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => Fail::of(&error),
        Err(_) => Fail::Away(format!("no answer within {} ms", bound.as_millis())),
    };
    if matches!(fail, Fail::Away(_)) {
        connection.close_on_drop();
    }
    Err(fail)
}

/// Upkeep that the database refuses must not keep the loop from its work: said and left. True: it was refused.
pub(crate) fn unless_away(result: Result<(), Fail>, what: &'static str) -> Result<bool, Fail> {
    match result {
        Ok(()) => Ok(false),
        Err(fail @ Fail::Away(_)) => Err(fail),
        Err(fail) => {
            tracing::warn!(error = %fail, engine.upkeep = what, "upkeep refused");
            Ok(true)
        }
    }
}
