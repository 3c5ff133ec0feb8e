//! Moves a fragment on the time axis.
//!
//! The muxer counts every track from its own first packet. A track that begins later than the other one has its true
//! place in `tfdt` (and `sidx`) instead: players that ignore edit lists then keep picture and sound together too.
//! Reads only bytes that our own muxer has just written.

use super::Error;
use domain::segment::Track;

/// Adds `offset` to the decode time of every fragment in `bytes`, and to the time its index names. Bytes without a
/// fragment (an initialization section) stay as they are.
pub(super) fn by(track: Track, bytes: &mut [u8], offset: u64) -> Result<(), Error> {
    let wrong = |what| Error::Fragment { track: track.as_str(), what };
    walk(bytes, &mut |name, body| match name {
        // version, flags; then tfdt has its time, sidx two 32-bit fields before it.
        b"tfdt" => add(body, 4, offset),
        b"sidx" => add(body, 12, offset),
        _ => Some(()),
    })
    .ok_or_else(|| wrong("a box is cut short or its time has 32 bits"))
}

/// Adds to the 64-bit field at `at` of a version 1 box.
fn add(body: &mut [u8], at: usize, offset: u64) -> Option<()> {
    if *body.first()? != 1 {
        return None;
    }
    let field = body.get_mut(at..at + 8)?;
    let time = u64::from_be_bytes((*field).try_into().ok()?);
    field.copy_from_slice(&time.checked_add(offset)?.to_be_bytes());
    Some(())
}

/// Gets a box's name and body; `None` when the body is not as expected.
type Visit<'a> = dyn FnMut(&[u8; 4], &mut [u8]) -> Option<()> + 'a;

/// Calls `visit` with every box of the levels that lead to `tfdt` and `sidx`.
fn walk(mut bytes: &mut [u8], visit: &mut Visit) -> Option<()> {
    while !bytes.is_empty() {
        let size = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let name: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        let (this, rest) = bytes.split_at_mut_checked(size)?;
        let body = this.get_mut(8..)?;
        match &name {
            b"moof" | b"traf" => walk(body, visit)?,
            other => visit(other, body)?,
        }
        bytes = rest;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], name, body].concat()
    }

    fn fragment(time: u64) -> Vec<u8> {
        let tfdt = boxed(b"tfdt", &[&[1, 0, 0, 0][..], &time.to_be_bytes()].concat());
        let sidx = boxed(b"sidx", &[&[1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1][..], &time.to_be_bytes()].concat());
        [sidx, boxed(b"moof", &boxed(b"traf", &tfdt)), boxed(b"mdat", b"tfdt")].concat()
    }

    #[test]
    fn shift_moves_every_time_and_nothing_else() {
        let mut bytes = [fragment(7), fragment(9)].concat();
        by(Track::Audio, &mut bytes, 1000).unwrap();
        assert_eq!(bytes, [fragment(1007), fragment(1009)].concat());
    }

    #[test]
    fn shift_refuses_what_is_cut_short() {
        let mut bytes = fragment(7);
        bytes.pop();
        assert!(by(Track::Audio, &mut bytes, 1).is_err());
    }
}
