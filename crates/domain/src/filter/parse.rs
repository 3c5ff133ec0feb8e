//! Words into terms, and what is refused.

use super::{Compare, Filter, List, Pattern, Refusal, TERMS_MAX, TEXT_MAX, Term, Test, lex};
use crate::id::ID_LEN_MAX;
use crate::recording::State;
use crate::standing::Standing;
use std::time::Duration;

/// Longest name of a queue, kind or worker, in bytes.
const NAME_MAX: usize = 64;

pub(super) fn parse(text: &str, list: List) -> Result<Filter, Refusal> {
    if text.len() > TEXT_MAX {
        return Err(Refusal { at: TEXT_MAX, why: format!("a filter has at most {TEXT_MAX} bytes") });
    }
    let words = lex::words(text)?;
    if let Some(word) = words.get(TERMS_MAX) {
        return Err(Refusal { at: word.at, why: format!("a filter has at most {TERMS_MAX} terms") });
    }
    let mut filter = Filter::default();
    for word in words {
        let term = Term { negated: word.negated, test: test(&word, list).map_err(|why| Refusal { at: word.at, why })? };
        if let Some(why) = quarrel(&filter, &term) {
            return Err(Refusal { at: word.at, why });
        }
        filter.terms.push(term);
    }
    filter.is_answerable(list)?;
    Ok(filter)
}

fn test(word: &lex::Word, list: List) -> Result<Test, String> {
    let value = word.value.as_str();
    let Some(qualifier) = word.qualifier.as_deref() else {
        // A bare word is what a person looks for first in each list.
        return match list {
            List::Jobs => error(value),
            List::Recordings => pattern(value.trim_end_matches('*')).map(|_| Test::Recording(prefix(value))),
        };
    };
    if !List::qualifiers(list).contains(&qualifier) {
        let known = List::qualifiers(list).join(", ");
        return Err(if List::qualifiers(List::Jobs).contains(&qualifier) {
            format!("{qualifier}: is asked of jobs, not of recordings; here are {known}")
        } else {
            format!("there is no {qualifier}:; there are {known}")
        });
    }
    if value.is_empty() {
        return Err(format!("{qualifier}: needs a value"));
    }
    match qualifier {
        "state" => state(value, list),
        "queue" => name(value, "queue").map(Test::Queue),
        "kind" => name(value, "kind").map(Test::Kind),
        "rec" => pattern(value).map(Test::Recording),
        "owner" => id(value).map(|()| Test::Owner(value.to_owned())),
        "err" => error(value),
        "attempt" => {
            let (compare, number) = compare(value);
            let number = number.parse().map_err(|_| "attempt: needs a number, as in attempt:>=3".to_owned())?;
            Ok(Test::Attempt(compare, number))
        }
        "age" => {
            let (compare, time) = compare(value);
            let time = duration(time).ok_or("age: needs a time, as in age:>10m (s, m, h, d)")?;
            // Nothing is exactly ten minutes old.
            let compare = if compare == Compare::Equal { Compare::AtLeast } else { compare };
            Ok(Test::Age(compare, time))
        }
        _ => name(value, "worker").map(Test::Worker),
    }
}

fn state(value: &str, list: List) -> Result<Test, String> {
    let unknown = |word: &str, all: &[&str]| {
        let near = all.iter().find(|known| known.starts_with(word) && !word.is_empty());
        match near {
            Some(near) => format!("there is no state {word:?}; do you mean {near}?"),
            None => format!("there is no state {word:?}; there are {}", all.join(", ")),
        }
    };
    match list {
        List::Jobs => {
            let mut asked: Vec<Standing> = Vec::new();
            for word in value.split(',') {
                let group = match word {
                    "live" => Standing::LIVE.to_vec(),
                    "ended" => Standing::ENDED.to_vec(),
                    _ => vec![Standing::parse(word).ok_or_else(|| unknown(word, &super::words_of(list)))?],
                };
                asked.extend(group);
            }
            asked.sort();
            asked.dedup();
            Ok(Test::Standing(asked))
        }
        List::Recordings => {
            let mut asked: Vec<State> = Vec::new();
            for word in value.split(',') {
                let state = State::parse(word).ok_or_else(|| unknown(word, &super::words_of(list)))?;
                if !asked.contains(&state) {
                    asked.push(state);
                }
            }
            asked.sort_by_key(|state| State::ALL.iter().position(|known| known == state));
            Ok(Test::State(asked))
        }
    }
}

fn error(value: &str) -> Result<Test, String> {
    match value {
        "" => Err("err: needs a text to look for".to_owned()),
        value if value.chars().any(char::is_control) => Err("err: takes no control characters".to_owned()),
        value => Ok(Test::Error(value.to_owned())),
    }
}

fn name(value: &str, what: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    if value.len() > NAME_MAX || !value.bytes().all(allowed) {
        return Err(format!("{what}: is 1 to {NAME_MAX} characters of A-Z a-z 0-9 _ - ."));
    }
    Ok(value.to_owned())
}

fn id(value: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if value.is_empty() || value.len() > ID_LEN_MAX || !value.bytes().all(allowed) {
        return Err(format!("an id is 1 to {ID_LEN_MAX} characters of A-Z a-z 0-9 _ -; a * at its end stands for any"));
    }
    Ok(())
}

fn pattern(value: &str) -> Result<Pattern, String> {
    match value.strip_suffix('*') {
        Some(begin) => id(begin).map(|()| Pattern::Prefix(begin.to_owned())),
        None => id(value).map(|()| Pattern::Exact(value.to_owned())),
    }
}

fn prefix(value: &str) -> Pattern {
    Pattern::Prefix(value.trim_end_matches('*').to_owned())
}

fn compare(value: &str) -> (Compare, &str) {
    let signs = [
        (">=", Compare::AtLeast),
        ("<=", Compare::AtMost),
        (">", Compare::Above),
        ("<", Compare::Below),
        ("=", Compare::Equal),
    ];
    for (sign, compare) in signs {
        if let Some(rest) = value.strip_prefix(sign) {
            return (compare, rest);
        }
    }
    (Compare::Equal, value)
}

/// `90s`, `10m`, `1h30m`, `2d`.
fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    // A century is more than any row is old, and less than what a timestamp can be moved by.
    (!text.is_empty() && seconds <= 100 * 366 * 86_400).then(|| Duration::from_secs(seconds))
}

/// Two terms that no row can satisfy together: more likely a slip than a wish.
fn quarrel(filter: &Filter, term: &Term) -> Option<String> {
    let of = |test: &Test| match test {
        Test::Age(..) | Test::Attempt(..) | Test::Error(_) => None,
        test => Some(test.qualifier()),
    };
    let qualifier = of(&term.test).filter(|_| !term.negated)?;
    let twice = filter.terms.iter().any(|other| !other.negated && of(&other.test) == Some(qualifier));
    let several = if qualifier == "state" { "; several states are written state:a,b" } else { "" };
    twice.then(|| format!("{qualifier}: stands twice, and nothing is both{several}"))
}
