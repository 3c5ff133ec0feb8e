//! Words that fit anything and so say nothing are no names.

use crate::source::{Finding, Source, whole_words};

/// Not as the noun of a file, a module or a type. What qualifies another noun (`ServiceToken`) is no such name.
const NOUNS: [&str; 13] = [
    "common",
    "data",
    "handler",
    "helper",
    "info",
    "manager",
    "misc",
    "processor",
    "service",
    "stuff",
    "task",
    "util",
    "utility",
];

/// Nouns that others have chosen: the setting `storage.service` says which kind of store it is, and what runs an attempt
/// is a `Service` of tower.
const CHOSEN: [(&str, &str); 2] = [("worker/src/storage/", "Service"), ("crates/queue/src/apalis/", "Service")];

/// What is followed by a name that its author chose.
const DECLARATIONS: [&str; 5] = ["struct", "enum", "trait", "union", "mod"];

/// The last word of a name in either case style, lowercase and in the singular.
fn noun(name: &str) -> String {
    let last = name.rsplit('_').next().unwrap_or_default();
    let start = last.rfind(|letter: char| letter.is_ascii_uppercase()).unwrap_or(0);
    let word = last[start..].to_ascii_lowercase();
    match word.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => word.strip_suffix('s').filter(|stem| NOUNS.contains(stem)).unwrap_or(&word).to_owned(),
    }
}

fn banned(name: &str) -> bool {
    NOUNS.contains(&noun(name).as_str())
}

/// The identifier after a keyword that ends at `from`.
fn identifier(code: &str, from: usize) -> &str {
    let rest = code[from..].trim_start();
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    &rest[..end]
}

/// No file, folder, module or type is named by a banned noun, and no function `process_…`.
pub(crate) fn glossary(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        let stem = source.path.trim_start_matches('.').split('.').next().unwrap_or_default();
        for part in stem.split('/') {
            if banned(part) {
                findings.push(source.finding(0, format!("{part} in the path")));
            }
        }
        if !source.is_rust() {
            continue;
        }
        for keyword in DECLARATIONS {
            for at in whole_words(&source.code, keyword) {
                let name = identifier(&source.code, at + keyword.len());
                let chosen = CHOSEN.iter().any(|(room, word)| source.path.starts_with(room) && name.ends_with(word));
                if banned(name) && !chosen {
                    findings.push(source.finding(at, format!("{keyword} {name}")));
                }
            }
        }
        for at in whole_words(&source.code, "fn") {
            let name = identifier(&source.code, at + 2);
            if name == "process" || name.starts_with("process_") {
                findings.push(source.finding(at, format!("fn {name}")));
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
fn a_banned_name_is_found() {
    let text = "struct JobManager;\nmod string_utils;\nenum Info {}\nfn process_row() {}\ntrait Service {}\n";
    assert_eq!(
        said(&glossary(&[Source::new("worker/src/helpers/a.rs", text)])),
        [
            "1: helpers in the path",
            "1: struct JobManager",
            "3: enum Info",
            "5: trait Service",
            "2: mod string_utils",
            "4: fn process_row",
        ]
    );
    assert_eq!(said(&glossary(&[Source::new("scripts/common.sh", "")])), ["1: common in the path"]);
}

#[test]
fn a_name_that_says_something_is_not_found() {
    let text = "struct ServiceToken;\nimpl Service<Request> for Acker {}\nuse tower::Service;\n// struct Helper\n\
                mod process_list;\nlet data = 1;\nfn processed() {}\nstruct Database;\nstruct Series;\n";
    assert_eq!(said(&glossary(&[Source::new("worker/src/data_folder.rs", text)])), Vec::<String>::new());
}
