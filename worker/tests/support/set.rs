//! Segments of a recording, made by the real segmenter from the synthetic source.

use domain::segment::{Name, Track};
use media::ff::segmenter::{Event, Options, segment_synthetic};
use media::ff::synth;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// Two tracks of segments, in memory.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// Initialization section and media segments of each track; segment i is at position i - 1.
    pub tracks: BTreeMap<Track, (Vec<u8>, Vec<Vec<u8>>)>,
    /// From the first presented moment of any track to the last.
    pub duration_ms: u64,
}

impl Set {
    /// A small picture with sound; segments of two seconds.
    pub fn synthetic(duration: Duration) -> Set {
        let config = synth::Config { width: 320, height: 180, ..synth::Config::default() };
        Set::of(&config, duration)
    }

    /// The synthetic source in any size.
    pub fn of(config: &synth::Config, duration: Duration) -> Set {
        let options = Options { limit: Some(duration), ..Options::default() };
        let mut set = Set::default();
        let summary = segment_synthetic(config, &options, |event| {
            match event {
                Event::Init { track, bytes } => set.tracks.entry(track).or_default().0 = bytes,
                Event::Segment { track, index, bytes, .. } => {
                    let segments = &mut set.tracks.entry(track).or_default().1;
                    segments.push(bytes);
                    assert_eq!(segments.len(), index as usize, "segments come in order");
                }
            }
            ControlFlow::Continue(())
        });
        set.duration_ms = summary.expect("the synthetic source can be segmented").duration_ms();
        set
    }

    /// Every object with its track and name, in the order of a recorder: initialization sections first, then in time.
    pub fn objects(&self) -> Vec<(Track, Name, &[u8])> {
        let mut objects = Vec::new();
        for (track, (init, segments)) in &self.tracks {
            objects.push((*track, Name::Init, init.as_slice()));
            for (index, segment) in (1..).zip(segments) {
                objects.push((*track, Name::Media(index), segment.as_slice()));
            }
        }
        objects.sort_by_key(|(track, name, _)| (*name, *track));
        objects
    }

    /// Number of media segments of both tracks.
    pub fn segments(&self) -> usize {
        self.tracks.values().map(|(_, segments)| segments.len()).sum()
    }

    /// The last index of a track; 0 when there is no such track.
    pub fn last_index(&self, track: Track) -> usize {
        self.tracks.get(&track).map_or(0, |(_, segments)| segments.len())
    }

    /// Writes `video/init.mp4`, `video/segment_001.m4s` … below `folder`.
    pub fn write_to(&self, folder: &Path) {
        for (track, name, bytes) in self.objects() {
            let folder = folder.join(track.as_str());
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name.to_string()), bytes).unwrap();
        }
    }
}
