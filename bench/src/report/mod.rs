//! The document: what was measured, and whether it holds.

mod tables;
mod targets;

use crate::contender::Programs;
use crate::cost::Cost;
use crate::machine::Machine;
use crate::round::Outcome;
use crate::store::{OverS3, Ready};
use std::fmt::Write as _;

/// Everything that was measured; a part that was not run is `None`.
pub(crate) struct Report {
    machine: Machine,
    ffmpeg: String,
    quick: bool,
    pub(crate) disk: Option<Outcome>,
    pub(crate) hours: Option<Outcome>,
    pub(crate) ready: Option<Ready>,
    pub(crate) store: Option<OverS3>,
    pub(crate) cost: Option<Cost>,
    /// Seconds that the sets took; next to nothing when they were there.
    pub(crate) made_s: f64,
    /// Seconds that everything else took.
    pub(crate) took_s: f64,
}

const HEAD: &str = "\
# Benchmarks

How fast Spool makes a result, what it costs, and how that compares; written by `make bench-mux`.
Numbers of one run are compared with one another and with nothing else: every table is made of interleaved rounds (A B C A B C …) on one machine, and shows medians with least and most in brackets.
Ratios carry over to other machines, seconds do not.
";

const READING: &str = "\
## How to read it

- **Wall** is from the start of the process to its end. **CPU** is its time in the program and in the kernel, of all its processes. **RSS** is the largest resident set of any of them.
- **Read** and **written** are bytes asked of the kernel (`/proc/PID/io`), as multiples of all bytes of the set's segments; what lies in the page cache counts like what comes from the disk. Over S3 they are counted by the server.
- RSS counts what the program shares with others too: FFmpeg's libraries and everything they are linked to are 33 MiB of it on Debian, before anything is done. Over S3 the worker is started anew before every job; after the 10 minutes it is the same process all the time.
- A folder of segments has no indexes, so `spool mux` reads the head of each segment before, about a kilobyte however few the bits; what follows is read once, and the header of the result is read back. (Segments that were written in the last seconds are read whole.) The worker has the indexes in its database.
- **Temporary disk** is the most that lay beside the result at one time.
- **Lost** are packets of picture and sound that are in the segments and not in the result; **A/V shift** is by how much sound is later than in the segments. A peer that ends with exit code 0 may still have lost something.
- The sets lie in the page cache before the first round, and the disk is idle before every run.
- `spool mux` makes its result durable (synced, renamed) and reads its header back before it says that it is done. FFmpeg does neither; the row *then sync* does the first.
- *Tracks joined before* spares FFmpeg the joining of segments into one file per track, which it needs; the row *cat, then FFmpeg* has it. The verdicts take the former, which is the best case for FFmpeg.

## What is not comparable

- FFmpeg looks at no segment before it begins: it is not held to a plan, finds no gap, and does not look at what it wrote.
- Over S3 client and server share the processors. The server answers reads and uploads in parts itself, as cheaply as files can be read and written, and leaves the rest to s3s-fs; a real one is further away and has processors of its own. The delay is added to every read of an object.
- Over S3 Spool's numbers are those of the whole job: plan, mux, reading back, decoding samples in a child process, and the commit in Postgres. Its CPU includes the child's, its RSS is the worker's.
";

impl Report {
    /// Without measurements yet.
    pub(crate) fn new(machine: Machine, programs: &Programs, quick: bool) -> Report {
        Report {
            machine,
            ffmpeg: programs.ffmpeg.clone(),
            quick,
            disk: None,
            hours: None,
            ready: None,
            store: None,
            cost: None,
            made_s: 0.0,
            took_s: 0.0,
        }
    }

    /// One line for each target.
    pub(crate) fn verdicts(&self) -> String {
        targets::of(self).iter().map(targets::Target::line).collect()
    }

    /// The whole document.
    pub(crate) fn render(&self) -> String {
        let mut text = HEAD.to_owned();
        if self.quick {
            text.push_str(
                "\n**Small sets and few rounds: this run tries the harness and says nothing about speed.**\n",
            );
        }
        let Machine { processor, processors, memory_gib, kernel, system, disk, day, load, sha } = &self.machine;
        let sha = if *sha { "with" } else { "without" };
        let _ = write!(
            text,
            "\nMeasured {day} on {processors} processors ({processor}, {sha} SHA instructions), {memory_gib} GiB, {disk}, \
             Linux {kernel}, {system}, FFmpeg {}; load before the run {load}.\nThe run took {:.0} s, and making the sets {:.0} \
             s before it.\n",
            self.ffmpeg, self.took_s, self.made_s
        );
        text.push_str("\n## Targets\n\n| | target | measured | |\n|---|---|---|---|\n");
        for target in targets::of(self) {
            text.push_str(&target.row());
        }
        tables::write(self, &mut text);
        text.push('\n');
        text.push_str(READING);
        text.push_str(REPRODUCE);
        text
    }
}

const REPRODUCE: &str = "
## How to reproduce it

`make bench-mux` builds a release of `spool` and of the harness in `bench/`, makes the sets (kept in `target/bench/mux/sets`, 2 GB), fetches the newer FFmpeg programs (`scripts/tools.sh peers`), runs everything and writes this file.
It needs 6 GB of disk, and besides building about a quarter of an hour on a machine that does nothing else; what it took here is said above.
`make bench-mux QUICK=1` does the same with small sets in about a minute and writes `target/bench/mux/quick.md`; it tries the harness and says nothing about speed.
GStreamer, MP4Box and Bento4's mp4mux are measured too where they are on the path.
";
