//! Several objects read as one.

use bytes::{Bytes, BytesMut};
use media::readback::RangedReader;
use std::ops::Range;

/// One object of several.
pub trait Part: Sync {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Exactly the bytes of `range`, which lie inside the object.
    fn read(&self, range: Range<u64>) -> impl Future<Output = Result<Bytes, Self::Error>> + Send;
}

/// Objects one after the other.
#[derive(Debug)]
pub struct Joined<P> {
    /// First byte of each and the object.
    parts: Vec<(u64, P)>,
    end: u64,
}

impl<P: Part> Joined<P> {
    /// Objects with their lengths, in order.
    pub fn of(parts: impl IntoIterator<Item = (u64, P)>) -> Joined<P> {
        let mut end = 0;
        let place = |(size_bytes, part)| {
            let at = end;
            end += size_bytes;
            (at, part)
        };
        let parts: Vec<_> = parts.into_iter().map(place).collect();
        Joined { parts, end }
    }

    /// Length of all.
    pub fn size_bytes(&self) -> u64 {
        self.end
    }
}

impl<P: Part> RangedReader for Joined<P> {
    type Error = P::Error;

    async fn read(&self, at: u64, len: u64) -> Result<Bytes, P::Error> {
        let (mut joined, mut from, to) = (BytesMut::new(), at, at + len);
        let first = self.parts.partition_point(|(begin, _)| *begin <= at).saturating_sub(1);
        for (n, (begin, part)) in self.parts.iter().enumerate().skip(first) {
            let end = self.parts.get(n + 1).map_or(self.end, |(next, _)| *next);
            let until = to.min(end);
            if from >= until {
                continue;
            }
            let range = part.read(from - begin..until - begin).await?;
            if until == to && joined.is_empty() {
                return Ok(range);
            }
            joined.extend_from_slice(&range);
            from = until;
            if from == to {
                break;
            }
        }
        Ok(joined.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    impl Part for &'static [u8] {
        type Error = Infallible;

        async fn read(&self, range: Range<u64>) -> Result<Bytes, Infallible> {
            Ok(Bytes::from_static(&self[range.start as usize..range.end as usize]))
        }
    }

    #[tokio::test]
    async fn every_range_of_the_whole_is_read() {
        let parts: [&'static [u8]; 4] = [b"abc", b"", b"d", b"efgh"];
        let joined = Joined::of(parts.map(|part| (part.len() as u64, part)));
        assert_eq!(joined.size_bytes(), 8);
        for from in 0..8 {
            for to in from..=8 {
                let read = joined.read(from, to - from).await.unwrap();
                assert_eq!(read, b"abcdefgh"[from as usize..to as usize], "{from}..{to}");
            }
        }
    }
}
