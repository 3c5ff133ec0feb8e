//! What a client has already, and which part of an object it wants (RFC 9110, sections 13 and 14).

use super::problem::{Code, Problem};
use http::{HeaderMap, StatusCode, header};
use std::ops::Range;

/// Which bytes of an object of `size_bytes` and this tag are wanted, and the status of an answer with them. A range of
/// another version (`If-Range`) would be glued to what the client has: then it gets the whole object.
///
/// # Errors
/// 416 when it has none of the bytes.
pub(crate) fn part(
    headers: &HeaderMap,
    tag: Option<&str>,
    size_bytes: u64,
) -> Result<(StatusCode, Range<u64>), Problem> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let same = text(header::IF_RANGE).is_none_or(|known| Some(known) == tag);
    match text(header::RANGE).filter(|_| same).map_or(Wanted::Whole, |range| wanted(range, size_bytes)) {
        Wanted::Whole => Ok((StatusCode::OK, 0..size_bytes)),
        Wanted::Part(range) => Ok((StatusCode::PARTIAL_CONTENT, range)),
        Wanted::Outside => {
            let problem = Problem::new(Code::RangeNotSatisfiable);
            Err(problem.header(header::CONTENT_RANGE, &format!("bytes */{size_bytes}")))
        }
    }
}

/// What a `Range` header asks of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// All of it: no range, or one that is not understood, which RFC 9110 section 14.2 lets a server pass over.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes it does not have.
    Outside,
}

/// Whether a list of tags names this one; a weak comparison, as If-None-Match asks for.
pub(crate) fn names(list: &str, etag: &str) -> bool {
    list.split(',').map(|tag| tag.trim()).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Reads a `Range` header. One range is served; several would need another kind of body, and no player asks for them.
fn wanted(header: &str, size_bytes: u64) -> Wanted {
    let Some(spec) = header.trim().strip_prefix("bytes=") else { return Wanted::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::Whole };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Some(0) => return Wanted::Outside,
            Some(length) => size_bytes.saturating_sub(length)..size_bytes,
            None => return Wanted::Whole,
        },
        (first, "") => match number(first) {
            Some(first) => first..size_bytes,
            None => return Wanted::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size_bytes),
            _ => return Wanted::Whole,
        },
    };
    if range.start >= size_bytes { Wanted::Outside } else { Wanted::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_read_as_rfc_9110_says() {
        for (header, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=5-99", Wanted::Part(5..10)),
            ("bytes=5-18446744073709551615", Wanted::Part(5..10)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=7-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("seconds=0-1", Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Outside);
    }

    #[test]
    fn tag_is_found_in_a_list() {
        assert!(names("\"a\", W/\"b\"", "\"b\"") && names("*", "\"b\"") && !names("\"bb\"", "\"b\""));
    }
}
