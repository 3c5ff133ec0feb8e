//! The synthetic source: a picture that tells its own number and time, and a sound that tells the same time.
//!
//! Owns what is drawn and what is heard, as pure functions of a frame or sample number; nothing here encodes.
//! Because every frame can be read back ([`counter`]), a test can say which frames a result holds, once and in order.

pub mod counter;
mod font;
mod picture;
mod sound;

pub(super) use picture::Picture;
pub(super) use sound::fill;
pub use sound::{BEEP_HZ, BEEP_MS, SAMPLE_RATE};

use super::Error;
use std::str::FromStr;

/// Units per second of the synthetic picture's timestamps.
pub const TIMESCALE: u32 = 90_000;

/// Size and rate of the synthetic picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Picture width in pixels, even, at least 320.
    pub width: u32,
    /// Picture height in pixels, even, at least 180.
    pub height: u32,
    /// Frames per second; a divisor of 90000.
    pub fps: u32,
    /// Whether the encoder may reorder frames, which gives composition offsets.
    pub b_frames: bool,
    /// Whether there is sound.
    pub sound: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config { width: 640, height: 360, fps: 30, b_frames: true, sound: true }
    }
}

impl Config {
    /// Checks that the picture can be drawn, read back and timed exactly.
    pub fn check(&self) -> Result<(), Error> {
        let even = |side: u32| side.is_multiple_of(2);
        // 4096 is what every H.264 level of a recorder allows; below 320 a square is too narrow to survive compression.
        if !(320..=4096).contains(&self.width) || !(180..=4096).contains(&self.height) {
            return Err(setting(format!(
                "picture size {}x{} is outside 320x180 to 4096x4096",
                self.width, self.height
            )));
        }
        if !even(self.width) || !even(self.height) {
            return Err(setting(format!("picture size {}x{} must be even on both sides", self.width, self.height)));
        }
        if !(1..=120).contains(&self.fps) || !TIMESCALE.is_multiple_of(self.fps) {
            return Err(setting(format!("{} frames per second: must be 1 to 120 and divide {TIMESCALE}", self.fps)));
        }
        Ok(())
    }

    /// Duration of one frame in units of [`TIMESCALE`].
    pub fn frame_ticks(&self) -> i64 {
        i64::from(TIMESCALE / self.fps.max(1))
    }
}

/// Reads `WxH@FPS`, `WxH` or nothing, as it stands behind `test:`.
impl FromStr for Config {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut config = Config::default();
        if text.is_empty() {
            return Ok(config);
        }
        let wrong = || setting(format!("test source {text:?} is not WxH or WxH@FPS, for example 1280x720@30"));
        let (size, fps) = text.split_once('@').map_or((text, None), |(size, fps)| (size, Some(fps)));
        let (width, height) = size.split_once('x').ok_or_else(wrong)?;
        config.width = width.parse().map_err(|_| wrong())?;
        config.height = height.parse().map_err(|_| wrong())?;
        if let Some(fps) = fps {
            config.fps = fps.parse().map_err(|_| wrong())?;
        }
        config.check()?;
        Ok(config)
    }
}

fn setting(what: String) -> Error {
    Error::Setting { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_reads_size_and_rate() {
        assert_eq!("".parse::<Config>().unwrap(), Config::default());
        let hd: Config = "1920x1080@60".parse().unwrap();
        assert_eq!((hd.width, hd.height, hd.fps, hd.frame_ticks()), (1920, 1080, 60, 1500));
        for wrong in ["x", "640", "640x", "641x360", "640x360@29", "640x360@0", "16x16", "99999x2", "640x360@30@2"] {
            assert!(wrong.parse::<Config>().is_err(), "{wrong}");
        }
    }
}
