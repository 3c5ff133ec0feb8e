//! A job kind is one file and one entry, and says why it may run twice.

use crate::source::{Finding, Source, whole_words};

const FOLDER: &str = "worker/src/jobs/";

/// Every file or folder of a job is declared, listed, alphabetical, named after a kind, and its module doc says "Safe to repeat:".
pub(crate) fn list(sources: &[Source]) -> Vec<Finding> {
    let Some(list) = sources.iter().find(|source| source.path == "worker/src/jobs/mod.rs") else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let kinds = sources.iter().find(|source| source.path == "crates/domain/src/job/mod.rs");
    for source in sources {
        let Some(name) = source.path.strip_prefix(FOLDER) else { continue };
        // A job that has grown beyond one file is a folder of the same name.
        let Some(stem) = name.strip_suffix("/mod.rs").or_else(|| name.strip_suffix(".rs")) else { continue };
        if stem == "mod" || stem.contains('/') || source.is_test() {
            continue;
        }
        if whole_words(&list.code, stem).is_empty() {
            findings.push(source.finding(0, format!("{stem} is not in jobs/mod.rs")));
        } else if whole_words(&list.code, stem).len() + whole_words(&list.code, &camel(stem)).len() < 2 {
            findings.push(source.finding(0, format!("{stem} is declared in jobs/mod.rs and not in its list")));
        }
        if !kinds.is_some_and(|kinds| kinds.literals.iter().any(|literal| literal.text == stem)) {
            findings.push(source.finding(0, format!("{stem} is no kind of domain::job")));
        }
        let doc = source.text.lines().take_while(|line| line.starts_with("//!"));
        if !doc.into_iter().any(|line| line.contains("Safe to repeat:")) {
            findings.push(source.finding(0, "the module doc does not say \"Safe to repeat:\""));
        }
    }
    let declared: Vec<(usize, &str)> = list
        .code
        .match_indices("mod ")
        .filter(|(at, _)| list.line(*at) == 1 || list.text[..*at].ends_with(['\n', ' ']))
        .map(|(at, _)| (at, list.code[at + 4..].split(';').next().unwrap_or_default().trim()))
        .filter(|(_, name)| {
            let paths = [format!("{FOLDER}{name}.rs"), format!("{FOLDER}{name}/mod.rs")];
            sources.iter().any(|source| paths.contains(&source.path))
        })
        .collect();
    for pair in declared.windows(2) {
        if pair[0].1 > pair[1].1 {
            findings.push(list.finding(pair[1].0, format!("{} stands after {}", pair[1].1, pair[0].1)));
        }
    }
    findings
}

/// `manifest_check` as a type.
fn camel(stem: &str) -> String {
    stem.split('_').map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

#[test]
fn a_job_that_breaks_a_rule_is_found() {
    let sources = [
        Source::new("crates/domain/src/job/mod.rs", "let a = (\"mux\", \"upload\", \"noop\");\n"),
        Source::new(
            "worker/src/jobs/mod.rs",
            "mod upload;\nmod mux;\nmod noop;\nmod tidying;\njobs! { Mux, Upload, Tidying }\n",
        ),
        Source::new("worker/src/jobs/mux.rs", "//! Makes it.\n//! Safe to repeat: yes.\n"),
        Source::new("worker/src/jobs/noop.rs", "//! Safe to repeat: yes.\n"),
        Source::new("worker/src/jobs/sweep.rs", "//! Safe to repeat: yes.\n"),
        Source::new("worker/src/jobs/tidying.rs", "//! Safe to repeat: yes.\n"),
        Source::new("worker/src/jobs/upload/mod.rs", "//! Brings it.\n// Safe to repeat: no doc.\n"),
        Source::new("worker/src/jobs/upload/bring.rs", "//! A room of the job.\n"),
    ];
    let said: Vec<String> = list(&sources).into_iter().map(|f| format!("{}: {}", f.path, f.what)).collect();
    assert_eq!(
        said,
        [
            "worker/src/jobs/noop.rs: noop is declared in jobs/mod.rs and not in its list",
            "worker/src/jobs/sweep.rs: sweep is not in jobs/mod.rs",
            "worker/src/jobs/sweep.rs: sweep is no kind of domain::job",
            "worker/src/jobs/tidying.rs: tidying is no kind of domain::job",
            "worker/src/jobs/upload/mod.rs: the module doc does not say \"Safe to repeat:\"",
            "worker/src/jobs/mod.rs: mux stands after upload",
        ]
    );
}
