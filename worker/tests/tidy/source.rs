//! One text file of the project, split into what the compiler runs and what people read.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing written by hand.
const SKIPPED: [&str; 5] = ["target", "data", "node_modules", "snapshots", "vendor"];

/// Hidden folders that belong to the project.
const HIDDEN: [&str; 3] = [".ci", ".config", ".github"];

/// Where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// A string literal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    /// Byte offset of its first character in the text.
    pub(crate) at: usize,
    pub(crate) text: String,
}

/// A text file.
pub(crate) struct Source {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text of a Rust file with comments and the insides of literals blanked, byte for byte in place.
    pub(crate) code: String,
    /// The string literals of a Rust file.
    pub(crate) literals: Vec<Literal>,
}

impl Source {
    /// Splits a text; only Rust is split, anything else is all text.
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let (code, literals) = if path.ends_with(".rs") { split(text) } else { (String::new(), Vec::new()) };
        Source { path: path.to_owned(), text: text.to_owned(), code, literals }
    }

    /// Is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The whole file is for tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || ["bench/", "fuzz/"].iter().any(|folder| self.path.starts_with(folder))
    }

    /// A finding at a byte offset.
    pub(crate) fn finding(&self, at: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line: self.line(at), what: what.into() }
    }

    /// The line of a byte offset, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Byte ranges of the modules compiled for tests only.
    pub(crate) fn test_ranges(&self) -> Vec<std::ops::Range<usize>> {
        let mut ranges = Vec::new();
        let mut from = 0;
        while let Some(found) = self.code[from..].find("#[cfg(test)]") {
            let begin = from + found;
            let end = item_end(&self.code, begin);
            ranges.push(begin..end);
            from = end;
        }
        ranges
    }

    /// The code without what is compiled for tests only, blanked in place.
    pub(crate) fn production(&self) -> String {
        let mut bytes = self.code.clone().into_bytes();
        for range in self.test_ranges() {
            blank(&mut bytes[range]);
        }
        String::from_utf8(bytes).expect("blanking keeps whole characters or replaces all their bytes")
    }

    /// Offsets where `word` stands in the code as a whole word.
    pub(crate) fn words(&self, word: &str) -> Vec<usize> {
        whole_words(&self.code, word)
    }
}

/// Offsets of `word` in `text` where no identifier goes on at either side.
pub(crate) fn whole_words(text: &str, word: &str) -> Vec<usize> {
    let part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = text.as_bytes();
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(|at| !part(at.checked_sub(1).and_then(|before| bytes.get(before))) && !part(bytes.get(at + word.len())))
        .collect()
}

/// End of the item after an attribute: its closing brace, or its semicolon if that comes first.
fn item_end(code: &str, begin: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(begin) {
        match byte {
            b';' if depth == 0 => return at + 1,
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Replaces everything but line ends by spaces.
fn blank(bytes: &mut [u8]) {
    for byte in bytes {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Blanks comments and the insides of literals, and gives the string literals.
fn split(text: &str) -> (String, Vec<Literal>) {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut literals = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let joined = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let end = if rest.starts_with(b"//") {
            at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + comment_length(rest)
        } else if let Some((opening, inside)) = raw_string(rest).filter(|_| !joined) {
            literals.push(Literal { at: at + opening, text: text[at + opening..at + opening + inside].to_owned() });
            at += opening;
            blank(&mut code[at..at + inside]);
            at += inside + opening - usize::from(rest[0] == b'b') - 1;
            continue;
        } else if rest[0] == b'"' {
            let inside = string_length(&rest[1..]);
            literals.push(Literal { at: at + 1, text: text[at + 1..at + 1 + inside].to_owned() });
            blank(&mut code[at + 1..at + 1 + inside]);
            at += inside + 2;
            continue;
        } else if let Some(length) = char_length(rest) {
            at + length
        } else {
            at += 1;
            continue;
        };
        blank(&mut code[at..end]);
        at = end;
    }
    (String::from_utf8(code).expect("only whole characters are blanked"), literals)
}

/// Length of a block comment; they nest.
fn comment_length(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

/// Lengths of the opening (`r#"`, `br"`) and the inside of a raw string that begins here.
fn raw_string(rest: &[u8]) -> Option<(usize, usize)> {
    let prefix = usize::from(rest[0] == b'b');
    if rest.get(prefix) != Some(&b'r') {
        return None;
    }
    let hashes = rest[prefix + 1..].iter().take_while(|byte| **byte == b'#').count();
    let opening = prefix + 1 + hashes + 1;
    if rest.get(opening - 1) != Some(&b'"') {
        return None;
    }
    let closing = [b"\"".as_slice(), "#".repeat(hashes).as_bytes()].concat();
    let inside = rest[opening..].windows(closing.len()).position(|window| window == closing)?;
    Some((opening, inside))
}

/// Length of the inside of a string whose opening quote was just read.
fn string_length(rest: &[u8]) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at.min(rest.len())
}

/// Length of a character literal that begins here; a lifetime is none.
fn char_length(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'\'', b'\\', _, tail @ ..] => tail.iter().take(10).position(|byte| *byte == b'\'').map(|end| end + 4),
        [b'\'', tail @ ..] => {
            let width = std::str::from_utf8(&tail[..tail.len().min(4)])
                .unwrap_or_else(|e| std::str::from_utf8(&tail[..e.valid_up_to()]).expect("valid up to here"))
                .chars()
                .next()?
                .len_utf8();
            (tail.get(width) == Some(&b'\'')).then_some(width + 2)
        }
        _ => None,
    }
}

/// Every text file of the project that was written by hand.
pub(crate) fn tree() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the worker lies in the workspace").to_owned();
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project can be read") {
            let path = entry.expect("an entry can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // What another test writes meanwhile may be gone again: only what can still be read counts.
            if path.is_dir() {
                if !SKIPPED.contains(&name.as_str()) && (!name.starts_with('.') || HIDDEN.contains(&name.as_str())) {
                    folders.push(path);
                }
            } else if is_text(&name)
                && let Ok(text) = fs::read_to_string(&path)
            {
                sources.push(Source::new(&relative(&root, &path), &text));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn is_text(name: &str) -> bool {
    let endings = ["rs", "sql", "toml", "lock", "md", "sh", "yml", "yaml", "html", "js", "css"];
    endings.contains(&name.rsplit('.').next().unwrap_or_default())
        || ["Makefile", "run", "LICENSE"].contains(&name)
        || name.starts_with("LICENSE-")
}

fn relative(root: &Path, path: &Path) -> String {
    let inside: PathBuf = path.strip_prefix(root).expect("found under the root").to_owned();
    inside.to_string_lossy().replace('\\', "/")
}

#[test]
fn code_keeps_its_place_when_comments_and_literals_are_blanked() {
    let text = "let a = \"x // y\"; // note\nlet b = r#\"q\"t\"#; let c = 'é'; let d = b\"\\\"\"; /* 1 /* 2 */ 3 */ fn f<'a>() {}\n";
    let source = Source::new("a.rs", text);
    assert_eq!(source.code.len(), text.len());
    for gone in ["//", "note", "x", "q", "é", "1", "3"] {
        assert!(!source.code.contains(gone), "{gone:?} stayed in {:?}", source.code);
    }
    assert!(source.code.contains("fn f<'a>() {}"), "{:?}", source.code);
    let literals: Vec<&str> = source.literals.iter().map(|literal| literal.text.as_str()).collect();
    assert_eq!(literals, ["x // y", "q\"t", "\\\""]);
}

#[test]
fn production_leaves_test_modules_out() {
    let source = Source::new("a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { {} }\n}\nfn c() {}\n");
    let code = source.production();
    assert!(code.contains("fn a") && code.contains("fn c") && !code.contains("fn b"), "{code:?}");
    let source = Source::new("a.rs", "#[cfg(test)]\nmod tests;\nfn c() {}\n");
    assert!(source.production().contains("fn c"));
}

#[test]
fn a_word_is_found_only_as_a_whole() {
    assert_eq!(whole_words("axum axums my_axum axum::x", "axum"), [0, 19]);
}
