//! Times of sound, exact to the sample where the container rounds them.
//!
//! Matroska counts milliseconds, a transport stream 90000ths: a packet of 1024 samples has no exact place in either. Its
//! place follows from the packets before it as long as the container agrees within its own rounding; where it does not,
//! time has jumped and the container is right.

/// Counts samples beside the container's times.
#[derive(Debug)]
pub(super) struct SampleClock {
    /// The coarsest the container may be off, in samples.
    tolerance: i64,
    /// Where the next packet begins when nothing jumps.
    next: Option<i64>,
    /// Samples before the first one that is heard, as the codec tells them.
    priming: i64,
}

impl SampleClock {
    /// Beside a container that counts `unit_samples` samples as one unit, rounded up.
    pub(super) fn new(unit_samples: i64, priming: i64) -> SampleClock {
        SampleClock { tolerance: unit_samples.max(1), next: None, priming }
    }

    /// The place of a packet of `samples` samples that the container puts at `stamped`, in samples.
    pub(super) fn place(&mut self, stamped: i64, samples: i64) -> i64 {
        let expected = match self.next {
            Some(next) => next,
            None if self.priming > 0 => -self.priming,
            None => stamped,
        };
        let place = if (expected - stamped).abs() <= self.tolerance { expected } else { stamped };
        self.next = Some(place + samples);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1024 samples at 48 kHz whose times were rounded to a millisecond.
    fn placed(stamps_ms: &[i64], priming: i64) -> Vec<i64> {
        let mut clock = SampleClock::new(48, priming);
        stamps_ms.iter().map(|ms| clock.place(ms * 48, 1024)).collect()
    }

    #[test]
    fn rounding_is_undone_and_a_jump_is_kept() {
        assert_eq!(placed(&[0, 21, 43, 64, 85, 107], 0), [0, 1024, 2048, 3072, 4096, 5120]);
        assert_eq!(placed(&[-7, 14, 36], 312), [-312, 712, 1736]);
        assert_eq!(placed(&[500, 521], 312), [24_000, 25_024]);
        assert_eq!(placed(&[0, 21, 1043, 1064], 0), [0, 1024, 1043 * 48, 1043 * 48 + 1024]);
        assert_eq!(placed(&[0, 21, 38], 0), [0, 1024, 38 * 48]);
    }
}
