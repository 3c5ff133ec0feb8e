//! Numbers in as few bytes as they need: seven bits a byte, low ones first, the high bit set where more follow.

#![forbid(unsafe_code)]

pub(super) fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a number and moves `rest` behind it; `None` when it is cut off or does not fit.
pub(super) fn read(rest: &mut &[u8]) -> Option<u64> {
    let (&first, mut tail) = rest.split_first()?;
    let mut value = u64::from(first & 0x7f);
    let (mut byte, mut shift) = (first, 0);
    while byte & 0x80 != 0 {
        (byte, tail) = tail.split_first().map(|(&byte, tail)| (byte, tail))?;
        shift += 7;
        if shift > 63 || (shift == 63 && byte > 1) {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
    }
    *rest = tail;
    Some(value)
}

/// Small numbers of either sign become small numbers without one: 0, -1, 1, -2 …
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn number_reads_back(value in any::<u64>(), signed in any::<i64>()) {
            let mut out = Vec::new();
            write(&mut out, value);
            prop_assert_eq!(read(&mut out.as_slice()), Some(value));
            prop_assert_eq!(read(&mut &out[..out.len() - 1]), None);
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }
    }

    #[test]
    fn number_that_does_not_fit_is_refused() {
        assert_eq!(read(&mut &[0xff; 11][..]), None);
        assert_eq!(read(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]), None);
        assert_eq!(read(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1][..]), Some(u64::MAX));
    }
}
