//! How long a file may be, what a test may not be, and in which order the schema came to be.

use crate::source::{Finding, Source};

/// Longer files are read by nobody. Most should end at 300.
const LINES_MAX: usize = 500;

/// Hand-written code and statements end at [`LINES_MAX`] lines; tests do not count.
pub(crate) fn length(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        let code = [".rs", ".sql", ".sh"].iter().any(|ending| source.path.ends_with(ending));
        if !code || source.is_test() {
            continue;
        }
        let tests: usize = source.test_ranges().into_iter().map(|range| source.text[range].lines().count()).sum();
        let lines = source.text.lines().count() - tests;
        if lines > LINES_MAX {
            findings
                .push(source.finding(source.text.len(), format!("{lines} lines without tests, {LINES_MAX} at most")));
        }
    }
    findings
}

/// A skipped test proves nothing, and one that expects a panic does not say which.
pub(crate) fn attributes(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        for attribute in ["#[ignore", "#[should_panic"] {
            let places = source.code.match_indices(attribute).map(|(at, _)| at);
            findings.extend(places.map(|at| source.finding(at, format!("{attribute}]"))));
        }
    }
    findings
}

/// `m<date>_<n>_<verb>_<noun>` split into what orders it, or nothing.
fn order(name: &str) -> Option<(u32, u32)> {
    let mut parts = name.strip_prefix('m')?.splitn(3, '_');
    let (date, number, words) = (parts.next()?, parts.next()?, parts.next()?);
    let words_hold = words.contains('_') && words.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (date.len() == 8 && words_hold).then(|| Some((date.parse().ok()?, number.parse().ok()?)))?
}

/// Migrations are named by one pattern, listed in order, and no SQL file is left out.
pub(crate) fn migrations(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rust = || sources.iter().filter(|source| source.is_rust() && source.path.starts_with("migration/src/"));
    for source in rust() {
        let mut last = (0, 0);
        for literal in &source.literals {
            let numbered =
                literal.text.strip_prefix('m').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if !numbered {
                continue;
            }
            match order(&literal.text) {
                None => {
                    findings.push(source.finding(literal.at, format!("{} is no name of a migration", literal.text)))
                }
                Some(next) if next <= last => {
                    findings.push(source.finding(literal.at, format!("{} comes after a later one", literal.text)));
                }
                Some(next) => last = next,
            }
        }
    }
    for sql in
        sources.iter().filter(|source| source.path.starts_with("migration/src/") && source.path.ends_with(".sql"))
    {
        let name = sql.path.trim_start_matches("migration/src/");
        if !rust().any(|source| source.literals.iter().any(|literal| literal.text == name)) {
            findings.push(sql.finding(0, "is included by no migration"));
        }
    }
    findings
}

#[cfg(test)]
fn said(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}:{}: {}", finding.path, finding.line, finding.what)).collect()
}

#[test]
fn a_long_file_is_found_and_its_tests_do_not_count() {
    let long = "fn a() {}\n".repeat(LINES_MAX + 1);
    assert_eq!(
        said(&length(&[Source::new("tui/src/a.rs", &long)])),
        ["tui/src/a.rs:502: 501 lines without tests, 500 at most"]
    );
    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "fn a() {}\n".repeat(LINES_MAX - 1), long);
    assert_eq!(said(&length(&[Source::new("tui/src/a.rs", &tested)])), Vec::<String>::new());
    assert_eq!(said(&length(&[Source::new("tui/tests/a.rs", &long)])), Vec::<String>::new());
}

#[test]
fn a_skipped_test_is_found() {
    let text = "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n#[should_panic]\nfn b() {}\n// #[ignore]\n";
    assert_eq!(said(&attributes(&[Source::new("a.rs", text)])), ["a.rs:2: #[ignore]", "a.rs:4: #[should_panic]"]);
}

#[test]
fn migrations_out_of_order_are_found() {
    let text = "const A: &str = \"m20260101_2_create_job\";\nconst B: &str = \"m20260101_1_add_column\";\n\
                const C: &str = \"m2026_create\";\nconst D: &str = include_str!(\"job.sql\");\nlet e = \"mux\";\n";
    let sources = [
        Source::new("migration/src/history.rs", text),
        Source::new("migration/src/job.sql", ""),
        Source::new("migration/src/lost.sql", ""),
    ];
    assert_eq!(
        said(&migrations(&sources)),
        [
            "migration/src/history.rs:2: m20260101_1_add_column comes after a later one",
            "migration/src/history.rs:3: m2026_create is no name of a migration",
            "migration/src/lost.sql:1: is included by no migration",
        ]
    );
}
