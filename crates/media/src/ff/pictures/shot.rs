//! A frame as people see it: turned, with square pixels, in RGB, small enough.

use crate::ff::Error;
use crate::ff::error::During as _;
use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling::{Context, Flags};
use ffmpeg_next::{color, frame};

/// Averages what it makes smaller, and gives the same on every processor.
const SCALING: Flags = Flags::AREA.union(Flags::ACCURATE_RND).union(Flags::BITEXACT);

/// Bytes of a pixel.
const RGB: usize = 3;

/// From this height on a picture that does not say how its colours are meant is taken for high definition, as players do.
const HD_HEIGHT: u32 = 720;

/// A picture in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shot {
    /// Width in pixels.
    pub(super) width: u32,
    /// Height in pixels.
    pub(super) height: u32,
    /// Red, green, blue, row by row without gaps.
    pub(super) rgb: Vec<u8>,
}

/// How a frame is to be turned: by quarters, or mirrored. Other angles are shown as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Turn {
    /// Rows become columns.
    pub(super) transpose: bool,
    /// Afterwards right becomes left.
    pub(super) mirror_x: bool,
    /// And top becomes bottom.
    pub(super) mirror_y: bool,
}

impl Turn {
    /// Reads a display matrix as FFmpeg gives it: that of a `tkhd`, nine integers in the machine's order of bytes. A point
    /// (x, y) is shown at (a x + c y, b x + d y).
    pub(super) fn read(matrix: &[u8]) -> Turn {
        let entry = |n: usize| {
            matrix.get(n * 4..n * 4 + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes)
        };
        match (entry(0), entry(1), entry(3), entry(4)) {
            (a, 0, 0, d) => Turn { transpose: false, mirror_x: a < 0, mirror_y: d < 0 },
            (0, b, c, 0) => Turn { transpose: true, mirror_x: c < 0, mirror_y: b < 0 },
            _ => Turn::default(),
        }
    }
}

impl Shot {
    /// A decoded frame, turned, no larger than `width_max` by `height_max` pixels and never enlarged.
    pub(super) fn of(frame: &frame::Video, turn: Turn, width_max: u32, height_max: u32) -> Result<Shot, Error> {
        let (width_max, height_max) = if turn.transpose { (height_max, width_max) } else { (width_max, height_max) };
        let aspect = frame.aspect_ratio();
        let square = aspect.numerator() <= 0 || aspect.denominator() <= 0;
        let stretch = if square { 1.0 } else { f64::from(aspect.numerator()) / f64::from(aspect.denominator()) };
        let (width, height) =
            inside(f64::from(frame.width()) * stretch, f64::from(frame.height()), width_max, height_max);
        Ok(scaled(frame, width, height)?.turned(turn))
    }

    /// The same, no larger than this.
    pub(super) fn within(&self, width_max: u32, height_max: u32) -> Result<Shot, Error> {
        if self.width <= width_max && self.height <= height_max {
            return Ok(self.clone());
        }
        let (width, height) = inside(f64::from(self.width), f64::from(self.height), width_max, height_max);
        scaled(&self.frame(), width, height)
    }

    /// As a frame of FFmpeg.
    pub(super) fn frame(&self) -> frame::Video {
        let mut frame = frame::Video::new(Pixel::RGB24, self.width, self.height);
        frame.set_color_range(color::Range::JPEG);
        let (row, stride) = (self.width as usize * RGB, frame.stride(0));
        let rows = frame.data_mut(0).chunks_mut(stride);
        for (to, from) in rows.zip(self.rgb.chunks_exact(row)) {
            to[..row].copy_from_slice(from);
        }
        frame
    }

    /// Standard deviation of the luminance: 0 when every pixel is alike.
    pub(super) fn spread(&self) -> f64 {
        let luma =
            |pixel: &[u8]| (u64::from(pixel[0]) * 54 + u64::from(pixel[1]) * 183 + u64::from(pixel[2]) * 19) >> 8;
        let (mut sum, mut squares, mut count) = (0u64, 0u64, 0u64);
        for pixel in self.rgb.chunks_exact(RGB) {
            let luma = luma(pixel);
            (sum, squares, count) = (sum + luma, squares + luma * luma, count + 1);
        }
        let count = count.max(1) as f64;
        let mean = sum as f64 / count;
        (squares as f64 / count - mean * mean).max(0.0).sqrt()
    }

    fn turned(self, turn: Turn) -> Shot {
        if turn == Turn::default() {
            return self;
        }
        let (from_width, from_height) = (self.width as usize, self.height as usize);
        let (width, height) = if turn.transpose { (from_height, from_width) } else { (from_width, from_height) };
        let mut rgb = Vec::with_capacity(self.rgb.len());
        for y in 0..height {
            for x in 0..width {
                let x = if turn.mirror_x { width - 1 - x } else { x };
                let y = if turn.mirror_y { height - 1 - y } else { y };
                let (from_x, from_y) = if turn.transpose { (y, x) } else { (x, y) };
                let at = (from_y * from_width + from_x) * RGB;
                rgb.extend_from_slice(&self.rgb[at..at + RGB]);
            }
        }
        let small = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        Shot { width: small(width), height: small(height), rgb }
    }
}

/// A size of the same shape inside another one; even, because a JPEG's colours are stored for two pixels at once.
fn inside(width: f64, height: f64, width_max: u32, height_max: u32) -> (u32, u32) {
    let scale = (f64::from(width_max) / width).min(f64::from(height_max) / height).min(1.0);
    let side = |length: f64, max: u32| ((length * scale / 2.0).round() as u32 * 2).clamp(2, (max & !1).max(2));
    (side(width, width_max), side(height, height_max))
}

fn scaled(frame: &frame::Video, width: u32, height: u32) -> Result<Shot, Error> {
    let to = frame::Video::new(Pixel::RGB24, width, height);
    let to = convert(frame, to)?;
    let (row, stride) = (width as usize * RGB, to.stride(0));
    let rows = to.data(0).chunks(stride).take(height as usize);
    Ok(Shot { width, height, rgb: rows.flat_map(|line| &line[..row]).copied().collect() })
}

/// Fills `to` with what `from` shows.
pub(super) fn convert(from: &frame::Video, mut to: frame::Video) -> Result<frame::Video, Error> {
    let (name, operation) = ("a frame", "scale");
    let (width, height) = (from.width(), from.height());
    let mut context = Context::get(from.format(), width, height, to.format(), to.width(), to.height(), SCALING)
        .during(operation, name)?;
    set_colours(&mut context, from);
    context.run(from, &mut to).during(operation, name)?;
    Ok(to)
}

/// Says how the colours of a frame are meant. Left alone, swscale takes every picture for one of standard definition,
/// and greens and reds of a recording of 1080p would be off.
#[allow(unsafe_code)]
fn set_colours(context: &mut Context, from: &frame::Video) {
    let space = match from.color_space() {
        color::Space::BT709 => ffi::SWS_CS_ITU709,
        color::Space::BT2020NCL | color::Space::BT2020CL => ffi::SWS_CS_BT2020,
        color::Space::SMPTE240M => ffi::SWS_CS_SMPTE240M,
        color::Space::FCC => ffi::SWS_CS_FCC,
        color::Space::Unspecified if from.height() >= HD_HEIGHT => ffi::SWS_CS_ITU709,
        _ => ffi::SWS_CS_DEFAULT,
    };
    let full = i32::from(from.color_range() == color::Range::JPEG || is_full(from.format()));
    // SAFETY: `context` owns a live SwsContext; both tables are static memory of the library, which copies them; the
    // other arguments are plain integers in 16.16: no change of brightness, contrast and saturation. The call refuses
    // formats without colour spaces by its answer, and then nothing is to be set.
    unsafe {
        let table = ffi::sws_getCoefficients(space);
        let standard = ffi::sws_getCoefficients(ffi::SWS_CS_DEFAULT);
        ffi::sws_setColorspaceDetails(context.as_mut_ptr(), table, full, standard, 1, 0, 1 << 16, 1 << 16);
    }
}

/// Formats that are of full range by their name.
fn is_full(format: Pixel) -> bool {
    matches!(format, Pixel::RGB24 | Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ440P | Pixel::YUVJ444P)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(a: i32, b: i32, c: i32, d: i32) -> Vec<u8> {
        [a, b, 0, c, d, 0, 0, 0, 1 << 30].iter().flat_map(|entry| entry.to_ne_bytes()).collect()
    }

    /// Two rows of three pixels, 1 to 6.
    fn shot() -> Shot {
        Shot { width: 3, height: 2, rgb: (1..=6).flat_map(|n| [n, n, n]).collect() }
    }

    fn turned(matrix: &[u8]) -> (u32, Vec<u8>) {
        let shot = shot().turned(Turn::read(matrix));
        (shot.width, shot.rgb.chunks(3).map(|pixel| pixel[0]).collect())
    }

    #[test]
    fn matrix_turns_by_quarters_and_mirrors() {
        let one = 1 << 16;
        for (matrix, expected) in [
            (matrix(one, 0, 0, one), (3, vec![1, 2, 3, 4, 5, 6])),
            // A quarter clockwise, as a phone held upright writes it.
            (matrix(0, one, -one, 0), (2, vec![4, 1, 5, 2, 6, 3])),
            (matrix(-one, 0, 0, -one), (3, vec![6, 5, 4, 3, 2, 1])),
            (matrix(0, -one, one, 0), (2, vec![3, 6, 2, 5, 1, 4])),
            (matrix(-one, 0, 0, one), (3, vec![3, 2, 1, 6, 5, 4])),
            // Some other angle, and something that is no matrix.
            (matrix(one, one, -one, one), (3, vec![1, 2, 3, 4, 5, 6])),
            (vec![1, 2, 3], (3, vec![1, 2, 3, 4, 5, 6])),
        ] {
            assert_eq!(turned(&matrix), expected, "{matrix:?}");
        }
    }

    #[test]
    fn size_keeps_its_shape_inside_its_bounds() {
        for (size, bounds, expected) in [
            ((1920.0, 1080.0), (1280, 720), (1280, 720)),
            ((640.0, 360.0), (1280, 720), (640, 360)),
            ((1080.0, 1920.0), (1280, 720), (406, 720)),
            ((5120.0, 1440.0), (480, 480), (480, 136)),
            ((16000.0, 1.0), (480, 480), (480, 2)),
            ((1.0, 1.0), (480, 480), (2, 2)),
        ] {
            assert_eq!(inside(size.0, size.1, bounds.0, bounds.1), expected, "{size:?}");
        }
    }

    #[test]
    fn blank_picture_has_no_spread() {
        let of = |pixels: Vec<u8>| Shot { width: pixels.len() as u32 / 3, height: 1, rgb: pixels }.spread();
        assert_eq!(of(vec![0; 300]), 0.0);
        assert_eq!(of(vec![255; 300]), 0.0);
        assert!(of([[0; 150], [255; 150]].concat()) > 120.0);
        assert_eq!(of(Vec::new()), 0.0);
    }
}
