//! The child process itself: what it may take, and what becomes of it when somebody wants more.

use crate::support::{PATIENCE, wait};
use bytes::Bytes;
use domain::retry::{Classify, Fault};
use media::ff::ahead::WINDOW_BYTES_MAX;
use media::ff::pictures::Bounds;
use media::readback::RangedReader;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;
use worker::child::{COMMAND, Error, Limit, ObjectError, Pictures, Program};

const BOUNDS: Bounds = Bounds { poster_width: 1280, poster_height: 720, preview_side: 480, preview_bytes: 1 << 20 };

/// Soft and hard limits of a process, by name.
fn limits_of(pid: u32) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = |line: &str| {
        let (name, values) = line.split_at(26);
        (name.trim().to_owned(), values.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    };
    text.lines().skip(1).map(line).collect()
}

/// How polite a process is (proc(5), field 19).
fn nice_of(pid: u32) -> i32 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = text.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(16).unwrap().parse().unwrap()
}

#[tokio::test]
async fn child_limits_itself_before_it_sees_a_strangers_byte() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_spool"));
    let child = child.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    let (pid, two_gib) = (child.id(), format!("{0} {0}", 2u64 << 30));
    let limit = |name: &str| limits_of(pid).remove(name).unwrap();
    wait::until("its memory is limited before it is told anything", PATIENCE, || async {
        (limit("Max address space") == two_gib && limit("Max core file size") == "0 0").then_some(())
    })
    .await;
    assert_ne!(limit("Max file size"), "0 0");

    let request = r#"{"pictures": {"size_bytes": 1000, "bounds":
        {"poster_width": 9, "poster_height": 9, "preview_side": 9, "preview_bytes": 9}}}"#;
    writeln!(child.stdin.as_mut().unwrap(), "{}", request.replace('\n', " ")).unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("read"), "it wants the first bytes: {said}");
    assert_eq!((limit("Max cpu time"), limit("Max file size")), ("120 125".to_owned(), "0 0".to_owned()));
    assert_eq!(nice_of(pid), nice_of(std::process::id()) + 10);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[derive(Debug, Error)]
#[error("the store is away")]
struct Away;

impl Classify for Away {
    fn fault(&self) -> Fault {
        Fault::Transient
    }

    fn class(&self) -> &'static str {
        "storage"
    }
}

/// A head, and behind it the same piece again and again.
struct Object {
    head: Vec<u8>,
    piece_bytes: usize,
    pieces: Bytes,
    given_bytes: AtomicU64,
}

impl RangedReader for Object {
    type Error = Away;

    async fn read(&self, at: u64, len: u64) -> Result<Bytes, Away> {
        self.given_bytes.fetch_add(len, Ordering::Relaxed);
        let (at, len) = (at as usize, len as usize);
        let behind = |at: usize, len: usize| self.pieces.slice(at % self.piece_bytes..at % self.piece_bytes + len);
        Ok(match at.checked_sub(self.head.len()) {
            Some(at) => behind(at, len),
            None => {
                let head = &self.head[at..self.head.len().min(at + len)];
                [head, &behind(0, len - head.len())].concat().into()
            }
        })
    }
}

async fn pictures_of(
    head: Vec<u8>,
    piece: &[u8],
    size_bytes: u64,
) -> (Result<Option<Pictures>, ObjectError<Away>>, u64) {
    let (piece_bytes, times) = (piece.len(), WINDOW_BYTES_MAX as usize / piece.len() + 2);
    let object = Object { head, piece_bytes, pieces: piece.repeat(times).into(), given_bytes: AtomicU64::new(0) };
    let program = Program::at(env!("CARGO_BIN_EXE_spool").into());
    let answer = program.pictures(&object, size_bytes, BOUNDS, PATIENCE).await;
    (answer, object.given_bytes.into_inner())
}

fn ffmpeg(folder: &Path, words: &str) {
    let output = Command::new("ffmpeg").args(words.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A picture of 16000 by 16000 pixels, 8 bytes each, in a file of some hundred bytes: 2 GB as soon as it is decoded.
#[tokio::test]
async fn picture_that_wants_all_memory_ends_its_child_with_that_reason() {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(folder.path(), "-v error -f lavfi -i color=red:size=16x16 -frames:v 1 -pix_fmt rgba64be -c:v png small.mov");
    let mut film = std::fs::read(folder.path().join("small.mov")).unwrap();
    let header = film.windows(4).position(|name| name == b"IHDR").unwrap();
    let side = 16_000u32.to_be_bytes();
    film[header + 4..header + 8].copy_from_slice(&side);
    film[header + 8..header + 12].copy_from_slice(&side);
    let crc = crc32(&film[header..header + 17]).to_be_bytes();
    film[header + 17..header + 21].copy_from_slice(&crc);
    let size_bytes = film.len() as u64;
    let (answer, _) = pictures_of(film, &[0], size_bytes).await;
    let error = answer.unwrap_err();
    assert!(matches!(error, ObjectError::Child(Error::Limited { limit: Limit::Memory })), "{error:?}");
    assert_eq!((error.fault(), error.class()), (Fault::Transient, "child-limit"));
}

/// The checksum of PNG (its specification, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    let fold = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
    };
    !bytes.iter().fold(u32::MAX, fold)
}

/// A stream that begins as a film and then goes on without a picture for a petabyte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_without_end_is_given_up_after_a_bounded_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(
        folder.path(),
        "-v error -f lavfi -i testsrc2=size=320x180:rate=10:duration=1 -c:v libx264 -f mpegts film.ts",
    );
    let film = std::fs::read(folder.path().join("film.ts")).unwrap();
    let nothing = [&[0x47, 0x1f, 0xff, 0x10][..], &[0xff; 184]].concat();
    let (answer, given_bytes) = pictures_of(film, &nothing, 1 << 50).await;
    assert!(given_bytes <= 256 << 20, "{given_bytes} bytes");
    let error = answer.unwrap_err();
    assert!(matches!(error, ObjectError::Child(Error::Refused { .. })), "{error:?}");
}
