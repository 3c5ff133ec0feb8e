//! One property of all samples of a fragment, packed.
//!
//! A column begins with the greatest common divisor of its values; 0 says that all of them are 0 and nothing follows.
//! Then come words: a value divided by the divisor, shifted by one; the low bit says that a count follows, of how
//! many more than two equal values the word stands for. Equal durations take three bytes, composition offsets one
//! byte a sample, sizes two or three.

#![forbid(unsafe_code)]

use super::varint;

pub(super) fn write(out: &mut Vec<u8>, values: impl Iterator<Item = u64> + Clone) {
    let unit = values.clone().fold(0, gcd);
    varint::write(out, unit);
    if unit == 0 {
        return;
    }
    let mut values = values.peekable();
    while let Some(value) = values.next() {
        let mut count = 1u64;
        while values.next_if_eq(&value).is_some() {
            count += 1;
        }
        let word = value / unit * 2;
        if count == 1 {
            varint::write(out, word);
        } else {
            varint::write(out, word | 1);
            varint::write(out, count - 2);
        }
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The values of a column, front to back, as runs or one by one.
#[derive(Debug, Clone)]
pub(super) struct Column<'a> {
    rest: &'a [u8],
    unit: u64,
    left: u64,
    value: u64,
    repeat: u64,
}

impl<'a> Column<'a> {
    /// Opens a column of `count` values.
    pub(super) fn open(mut rest: &'a [u8], count: u64) -> Option<Column<'a>> {
        let unit = varint::read(&mut rest)?;
        Some(Column { rest, unit, left: count, value: 0, repeat: 0 })
    }

    /// The next run of equal values: the value and how often; `None` at the end or when the bytes are damaged.
    pub(super) fn run(&mut self) -> Option<(u64, u64)> {
        if self.left == 0 {
            return None;
        }
        if self.unit == 0 {
            return Some((0, std::mem::take(&mut self.left)));
        }
        let word = varint::read(&mut self.rest)?;
        let count = if word & 1 == 0 { 1 } else { varint::read(&mut self.rest)?.checked_add(2)? };
        let value = (word >> 1).checked_mul(self.unit)?;
        self.left = self.left.checked_sub(count)?;
        Some((value, count))
    }

    /// Adds the next `count` values up.
    pub(super) fn total_of(&mut self, mut count: u64) -> Option<u64> {
        let mut sum = 0u64;
        while count > 0 {
            if self.repeat == 0 {
                (self.value, self.repeat) = self.run()?;
            }
            let equal = self.repeat.min(count);
            sum = sum.checked_add(self.value.checked_mul(equal)?)?;
            (self.repeat, count) = (self.repeat - equal, count - equal);
        }
        Some(sum)
    }

    /// Passes over all values and gives what follows them.
    pub(super) fn behind(mut self) -> Option<&'a [u8]> {
        while self.run().is_some() {}
        self.is_done().then_some(self.rest)
    }

    /// Every value has been read.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// What follows the column, once every value has been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl Iterator for Column<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.repeat == 0 {
            (self.value, self.repeat) = self.run()?;
        }
        self.repeat -= 1;
        Some(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn column_reads_back(values in prop::collection::vec(prop_oneof![Just(0u64), Just(512), 0..5u64, 0..1u64 << 33], 0..200)) {
            let mut out = Vec::new();
            write(&mut out, values.iter().copied());
            out.extend(b"rest");
            let mut column = Column::open(&out, values.len() as u64).unwrap();
            let read: Vec<_> = column.by_ref().collect();
            prop_assert_eq!(read, values);
            prop_assert!(column.is_done());
            prop_assert_eq!(column.rest(), b"rest");
        }
    }
}
