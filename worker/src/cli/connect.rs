//! The database, for commands that ask it or steer through it.

use super::actor;
use super::exit::Failure;
use ::queue::operate::By;
use ::worker::config::Config;
use ::worker::{context, db};
use sea_orm::DatabaseConnection;

/// Connects, whatever schema is there: for `migrate`, which makes it.
pub(crate) async fn server(config: &Config) -> anyhow::Result<DatabaseConnection> {
    if !config.database.url.is_set() {
        let failure = Failure::configuration("no database is configured");
        return Err(failure.hint("set DATABASE_URL, or DATABASE_URL_FILE to a file with it").into());
    }
    Ok(db::connect(&config.database).await?)
}

/// Connects to a database with the schema that this program knows.
pub(crate) async fn database(config: &Config) -> anyhow::Result<DatabaseConnection> {
    Ok(context::open_database(config).await?)
}

/// Who gives an operator command, and why.
pub(crate) fn by(reason: Option<String>) -> By {
    By { actor: actor::name(), via: actor::VIA.to_owned(), reason }
}
