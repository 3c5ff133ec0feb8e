//! What people read: the words of the glossary, nothing about one machine, links that lead somewhere.

use crate::source::{Finding, Source};
use std::path::Path;

/// Banned words and what to say instead. Each is written in two halves, so that this file does not contain them.
const WORDS: [(&str, &str, &str); 4] = [
    ("master ", "playlist", "multivariant playlist"),
    ("dead ", "letter", "discarded job"),
    ("dead-", "letter", "discarded job"),
    ("exactly-", "once", "at-least-once with fenced effects"),
];

/// Paths and hosts that are true on one machine only, in two halves for the same reason.
const MACHINES: [(&str, &str); 9] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("/Us", "ers/"),
    ("deb.", "debian.org"),
    ("index.", "crates.io"),
    ("static.", "crates.io"),
    ("registry.", "npmjs.org"),
    ("pypi.", "org"),
];

/// Cargo writes this file.
fn by_hand(source: &Source) -> bool {
    source.path != "Cargo.lock"
}

fn find(sources: &[Source], needle: &str, what: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| by_hand(source)) {
        let lower = source.text.to_ascii_lowercase();
        let places = lower.match_indices(needle).map(|(at, _)| at);
        findings.extend(places.map(|at| source.finding(at, what)));
    }
    findings
}

/// One word per thing.
pub(crate) fn words(sources: &[Source]) -> Vec<Finding> {
    WORDS
        .iter()
        .flat_map(|(head, tail, instead)| {
            let word = format!("{head}{tail}");
            find(sources, &word, &format!("\"{word}\" instead of \"{instead}\""))
        })
        .collect()
}

/// Nothing that is true on one machine only.
pub(crate) fn machines(sources: &[Source]) -> Vec<Finding> {
    MACHINES
        .iter()
        .flat_map(|(head, tail)| {
            let name = format!("{head}{tail}").to_ascii_lowercase();
            let mut found = find(sources, &name, &format!("\"{name}\" is of one machine"));
            found.retain(|finding| !sources.iter().any(|source| everywhere(source, finding)));
            found
        })
        .collect()
}

/// Homebrew puts itself there on every Linux machine that has it.
fn everywhere(source: &Source, finding: &Finding) -> bool {
    source.path == finding.path && source.text.lines().nth(finding.line - 1).is_some_and(|l| l.contains("linuxbrew"))
}

/// Relative links of documents name files of the project.
pub(crate) fn links(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (at, _) in source.text.match_indices("](") {
            let target = source.text[at + 2..].split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let path = resolve(folder, target);
            let there = sources.iter().any(|other| other.path == path || other.path.starts_with(&format!("{path}/")));
            if !there && !is_picture(&path) {
                findings.push(source.finding(at, format!("{target} is not there")));
            }
        }
    }
    findings
}

/// A picture that is there; it is no text and so no source.
fn is_picture(path: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the worker lies in the workspace");
    [".svg", ".png"].iter().any(|ending| path.ends_with(ending)) && root.join(path).is_file()
}

/// A link as a path from the root.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
fn said(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}:{}: {}", finding.path, finding.line, finding.what)).collect()
}

#[test]
fn a_banned_word_is_found_in_any_text() {
    let text = format!("fine\nthe Master {}\n", "Playlist");
    assert_eq!(
        said(&words(&[Source::new("docs/a.md", &text), Source::new("Cargo.lock", &text)])),
        [format!("docs/a.md:2: \"master {}\" instead of \"multivariant playlist\"", "playlist")]
    );
}

#[test]
fn a_path_of_one_machine_is_found() {
    let text = format!("let a = \"{}{}x\";\n", "/ho", "me/");
    assert_eq!(said(&machines(&[Source::new("tui/src/a.rs", &text)])).len(), 1);
    assert_eq!(said(&machines(&[Source::new("tui/src/a.rs", "let a = \"/network/\";\n")])), Vec::<String>::new());
}

#[test]
fn a_dead_link_is_found() {
    let text = "[a](../README.md) [b](http.md#x) [c](lost.md) [d](https://x.y) [e](adr/) [f](#here)\n";
    let sources = [
        Source::new("README.md", ""),
        Source::new("docs/a.md", text),
        Source::new("docs/adr/1.md", ""),
        Source::new("docs/http.md", ""),
    ];
    assert_eq!(said(&links(&sources)), ["docs/a.md:1: lost.md is not there"]);
}
