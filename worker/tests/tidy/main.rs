//! House rules that the compiler and clippy cannot see: who imports whom, which crate lives in which room, names, sizes.
//!
//! Reads the source tree as text and nothing else: no dependency, no database, a few milliseconds. Each rule is a pure
//! function over the sources, held to the tree by one test here and proven able to fail by one beside it. A failure says
//! where, what, and how to repair it.

mod crates;
mod jobs;
mod logs;
mod names;
mod prose;
mod rooms;
mod shape;
mod source;

use source::{Finding, Source, tree};

/// Checks the whole tree and fails with every finding and the way to repair them.
fn hold(rule: fn(&[Source]) -> Vec<Finding>, repair: &str) {
    let findings = rule(&tree());
    let lines: Vec<String> = findings.iter().map(|f| format!("  {}:{}: {}", f.path, f.line, f.what)).collect();
    assert!(findings.is_empty(), "\n{}\n  repair: {repair}\n", lines.join("\n"));
}

#[test]
fn the_tree_is_found() {
    let tree = tree();
    for path in ["Cargo.toml", "crates/domain/src/lib.rs", "worker/tests/tidy/main.rs"] {
        assert!(tree.iter().any(|source| source.path == path), "{path} is not among the {} sources", tree.len());
    }
}

#[test]
fn crates_import_only_what_they_may() {
    hold(
        crates::imports,
        "move the code to the crate that may know both, or pass a value instead of a type (ARCHITECTURE.md, code map)",
    );
}

#[test]
fn domain_depends_on_nothing_that_does_io() {
    hold(crates::domain, "gather the fact outside and hand it to `domain` as an argument");
}

#[test]
fn crates_that_must_agree_have_one_version() {
    hold(crates::versions, "raise or lower the dependency that brings the second version (`cargo tree -d`)");
}

#[test]
fn foreign_crates_stay_in_their_room() {
    hold(rooms::foreign, "wrap what is needed in a function of the room and call that");
}

#[test]
fn clocks_are_read_in_their_room() {
    hold(rooms::clocks, "let the database say `now()`, or take the time as an argument");
}

#[test]
fn statements_stay_in_their_room() {
    hold(rooms::statements, "move the statement to the room of its schema and call it from here");
}

#[test]
fn packets_are_read_with_their_errors() {
    hold(
        rooms::packets,
        "read with `Packet::read` in a loop: the iterator skips what it cannot read, and says nothing",
    );
}

#[test]
fn files_are_short() {
    hold(shape::length, "split the file by noun; one that does two things has two names");
}

#[test]
fn tests_are_neither_skipped_nor_expected_to_panic() {
    hold(shape::attributes, "make the test run everywhere, or assert the error it returns");
}

#[test]
fn migrations_are_in_order() {
    hold(
        shape::migrations,
        "name a migration m<date>_<n>_<verb>_<noun>, append it to the list, include every SQL file",
    );
}

#[test]
fn names_follow_the_glossary() {
    hold(names::glossary, "name the thing by what it is or does; a name that fits anything says nothing");
}

#[test]
fn jobs_are_listed_and_documented() {
    hold(
        jobs::list,
        "name the file after its kind, add it to `jobs/mod.rs` in alphabetical order, say \"Safe to repeat:\" in its module doc",
    );
}

#[test]
fn log_messages_are_constant() {
    hold(logs::messages, "write a constant lowercase message without a period and give the facts as fields");
}

#[test]
fn prose_uses_the_words_of_the_glossary() {
    hold(prose::words, "use the word of the glossary");
}

#[test]
fn no_text_names_a_machine() {
    hold(prose::machines, "say it relative to the project, or leave it to the environment");
}

#[test]
fn links_between_documents_lead_somewhere() {
    hold(prose::links, "correct the link or write the document");
}
