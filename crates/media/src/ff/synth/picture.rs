//! Draws frame number `n`: counter strip, clock, and content that moves, so that the bit-rate is that of a recording.

use super::counter::{self, BLACK, WHITE};
use super::{Config, font};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame;

/// The scrolling pattern repeats after this many columns; a power of two keeps it seamless.
const PERIOD: usize = 256;

/// What stays the same from frame to frame.
pub(in crate::ff) struct Picture {
    width: usize,
    height: usize,
    fps: u64,
    pattern: Vec<u8>,
}

impl Picture {
    pub(in crate::ff) fn new(config: &Config) -> Picture {
        let (width, height) = (config.width as usize, config.height as usize);
        Picture { width, height, fps: u64::from(config.fps), pattern: pattern(width, height) }
    }

    /// A new frame with everything of frame `n` drawn, its timestamp not yet set.
    pub(in crate::ff) fn draw(&self, n: u64) -> frame::Video {
        let mut frame = frame::Video::new(Pixel::YUV420P, self.width as u32, self.height as u32);
        let stride = frame.stride(0);
        let luma = frame.data_mut(0);
        self.draw_pattern(luma, stride, n);
        self.draw_noise(luma, stride, n);
        self.draw_clock(luma, stride, n);
        // The counter wraps after 4.5 years at 30 frames per second.
        counter::draw(luma, stride, self.width, self.height, (n % (1 << 32)) as u32);
        self.draw_colour(&mut frame, n);
        frame
    }

    /// Rows scroll at different speeds, so that the encoder has motion to find.
    fn draw_pattern(&self, luma: &mut [u8], stride: usize, n: u64) {
        let row_len = self.width + PERIOD;
        for row in 0..self.height {
            let speed = 1 + (row * 4 / self.height) as u64;
            let shift = (n * speed) as usize % PERIOD;
            let from = &self.pattern[row * row_len + shift..][..self.width];
            luma[row * stride..][..self.width].copy_from_slice(from);
        }
    }

    /// A square of fresh noise that wanders through the lower half: bits that no prediction can save.
    fn draw_noise(&self, luma: &mut [u8], stride: usize, n: u64) {
        let side = self.height / 8;
        let span = self.width - side;
        let path = (n as usize * 3) % (2 * span);
        let left = if path < span { path } else { 2 * span - path };
        let mut noise = Noise(n ^ 0x9e37_79b9_7f4a_7c15);
        for row in self.height / 2..self.height / 2 + side {
            for pixel in &mut luma[row * stride + left..][..side] {
                *pixel = 64 + (noise.next() >> 57) as u8;
            }
        }
    }

    fn draw_clock(&self, luma: &mut [u8], stride: usize, n: u64) {
        let scale = (self.height / 90).max(1);
        let (top, left) = (counter::strip_height(self.height) + 4 * scale, 4 * scale);
        let text = font::clock(n * 1000 / self.fps);
        let (box_width, box_height) = ((text.len() * (font::COLUMNS + 1) + 3) * scale, (font::ROWS + 4) * scale);
        for row in top..top + box_height {
            luma[row * stride + left..][..box_width].fill(BLACK);
        }
        for (place, character) in text.bytes().enumerate() {
            let x = left + (2 + place * (font::COLUMNS + 1)) * scale;
            for (line, bits) in font::glyph(character).into_iter().enumerate() {
                for column in (0..font::COLUMNS).filter(|column| bits >> (font::COLUMNS - 1 - column) & 1 == 1) {
                    for row in 0..scale {
                        let y = top + (2 + line) * scale + row;
                        luma[y * stride + x + column * scale..][..scale].fill(WHITE);
                    }
                }
            }
        }
    }

    /// Colours turn slowly; strip and clock stay grey enough to read.
    fn draw_colour(&self, frame: &mut frame::Video, n: u64) {
        for plane in [1, 2] {
            let stride = frame.stride(plane);
            let chroma = frame.data_mut(plane);
            let strip = counter::strip_height(self.height).div_ceil(2);
            for row in 0..self.height / 2 {
                let turn = (row as u64 * 2 + n * plane as u64) % 128;
                let value = if row < strip { 128 } else { 96 + turn.min(128 - turn) as u8 };
                chroma[row * stride..][..self.width / 2].fill(value);
            }
        }
    }
}

/// Slopes with texture on them, `width + PERIOD` columns wide, repeating every `PERIOD` columns.
fn pattern(width: usize, height: usize) -> Vec<u8> {
    let mut noise = Noise(1);
    let texture: Vec<u8> = (0..PERIOD * 16).map(|_| (noise.next() >> 60) as u8).collect();
    let mut pattern = Vec::with_capacity((width + PERIOD) * height);
    for row in 0..height {
        for column in 0..width + PERIOD {
            let column = column % PERIOD;
            let slope = if column < PERIOD / 2 { column } else { PERIOD - column };
            let bar = if (column / 32 + row / 32).is_multiple_of(2) { 24 } else { 0 };
            pattern.push(48 + slope as u8 / 2 + bar + texture[row % 16 * PERIOD + column]);
        }
    }
    pattern
}

/// A small generator (splitmix64): the same number gives the same picture.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_is_a_function_of_its_number_and_reads_back() {
        for config in ["320x180@30", "640x360@30", "1920x1080@60"] {
            let picture = Picture::new(&config.parse().unwrap());
            let (a, b, c) = (picture.draw(7), picture.draw(7), picture.draw(1 << 32 | 8));
            assert_eq!((a.data(0), a.data(1)), (b.data(0), b.data(1)));
            assert_ne!(a.data(0), c.data(0));
            let read = |frame: &frame::Video| {
                counter::read_counter(frame.data(0), frame.stride(0), frame.width() as usize, frame.height() as usize)
            };
            assert_eq!((read(&a), read(&c)), (Some(7), Some(8)));
        }
    }
}
