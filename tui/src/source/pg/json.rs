//! JSON as lines for a person, character for character: numbers stay as they are in the row however long, and a text that
//! was cut stays one.

use crate::source::clean::Clean;

/// Most lines that are made.
const LINES_MAX: usize = 5_000;

/// The text with a line for each member and element, two blanks for each level.
pub(super) fn lines(text: &str) -> Vec<Clean> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut depth = 0usize;
    let mut quoted = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if lines.len() >= LINES_MAX {
            break;
        }
        if quoted {
            line.push(c);
            match c {
                '\\' => line.extend(rest.next()),
                '"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match c {
            '"' => {
                quoted = true;
                line.push(c);
            }
            '{' | '[' => {
                line.push(c);
                while rest.next_if(|c| c.is_whitespace()).is_some() {}
                if let Some(close) = rest.next_if(|c| matches!(c, '}' | ']')) {
                    line.push(close);
                } else {
                    depth += 1;
                    end(&mut lines, &mut line, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                end(&mut lines, &mut line, depth);
                line.push(c);
            }
            ',' => {
                line.push(c);
                end(&mut lines, &mut line, depth);
            }
            ':' => line.push_str(": "),
            c if c.is_whitespace() => {}
            c => line.push(c),
        }
    }
    lines.push(Clean::new(line));
    lines
}

/// Ends a line and begins the next.
fn end(lines: &mut Vec<Clean>, line: &mut String, depth: usize) {
    lines.push(Clean::new(std::mem::take(line)));
    // Deeper than this nobody reads, and blanks without end would be a long line.
    line.push_str(&"  ".repeat(depth.min(20)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_stays_what_it_was() {
        let text = r#"{"a": 123456789012345678901234567890.10, "b": [1, 2], "c": {}, "d": "x, {\" \u001b", "e": null}"#;
        let shown: Vec<String> = lines(text).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "{",
                "  \"a\": 123456789012345678901234567890.10,",
                "  \"b\": [",
                "    1,",
                "    2",
                "  ],",
                "  \"c\": {},",
                "  \"d\": \"x, {\\\" \\u001b\",",
                "  \"e\": null",
                "}"
            ]
        );
        let cut: Vec<String> = lines(r#"{"a": "unfin"#).iter().map(ToString::to_string).collect();
        assert_eq!(cut, ["{", "  \"a\": \"unfin"]);
        assert!(lines(&"[".repeat(100_000)).len() <= LINES_MAX + 1);
    }
}
