//! The sound: a short beep on every full second of the same clock that the picture shows, faint noise between.

/// Samples per second.
pub const SAMPLE_RATE: u32 = 48_000;

/// Pitch of the beep.
pub const BEEP_HZ: u32 = 1000;

/// Length of the beep.
pub const BEEP_MS: u32 = 100;

/// Samples of one period of the beep: whole, so that the wave needs no rounding.
const PERIOD: u64 = (SAMPLE_RATE / BEEP_HZ) as u64;

/// Loudness of the beep, of 1.
const BEEP_LEVEL: f32 = 0.5;

/// Loudness of the noise, of 1: about -66 dB, so that the encoder has something to encode and nobody hears it.
const NOISE_LEVEL: f32 = 0.0005;

/// Writes the samples from number `first` on.
pub(in crate::ff) fn fill(first: u64, samples: &mut [f32]) {
    for (n, sample) in (first..).zip(samples) {
        *sample = sample_at(n);
    }
}

fn sample_at(n: u64) -> f32 {
    let within = n % u64::from(SAMPLE_RATE);
    if within < u64::from(SAMPLE_RATE * BEEP_MS / 1000) {
        let phase = (within % PERIOD) as f32 / PERIOD as f32;
        return BEEP_LEVEL * (std::f32::consts::TAU * phase).sin();
    }
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    NOISE_LEVEL * ((mixed >> 40) as f32 / (1 << 23) as f32 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beep_stands_on_every_full_second() {
        for second in [0, 1, 59] {
            let mut samples = vec![0.0; SAMPLE_RATE as usize];
            fill(second * u64::from(SAMPLE_RATE), &mut samples);
            let loud: Vec<usize> = (0..samples.len()).filter(|&n| samples[n].abs() > 0.01).collect();
            assert!(loud[0] < 2, "starts on the second");
            assert!((4798..4800).contains(loud.last().unwrap()), "lasts 100 ms");
        }
    }
}
