//! What a statement is about, for whoever measures how long it took.
//!
//! A statement is named after the file it stands in. The name goes with it as a comment, so that a person who looks at
//! what the server is doing reads it too, and whoever measures the pool finds it there. Statements of other parts have no
//! name and are the engine's.

use sea_orm::Statement;
use std::panic::Location;

/// What a statement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query(&'static str);

/// The engine's, and any that says nothing.
const QUEUE: Query = Query("queue");

/// Everything that a statement can be about: the files of this folder, and the engine.
pub const QUERIES: [Query; 16] = [
    Query("bucket"),
    Query("events"),
    Query("inits"),
    Query("listing"),
    Query("liveness"),
    Query("mod"),
    Query("pictures"),
    Query("plans"),
    Query("playlists"),
    Query("recordings"),
    Query("segments"),
    Query("settings"),
    Query("summaries"),
    Query("sweep"),
    Query("webhooks"),
    QUEUE,
];

impl Query {
    /// Its word.
    pub fn word(self) -> &'static str {
        self.0
    }

    /// What the statement says of itself.
    pub fn of(statement: &Statement) -> Query {
        let named = statement.sql.strip_prefix("/* ").and_then(|rest| rest.split_once(" */"));
        named.and_then(|(word, _)| known(word)).unwrap_or(QUEUE)
    }
}

fn known(word: &str) -> Option<Query> {
    QUERIES.into_iter().find(|query| query.0 == word)
}

/// The statement with the name of the file that `place` is in.
pub(super) fn named(sql: &str, place: &Location<'_>) -> String {
    let word = file_word(place.file());
    known(word).map_or_else(|| sql.to_owned(), |query| format!("/* {} */ {sql}", query.0))
}

/// `segments` of `…/src/db/segments.rs`, and of `…/src/db/segments/counts.rs`.
fn file_word(path: &str) -> &str {
    let below = path.rsplit_once("/db/").map_or(path, |(_, below)| below);
    below.split(['/', '.']).next().unwrap_or(below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::DbBackend;

    #[test]
    fn statement_tells_what_it_is_about() {
        for query in QUERIES {
            let sql = format!("/* {} */ SELECT 1", query.word());
            assert_eq!(Query::of(&Statement::from_string(DbBackend::Postgres, sql)), query);
        }
        for sql in ["SELECT 1", "/* nobody */ SELECT 1", "/* segments SELECT 1"] {
            assert_eq!(Query::of(&Statement::from_string(DbBackend::Postgres, sql)), QUEUE, "{sql}");
        }
        assert_eq!(file_word("worker/src/db/segments/counts.rs"), "segments");
        assert_eq!(file_word("/anywhere/src/db/plans.rs"), "plans");
    }

    /// A file that is added here is added to the list.
    #[test]
    fn every_file_of_statements_is_told_apart() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let word = file_word(path.to_str().unwrap()).to_owned();
            assert!(word == "timing" || known(&word).is_some(), "{word} is missing in QUERIES");
        }
    }
}
