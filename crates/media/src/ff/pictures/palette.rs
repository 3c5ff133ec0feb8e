//! The colours of an animation: one palette for all its frames, so that what stands still is the same in each.

use super::Shot;
use color_quant::NeuQuant;

/// Colours of a GIF, less the one that stands for "as before".
const COLOURS_MAX: usize = 255;

/// Index of the colour that is transparent.
pub(super) const TRANSPARENT: u8 = 255;

/// Bits of each channel by which pixels are told apart before they are given a colour.
const BITS: u32 = 5;

/// Kinds of pixels that are told apart so.
const BINS: usize = 1 << (3 * BITS);

/// Pixels from which colours are learnt: those of every frame in small, which is enough for 255 colours.
const LEARNT_MAX: usize = 1 << 17;

/// Every how many of those the network looks at one; its authors' compromise between speed and quality.
const SAMPLE: i32 = 10;

/// At most 255 colours, and which of them each pixel becomes.
pub(super) struct Palette {
    /// Red, green, blue.
    colours: Vec<[u8; 3]>,
    nearest: Vec<u8>,
}

impl Palette {
    /// Colours for these shots: the very ones that they have when those are few, as on most screens, else learnt ones.
    pub(super) fn of(shots: &[Shot]) -> Palette {
        let means = means(shots);
        let used = means.iter().flatten().count();
        let mut colours: Vec<[u8; 3]> = if used <= COLOURS_MAX {
            means.iter().flatten().copied().collect()
        } else {
            let learnt = NeuQuant::new(SAMPLE, COLOURS_MAX, &sample(shots)).color_map_rgb();
            learnt.chunks_exact(3).map(|colour| [colour[0], colour[1], colour[2]]).collect()
        };
        colours.sort_unstable();
        colours.dedup();
        let nearest = means.iter().map(|mean| mean.map_or(0, |mean| nearest(&colours, mean))).collect();
        Palette { colours, nearest }
    }

    /// The colour of a pixel.
    pub(super) fn index_of(&self, rgb: &[u8]) -> u8 {
        self.nearest[bin(rgb)]
    }

    /// The table as FFmpeg wants it: 256 words of alpha, red, green and blue, the last of them transparent.
    pub(super) fn table(&self) -> [u32; 256] {
        let mut table = [0xff00_0000; 256];
        for (entry, &[red, green, blue]) in table.iter_mut().zip(&self.colours) {
            *entry = u32::from_be_bytes([0xff, red, green, blue]);
        }
        table[usize::from(TRANSPARENT)] = 0;
        table
    }
}

fn bin(rgb: &[u8]) -> usize {
    let high = |channel: u8| usize::from(channel >> (8 - BITS));
    high(rgb[0]) << (2 * BITS) | high(rgb[1]) << BITS | high(rgb[2])
}

/// The mean of the pixels of each kind.
fn means(shots: &[Shot]) -> Vec<Option<[u8; 3]>> {
    let mut sums = vec![[0u64; 4]; BINS];
    for pixel in shots.iter().flat_map(|shot| shot.rgb.chunks_exact(3)) {
        let sum = &mut sums[bin(pixel)];
        for (sum, channel) in sum.iter_mut().zip(pixel.iter().chain(&[1])) {
            *sum += u64::from(*channel);
        }
    }
    let mean = |&[red, green, blue, count]: &[u64; 4]| {
        let of = |sum: u64| u8::try_from((sum + count / 2) / count).unwrap_or(u8::MAX);
        (count > 0).then(|| [of(red), of(green), of(blue)])
    };
    sums.iter().map(mean).collect()
}

/// Some pixels of every shot, with an alpha that nobody looks at.
fn sample(shots: &[Shot]) -> Vec<u8> {
    let pixels: usize = shots.iter().map(|shot| shot.rgb.len() / 3).sum();
    let step = pixels.div_ceil(LEARNT_MAX).max(1);
    let all = shots.iter().flat_map(|shot| shot.rgb.chunks_exact(3));
    all.step_by(step).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], u8::MAX]).collect()
}

/// Where the colour stands that differs least. Eyes see green best and blue least.
fn nearest(colours: &[[u8; 3]], wanted: [u8; 3]) -> u8 {
    let distance = |colour: &[u8; 3]| {
        let by = |n: usize| i32::from(colour[n]) - i32::from(wanted[n]);
        3 * by(0) * by(0) + 6 * by(1) * by(1) + by(2) * by(2)
    };
    let found = colours.iter().enumerate().min_by_key(|(_, colour)| distance(colour));
    found.map_or(0, |(at, _)| u8::try_from(at).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shot(rgb: Vec<u8>) -> Shot {
        Shot { width: rgb.len() as u32 / 3, height: 1, rgb }
    }

    #[test]
    fn few_colours_are_kept_as_they_are() {
        let colours = [[255, 255, 255], [0, 0, 0], [17, 99, 201], [200, 30, 40]];
        let shots = [shot(colours[..2].concat()), shot(colours[2..].concat())];
        let palette = Palette::of(&shots);
        for colour in colours {
            let [.., red, green, blue] = palette.table()[usize::from(palette.index_of(&colour))].to_be_bytes();
            assert_eq!([red, green, blue], colour);
        }
        assert_eq!(palette.table()[usize::from(TRANSPARENT)] >> 24, 0);
    }

    #[test]
    fn many_colours_become_near_ones_and_always_the_same() {
        let ramp: Vec<u8> =
            (0..60_000u32).flat_map(|n| [(n % 256) as u8, (n / 256) as u8, (n / 3 % 256) as u8]).collect();
        let shots = [shot(ramp)];
        let (palette, again) = (Palette::of(&shots), Palette::of(&shots));
        assert_eq!(palette.table(), again.table());
        let (mut worst, mut sum) = (0, 0);
        for pixel in shots[0].rgb.chunks_exact(3) {
            let index = palette.index_of(pixel);
            assert!(index < TRANSPARENT);
            let [_, red, green, blue] = palette.table()[usize::from(index)].to_be_bytes();
            let off = pixel.iter().zip([red, green, blue]).map(|(a, b)| u32::from(a.abs_diff(b))).max().unwrap();
            (worst, sum) = (worst.max(off), sum + off);
        }
        assert!(worst <= 96 && sum / 60_000 <= 24, "{worst} at most, {} on average", sum / 60_000);
    }
}
