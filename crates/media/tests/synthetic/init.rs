//! Initialization sections made box by box, the same on every machine: a fixed encoder configuration, nothing of FFmpeg.

use domain::segment::Track;

/// What an initialization section says beyond what is always the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codec<'a> {
    pub(crate) track: Track,
    /// Units per second (`mdhd`).
    pub(crate) timescale: u32,
    /// The sample entry, a whole box.
    pub(crate) entry: &'a [u8],
    /// Where the edit list lets the media begin; `None` = there is no edit list.
    pub(crate) media_time: Option<u32>,
}

/// A box.
pub(crate) fn atom(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// H.264 baseline, 64 × 64, with a colour and an aspect ratio.
pub(crate) fn avc1() -> Vec<u8> {
    let visual =
        [&[0; 6][..], &[0, 1], &[0; 16], &[0, 64, 0, 64], &words(&[0x48_0000, 0x48_0000, 0]), &[0, 1]].concat();
    let tail = [&[0; 32][..], &[0, 24, 0xff, 0xff]].concat();
    let sps = b"\x67\x42\xc0\x0a\xd9\x04\x26\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\x50\x3c\x48\x99\x20";
    let pps = b"\x68\xcb\x83\xcb\x20";
    let avcc = [&b"\x01\x42\xc0\x0a\xff\xe1\0\x17"[..], sps, b"\x01\0\x05", pps].concat();
    let colr = atom(b"colr", &[b"nclx\0\x01\0\x01\0\x01\0"]);
    let pasp = atom(b"pasp", &[&words(&[4, 3])]);
    atom(b"avc1", &[&visual, &tail, &atom(b"avcC", &[&avcc]), &colr, &pasp])
}

/// AAC with an AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1).
pub(crate) fn mp4a(channels: u16, sample_rate: u32, config: &[u8]) -> Vec<u8> {
    let specific = [&[5, config.len() as u8][..], config].concat();
    let decoder = [&[4, 13 + specific.len() as u8, 0x40, 0x15][..], &[0; 11], &specific].concat();
    let es = [&[3, 3 + decoder.len() as u8 + 3][..], &[0, 1, 0], &decoder, &[6, 1, 2]].concat();
    sound(b"mp4a", channels, sample_rate, &atom(b"esds", &[&[0; 4], &es]))
}

/// Opus of one stream (RFC 7845 mapping family 0) with a pre-skip in units of 1/48000 s.
pub(crate) fn opus(channels: u8, pre_skip: u16) -> Vec<u8> {
    let dops = [&[0, channels][..], &pre_skip.to_be_bytes(), &48_000u32.to_be_bytes(), &[0, 0, 0]].concat();
    sound(b"Opus", u16::from(channels), 48_000, &atom(b"dOps", &[&dops]))
}

/// A sound sample entry with its configuration box.
pub(crate) fn sound(kind: &[u8; 4], channels: u16, sample_rate: u32, config: &[u8]) -> Vec<u8> {
    let channels = channels.to_be_bytes();
    // A rate that does not fit 16 bits is told by the configuration alone.
    let rate = words(&[sample_rate.checked_shl(16).filter(|_| sample_rate < 1 << 16).unwrap_or(0)]);
    atom(kind, &[&[0; 6], &[0, 1], &[0; 8], &channels, &[0, 16, 0, 0, 0, 0], &rate, config])
}

impl Codec<'_> {
    /// `ftyp + moov`.
    pub(crate) fn init(&self) -> Vec<u8> {
        let matrix = words(&[0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]);
        let mvhd =
            atom(b"mvhd", &[&words(&[0, 0, 0, 1000, 0, 0x1_0000, 0x100_0000, 0, 0]), &matrix, &[0; 24], &words(&[2])]);
        let (handler, media_header) = match self.track {
            Track::Video => (b"vide", atom(b"vmhd", &[&words(&[1, 0, 0])])),
            Track::Audio => (b"soun", atom(b"smhd", &[&words(&[0, 0])])),
        };
        let tkhd =
            atom(b"tkhd", &[&words(&[3, 0, 0, 1, 0, 0, 0, 0, 0, 0x100_0000]), &matrix, &words(&[64 << 16, 64 << 16])]);
        let edts =
            self.media_time.map(|start| atom(b"edts", &[&atom(b"elst", &[&words(&[0, 1, 0, start, 0x1_0000])])]));
        let mdhd = atom(b"mdhd", &[&words(&[0, 0, 0, self.timescale, 0, 0x55c4_0000])]);
        let hdlr = atom(b"hdlr", &[&words(&[0, 0]), handler, &[0; 12], b"made\0"]);
        let dinf = atom(b"dinf", &[&atom(b"dref", &[&words(&[0, 1]), &atom(b"url ", &[&words(&[1])])])]);
        let stsd = atom(b"stsd", &[&words(&[0, 1]), self.entry]);
        let empty = [b"stts", b"stsc", b"stco"].map(|kind| atom(kind, &[&words(&[0, 0])])).concat();
        let stbl = atom(b"stbl", &[&stsd, &empty, &atom(b"stsz", &[&words(&[0, 0, 0])])]);
        let mdia = atom(b"mdia", &[&mdhd, &hdlr, &atom(b"minf", &[&media_header, &dinf, &stbl])]);
        let mvex = atom(b"mvex", &[&atom(b"trex", &[&words(&[0, 1, 1, 0, 0, 0])])]);
        let trak = atom(b"trak", &[&tkhd, &edts.unwrap_or_default(), &mdia]);
        [atom(b"ftyp", &[b"iso6\0\0\0\0iso6mp41"]), atom(b"moov", &[&mvhd, &trak, &mvex])].concat()
    }
}
