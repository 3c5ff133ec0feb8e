//! Files of a gigabyte made to hurt whoever reads them: each is refused for what it is, before any child sees it, in the
//! memory of an ordinary run and after reading a bounded part of it.

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use wait4::Wait4 as _;

/// Length of every file. What is not written of it are holes.
const GIGABYTE: u64 = 1 << 30;

/// Most memory beyond that of a run which reads no file at all: the program and FFmpeg's libraries.
const MEMORY_BYTES_MAX: u64 = 64 << 20;

/// Most bytes that are read: a header of the largest kind that is looked into, or the largest fragment by the walk and once
/// more by the salvage, and the program itself.
const READ_BYTES_MAX: u64 = media::readback::MOOV_BYTES_MAX + (4 << 20);

/// A real initialization section of H.264.
const INIT: &[u8] = include_bytes!("../../../fuzz/init/video.mp4");

/// How a run ended and what it took.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    said: String,
    memory_bytes: u64,
    read_bytes: u64,
}

/// Runs the binary to its end.
fn run(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spool"));
    command.args(arguments).current_dir(folder).env_clear();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let pid = Pid::from_child(&child);
    // Ended and not yet reaped, it still tells what it has read (`proc_pid_io(5)`).
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    let io = fs::read_to_string(format!("/proc/{}/io", pid.as_raw_pid())).unwrap();
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    let ended = child.wait4().unwrap();
    let (code, memory_bytes) = (ended.status.code(), ended.rusage.maxrss);
    Ended { code, said, memory_bytes, read_bytes: read.parse().unwrap() }
}

/// The memory of a run that has no file to read.
fn bare(folder: &Path) -> u64 {
    let ended = run(folder, &["probe", "nothing"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    ended.memory_bytes
}

/// Ended with a refusal and within the bounds. Time is not measured: it follows from the bytes.
fn refused(name: &str, bare: u64, ended: &Ended) {
    let cost = ended.memory_bytes.saturating_sub(bare);
    assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
    assert!(cost <= MEMORY_BYTES_MAX, "{name}: {cost} of {ended:?}");
    assert!(ended.read_bytes <= READ_BYTES_MAX, "{name}: {ended:?}");
}

fn sized(kind: &[u8; 4], size: u64) -> Vec<u8> {
    [&u32::try_from(size).unwrap().to_be_bytes()[..], kind].concat()
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [sized(kind, body.len() as u64 + 8), body.to_vec()].concat()
}

fn full(kind: &[u8; 4], words: &[u32], rest: &[u8]) -> Vec<u8> {
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    boxed(kind, &[&words, rest].concat())
}

/// How a file begins: bytes and how often they are repeated. What the kernel says of a child's memory is never less than
/// what its parent has had, so nothing large is ever in the memory of this process.
type Head = Vec<(Vec<u8>, u64)>;

fn length(head: &Head) -> u64 {
    head.iter().map(|(bytes, times)| bytes.len() as u64 * times).sum()
}

/// A box around a head.
fn around(kind: &[u8; 4], head: Head) -> Head {
    [vec![(sized(kind, length(&head) + 8), 1)], head].concat()
}

/// A file of a gigabyte that begins with `head`.
fn gigabyte(path: &Path, head: &Head) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for (bytes, times) in head {
        (0..*times).for_each(|_| file.write_all(bytes).unwrap());
    }
    file.into_inner().unwrap().set_len(GIGABYTE).unwrap();
}

/// Bytes that the largest fragment has for what is repeated in it.
const ROOM: u64 = media::walk::MOOF_BYTES_MAX - 256;

/// As many of them as the largest fragment holds.
fn filled(bytes: Vec<u8>) -> (Vec<u8>, u64) {
    let times = ROOM / bytes.len() as u64;
    (bytes, times)
}

/// `tfhd` with default duration and size 1, and `tfdt` 0.
fn track_fragment() -> Vec<u8> {
    [full(b"tfhd", &[0x2_0018, 1, 1, 1], &[]), full(b"tfdt", &[0, 0], &[])].concat()
}

/// The largest fragment of one track fragment with nothing but these runs.
fn runs(run: Vec<u8>) -> Head {
    around(b"moof", around(b"traf", vec![(track_fragment(), 1), filled(run)]))
}

/// One run of `count` records of 16 bytes, of which a thousand in a row are all different, so that nothing packs well.
fn records(count: u64) -> Head {
    let thousand = (0..1024u32).flat_map(|n| [n * 7919 % 60_000, n * 104_729, n.wrapping_mul(31_337_000), n * 7]);
    let table = vec![(thousand.flat_map(u32::to_be_bytes).collect(), count / 1024)];
    let head = [0xf00u32, count as u32].into_iter().flat_map(u32::to_be_bytes).collect();
    let mut run = around(b"trun", [vec![(head, 1)], table].concat());
    run.insert(0, (track_fragment(), 1));
    around(b"moof", around(b"traf", run))
}

/// Segments that `spool mux` must not choke on.
fn segments() -> Vec<(&'static str, Head)> {
    let samples = u64::from(media::index::SAMPLES_MAX);
    let styp = boxed(b"styp", b"msdh\0\0\0\0");
    let bait = b"garbage!".to_vec();
    let nested = full(b"moof", &[0, 0], &[]);
    vec![
        ("media data and garbage", vec![(sized(b"mdat", GIGABYTE), 1), (vec![0x47; 1 << 16], 16)]),
        ("tiny boxes", vec![(styp.clone(), 1), (boxed(b"free", b""), 1 << 17)]),
        ("a fragment that is not there", vec![(styp, 1), (sized(b"moof", media::walk::MOOF_BYTES_MAX), 1)]),
        ("too many records", records(ROOM / 16 / 1024 * 1024 - 1024)),
        ("records", records(samples)),
        ("runs of nothing", runs(full(b"trun", &[0, 0], &[]))),
        ("runs of one", runs(full(b"trun", &[0, 1], &[]))),
        ("runs apart", runs(full(b"trun", &[1, 1, 5], &[]))),
        ("track fragments", around(b"moof", vec![filled(boxed(b"traf", &track_fragment()))])),
        ("samples that cost nothing", runs(full(b"trun", &[0, samples as u32], &[]))),
        ("fragments in a fragment", around(b"moof", vec![filled(nested.clone())])),
        ("bait", vec![(bait.clone(), 1), (nested, 1 << 20)]),
        ("bait that claims", vec![(bait, 1), (sized(b"moof", 1 << 20), 1 << 20)]),
    ]
}

/// A `moov` of one video track whose sample tables are these.
fn moov(stbl: &[u8]) -> Vec<u8> {
    let header = |kind| full(kind, &[0, 0, 0, 1000, 1000, 0], &[]);
    let hdlr = full(b"hdlr", &[0, 0], b"vide\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let stbl = boxed(b"stbl", &[real(b"stsd"), stbl].concat());
    let mdia = boxed(b"mdia", &[header(b"mdhd"), hdlr, boxed(b"minf", &stbl)].concat());
    boxed(b"moov", &[header(b"mvhd"), boxed(b"trak", &[real(b"tkhd"), &mdia].concat())].concat())
}

/// The box of this type from the real section.
fn real(kind: &[u8; 4]) -> &'static [u8] {
    let at = INIT.windows(4).position(|window| window == kind).unwrap() - 4;
    &INIT[at..at + u32::from_be_bytes(INIT[at..at + 4].try_into().unwrap()) as usize]
}

/// Results that `spool probe` and `spool verify` must not choke on, and a word of what they say of them.
fn results() -> Vec<(&'static str, Head, &'static str)> {
    let ftyp = || (boxed(b"ftyp", b"isom\0\0\0\0"), 1);
    // Media data up to the last byte, so that nothing but the tables is wrong.
    let tables = |tables: &[Vec<u8>]| {
        let mut head = vec![ftyp(), (moov(&tables.concat()), 1)];
        head.push((sized(b"mdat", GIGABYTE - length(&head)), 1));
        head
    };
    let claims = tables(&[full(b"stsz", &[0, 0, u32::MAX], &[]), full(b"stts", &[0, 1, u32::MAX, 1], &[])]);
    let chunks = tables(&[
        full(b"stsz", &[0, u32::MAX, u32::MAX], &[]),
        full(b"stts", &[0, 1, u32::MAX, 1], &[]),
        full(b"stsc", &[0, 1, 1, 1, 1], &[]),
        full(b"stco", &[0, u32::MAX], &[]),
    ]);
    let many = 1 << 18;
    let outside = tables(&[
        full(b"stsz", &[0, 1, many + 1], &[]),
        full(b"stts", &[0, 1, many + 1, 1], &[]),
        full(b"stsc", &[0, 1, 1, 1, 1], &[]),
        full(
            b"stco",
            &[0, many + 1],
            &[(GIGABYTE as u32 - 1).to_be_bytes().repeat(many as usize), vec![0; 4]].concat(),
        ),
    ]);
    vec![
        ("the last of many chunks outside", outside, "lies outside"),
        ("a header of all of it", vec![ftyp(), (sized(b"moov", GIGABYTE - 16), 1)], "moov"),
        (
            "the longest header, of nothing",
            vec![ftyp(), (sized(b"moov", media::readback::MOOV_BYTES_MAX), 1)],
            "damaged",
        ),
        ("sizes that are not there", claims, "stsz"),
        ("chunks that are not there", chunks, "stco"),
        ("tiny boxes", vec![ftyp(), (boxed(b"free", b""), 1 << 17)], "too many"),
        (
            "boxes in a header",
            [vec![ftyp()], around(b"moov", vec![(boxed(b"trak", b""), 1 << 20)])].concat(),
            "damaged",
        ),
        ("noise", vec![(vec![0x47; 1 << 16], 16)], "damaged"),
    ]
}

#[test]
fn no_gigabyte_of_a_segment_costs_more_than_an_ordinary_one() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("in/video");
    fs::create_dir_all(&video).unwrap();
    fs::write(video.join("init.mp4"), INIT).unwrap();
    let bare = bare(folder.path());
    for (name, head) in segments() {
        gigabyte(&video.join("segment_001.m4s"), &head);
        let ended = run(folder.path(), &["mux", "in", "-o", "out.mp4"]);
        refused(name, bare, &ended);
        assert!(ended.said.contains("error: empty"), "{name}: {ended:?}");
        assert!(!folder.path().join("out.mp4").exists(), "{name}");
    }
    let init = vec![(boxed(b"ftyp", b"isom\0\0\0\0"), 1), (sized(b"moov", GIGABYTE - 16), 1)];
    gigabyte(&video.join("init.mp4"), &init);
    let ended = run(folder.path(), &["mux", "in", "-o", "out.mp4"]);
    refused("an initialization section", bare, &ended);
    assert!(ended.said.contains("too-large"), "{ended:?}");
}

#[test]
fn no_gigabyte_of_a_result_costs_more_than_an_ordinary_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.mp4");
    let bare = bare(folder.path());
    for (name, head, expected) in results() {
        gigabyte(&file, &head);
        let ended = run(folder.path(), &["probe", "result.mp4"]);
        refused(name, bare, &ended);
        assert!(ended.said.contains(expected), "{name}: {ended:?}");
        refused(name, bare, &run(folder.path(), &["verify", "result.mp4"]));
    }
}
