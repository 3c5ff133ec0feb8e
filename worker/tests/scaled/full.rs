//! A volume runs full under a recording: under staging, and under a store that is a folder.
//!
//! A full volume is a small one in memory, which only root may mount; without that the tests say why they are skipped.

use crate::fleet::{Fleet, Kind};
use crate::support::{PATIENCE, wait};
use crate::whole;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Holds the recording of a test several times.
const SIZE: &str = "16m";

const SECONDS: u64 = 10;

/// A volume in memory, gone with the value.
struct Volume {
    path: PathBuf,
}

impl Volume {
    /// `None` where it cannot be mounted, after saying why.
    fn mount(below: &Path) -> Option<Volume> {
        let path = below.join("volume");
        std::fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "spool-test"]).arg(&path);
        match run(&mut mount) {
            Ok(()) => Some(Volume { path }),
            Err(reason) => {
                println!("skipped: a small volume cannot be mounted: {reason}");
                None
            }
        }
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        let full = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

/// What is waited for while the volume is full.
enum Full {
    Staging,
    Store,
}

async fn volume_runs_full_under(what: Full) {
    let mut fleet = Fleet::new(Kind::Folder).await;
    let Some(volume) = Volume::mount(fleet.site.folder()) else { return };
    let folder = volume.path.join("folder").to_string_lossy().into_owned();
    match what {
        Full::Staging => {
            fleet.site.set("SPOOL__STAGING__DIR", &folder);
            // Not even the reserve is left: the volume itself says no.
            fleet.site.set("SPOOL__STAGING__FREE_MIN", "0B");
        }
        Full::Store => fleet.site.set("SPOOL__STORAGE__ROOT", &folder),
    }
    fleet.start(1, 1).await;
    let recording = fleet.api().create("owner-1").await;
    let recorder = fleet.record(&recording, SECONDS);
    wait::until("the recording is live", PATIENCE, async || (recorder.sent() >= 4).then_some(())).await;

    volume.fill();
    match what {
        Full::Staging => {
            wait::until("the recorder is told that staging is full", PATIENCE, async || {
                recorder.retries().iter().any(|told| told.contains("staging-full (507)")).then_some(())
            })
            .await;
        }
        Full::Store => {
            let failed = "SELECT error_class FROM queue.attempt WHERE kind = 'upload' AND outcome = 1";
            let classes = wait::until("an upload fails for want of room", PATIENCE, async || {
                Some(fleet.site.texts(failed, []).await).filter(|classes| !classes.is_empty())
            })
            .await;
            assert_eq!(classes[0], "storage");
            assert_eq!(recorder.retries(), Vec::<String>::new(), "whoever records does not notice");
        }
    }
    volume.make_room();
    let pool = fleet.site.db.get_postgres_connection_pool();
    postgres::testing::advance(pool, Duration::from_secs(60)).await.unwrap();

    recorder.done().await;
    whole(&fleet, &recording, PATIENCE).await;
    assert_eq!(fleet.site.count("SELECT count(*) FROM spool.segment WHERE state = 'lost'", []).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_staging_refuses_before_it_acknowledges_and_goes_on_when_there_is_room() {
    volume_runs_full_under(Full::Staging).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_store_is_waited_for() {
    volume_runs_full_under(Full::Store).await;
}
