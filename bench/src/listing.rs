//! Listings of the bucket, made here: s3s-fs walks all of the bucket again for each page of a thousand keys, which makes
//! one listing of hours of recording take minutes, and no real server does that.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What is below a prefix when its listing is begun: keys with their lengths, in order.
#[derive(Debug, Default)]
pub(crate) struct Listings(Mutex<Begun>);

#[derive(Debug, Default)]
struct Begun {
    prefix: String,
    found: Vec<(String, u64)>,
}

impl Listings {
    /// The page of `ListObjectsV2` that a query asks for; `None` when it asks for what is not made here.
    pub(crate) fn page(&self, bucket: &Path, query: &str) -> Option<String> {
        let field = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
        };
        let prefix = field("prefix").unwrap_or_default();
        // With a delimiter s3s-fs looks into one folder only.
        if field("delimiter").is_some_and(|delimiter| !delimiter.is_empty()) {
            return None;
        }
        let most = field("max-keys").and_then(|most| most.parse().ok()).unwrap_or(1000);
        let (from, after) = (field("continuation-token"), field("start-after"));
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if from.is_none() || begun.prefix != prefix {
            *begun = Begun { found: found(bucket, &prefix), prefix: prefix.clone() };
        }
        let after = from.or(after).unwrap_or_default();
        let start = begun.found.partition_point(|(key, _)| *key <= after);
        let page = &begun.found[start..begun.found.len().min(start + most)];
        let more = start + page.len() < begun.found.len();
        Some(rendered(&prefix, page, more))
    }
}

fn rendered(prefix: &str, page: &[(String, u64)], more: bool) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>");
    let _ =
        write!(xml, "<Prefix>{prefix}</Prefix><KeyCount>{}</KeyCount><IsTruncated>{more}</IsTruncated>", page.len());
    if let (true, Some((last, _))) = (more, page.last()) {
        let _ = write!(xml, "<NextContinuationToken>{last}</NextContinuationToken>");
    }
    for (key, size_bytes) in page {
        let _ = write!(xml, "<Contents><Key>{key}</Key><Size>{size_bytes}</Size>");
        xml.push_str("<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>");
    }
    xml.push_str("</ListBucketResult>");
    xml
}

fn found(bucket: &Path, prefix: &str) -> Vec<(String, u64)> {
    let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![bucket.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if let Ok(key) = entry.path().strip_prefix(bucket)
                && key.to_string_lossy().starts_with(prefix)
            {
                found.push((key.to_string_lossy().into_owned(), metadata.len()));
            }
        }
    }
    found.sort();
    found
}

/// Without the percent signs of a query.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let coded = after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        (rest, _) = match (byte, coded) {
            (b'%', Some(coded)) => (&after[2..], bytes.push(coded)),
            _ => (after, bytes.push(byte)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
