//! `manifest.json`: what a recorder or another uploader claims to have written.
//!
//! Ours is written for others and never read back; a foreign one (versions 1 and 2) declares the end of a recording that
//! is written straight into the bucket. Reading is lenient: what is wrong in a claim is a fact for the verdict, because
//! an operator must see which segment is wrong. Whether a track exists is proved by the store, never by an init flag.

use crate::segment::{INDEX_MAX, Track};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use thiserror::Error;

/// Version of the manifest that [`Manifest::render`] writes.
pub const VERSION: u64 = 2;

/// What a bare number in a segment list stands for: an entry of the first version, which knew one length only.
pub const LEGACY_DURATION_US: i64 = 3_000_000;

/// Most entries of one list: every index there may be, and each of them twice. A list of bare numbers takes two bytes an
/// entry and many times that in memory.
const ENTRIES_MAX: usize = 2 * INDEX_MAX as usize;

/// What a manifest says. It is a claim: indexes and durations are as they stand, in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Version of the format; never branched on, since lists of both versions occur under either.
    pub version: u64,
    /// The picture.
    pub video: Claim,
    /// The sound.
    pub audio: Claim,
    /// Nothing will be added.
    pub complete: bool,
}

/// What is said of one track.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// The initialization section is there. Real manifests of version 1 list sound while this is false.
    pub init_uploaded: bool,
    /// The segments.
    pub segments: Vec<Entry>,
}

/// One listed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its index; not checked.
    pub index: i64,
    /// Its length in microseconds; not checked, and never used where the segment itself can be asked.
    pub duration_us: i64,
}

/// Bytes that are not a manifest at all.
#[derive(Debug, Error)]
pub enum Error {
    /// Not JSON, a field is missing, or a field is of another type.
    #[error("read manifest: not a manifest")]
    Malformed(#[source] serde_json::Error),
    /// An index with a fraction, or beyond every number of segments.
    #[error("read manifest: {track} segment {position} of the list has no whole index")]
    Index {
        /// The list.
        track: Track,
        /// Place in the list, from 1.
        position: usize,
    },
}

/// Something in a manifest that cannot be right, for the verdict and for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// An index that no segment can have.
    IndexOutOfRange {
        /// The list.
        track: Track,
        /// The index.
        index: i64,
    },
    /// A segment that lasts no time.
    NoDuration {
        /// The list.
        track: Track,
        /// The index.
        index: i64,
    },
    /// An index that is listed twice.
    Duplicate {
        /// The list.
        track: Track,
        /// The index.
        index: i64,
    },
    /// Indexes that are not listed although a later one is.
    Hole {
        /// The list.
        track: Track,
        /// First index that is not listed.
        from: i64,
        /// Last index that is not listed.
        to: i64,
    },
}

#[derive(Deserialize)]
struct Wire {
    version: u64,
    video_init_uploaded: bool,
    audio_init_uploaded: bool,
    #[serde(deserialize_with = "entries")]
    video_segments: Vec<WireEntry>,
    #[serde(deserialize_with = "entries")]
    audio_segments: Vec<WireEntry>,
    is_complete: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WireEntry {
    Bare(f64),
    Full { index: f64, duration: f64 },
}

/// A list, read no further than it may be long.
fn entries<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<WireEntry>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<WireEntry>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {ENTRIES_MAX} segments")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<WireEntry>, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = list.next_element()? {
                if entries.len() == ENTRIES_MAX {
                    return Err(de::Error::invalid_length(ENTRIES_MAX + 1, &self));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    from.deserialize_seq(List)
}

impl Manifest {
    /// Reads a manifest of version 1 or 2, mixed lists included. All six fields must be there, others are ignored.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, Error> {
        let wire: Wire = serde_json::from_slice(bytes).map_err(Error::Malformed)?;
        Ok(Manifest {
            version: wire.version,
            video: claim(Track::Video, wire.video_init_uploaded, &wire.video_segments)?,
            audio: claim(Track::Audio, wire.audio_init_uploaded, &wire.audio_segments)?,
            complete: wire.is_complete,
        })
    }

    /// Writes the manifest as version 2, durations as numbers with six decimals: errors of rounded ones add up.
    pub fn render(&self) -> String {
        let mut text = format!(
            "{{\"version\":{VERSION},\"video_init_uploaded\":{},\"audio_init_uploaded\":{},",
            self.video.init_uploaded, self.audio.init_uploaded
        );
        for (track, claim) in [(Track::Video, &self.video), (Track::Audio, &self.audio)] {
            let _ = write!(text, "\"{track}_segments\":[");
            for (position, entry) in claim.segments.iter().enumerate() {
                let comma = if position == 0 { "" } else { "," };
                let (sign, us) = (if entry.duration_us < 0 { "-" } else { "" }, entry.duration_us.unsigned_abs());
                let (whole, fraction) = (us / 1_000_000, us % 1_000_000);
                let _ = write!(text, "{comma}{{\"index\":{},\"duration\":{sign}{whole}.{fraction:06}}}", entry.index);
            }
            text += "],";
        }
        let _ = write!(text, "\"is_complete\":{}}}", self.complete);
        text
    }

    /// What is said of `track`.
    pub fn claim(&self, track: Track) -> &Claim {
        match track {
            Track::Video => &self.video,
            Track::Audio => &self.audio,
        }
    }

    /// Highest index a segment can have among those listed; `None` when the track has none.
    pub fn last_index(&self, track: Track) -> Option<u32> {
        let indexes = self.claim(track).segments.iter().filter_map(|entry| u32::try_from(entry.index).ok());
        indexes.filter(|index| (1..=INDEX_MAX).contains(index)).max()
    }

    /// Everything that cannot be right, video before audio, by index.
    pub fn doubts(&self) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        for track in Track::ALL {
            let mut known = BTreeSet::new();
            for &Entry { index, duration_us } in &self.claim(track).segments {
                if !(1..=i64::from(INDEX_MAX)).contains(&index) {
                    doubts.push(Doubt::IndexOutOfRange { track, index });
                } else if !known.insert(index) {
                    doubts.push(Doubt::Duplicate { track, index });
                }
                if duration_us <= 0 {
                    doubts.push(Doubt::NoDuration { track, index });
                }
            }
            let mut expected = 1;
            for index in known {
                if index > expected {
                    doubts.push(Doubt::Hole { track, from: expected, to: index - 1 });
                }
                expected = index + 1;
            }
        }
        doubts
    }
}

fn claim(track: Track, init_uploaded: bool, entries: &[WireEntry]) -> Result<Claim, Error> {
    let read = |(position, entry): (usize, &WireEntry)| {
        let (number, duration_us) = match *entry {
            WireEntry::Bare(index) => (index, LEGACY_DURATION_US),
            WireEntry::Full { index, duration } => (index, microseconds(duration)),
        };
        // Beyond 2^53 a number of JSON is no longer one index but several.
        if number.fract() != 0.0 || number.abs() > 9_007_199_254_740_992.0 {
            return Err(Error::Index { track, position: position + 1 });
        }
        Ok(Entry { index: number as i64, duration_us })
    };
    let segments = entries.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    Ok(Claim { init_uploaded, segments })
}

/// A float saturates when it is cast, so a duration beyond every time is the longest one.
fn microseconds(seconds: f64) -> i64 {
    (seconds * 1_000_000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: i64, duration_us: i64) -> Entry {
        Entry { index, duration_us }
    }

    #[test]
    fn parse_v1_reads_bare_numbers_and_does_not_believe_the_flag() {
        let text = br#"{"version":1,"video_init_uploaded":true,"audio_init_uploaded":false,
            "video_segments":[1,2,3],"audio_segments":[1,2],"is_complete":true}"#;
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!((manifest.version, manifest.complete), (1, true));
        assert_eq!(manifest.video.segments, [entry(1, 3_000_000), entry(2, 3_000_000), entry(3, 3_000_000)]);
        assert!(!manifest.audio.init_uploaded);
        assert_eq!(manifest.last_index(Track::Audio), Some(2));
        assert_eq!(manifest.doubts(), []);
    }

    #[test]
    fn parse_v2_ignores_unknown_fields() {
        let text = br#"{"version":2,"video_init_uploaded":true,"audio_init_uploaded":true,"device":"x",
            "video_segments":[{"index":1,"duration":2.002,"size":7}],"audio_segments":[],"is_complete":false}"#;
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.video.segments, [entry(1, 2_002_000)]);
        assert_eq!((manifest.last_index(Track::Audio), manifest.complete), (None, false));
    }

    #[test]
    fn parse_reads_lists_that_mix_both_versions() {
        let text = br#"{"version":2,"video_init_uploaded":true,"audio_init_uploaded":true,
            "video_segments":[1,{"index":2,"duration":1.5},3.0],"audio_segments":[],"is_complete":false}"#;
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.video.segments, [entry(1, 3_000_000), entry(2, 1_500_000), entry(3, 3_000_000)]);
    }

    #[test]
    fn parse_keeps_what_cannot_be_right_as_doubts() {
        let text = br#"{"version":2,"video_init_uploaded":true,"audio_init_uploaded":true,
            "video_segments":[{"index":-1,"duration":2},{"index":2,"duration":0},{"index":5,"duration":2},{"index":2,"duration":2}],
            "audio_segments":[0],"is_complete":true}"#;
        let manifest = Manifest::parse(text).unwrap();
        expect_test::expect![[r#"
            [
                IndexOutOfRange { track: Video, index: -1 },
                NoDuration { track: Video, index: 2 },
                Duplicate { track: Video, index: 2 },
                Hole { track: Video, from: 1, to: 1 },
                Hole { track: Video, from: 3, to: 4 },
                IndexOutOfRange { track: Audio, index: 0 },
            ]"#]]
        .assert_eq(
            &format!("{:#?}", manifest.doubts())
                .replace("{\n        ", "{ ")
                .replace(",\n        ", ", ")
                .replace(",\n    }", " }"),
        );
        assert_eq!(manifest.last_index(Track::Video), Some(5));
        assert_eq!(manifest.last_index(Track::Audio), None);
    }

    #[test]
    fn parse_refuses_what_is_no_manifest() {
        let whole = r#"{"version":2,"video_init_uploaded":true,"audio_init_uploaded":true,"video_segments":[],"audio_segments":[],"is_complete":true}"#;
        assert!(Manifest::parse(whole.as_bytes()).is_ok());
        for field in
            ["version", "video_init_uploaded", "audio_init_uploaded", "video_segments", "audio_segments", "is_complete"]
        {
            assert!(Manifest::parse(whole.replace(field, "other").as_bytes()).is_err(), "{field}");
        }
        for list in ["[1.5]", "[1e300]", "[\"1\"]", "[{\"index\":1}]", "[null]"] {
            let text = whole.replace("\"video_segments\":[]", &format!("\"video_segments\":{list}"));
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{list}");
        }
    }

    #[test]
    fn parse_reads_lists_up_to_their_bound_and_no_further() {
        let of = |entries: usize| {
            let list = vec!["1"; entries].join(",");
            let text = format!(
                r#"{{"version":1,"video_init_uploaded":true,"audio_init_uploaded":true,
                "video_segments":[{list}],"audio_segments":[],"is_complete":false}}"#
            );
            Manifest::parse(text.as_bytes()).map(|manifest| manifest.video.segments.len())
        };
        assert_eq!(of(ENTRIES_MAX).unwrap(), ENTRIES_MAX);
        assert!(matches!(of(ENTRIES_MAX + 1), Err(Error::Malformed(_))));
    }

    #[test]
    fn render_writes_what_parse_reads() {
        let manifest = Manifest {
            version: VERSION,
            video: Claim { init_uploaded: true, segments: vec![entry(1, 2_000_000), entry(2, 33_367)] },
            audio: Claim { init_uploaded: true, segments: vec![entry(1, 3_008_000)] },
            complete: false,
        };
        let text = manifest.render();
        expect_test::expect![[r#"{"version":2,"video_init_uploaded":true,"audio_init_uploaded":true,"video_segments":[{"index":1,"duration":2.000000},{"index":2,"duration":0.033367}],"audio_segments":[{"index":1,"duration":3.008000}],"is_complete":false}"#]]
        .assert_eq(&text);
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
    }
}
