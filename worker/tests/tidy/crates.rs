//! Who may depend on whom, read from the manifests.

use crate::source::{Finding, Source};

/// Each crate of the workspace and what it may import of ours.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("crates/domain", &[]),
    ("crates/media", &["domain"]),
    ("crates/postgres", &[]),
    ("crates/queue", &["domain", "entities"]),
    ("crates/recorder", &["domain", "media"]),
    ("entities", &["domain"]),
    ("migration", &[]),
    ("tui", &["domain", "entities", "queue"]),
    ("worker", &["domain", "entities", "media", "migration", "postgres", "queue"]),
];

/// What tests of any crate may import besides.
const FOR_TESTS: [&str; 5] = ["domain", "media", "migration", "postgres", "recorder"];

/// The libraries of the workspace.
const OURS: [&str; 8] = ["domain", "entities", "media", "migration", "postgres", "queue", "recorder", "worker"];

/// Everything `domain` may depend on: no IO, no clock, no randomness. chrono is there without its clock.
const DOMAIN: [&str; 6] = ["chrono", "serde", "serde_json", "sha2", "thiserror", "uuid"];

/// Two versions of one of these would be two worlds that cannot hand each other a value.
const SINGLE: [&str; 7] = ["apalis-core", "axum", "ffmpeg-next", "opendal", "sea-orm", "sqlx-core", "tokio"];

/// A dependency as a manifest declares it.
struct Dependency {
    name: String,
    for_tests: bool,
    at: usize,
    line: String,
}

/// Reads `[dependencies]`, `[dev-dependencies]`, `[build-dependencies]`, also under `[target.…]`, and `[dependencies.x]`.
fn dependencies(source: &Source) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut section = "";
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        let begin = at;
        at += line.len();
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            let last = section.rsplit_once('.');
            if let Some((parent, name)) = last.filter(|(parent, _)| parent.ends_with("dependencies")) {
                let for_tests = parent.ends_with("dev-dependencies");
                found.push(Dependency { name: name.to_owned(), for_tests, at: begin, line: line.to_owned() });
            }
        } else if section.ends_with("dependencies") && !line.starts_with('#') && line.contains('=') {
            let name = line.split(['=', '.']).next().unwrap_or_default().trim().trim_matches('"').to_owned();
            let for_tests = section.ends_with("dev-dependencies");
            found.push(Dependency { name, for_tests, at: begin, line: line.to_owned() });
        }
    }
    found
}

fn folder(source: &Source) -> Option<&str> {
    source.path.strip_suffix("/Cargo.toml").filter(|folder| !folder.starts_with("bench") && *folder != "fuzz")
}

/// Every import between our crates is on the list.
pub(crate) fn imports(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        let Some(folder) = folder(source) else { continue };
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == folder) else {
            findings.push(source.finding(0, format!("crate {folder} is not on the list of who may import whom")));
            continue;
        };
        for dependency in dependencies(source) {
            let name = dependency.name.as_str();
            // A rename would hide the crate from this rule, so ours are imported by their workspace name only.
            if dependency.line.contains("package") {
                findings
                    .push(source.finding(dependency.at, format!("{name} is renamed here and not in the workspace")));
            }
            let allowed = allowed.contains(&name) || (dependency.for_tests && FOR_TESTS.contains(&name));
            if OURS.contains(&name) && !allowed {
                let place = if dependency.for_tests { "the tests of " } else { "" };
                findings.push(source.finding(dependency.at, format!("{place}{folder} may not import {name}")));
            }
        }
    }
    findings
}

/// `domain` depends on exactly what it is allowed to.
pub(crate) fn domain(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path == "crates/domain/Cargo.toml") {
        let declared: Vec<Dependency> = dependencies(source).into_iter().filter(|d| !d.for_tests).collect();
        for dependency in &declared {
            if !DOMAIN.contains(&dependency.name.as_str()) {
                findings.push(source.finding(dependency.at, format!("domain may not depend on {}", dependency.name)));
            }
        }
        for name in DOMAIN {
            if !declared.iter().any(|dependency| dependency.name == name) {
                findings.push(source.finding(0, format!("{name} is allowed but not used: take it off the list")));
            }
        }
    }
    findings
}

/// One version of each crate whose values pass between rooms.
pub(crate) fn versions(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path == "Cargo.lock") {
        for name in SINGLE {
            let line = format!("\nname = \"{name}\"\n");
            if let Some((at, _)) = source.text.match_indices(&line).nth(1) {
                findings.push(source.finding(at + 1, format!("{name} is there in more than one version")));
            }
        }
    }
    findings
}

#[cfg(test)]
fn said(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
}

#[test]
fn a_forbidden_import_is_found() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nqueue = { workspace = true }\nserde.workspace = true\n\
                    [dev-dependencies]\npostgres = { workspace = true }\nworker = { path = \"x\" }\n[dependencies.entities]\n";
    assert_eq!(
        said(&imports(&[Source::new("crates/media/Cargo.toml", manifest)])),
        [
            "4: crates/media may not import queue",
            "8: the tests of crates/media may not import worker",
            "9: crates/media may not import entities",
        ]
    );
    let renamed = "[dependencies]\nq = { path = \"../queue\", package = \"spool-queue\" }\n";
    assert_eq!(
        said(&imports(&[Source::new("tui/Cargo.toml", renamed)])),
        ["2: q is renamed here and not in the workspace"]
    );
    assert_eq!(
        said(&imports(&[Source::new("crates/new/Cargo.toml", "")])),
        ["1: crate crates/new is not on the list of who may import whom"]
    );
}

#[test]
fn an_impure_domain_is_found() {
    let manifest = "[dependencies]\nchrono = \"1\"\nserde = \"1\"\nserde_json = \"1\"\nsha2 = \"1\"\ntokio = \"1\"\n\
                    uuid.workspace = true\n[dev-dependencies]\nproptest = \"1\"\n";
    assert_eq!(
        said(&domain(&[Source::new("crates/domain/Cargo.toml", manifest)])),
        ["6: domain may not depend on tokio", "1: thiserror is allowed but not used: take it off the list",]
    );
}

#[test]
fn a_second_version_is_found() {
    let lock = "[[package]]\nname = \"tokio\"\nversion = \"1\"\n\n[[package]]\nname = \"tokio\"\nversion = \"2\"\n";
    assert_eq!(said(&versions(&[Source::new("Cargo.lock", lock)])), ["6: tokio is there in more than one version"]);
}
