//! A log message is a constant that can be counted; what differs from line to line is a field.

use crate::source::{Finding, Source};

const LEVELS: [&str; 5] = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];

/// End of the parenthesis that opens just before `from`.
fn closing(code: &str, from: usize) -> usize {
    let mut depth = 1usize;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 1 => return at,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Ranges of the arguments between `from` and `to`.
fn arguments(code: &str, from: usize, to: usize) -> Vec<(usize, usize)> {
    let (mut depth, mut begin, mut found) = (0usize, from, Vec::new());
    for at in from..to {
        match code.as_bytes()[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.push((begin, at));
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.push((begin, to));
    found.into_iter().filter(|(begin, end)| !code[*begin..*end].trim().is_empty()).collect()
}

/// Every message of `tracing` is one lowercase literal without a period and without anything formatted into it.
pub(crate) fn messages(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let traced =
        sources.iter().filter(|source| source.is_rust() && !source.is_test() && source.code.contains("tracing"));
    for source in traced {
        let code = source.production();
        for level in LEVELS {
            for (at, _) in code.match_indices(level) {
                if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                    continue;
                }
                let from = at + level.len();
                if let Some(what) = fault(source, &code, from, closing(&code, from)) {
                    findings.push(source.finding(at, what));
                }
            }
        }
    }
    findings
}

fn fault(source: &Source, code: &str, from: usize, to: usize) -> Option<&'static str> {
    let arguments = arguments(code, from, to);
    let Some(place) = arguments.iter().position(|(begin, end)| code[*begin..*end].trim_start().starts_with('"')) else {
        return Some("no message, or one that is no literal");
    };
    let (begin, end) = arguments[place];
    let literal = source.literals.iter().find(|literal| (begin..end).contains(&literal.at))?;
    let first = literal.text.chars().next()?;
    if place + 1 != arguments.len() || literal.text.contains('{') {
        Some("something is formatted into the message")
    } else if first.is_uppercase() {
        Some("the message begins with a capital letter")
    } else if literal.text.ends_with('.') {
        Some("the message ends with a period")
    } else {
        None
    }
}

#[test]
fn a_message_that_cannot_be_counted_is_found() {
    let text = "use tracing::{error, info};\ninfo!(job.id = %id, \"claimed\");\ninfo!(\"claimed {id}\");\n\
                info!(\"claimed {}\", id);\nerror!(error = %e, \"Lost\");\nwarn!(\"lost it.\");\ninfo!(job.id = 1);\n\
                tracing::debug!(target: \"x\", size = f(1, \"a\"), \"went on\");\nmy_info!(\"Other\");\n";
    let said: Vec<(usize, String)> =
        messages(&[Source::new("worker/src/a.rs", text)]).into_iter().map(|f| (f.line, f.what)).collect();
    let said: Vec<(usize, &str)> = said.iter().map(|(line, what)| (*line, what.as_str())).collect();
    assert_eq!(
        said,
        [
            (5, "the message begins with a capital letter"),
            (6, "the message ends with a period"),
            (3, "something is formatted into the message"),
            (4, "something is formatted into the message"),
            (7, "no message, or one that is no literal"),
        ]
    );
}
