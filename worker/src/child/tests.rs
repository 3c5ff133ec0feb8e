use super::*;
use bytes::Bytes;
use domain::segment::{Name, Track};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU32, Ordering};

fn program(script: &str) -> (tempfile::TempDir, Program) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    std::fs::write(&path, format!("#!/bin/sh\nread -r request\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (folder, Program::at(path))
}

async fn fate(script: &str, bound: Duration) -> Result<Vec<Seen>, Error> {
    let (_folder, program) = program(script);
    looked(program.look(&Ten::default(), 10, Vec::new(), bound).await)
}

/// Nothing is read, so nothing can go wrong with that.
fn looked(answer: Result<Vec<Seen>, ObjectError<Away>>) -> Result<Vec<Seen>, Error> {
    answer.map_err(|error| match error {
        ObjectError::Child(error) => error,
        ObjectError::Read(error) => panic!("{error}"),
    })
}

/// One place of which one frame came, as a child says it and as its parent hears it.
const ONE: &str = r#"echo '{"done": [{"samples": 5, "frames": 4, "picture": null, "damage": null}]}'"#;

fn one() -> Vec<Seen> {
    vec![Seen { samples: 5, frames: 4, picture: None, damage: None }]
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn every_end_of_a_child_has_a_name() {
    assert_eq!(fate(ONE, LONG).await.unwrap(), one());
    let class = |result: Result<Vec<Seen>, Error>| result.unwrap_err().class();
    assert_eq!(class(fate(r#"echo '{"refused": "no"}'"#, LONG).await), "libavformat");
    assert_eq!(class(fate("kill -SEGV $$", LONG).await), "child-crash");
    assert_eq!(class(fate("exit 3", LONG).await), "child-crash");
    assert_eq!(class(fate("echo nonsense", LONG).await), "child");
    assert_eq!(class(fate("exit 0", LONG).await), "child");
    assert_eq!(class(fate("exec sleep 60", Duration::from_millis(100)).await), "child-timeout");
    assert_eq!(class(fate(r#"echo '{"limited": "memory"}'"#, LONG).await), "child-limit");
    let nowhere = Program::at("/nowhere/program".into());
    assert_eq!(class(looked(nowhere.look(&Ten::default(), 10, Vec::new(), LONG).await)), "child");
}

/// Ten bytes; the third look fails.
#[derive(Default)]
struct Ten(AtomicU32);

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

impl RangedReader for Ten {
    type Error = Away;

    async fn read(&self, at: u64, len: u64) -> Result<Bytes, Away> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Ok(Bytes::from_static(b"0123456789").slice(at as usize..(at + len) as usize)),
            _ => Err(Away),
        }
    }
}

async fn about_ten(script: &str) -> Result<Vec<Seen>, ObjectError<Away>> {
    let (_folder, program) = program(script);
    program.look(&Ten::default(), 10, Vec::new(), LONG).await
}

#[tokio::test]
async fn child_is_given_the_ranges_it_asks_for() {
    let script = r#"
        echo '{"read": {"at": 2, "len": 3}}'
        one=$(dd bs=1 count=3 2>/dev/null)
        echo '{"read": {"at": 9, "len": 1}}'
        two=$(dd bs=1 count=1 2>/dev/null)
        [ "$one" = 234 ] && [ "$two" = 9 ] && "#;
    assert_eq!(about_ten(&format!("{script} {ONE}")).await.unwrap(), one());
}

#[tokio::test]
async fn store_that_fails_under_a_child_is_no_damage() {
    let read = r#"echo '{"read": {"at": 0, "len": 1}}'; dd bs=1 count=1 2>/dev/null >&2;"#;
    let error = about_ten(&format!("{read} {read} {read} exec sleep 60")).await.unwrap_err();
    assert!(matches!(error, ObjectError::Read(_)), "{error}");
    assert_eq!((error.fault(), error.class()), (Fault::Transient, "storage"));
    // What is outside the object is not asked for by a sound demuxer.
    for range in [r#""at": 10, "len": 1"#, r#""at": 18446744073709551615, "len": 2"#, r#""at": 0, "len": 11"#] {
        let error = about_ten(&format!("echo '{{\"read\": {{{range}}}}}'; exec sleep 60")).await.unwrap_err();
        assert_eq!((error.fault(), error.class()), (Fault::Permanent, "libavformat"), "{range}");
    }
}

/// The system's own limits on a process that spins, and on one that writes where it should not.
#[tokio::test]
async fn limit_that_kills_a_child_is_told_from_a_crash() {
    for (script, expected) in [
        ("ulimit -S -t 1; while :; do :; done", Limit::Processor),
        ("ulimit -f 1; exec dd if=/dev/zero of=\"${0}.out\" bs=65536 count=16", Limit::File),
    ] {
        let error = fate(script, LONG).await.unwrap_err();
        assert!(matches!(&error, Error::Limited { limit } if *limit == expected), "{script}: {error}");
        assert_eq!((error.fault(), error.is_death()), (Fault::Transient, true));
    }
}

async fn pictures(script: &str) -> Result<Option<Pictures>, ObjectError<Away>> {
    let bounds = Bounds { poster_width: 1280, poster_height: 720, preview_side: 480, preview_bytes: 1 << 20 };
    let (_folder, program) = program(script);
    program.pictures(&Ten::default(), 10, bounds, LONG).await
}

#[tokio::test]
async fn what_a_child_has_made_comes_through_its_pipe() {
    let script = r#"
        printf '{"give": {"len": 5}}\n{"a\nb'
        printf '{"give": {"len": 2}}\nGI'
        echo '{"done": {"poster": [4, 3], "preview": [2, 1]}}'"#;
    let made = pictures(script).await.unwrap().unwrap();
    let picture =
        |bytes: &'static str, width, height| Picture { bytes: Bytes::from_static(bytes.as_bytes()), width, height };
    assert_eq!(made, Pictures { poster: picture("{\"a\nb", 4, 3), preview: picture("GI", 2, 1) });
    assert_eq!(pictures(r#"echo '{"done": null}'"#).await.unwrap(), None);
}

#[tokio::test]
async fn child_that_gives_too_much_or_breaks_off_is_refused() {
    let class = async |script: &str| pictures(script).await.unwrap_err().class();
    assert_eq!(class(r#"printf '{"give": {"len": 5}}\nabc'"#).await, "libavformat");
    assert_eq!(class(r#"printf '{"give": {"len": 5}}\nabc'; kill -SEGV $$"#).await, "child-crash");
    assert_eq!(class(r#"echo '{"give": {"len": 99999999999}}'; exec sleep 60"#).await, "libavformat");
    let three = r#"printf '{"give": {"len": 0}}\n{"give": {"len": 0}}\n{"give": {"len": 0}}\n'; exec sleep 60"#;
    assert_eq!(class(three).await, "libavformat");
    assert_eq!(class(r#"echo '{"done": {"poster": [4, 3], "preview": [2, 1]}}'"#).await, "libavformat");
}

struct Nowhere;

impl Pieces for Nowhere {
    async fn take(&mut self, _: Track, _: Name, _: Bytes) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn child_that_makes_segments_of_nothing_or_beyond_the_last_name_is_refused() {
    let class = async |script: &str| {
        let (_folder, program) = program(script);
        let odd = Odd { name: "it".to_owned(), size_bytes: 10, tracks: vec![Track::Video], pieces: Vec::new() };
        let allowed = Allowed { transcode: false, segment_bytes_max: 10 };
        let made = program.recast(&[(odd, Ten::default())], allowed, &mut Nowhere, |_| {}).await;
        made.map_err(|error| error.class())
    };
    let piece = |index, len, bytes| {
        format!(
            r#"printf '{{"piece": {{"track": "video", "index": {index}, "len": {len}}}}}\n{bytes}'; echo '{{"done": []}}'"#
        )
    };
    assert_eq!(class(&piece(99_999, 3, "abc")).await, Ok(vec![]));
    assert_eq!(class(&piece(1, 0, "")).await, Err("libavformat"));
    assert_eq!(class(&piece(100_000, 3, "abc")).await, Err("libavformat"));
}

/// A byte at a time, each after a while.
struct Slow;

impl RangedReader for Slow {
    type Error = Away;

    async fn read(&self, _: u64, _: u64) -> Result<Bytes, Away> {
        tokio::time::sleep(Duration::from_millis(600)).await;
        Ok(Bytes::from_static(b"0"))
    }
}

#[tokio::test]
async fn time_that_a_store_takes_is_not_the_childs() {
    let read = r#"echo '{"read": {"at": 0, "len": 1}}'; dd bs=1 count=1 2>/dev/null >&2;"#;
    let (_folder, program) = program(&format!("{read} {read} {ONE}"));
    assert_eq!(program.look(&Slow, 10, Vec::new(), Duration::from_secs(1)).await.unwrap(), one());
}

/// What decodes a stranger's bytes has no password to lose.
#[tokio::test]
async fn child_inherits_no_environment() {
    // A shell sets a few by itself.
    let script = r#"
        env | grep -v -E '^(PWD|OLDPWD|SHLVL|_|LD_LIBRARY_PATH|DYLD_.*)=' >&2 && kill -ABRT $$"#;
    assert!(fate(&format!("{script}\n{ONE}"), LONG).await.is_ok());
}

#[tokio::test]
async fn child_dies_with_the_attempt_that_is_dropped() {
    let (folder, program) = program("echo $$ > \"${0}.pid\"; exec sleep 600");
    let pid_file = folder.path().join("program.pid");
    let looking = tokio::spawn(async move { program.look(&Ten::default(), 10, Vec::new(), LONG).await });
    let pid = loop {
        match std::fs::read_to_string(&pid_file) {
            Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    looking.abort();
    assert!(looking.await.unwrap_err().is_cancelled());
    let alive = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let begun = std::time::Instant::now();
    while alive() {
        assert!(begun.elapsed() < LONG, "the child lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn child_that_decodes_everything_tells_how_far_it_is() {
    let (_folder, program) = program(r#"printf '{"at": 5}\n{"at": 7}\n{"done": []}\n'"#);
    let told = std::sync::Mutex::new(Vec::new());
    let full = program.decode_all(&Ten::default(), 10, LONG, |at_us| told.lock().unwrap().push(at_us)).await;
    assert_eq!((full.unwrap(), told.into_inner().unwrap()), (vec![], vec![5, 7]));
}
