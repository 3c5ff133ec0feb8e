//! What may be typed next.

use super::{List, words_of};
use crate::job::{Kind, Queue};

/// Ways to go on with the last word of `text`, each the whole word: qualifiers first, then the values that are known by
/// themselves. Empty when there is nothing to add.
pub fn suggest(text: &str, list: List) -> Vec<String> {
    let last = text.rsplit(char::is_whitespace).next().unwrap_or_default();
    let (minus, word) = last.strip_prefix('-').map_or(("", last), |word| ("-", word));
    let Some((qualifier, value)) = word.split_once(':') else {
        let fitting = List::qualifiers(list).iter().filter(|qualifier| qualifier.starts_with(word));
        return fitting.map(|qualifier| format!("{minus}{qualifier}:")).collect();
    };
    let (before, value) = value.rsplit_once(',').map_or((String::new(), value), |(a, b)| (format!("{a},"), b));
    let words = match qualifier {
        "state" => {
            let groups: &[&str] = if list == List::Jobs { &["live", "ended"] } else { &[] };
            groups.iter().copied().chain(words_of(list)).collect()
        }
        "queue" if list == List::Jobs => Queue::ALL.map(Queue::as_str).to_vec(),
        "kind" if list == List::Jobs => Kind::ALL.map(Kind::as_str).to_vec(),
        _ => Vec::new(),
    };
    let fitting = words.into_iter().filter(|known| known.starts_with(value) && *known != value);
    fitting.map(|known| format!("{minus}{qualifier}:{before}{known}")).collect()
}
