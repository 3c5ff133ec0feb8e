//! A strict walk of our own over one track: shares no code with the reader it bears witness to.

use crate::made::Pieces;
use domain::segment::Track;

/// Checks the rules for one track's pieces: boxes fill their parents exactly, one track, every byte of mdat belongs to
/// one sample, decode times go on without a gap, each segment begins with a sync sample, the spans tell the truth.
pub(crate) fn check(track: Track, pieces: &Pieces) {
    let init = boxes(&pieces.init);
    assert_eq!(names(&init), ["ftyp", "moov"]);
    let moov = boxes(init[1].body);
    let traks: Vec<_> = moov.iter().filter(|b| b.name == "trak").collect();
    assert_eq!(traks.len(), 1, "one track per initialization section");
    let mdia = boxes(child(traks[0].body, "mdia"));
    let handler = mdia.iter().find(|b| b.name == "hdlr").unwrap();
    assert_eq!(handler.body[8..12], track.handler());
    let mdhd = mdia.iter().find(|b| b.name == "mdhd").unwrap();
    assert_eq!(mdhd.body[0], 0);
    let timescale = u32_at(mdhd.body, 12);
    let elst = child(child(traks[0].body, "edts"), "elst");
    assert_eq!((elst[0], u32_at(elst, 4)), (0, 1), "one edit, of 32 bits, and no empty one before it");
    assert_eq!(u32_at(elst, 8), 0, "its duration is open");

    let mut expected = None;
    for (number, (bytes, span)) in pieces.segments.iter().enumerate() {
        let segment = boxes(bytes);
        assert_eq!(names(&segment), ["styp", "sidx", "moof", "mdat"], "segment {number}");
        let (moof, mdat) = (&segment[2], &segment[3]);
        let traf = boxes(child(moof.body, "traf"));
        let fragment = fragment(&traf, moof.at);
        assert_eq!(fragment.start, span.start, "segment {number}");
        assert_eq!((span.timescale, span.duration), (timescale, fragment.durations.iter().sum::<u64>()));
        let payload = mdat.at + 8..mdat.at + mdat.body.len() + 8;
        assert_eq!(fragment.first_byte..fragment.first_byte + fragment.bytes, payload, "every byte has its sample");
        assert!(fragment.first_is_sync, "segment {number} begins with a sync sample");
        assert!(fragment.durations.iter().all(|&duration| duration > 0));
        assert_eq!(expected.unwrap_or(fragment.start), fragment.start, "segment {number} follows without a gap");
        expected = Some(fragment.start + span.duration);
    }
}

struct Box<'a> {
    name: &'a str,
    at: usize,
    body: &'a [u8],
}

fn boxes(bytes: &[u8]) -> Vec<Box<'_>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let size = u32_at(bytes, at) as usize;
        assert!(size >= 8 && at + size <= bytes.len(), "box of {size} bytes at {at} of {}", bytes.len());
        let name = str::from_utf8(&bytes[at + 4..at + 8]).unwrap();
        found.push(Box { name, at, body: &bytes[at + 8..at + size] });
        at += size;
    }
    found
}

fn names<'a>(boxes: &[Box<'a>]) -> Vec<&'a str> {
    boxes.iter().map(|b| b.name).collect()
}

fn child<'a>(bytes: &'a [u8], name: &str) -> &'a [u8] {
    let all = boxes(bytes);
    let found: Vec<_> = all.iter().filter(|b| b.name == name).collect();
    assert_eq!(found.len(), 1, "one {name}");
    found[0].body
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

struct Fragment {
    start: u64,
    first_byte: usize,
    bytes: usize,
    durations: Vec<u64>,
    first_is_sync: bool,
}

fn fragment(traf: &[Box<'_>], moof_at: usize) -> Fragment {
    let only = |name: &str| {
        let found: Vec<_> = traf.iter().filter(|b| b.name == name).collect();
        assert_eq!(found.len(), 1, "one {name} in a fragment");
        found[0].body
    };
    let (tfhd, tfdt, trun) = (only("tfhd"), only("tfdt"), only("trun"));
    assert_eq!(tfdt[0], 1, "decode time of 64 bits");
    let flags = u32_at(tfhd, 0) & 0xff_ffff;
    assert_eq!(flags & 0x2_0001, 0x2_0000, "offsets count from the moof");
    let mut at = 8;
    let mut field = |bit: u32| {
        let present = flags & bit != 0;
        at += if present { 4 } else { 0 };
        present.then(|| u32_at(tfhd, at - 4))
    };
    assert_eq!(field(0x2), None, "sample description 1");
    let (duration, size, sample_flags) = (field(0x8), field(0x10), field(0x20));

    let flags = u32_at(trun, 0) & 0xff_ffff;
    assert_eq!(flags & 0x1, 0x1, "a trun says where its bytes are");
    let first_byte = moof_at + u32_at(trun, 8) as usize;
    let first_flags = if flags & 0x4 != 0 { Some(u32_at(trun, 12)) } else { None };
    let mut at = if flags & 0x4 != 0 { 16 } else { 12 };
    let (mut bytes, mut durations, mut first_is_sync) = (0, Vec::new(), false);
    for sample in 0..u32_at(trun, 4) {
        let mut field = |bit: u32, default: Option<u32>| {
            let present = flags & bit != 0;
            at += if present { 4 } else { 0 };
            if present { Some(u32_at(trun, at - 4)) } else { default }
        };
        durations.push(u64::from(field(0x100, duration).unwrap()));
        bytes += field(0x200, size).unwrap() as usize;
        let this = field(0x400, sample_flags).unwrap();
        field(0x800, None);
        if sample == 0 {
            first_is_sync = first_flags.unwrap_or(this) & 0x1_0000 == 0;
        }
    }
    assert_eq!(at, trun.len(), "the trun holds its samples and nothing else");
    let start = u64::from_be_bytes(tfdt[4..12].try_into().unwrap());
    Fragment { start, first_byte, bytes, durations, first_is_sync }
}
