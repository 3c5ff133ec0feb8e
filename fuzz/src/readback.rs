//! Reading a result back: a stranger's file is refused or agrees with itself, and no byte is read much more than once.
//!
//! Input: the file.

use super::memory::Memory;

/// Largest single read beyond what the file has left, once for every box of the file (the first read is generous).
const AHEAD_BYTES: u64 = 64 << 10;

/// Holds the reading to its promises.
pub fn check(bytes: &[u8]) {
    let size_bytes = bytes.len() as u64;
    let file = Memory::new(bytes.to_vec(), size_bytes);
    let read = file.read_back();
    let (read_bytes, reads) = file.read();
    assert!(reads <= 257, "{reads} reads");
    assert!(read_bytes <= 2 * size_bytes + reads * AHEAD_BYTES.min(size_bytes), "{read_bytes} bytes of {size_bytes}");
    let Ok(read) = read else { return };
    assert_eq!(read.facts.size_bytes, size_bytes);
    assert_eq!(read.facts.tracks.len(), read.codecs.len());
    for (facts, codec) in read.facts.tracks.iter().zip(&read.codecs) {
        assert_eq!(facts.timescale, codec.timescale);
        assert!(facts.timescale > 0 && !codec.codec.is_empty());
        assert!(facts.samples > 0 || facts.payload_bytes == 0, "bytes of no sample");
    }
    assert!(read.fps().is_none_or(f64::is_finite));
}
