//! What a look at samples costs where every range is a request to a store.

use crate::made::{self, run, seconds};
use media::ff::ahead::{Ahead, WINDOW_BYTES_MAX};
use media::ff::look;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex};

/// Places of a sound result that are looked at: 22 of the picture, 8 of the sound.
const PLACES: usize = 30;

#[test]
fn sampled_check_of_ten_minutes_asks_for_few_ranges() {
    let made = made::synthetic("1280x720@30", &seconds(4));
    let (short, _) = made.mux();
    let long = short.with_file_name("long.mp4");
    let words = ["-stream_loop", "149", "-i", short.to_str().unwrap(), "-c", "copy", "-movflags", "+faststart"];
    run("ffmpeg", &[&words[..], &[long.to_str().unwrap()]].concat());
    let by_path = made::sampled(&long).unwrap();

    let file = std::fs::File::open(&long).unwrap();
    let size_bytes = file.metadata().unwrap().len();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let decoded = made::searched(&long, |places| {
        let (file, noted) = (file.try_clone().unwrap(), noted.clone());
        let ahead = Ahead::new(size_bytes, move |at, len| {
            noted.lock().unwrap().push((at, len));
            let mut bytes = vec![0; usize::try_from(len).unwrap()];
            file.read_exact_at(&mut bytes, at)?;
            Ok(bytes)
        });
        look::look_of("long", ahead, places)
    });
    let decoded = decoded.unwrap();
    assert_eq!(decoded, by_path, "the same places, whoever gives the bytes");
    assert_eq!((decoded.places, decoded.gaps.len()), (PLACES as u64, 0));
    assert!(decoded.frames >= PLACES as u64, "{decoded:?}");

    let asked = asked.lock().unwrap();
    let (requests, bytes) = (asked.len(), asked.iter().map(|(_, len)| len).sum::<u64>());
    assert!(asked.iter().all(|(_, len)| *len <= WINDOW_BYTES_MAX));
    // One or two for each place, the header's, and the end's from its last key frame on.
    assert!(requests <= 2 * PLACES, "{requests} requests, {bytes} of {size_bytes} bytes: {asked:?}");
    assert!(bytes <= 32 << 20, "{requests} requests, {bytes} of {size_bytes} bytes");
}
