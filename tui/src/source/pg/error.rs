//! Why something was not read or done, for a person, and whether the connection is gone with it.

use crate::source::clean::Clean;
use sea_orm::{DbErr, RuntimeErr, SqlxError};
use std::error::Error as StdError;

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection is of no use any more.
    Lost(Clean),
    /// The statement was refused or took too long; the connection is well.
    Refused(Clean),
}

impl Fault {
    /// What a person is told.
    pub(super) fn why(&self) -> &Clean {
        match self {
            Fault::Lost(why) | Fault::Refused(why) => why,
        }
    }

    /// Reads the database's error somewhere in the chain.
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Fault {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<DbErr>() {
                return of_db(error);
            }
            cause = error.source();
        }
        Fault::Refused(Clean::new(error.to_string()))
    }

    /// The database is silent.
    pub(super) fn silent() -> Fault {
        Fault::Lost(Clean::new("the database does not answer"))
    }
}

impl From<DbErr> for Fault {
    fn from(error: DbErr) -> Fault {
        of_db(&error)
    }
}

impl From<queue::read::Error> for Fault {
    fn from(error: queue::read::Error) -> Fault {
        Fault::of(&error)
    }
}

fn of_db(error: &DbErr) -> Fault {
    let (DbErr::Conn(RuntimeErr::SqlxError(source))
    | DbErr::Exec(RuntimeErr::SqlxError(source))
    | DbErr::Query(RuntimeErr::SqlxError(source))) = error
    else {
        return match error {
            DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => Fault::Lost(Clean::new(error.to_string())),
            _ => Fault::Refused(Clean::new(error.to_string())),
        };
    };
    let Some(said) = source.as_database_error() else {
        let gone = matches!(
            **source,
            SqlxError::Io(_)
                | SqlxError::Tls(_)
                | SqlxError::Protocol(_)
                | SqlxError::PoolTimedOut
                | SqlxError::PoolClosed
                | SqlxError::WorkerCrashed
        );
        let why = match &**source {
            SqlxError::PoolTimedOut => Clean::new("no connection within the bound"),
            SqlxError::Io(error) => Clean::new(error.to_string()),
            other => Clean::new(other.to_string()),
        };
        return if gone { Fault::Lost(why) } else { Fault::Refused(why) };
    };
    let code = said.code().unwrap_or_default();
    let why = match code.as_ref() {
        "57014" => Clean::new("the database took too long"),
        "55P03" => Clean::new("somebody holds the row; try again"),
        "42501" => Clean::new(format!("no right to do this: {}", said.message())),
        _ => Clean::new(said.message()),
    };
    // 08 connection, 28 who we are, 3D no such database, 53 resources, 57P shut down or starting, 25P03 idle for too long.
    let lost = ["08", "28", "3D", "53", "57P", "25P03"].iter().any(|known| code.starts_with(known));
    if lost { Fault::Lost(why) } else { Fault::Refused(why) }
}
