//! Makes equal errors look equal: the text without ids, numbers, paths and quoted names.
//!
//! Pure. The hash over the template is made by the statement that writes it.

/// Longest template, in characters: what tells errors apart stands at their beginning.
const TEMPLATE_CHARS_MAX: usize = 300;

/// The template of an error of this class.
pub(crate) fn template(class: &str, error: &str) -> String {
    let mut out = String::with_capacity(class.len() + error.len().min(TEMPLATE_CHARS_MAX) + 2);
    out.push_str(class);
    out.push_str(": ");
    let mut rest = error;
    while let Some(first) = rest.chars().next() {
        if out.len() >= TEMPLATE_CHARS_MAX {
            break;
        }
        let quoted = matches!(first, '"' | '\'' | '`').then(|| rest[1..].find(first)).flatten();
        if let Some(end) = quoted {
            out.push('?');
            rest = &rest[end + 2..];
            continue;
        }
        let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        if word == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.push_str(if is_name(&rest[..word]) { "?" } else { &rest[..word] });
            rest = &rest[word..];
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '.')
}

/// A number, an id or a path: whatever carries a digit or a slash.
fn is_name(word: &str) -> bool {
    word.contains('/') || word.chars().any(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::template;

    #[track_caller]
    fn check(error: &str, want: &str) {
        assert_eq!(template("storage", error), want);
    }

    #[test]
    fn template_takes_out_what_differs() {
        check("object not found", "storage: object not found");
        check("put eu-7/9f3a/segments/video/segment_004.m4s: 503 after 3 tries", "storage: put ?: ? after ? tries");
        check("job 0190c0de-aaaa-7bbb-8ccc-0123456789ab took 12.5s", "storage: job ? took ?");
        check("key \"a b\" of 'c' is gone", "storage: key ? of ? is gone");
        check("an open ' quote", "storage: an open ' quote");
        check("", "storage: ");
    }

    #[test]
    fn template_is_bounded() {
        assert!(template("x", &"word ".repeat(1000)).len() < 400);
    }
}
