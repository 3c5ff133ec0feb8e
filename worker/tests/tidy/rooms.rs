//! Each foreign world has one home, so that an upgrade touches one folder.

use crate::source::{Finding, Source, whole_words};

/// A word of the code and the folders it may stand in.
struct Room {
    word: &'static str,
    home: &'static [&'static str],
}

const FOREIGN: [Room; 11] = [
    Room { word: "apalis", home: &["crates/queue/"] },
    Room { word: "apalis_core", home: &["crates/queue/"] },
    // The recorder's tests upload to a server of their own that loses answers on purpose.
    Room { word: "axum", home: &["worker/src/http/", "crates/recorder/tests/"] },
    Room { word: "crossterm", home: &["tui/"] },
    Room { word: "ffmpeg_next", home: &["crates/media/"] },
    Room { word: "ffmpeg_sys_next", home: &["crates/media/"] },
    Room { word: "mp4_atom", home: &["crates/media/"] },
    Room { word: "opendal", home: &["worker/src/storage/"] },
    Room { word: "ratatui", home: &["tui/"] },
    Room { word: "sea_orm_migration", home: &["migration/"] },
    Room { word: "unsafe", home: &["crates/media/"] },
];

/// Readers of the wall clock. Tokens expire and clients name their files by it; everything else asks the database.
const CLOCKS: [&str; 4] = ["Utc::now", "Local::now", "SystemTime::now", "OffsetDateTime::now_utc"];

/// Where the wall clock may be read.
const CLOCK_ROOMS: [&str; 1] = ["worker/src/clock.rs"];

/// Words that make a literal a statement rather than a sentence about a table.
const STATEMENT: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CALL", "TRUNCATE"];

/// A schema and the folders whose statements may name its tables and functions.
const SCHEMAS: [(&str, &[&str]); 2] =
    [("queue.", &["crates/queue/", "migration/"]), ("spool.", &["worker/src/db/", "migration/", "tui/src/source/pg/"])];

/// Foreign crates and `unsafe` stay in their folder; this test names them as text only.
pub(crate) fn foreign(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        for room in &FOREIGN {
            if !room.home.iter().any(|home| source.path.starts_with(home)) {
                let places = source.words(room.word);
                findings.extend(
                    places.into_iter().map(|at| source.finding(at, format!("{} lives in {}", room.word, room.home[0]))),
                );
            }
        }
    }
    findings
}

/// Nothing reads the wall clock outside its room; tests may.
pub(crate) fn clocks(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust() && !source.is_test()) {
        if CLOCK_ROOMS.contains(&source.path.as_str()) {
            continue;
        }
        let code = source.production();
        for clock in CLOCKS {
            let places = whole_words(&code, clock);
            findings
                .extend(places.into_iter().map(|at| source.finding(at, format!("{clock} outside the clock's room"))));
        }
    }
    findings
}

/// Statements on a schema's tables stay in the folder of the schema; tests look where they like.
pub(crate) fn statements(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust() && !source.is_test()) {
        let tests = source.test_ranges();
        for literal in &source.literals {
            if tests.iter().any(|range| range.contains(&literal.at))
                || !STATEMENT.iter().any(|word| !whole_words(&literal.text, word).is_empty())
            {
                continue;
            }
            for (schema, homes) in SCHEMAS {
                let named = literal.text.match_indices(schema).any(|(at, _)| {
                    !literal.text[..at]
                        .ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '.')
                });
                if named && !homes.iter().any(|home| source.path.starts_with(home)) {
                    let what = format!("a statement on schema {} outside {}", schema.trim_end_matches('.'), homes[0]);
                    findings.push(source.finding(literal.at, what));
                }
            }
        }
    }
    findings
}

/// FFmpeg's packet iterator ends or skips on an error without saying so, which turns damage into a short file.
pub(crate) fn packets(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust() && source.path.starts_with("crates/media/")) {
        let places = source.code.match_indices(".packets()").map(|(at, _)| at);
        findings.extend(places.map(|at| source.finding(at, ".packets() loses read errors")));
    }
    findings
}

#[cfg(test)]
fn lines(findings: &[Finding]) -> Vec<usize> {
    findings.iter().map(|finding| finding.line).collect()
}

#[test]
fn a_foreign_crate_outside_its_room_is_found() {
    let text =
        "use opendal::Operator;\n// opendal is fine here\nlet a = \"axum\";\nlet b = axum::serve;\nunsafe { x() }\n";
    assert_eq!(lines(&foreign(&[Source::new("worker/src/jobs/mux.rs", text)])), [4, 1, 5]);
    assert_eq!(lines(&foreign(&[Source::new("worker/src/storage/fs.rs", "use opendal::Operator;\n")])), []);
    assert_eq!(lines(&foreign(&[Source::new("crates/media/src/ff.rs", "unsafe { ffmpeg_next::x() }\n")])), []);
}

#[test]
fn a_clock_outside_its_room_is_found() {
    let text = "fn f() { chrono::Utc::now(); }\n#[cfg(test)]\nmod tests { fn g() { Utc::now(); } }\n";
    assert_eq!(lines(&clocks(&[Source::new("worker/src/auth.rs", text)])), [1]);
    assert_eq!(lines(&clocks(&[Source::new("worker/src/clock.rs", text)])), []);
    assert_eq!(lines(&clocks(&[Source::new("worker/tests/whole_path.rs", text)])), []);
}

#[test]
fn a_statement_outside_its_room_is_found() {
    let text = "let a = \"SELECT 1 FROM queue.job\";\nlet b = \"UPDATE spool.recording SET x = 1\";\n\
                let c = \"see spool.event\";\nlet d = \"SELECT my_queue.job\";\n";
    assert_eq!(lines(&statements(&[Source::new("worker/src/http/api.rs", text)])), [1, 2]);
    assert_eq!(lines(&statements(&[Source::new("worker/src/db/segments.rs", text)])), [1]);
    assert_eq!(lines(&statements(&[Source::new("crates/queue/src/sql.rs", text)])), [2]);
    assert_eq!(lines(&statements(&[Source::new("worker/tests/x.rs", text)])), []);
}

#[test]
fn the_packet_iterator_is_found() {
    assert_eq!(lines(&packets(&[Source::new("crates/media/src/a.rs", "for p in input.packets() {}\n")])), [1]);
    assert_eq!(lines(&packets(&[Source::new("crates/media/src/a.rs", "// .packets()\nlet packets = 1;\n")])), []);
}
