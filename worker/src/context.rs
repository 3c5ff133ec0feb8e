//! What the API and every job may use.

use crate::accept::Inits;
use crate::clock::Clock;
use crate::config::Config;
use crate::staging::Staging;
use crate::storage::Store;
use crate::telemetry::Metrics;
use crate::webhook::Receivers;
use crate::{db, pairing, staging, storage, webhook};
use queue::notify::Bell;
use sea_orm::DatabaseConnection;
use std::sync::Arc;
use thiserror::Error;

/// What the API and every job may use. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The database.
    pub db: DatabaseConnection,
    /// The object store.
    pub store: Store,
    /// Where acknowledged bytes wait.
    pub staging: Staging,
    /// The settings.
    pub config: Arc<Config>,
    /// Rings for a queue after a commit.
    pub bell: Bell,
    /// What time it is.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// Initialization sections of other uploaders that jobs of this process have read.
    pub inits: Inits,
    /// Whom the settings let hear of events.
    pub receivers: Receivers,
}

/// Why a process cannot start.
#[derive(Debug, Error)]
pub enum Error {
    /// A setting without which nothing works.
    #[error("setting {setting} is missing; {cure}")]
    Missing {
        /// Section and key.
        setting: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// The database does not answer.
    #[error("open database")]
    Database(#[source] db::Error),
    /// The tables are not those this program works with.
    #[error("the database has schema version {found} and this program needs {needed}; run spool migrate")]
    Schema {
        /// Version of the database; 0 when it is empty.
        found: i32,
        /// Version of this program.
        needed: i32,
    },
    /// The schema's version cannot be read, or is too new.
    #[error("check schema of the database")]
    Migration(#[source] migration::Error),
    /// The store does not answer or cannot be used.
    #[error("open object store")]
    Storage(#[source] storage::Error),
    /// The store is not that of the database.
    #[error("open object store")]
    Pairing(#[source] pairing::Error),
    /// The staging folder cannot be used.
    #[error("open staging")]
    Staging(#[source] staging::Error),
    /// The receivers of events cannot be used.
    #[error("open webhooks")]
    Webhooks(#[source] webhook::Error),
}

impl Error {
    /// The cause is a setting, not something that is away.
    pub fn is_configuration(&self) -> bool {
        match self {
            Error::Missing { .. } | Error::Schema { .. } | Error::Webhooks(_) => true,
            Error::Storage(storage::Error::Refused { .. } | storage::Error::NoBucket { .. })
            | Error::Pairing(pairing::Error::Foreign { .. })
            | Error::Staging(staging::Error::Foreign { .. }) => true,
            Error::Database(_) | Error::Migration(_) | Error::Storage(_) | Error::Pairing(_) | Error::Staging(_) => {
                false
            }
        }
    }
}

impl Context {
    /// Opens everything and checks that it works, so that a process that runs is a process that can work.
    ///
    /// # Errors
    /// The first part that does not work.
    pub async fn open(config: Config) -> Result<Context, Error> {
        let receivers = Receivers::open(&config.webhook, &config.http.public_url).map_err(Error::Webhooks)?;
        let (mut db, metrics) = (open_database(&config).await?, Metrics::new());
        let measured = metrics.clone();
        db.set_metric_callback(move |info| {
            measured.queried(db::Query::of(info.statement), info.failed, info.elapsed);
        });
        metrics.show_pool(&db);
        let clock = Clock::read(&db).await.map_err(Error::Database)?;
        let store = Store::open(&config.storage).await.map_err(Error::Storage)?;
        let measured = metrics.clone();
        store.observe(move |request, outcome, took| measured.stored(request, outcome, took));
        let checked = store.check().await.map_err(Error::Storage)?;
        if checked.ignores_conditions {
            tracing::warn!("the store ignores conditions; nothing rests on them");
        }
        pairing::require(&store, &db).await.map_err(Error::Pairing)?;
        let staging = Staging::open(&config.staging, &store, &db).await.map_err(Error::Staging)?;
        let (bell, inits) = (Bell::new(&db), Inits::default());
        // Before anybody writes an event: one that names an endpoint which the database does not know goes to nobody.
        let endpoints = db::webhooks::sync(&db, &receivers.endpoints()).await.map_err(Error::Database)?;
        if endpoints > 0 {
            tracing::info!(endpoints, "webhook endpoints of the settings written");
        }
        Ok(Context { db, store, staging, config: Arc::new(config), bell, clock, metrics, inits, receivers })
    }
}

/// Opens the database alone and checks its schema: for commands that look at rows and jobs only.
///
/// # Errors
/// There is no address, no answer, or another schema.
pub async fn open_database(config: &Config) -> Result<DatabaseConnection, Error> {
    if !config.database.url.is_set() {
        let cure = "set DATABASE_URL to postgres://user:password@host/database, or DATABASE_URL_FILE";
        return Err(Error::Missing { setting: "database.url", cure });
    }
    let db = db::connect(&config.database).await.map_err(Error::Database)?;
    let status = migration::status(&db).await.map_err(Error::Migration)?;
    if status.is_current() {
        return Ok(db);
    }
    Err(Error::Schema { found: status.version, needed: status.known })
}
