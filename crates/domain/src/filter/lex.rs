//! Text into words: `-queue:preview` is a negated qualifier with its value, `"a b"` one word however many blanks it has.

use super::Refusal;

/// One word of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Where it begins, in bytes.
    pub(super) at: usize,
    /// A `-` stands before it.
    pub(super) negated: bool,
    /// What stands before the first colon, when it is a bare word.
    pub(super) qualifier: Option<String>,
    /// The rest, without quotation marks.
    pub(super) value: String,
}

/// The words of a text.
pub(super) fn words(text: &str) -> Result<Vec<Word>, Refusal> {
    let mut words = Vec::new();
    let mut rest = text.char_indices().peekable();
    loop {
        while rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let Some(&(at, _)) = rest.peek() else { return Ok(words) };
        let negated = rest.next_if(|(_, c)| *c == '-').is_some();
        let mut word = Word { at, negated, qualifier: None, value: String::new() };
        let mut bare = true;
        while let Some((place, c)) = rest.next_if(|(_, c)| !c.is_whitespace()) {
            match c {
                '"' => {
                    bare = false;
                    quoted(&mut rest, &mut word.value, place)?;
                }
                ':' if bare && word.qualifier.is_none() && !word.value.is_empty() => {
                    word.qualifier = Some(std::mem::take(&mut word.value));
                }
                c => word.value.push(c),
            }
        }
        words.push(word);
    }
}

/// Reads on to the closing mark; `\` takes the next character as it is.
fn quoted(
    rest: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    value: &mut String,
    at: usize,
) -> Result<(), Refusal> {
    let open = || Refusal { at, why: "this quotation mark is not closed".to_owned() };
    loop {
        match rest.next().ok_or_else(open)?.1 {
            '"' => return Ok(()),
            '\\' => value.push(rest.next().ok_or_else(open)?.1),
            c => value.push(c),
        }
    }
}

/// A value as it must be written to be read back as itself.
pub(super) fn quote(value: &str) -> String {
    if !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"') {
        return value.to_owned();
    }
    let escaped: String =
        value.chars().flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c])).collect();
    format!("\"{escaped}\"")
}
