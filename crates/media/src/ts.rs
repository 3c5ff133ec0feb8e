//! Where an MPEG transport stream has lost packets, told by their counters alone (ISO/IEC 13818-1, 2.4.3).
//!
//! Every packet has 188 bytes, begins with a sync byte and counts, modulo 16, the packets of its kind. libavformat reads
//! on where the count jumps, and marks at most the frame in which it noticed. One jump in sixteen is not seen.
//! Memory is bounded by a window and [`BREAKS_MAX`]; each byte is read once.

#![forbid(unsafe_code)]

use crate::window::Window;
use std::io::{self, Read, Seek};

/// Length of a packet.
const PACKET_BYTES: u64 = 188;

/// First byte of a packet.
const SYNC: u8 = 0x47;

/// Packets of this kind are padding and do not count.
const NULL: usize = 0x1fff;

/// First bytes by which a stream is known: three packets begin in them.
pub const HEAD_BYTES: u64 = 2 * PACKET_BYTES + 1;

/// Breaks that are told apart.
pub const BREAKS_MAX: usize = 1_000;

/// What a walk has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// First bytes of packets before which others are missing, ascending.
    pub breaks: Vec<u64>,
    /// Where a last packet begins that is not whole.
    pub cut_at: Option<u64>,
}

/// Whether a stream begins like one, by its first [`HEAD_BYTES`].
pub fn is_one(head: &[u8]) -> bool {
    head.len() as u64 >= HEAD_BYTES && head.iter().step_by(PACKET_BYTES as usize).take(3).all(|byte| *byte == SYNC)
}

/// Walks over a stream of `size_bytes` bytes.
///
/// # Errors
/// The stream cannot be read. What is in it is no error.
pub fn walk(reader: impl Read + Seek, size_bytes: u64) -> io::Result<Survey> {
    let (mut window, mut survey) = (Window::of(reader, size_bytes), Survey::default());
    let (mut counters, mut at) = (vec![None; NULL + 1], 0);
    while at + PACKET_BYTES <= size_bytes && survey.breaks.len() < BREAKS_MAX {
        let Some(packet) = window.peek(at, 6)?.first_chunk::<6>().filter(|packet| packet[0] == SYNC).copied() else {
            survey.breaks.push(at);
            counters.fill(None);
            at = resume(&mut window, at + 1)?.unwrap_or(size_bytes);
            continue;
        };
        if !follows(&mut counters, &packet) {
            survey.breaks.push(at);
        }
        at += PACKET_BYTES;
    }
    survey.cut_at = (at < size_bytes && at + PACKET_BYTES > size_bytes).then_some(at);
    Ok(survey)
}

/// Whether a packet follows on the last one of its kind, by its first bytes.
fn follows(counters: &mut [Option<u8>], packet: &[u8; 6]) -> bool {
    let kind = usize::from(packet[1] & 0x1f) << 8 | usize::from(packet[2]);
    let (damaged, counter) = (packet[1] & 0x80 != 0, packet[3] & 0x0f);
    let (extended, payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
    if kind == NULL {
        return true;
    }
    // An adaptation field may say that the count begins anew.
    let anew = extended && packet[4] > 0 && packet[5] & 0x80 != 0;
    let before = counters[kind].replace(counter);
    let due = before.map(|before| if payload { (before + 1) & 0x0f } else { before });
    // A packet may come twice.
    !damaged && (anew || due.is_none_or(|due| due == counter) || (payload && before == Some(counter)))
}

/// The first place from `from` on where three packets begin, or as many as there are.
fn resume<R: Read + Seek>(window: &mut Window<R>, from: u64) -> io::Result<Option<u64>> {
    let mut at = from;
    while at < window.size_bytes() {
        let rest = window.rest(at)?;
        match rest.iter().position(|byte| *byte == SYNC) {
            Some(behind) => at += behind as u64,
            None => {
                at += rest.len() as u64;
                continue;
            }
        }
        if window.peek(at, HEAD_BYTES as usize)?.iter().step_by(PACKET_BYTES as usize).all(|byte| *byte == SYNC) {
            return Ok(Some(at));
        }
        at += 1;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Packets of one kind with these counters.
    fn packets(counters: &[u8]) -> Vec<u8> {
        let packet = |counter: &u8| [&[SYNC, 1, 0, 0x10 | counter][..], &[0x55; 184]].concat();
        counters.iter().flat_map(packet).collect()
    }

    fn survey(bytes: &[u8]) -> (Vec<u64>, Option<u64>) {
        let found = walk(Cursor::new(bytes), bytes.len() as u64).unwrap();
        (found.breaks.iter().map(|at| at / PACKET_BYTES).collect(), found.cut_at.map(|at| at / PACKET_BYTES))
    }

    #[test]
    fn jump_of_a_counter_is_a_break_and_a_packet_that_comes_twice_is_none() {
        assert_eq!(survey(&packets(&[14, 15, 0, 0, 1, 2])), (vec![], None));
        assert_eq!(survey(&packets(&[14, 15, 2, 3, 9, 10])), (vec![2, 4], None));
        let mut anew = packets(&[1, 2, 7, 8]);
        anew[2 * 188 + 3..2 * 188 + 6].copy_from_slice(&[0x37, 1, 0x80]);
        assert_eq!(survey(&anew), (vec![], None));
        let mut padded = packets(&[1, 9, 2]);
        padded[189..191].copy_from_slice(&[0x1f, 0xff]);
        assert_eq!(survey(&padded), (vec![], None));
    }

    #[test]
    fn lost_sync_is_one_break_and_half_a_packet_is_an_end_that_was_cut() {
        let mut bytes = packets(&[1, 2, 3, 4, 5, 6, 7]);
        bytes[2 * 188..3 * 188].fill(0);
        assert_eq!(survey(&bytes), (vec![2], None));
        bytes.drain(2 * 188 + 7..3 * 188);
        assert_eq!(survey(&bytes).0, [2]);
        assert_eq!(survey(&packets(&[1, 2, 3])[..500]), (vec![], Some(2)));
        let whole = packets(&[1, 2, 3]);
        assert!(is_one(&whole[..377]) && !is_one(&whole[1..378]) && !is_one(&whole[..376]));
    }
}
