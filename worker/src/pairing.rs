//! That the database and the object store belong together.
//!
//! Rows say what the store has. A process that were given the rows of one place and the bucket of another would find
//! nothing of what the rows say, give every segment up for lost, and finish recordings with holes that are none. So the
//! store carries an id, the database remembers it, and no process starts where the two differ.
//!
//! The first process of a new database writes the id. It claims the database first, then writes the object, then settles:
//! the story it is for is two that start together, each with a folder of its own that both take for the shared one. Only
//! whoever holds the claim writes, so the other one never finds the id in its folder, and is refused. A claim whose
//! process died is given up after a while. Owns the object and the meaning of the setting; it looks at no recording.

use crate::db;
use crate::db::settings::{self, Paired};
use crate::storage::{self, Op, Store};
use domain::retry::{Classify, Fault};
use sea_orm::DatabaseConnection;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use thiserror::Error;
use uuid::Uuid;

/// The object with the store's id. An owner's id never begins with a dot, so it lies under nobody's prefix.
pub const KEY: &str = ".spool/store.json";

/// Between two looks at the claim of another process.
const LOOK: Duration = Duration::from_millis(200);

/// Looks before it is given up: two minutes, in which a claim of a process that died is given up several times.
const LOOKS_MAX: u32 = 600;

/// What the object says; more than this is passed over, so that later versions may say more.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    id: Uuid,
}

/// Why a process does not start on this store.
#[derive(Debug, Error)]
pub enum Error {
    /// The store is another one than that of the database.
    #[error(
        "the object store {} and the database belongs to the store with id {expected}: correct storage.bucket, \
         storage.root and storage.endpoint, or DATABASE_URL; when this store was restored or copied from that one, run \
         `spool doctor --adopt-store`", found.map_or("has no id".to_owned(), |id| format!("has id {id}"))
    )]
    Foreign {
        /// Id of the store; `None` when it has none.
        found: Option<Uuid>,
        /// The id that the database remembers.
        expected: Uuid,
    },
    /// Other processes claim the database again and again and do not come to an end.
    #[error("another process has been giving the object store its id for too long: start again")]
    Unsettled,
    /// The id cannot be read or written.
    #[error("id of the object store")]
    Storage(#[source] storage::Error),
    /// The database does not answer.
    #[error("id of the object store in the database")]
    Database(#[source] db::Error),
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Error::Foreign { .. } => Fault::Permanent,
            Error::Unsettled => Fault::Transient,
            Error::Storage(source) => source.fault(),
            Error::Database(source) => source.fault(),
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Database(source) => source.class(),
            Error::Foreign { .. } | Error::Unsettled | Error::Storage(_) => "storage",
        }
    }
}

/// How store and database stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// They have the same id.
    Paired(Uuid),
    /// The database belongs to no store yet; the first process that starts will see to it.
    New,
    /// The store is another one.
    Foreign {
        /// Id of the store.
        found: Option<Uuid>,
        /// The id that the database remembers.
        expected: Uuid,
    },
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done(Uuid),
    /// The store has an id and the database is to remember it.
    Settle(Uuid),
    /// Neither has one.
    Claim,
    /// Another process gives the store its id.
    Wait,
    Refuse(Uuid),
}

fn decide(found: Option<Uuid>, paired: Option<Paired>) -> Step {
    match (found, paired) {
        (Some(found), None) => Step::Settle(found),
        (None, None) => Step::Claim,
        (Some(found), Some(paired)) if found == paired.id => {
            if paired.settled {
                Step::Done(found)
            } else {
                Step::Settle(found)
            }
        }
        (_, Some(paired)) if paired.settled => Step::Refuse(paired.id),
        (_, Some(paired)) if !paired.given_up => Step::Wait,
        (Some(found), Some(_)) => Step::Settle(found),
        (None, Some(_)) => Step::Claim,
    }
}

/// Makes sure that this is the store of this database. A database that knows none takes the one it is given; a store
/// without an id gets one then. A store in memory is a new one in each process, and passes.
///
/// # Errors
/// [`Error::Foreign`] when it is another store, or one that has lost its id.
pub async fn require(store: &Store, db: &DatabaseConnection) -> Result<(), Error> {
    if store.is_memory() {
        return Ok(());
    }
    for _ in 0..LOOKS_MAX {
        // The database first: what it remembers as settled was in the store before, so a store looked at afterwards has it.
        let paired = remembered(db).await?;
        let found = read(store).await?;
        match decide(found, paired) {
            Step::Done(_) => return Ok(()),
            Step::Refuse(expected) => return Err(Error::Foreign { found, expected }),
            Step::Settle(id) => {
                if settings::settle_store(db, id).await.map_err(Error::Database)? {
                    tracing::info!(store.id = %id, "the database belongs to this object store from now on");
                    return Ok(());
                }
            }
            Step::Claim => claim(store, db).await?,
            Step::Wait => tokio::time::sleep(LOOK).await,
        }
    }
    Err(Error::Unsettled)
}

/// Gives the store a new id, if nobody else is about to. What became of it shows at the next look.
async fn claim(store: &Store, db: &DatabaseConnection) -> Result<(), Error> {
    let id = Uuid::new_v4();
    if !settings::claim_store(db, id).await.map_err(Error::Database)? {
        return Ok(());
    }
    let written = write(store, id).await;
    if written.is_err() {
        // Whoever comes next need not wait for us.
        settings::give_up_store(db, id).await.map_err(Error::Database)?;
    }
    written
}

/// How they stand, without changing anything.
///
/// # Errors
/// One of them does not answer.
pub async fn stand(store: &Store, db: &DatabaseConnection) -> Result<Stand, Error> {
    let paired = remembered(db).await?;
    let found = read(store).await?;
    Ok(match paired.filter(|paired| paired.settled) {
        None => Stand::New,
        Some(paired) if found == Some(paired.id) => Stand::Paired(paired.id),
        Some(paired) => Stand::Foreign { found, expected: paired.id },
    })
}

/// Makes this store the one of this database, whatever it was before: what a person says of a restored or copied one.
/// A store without an id gets a new one and not the old one's: what still works on that one is refused from then on.
///
/// # Errors
/// One of them does not answer.
pub async fn adopt(store: &Store, db: &DatabaseConnection) -> Result<Uuid, Error> {
    let id = match read(store).await? {
        Some(id) => id,
        None => {
            let id = Uuid::new_v4();
            write(store, id).await?;
            id
        }
    };
    settings::replace_store(db, id).await.map_err(Error::Database)?;
    Ok(id)
}

async fn remembered(db: &DatabaseConnection) -> Result<Option<Paired>, Error> {
    settings::store(db).await.map_err(Error::Database)
}

async fn read(store: &Store) -> Result<Option<Uuid>, Error> {
    let bytes = match store.get(KEY).await {
        Ok(bytes) => bytes,
        Err(storage::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(Error::Storage(error)),
    };
    let unreadable = |_| storage::Error::Broken { key: KEY.to_owned(), what: "the store's id cannot be read" };
    let identity: Identity = serde_json::from_slice(&bytes).map_err(unreadable).map_err(Error::Storage)?;
    Ok(Some(identity.id))
}

async fn write(store: &Store, id: Uuid) -> Result<(), Error> {
    let text = serde_json::to_vec(&Identity { id }).expect("an id is JSON");
    // Longer than that, and the claim could be given up meanwhile.
    let late = |source| storage::Error::Unavailable { op: Op::Put, key: KEY.to_owned(), source: Box::new(source) };
    let written = tokio::time::timeout(settings::STORE_CLAIM / 2, store.put(KEY, text.into())).await;
    written.map_err(late).and_then(|written| written).map_err(Error::Storage)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_follows_from_what_both_say() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let settled = Some(Paired { id: a, settled: true, given_up: false });
        let claimed = Some(Paired { id: a, settled: false, given_up: false });
        let given_up = Some(Paired { id: a, settled: false, given_up: true });
        for (found, paired, expected) in [
            (None, None, Step::Claim),
            (Some(b), None, Step::Settle(b)),
            (Some(a), settled, Step::Done(a)),
            (Some(b), settled, Step::Refuse(a)),
            (None, settled, Step::Refuse(a)),
            (None, claimed, Step::Wait),
            (Some(a), claimed, Step::Settle(a)),
            // Written by the claim's process before it claimed, or by the one whose claim was given up.
            (Some(b), claimed, Step::Wait),
            (None, given_up, Step::Claim),
            (Some(a), given_up, Step::Settle(a)),
            (Some(b), given_up, Step::Settle(b)),
        ] {
            assert_eq!(decide(found, paired), expected, "{found:?} {paired:?}");
        }
    }
}
