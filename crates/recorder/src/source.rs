//! What is recorded.

use crate::{Error, earlier};
use media::ff::segmenter::{self, Event, Options, Summary};
use media::ff::synth;
use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::str::FromStr;

/// A source of picture and sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file of any container that FFmpeg reads.
    File(PathBuf),
    /// The synthetic source: a frame counter, a clock and a beep every second.
    Test(synth::Config),
    /// A folder of segments that were made earlier, for example those that could not be sent.
    Folder(PathBuf),
}

/// Names that stand for capture devices, by the system they belong to.
const DEVICES: [&str; 6] = ["device:", "screen:", "x11:", "avfoundation:", "gdigrab:", "v4l2:"];

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Source, Error> {
        let usage = |what| Error::Usage { what };
        if let Some(config) = text.strip_prefix("test:") {
            return config.parse().map(Source::Test).map_err(|error: media::ff::Error| usage(error.to_string()));
        }
        if DEVICES.iter().any(|prefix| text.starts_with(prefix)) || text.starts_with("/dev/") {
            return Err(usage(format!(
                "capture devices are not built in yet, so {text} cannot be recorded; \
                 give a file, or test: for the synthetic source"
            )));
        }
        if text.is_empty() {
            return Err(usage("the source is empty; give a file, or test: for the synthetic source".to_owned()));
        }
        let path = PathBuf::from(text);
        Ok(if path.is_dir() { Source::Folder(path) } else { Source::File(path) })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) | Source::Folder(path) => path.display().fmt(f),
            Source::Test(config) => write!(f, "test:{}x{}@{}", config.width, config.height, config.fps),
        }
    }
}

impl Source {
    /// Cuts the source and hands out its segments. Blocks until the source ends.
    pub fn segment(&self, options: &Options, sink: impl FnMut(Event) -> ControlFlow<()>) -> Result<Summary, Error> {
        let made = match self {
            Source::File(path) => segmenter::segment_file(path, options, sink),
            Source::Test(config) => segmenter::segment_synthetic(config, options, sink),
            Source::Folder(path) => return earlier::read(path, options, sink),
        };
        made.map_err(|source| Error::Source { source_name: self.to_string(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_read_from_its_name() {
        assert_eq!("test:".parse::<Source>().unwrap(), Source::Test(synth::Config::default()));
        assert_eq!("test:1280x720@30".parse::<Source>().unwrap().to_string(), "test:1280x720@30");
        assert_eq!("a/b.mkv".parse::<Source>().unwrap(), Source::File("a/b.mkv".into()));
        for wrong in ["test:9x9", "device:0", "/dev/video0", ""] {
            assert_eq!(wrong.parse::<Source>().unwrap_err().exit_code(), 2, "{wrong}");
        }
    }
}
