//! Poster and animated preview: what they show, how large they are, and what FFmpeg's own programs say of them.

use crate::made::{self, run, seconds};
use media::ff::Error;
use media::ff::ahead::Ahead;
use media::ff::pictures::{self, Bounds, PREVIEW_BYTES_MIN, Picture, Pictures};
use std::io::Cursor;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const BOUNDS: Bounds = Bounds { poster_width: 1280, poster_height: 720, preview_side: 480, preview_bytes: 1_500_000 };

/// A folder with `made.mp4`, made by the real ffmpeg of what `words` name.
fn film(words: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made.mp4");
    let words: Vec<&str> = words.split_whitespace().collect();
    run("ffmpeg", &[&words[..], &["-movflags", "+faststart", path.to_str().unwrap()]].concat());
    (dir, path)
}

fn of(path: &Path) -> Pictures {
    pictures::of(path, &BOUNDS).unwrap().expect("it has a picture")
}

/// What ffprobe says of a picture: codec, width, height, frames that decode.
fn probed(dir: &Path, name: &str, picture: &Picture) -> (String, u32, u32, u32) {
    let path = dir.join(name);
    std::fs::write(&path, &picture.bytes).unwrap();
    let entries = "stream=codec_name,width,height,nb_read_frames";
    let told = run("ffprobe", &["-count_frames", "-show_entries", entries, "-of", "csv=p=0", path.to_str().unwrap()]);
    let words: Vec<&str> = told.trim().trim_end_matches(',').split(',').collect();
    let number = |n: usize| words[n].parse().unwrap();
    let probed = (words[0].to_owned(), number(1), number(2), number(3));
    assert_eq!((probed.1, probed.2), (picture.width, picture.height));
    probed
}

/// The mean red, green and blue of a part of a picture, as ffmpeg decodes it.
fn mean(dir: &Path, picture: &Picture, part: &str) -> [u8; 3] {
    let (path, raw) = (dir.join("mean.in"), dir.join("mean.raw"));
    std::fs::write(&path, &picture.bytes).unwrap();
    let filter = format!("crop={part},scale=1:1:flags=area");
    let words = ["-y", "-i", path.to_str().unwrap(), "-frames:v", "1", "-vf", &filter, "-f", "rawvideo"];
    run("ffmpeg", &[&words[..], &["-pix_fmt", "rgb24", raw.to_str().unwrap()]].concat());
    std::fs::read(raw).unwrap().try_into().unwrap()
}

fn near(found: [u8; 3], expected: [u8; 3]) -> bool {
    found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= 12)
}

#[test]
fn pictures_of_a_recording_are_what_their_names_say() {
    let made = made::synthetic("1280x720@30", &seconds(8));
    let (result, _) = made.mux();
    let pictures = of(&result);
    let dir = made.dir.path();
    assert!(pictures.poster.bytes.starts_with(&[0xff, 0xd8, 0xff]) && pictures.poster.bytes.ends_with(&[0xff, 0xd9]));
    assert_eq!(probed(dir, "poster.jpg", &pictures.poster), ("mjpeg".to_owned(), 1280, 720, 1));
    assert!(pictures.poster.bytes.len() <= 1 << 20, "{} bytes", pictures.poster.bytes.len());

    let preview = &pictures.preview.bytes;
    assert!(preview.starts_with(b"GIF89a") && preview.ends_with(&[0x3b]), "{} bytes", preview.len());
    assert!(preview.len() <= BOUNDS.preview_bytes, "{} bytes", preview.len());
    // Again and again, for ever: the extension's count is 0.
    let again = preview.windows(11).position(|name| name == b"NETSCAPE2.0").expect("it begins again");
    assert_eq!(preview[again + 11..][..5], [3, 1, 0, 0, 0]);
    // A key frame every two seconds.
    assert_eq!(probed(dir, "preview.gif", &pictures.preview), ("gif".to_owned(), 480, 270, pictures.frames));
    assert_eq!(pictures.frames, 4);
    assert_eq!(pictures, of(&result), "the same file, the same pictures");
}

#[test]
fn poster_passes_over_a_black_beginning() {
    let (dir, path) = film(
        "-f lavfi -i color=black:size=640x360:rate=10:duration=6 -f lavfi -i testsrc2=size=640x360:rate=10:duration=6 \
         -filter_complex [0][1]concat=n=2 -c:v libx264 -g 10 -pix_fmt yuv420p",
    );
    let pictures = of(&path);
    assert_ne!(mean(dir.path(), &pictures.poster, "iw:ih:0:0"), [0, 0, 0]);
    assert_eq!(probed(dir.path(), "preview.gif", &pictures.preview).3, 12);
    // Where everything is black, that is what there is to see.
    let (dir, path) =
        film("-f lavfi -i color=black:size=320x180:rate=10:duration=3 -c:v libx264 -g 10 -pix_fmt yuv420p");
    assert_eq!(mean(dir.path(), &of(&path).poster, "iw:ih:0:0"), [0, 0, 0]);
}

/// Left half red, right half blue; then the same with pixels twice as wide, and turned by a quarter.
#[test]
fn picture_is_shown_as_it_is_meant() {
    let halves =
        "-f lavfi -i color=red:size=160x180:rate=10:duration=2 -f lavfi -i color=blue:size=160x180:rate=10:duration=2";
    let encode = "-c:v libx264 -g 10 -pix_fmt yuv420p";
    let (red, blue) = ([253, 0, 0], [0, 0, 254]);
    let (dir, path) = film(&format!("{halves} -filter_complex hstack {encode}"));
    let plain = of(&path);
    assert_eq!((plain.poster.width, plain.poster.height, plain.preview.height), (320, 180, 180));
    for (picture, left, right) in [(&plain.poster, red, blue), (&plain.preview, red, blue)] {
        let (l, r) = (mean(dir.path(), picture, "100:100:10:10"), mean(dir.path(), picture, "100:100:210:10"));
        assert!(near(l, left) && near(r, right), "{l:?} {r:?}");
    }

    let (_dir, path) = film(&format!("{halves} -filter_complex hstack,setsar=2 {encode}"));
    assert_eq!((of(&path).poster.width, of(&path).poster.height), (640, 180));

    let turned = path.with_file_name("turned.mp4");
    let (dir, plain) = film(&format!("{halves} -filter_complex hstack {encode}"));
    let words = ["-i", plain.to_str().unwrap(), "-c", "copy", "-metadata:s:v", "rotate=90", turned.to_str().unwrap()];
    run("ffmpeg", &words);
    let pictures = of(&turned);
    for picture in [&pictures.poster, &pictures.preview] {
        assert_eq!((picture.width, picture.height), (180, 320));
        let (top, bottom) = (mean(dir.path(), picture, "100:100:10:10"), mean(dir.path(), picture, "100:100:10:210"));
        assert!(near(top, blue) && near(bottom, red), "{top:?} {bottom:?}");
    }
}

/// A recording in high definition says by its size how its colours are meant, where it says nothing else.
#[test]
fn colours_are_those_of_the_recording() {
    for (size, matrix) in [("1280x720", "bt709"), ("640x360", "smpte170m")] {
        let (dir, path) = film(&format!(
            "-f lavfi -i color=0x20a040:size={size}:rate=10:duration=1,format=rgb24 \
             -vf scale=out_color_matrix={matrix}:flags=accurate_rnd,format=yuv420p -c:v libx264 -g 10"
        ));
        let pictures = of(&path);
        for picture in [&pictures.poster, &pictures.preview] {
            let found = mean(dir.path(), picture, "iw:ih:0:0");
            assert!(near(found, [0x20, 0xa0, 0x40]), "{size}: {found:?}");
        }
    }
}

/// Noise is what no palette and no compression can make small: frames become fewer and smaller until it fits.
#[test]
fn preview_becomes_smaller_until_it_fits() {
    let (dir, path) = film(
        "-f lavfi -i nullsrc=size=640x640:rate=5:duration=6 -vf geq=random(1)*255:128:128 -c:v libx264 -crf 18 -g 1 -pix_fmt yuv420p",
    );
    let large = of(&path);
    assert!(large.preview.bytes.len() <= BOUNDS.preview_bytes, "{} bytes", large.preview.bytes.len());
    assert!(large.preview.width < 480 && large.frames < 24, "{} {}", large.preview.width, large.frames);
    let least = Bounds { preview_bytes: PREVIEW_BYTES_MIN, ..BOUNDS };
    let small = pictures::of(&path, &least).unwrap().unwrap();
    assert!(small.preview.bytes.len() <= PREVIEW_BYTES_MIN, "{} bytes", small.preview.bytes.len());
    assert_eq!(probed(dir.path(), "small.gif", &small.preview).3, small.frames);
    assert_eq!(small.poster, large.poster);
}

#[test]
fn sound_alone_has_no_pictures() {
    let (_dir, path) = film("-f lavfi -i sine=frequency=440:duration=3 -c:a aac");
    assert_eq!(pictures::of(&path, &BOUNDS).unwrap(), None);
    let nothing = pictures::of_reader("nothing", Cursor::new(vec![0; 5000]), &BOUNDS);
    assert!(matches!(nothing, Err(Error::Ffmpeg { .. })), "{nothing:?}");
}

#[test]
fn damaged_places_are_passed_over() {
    let made = made::synthetic("320x180@30", &seconds(12));
    let (result, _) = made.mux();
    let good = std::fs::read(&result).unwrap();
    let entries =
        ["-select_streams", "v", "-show_entries", "packet=pos,flags", "-of", "csv=p=0", result.to_str().unwrap()];
    let told = run("ffprobe", &entries);
    let keys: Vec<usize> = told
        .lines()
        .filter(|line| line.contains('K'))
        .map(|line| line.split(',').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(keys.len(), 6);
    let damaged = |keys: &[usize]| {
        let mut bad = good.clone();
        for key in keys {
            bad[*key..*key + 2000].fill(0xff);
        }
        pictures::of_reader("bad", Cursor::new(bad), &BOUNDS)
    };
    let half = damaged(&[keys[0], keys[2], keys[5]]).unwrap().unwrap();
    assert_eq!(half.frames, 3);
    assert_eq!(half.poster.width, 320);
    let none = damaged(&keys);
    assert!(matches!(none, Err(Error::Ffmpeg { .. } | Error::Corrupt { .. })), "{none:?}");
}

/// Eight hours would cost no more: the number of looks is what counts, and each reads about a picture.
#[test]
fn pictures_of_ten_minutes_ask_for_few_ranges() {
    let made = made::synthetic("1280x720@30", &seconds(4));
    let (short, _) = made.mux();
    let long = short.with_file_name("long.mp4");
    let words = ["-stream_loop", "149", "-i", short.to_str().unwrap(), "-c", "copy", "-movflags", "+faststart"];
    run("ffmpeg", &[&words[..], &[long.to_str().unwrap()]].concat());
    assert_eq!(made::sampled(&long).unwrap().gaps, []);
    let file = std::fs::File::open(&long).unwrap();
    let size_bytes = file.metadata().unwrap().len();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let ahead = Ahead::new(size_bytes, move |at, len| {
        noted.lock().unwrap().push(len);
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    });
    let pictures = pictures::of_reader("long", ahead, &BOUNDS).unwrap().unwrap();
    assert_eq!(pictures.frames, 24);
    let asked = asked.lock().unwrap();
    let (requests, bytes) = (asked.len(), asked.iter().sum::<u64>());
    assert!(requests <= 2 * 26 && bytes <= 32 << 20, "{requests} requests, {bytes} of {size_bytes} bytes");
}
