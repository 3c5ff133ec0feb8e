//! What one run of a program costs: time, processor, memory, bytes, temporary disk.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wait4::Wait4 as _;

/// Time between two looks at the scratch folder.
const LOOK: Duration = Duration::from_millis(50);

/// What a run cost. A run of several processes counts all of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// From start to end.
    pub(crate) wall_s: f64,
    /// In the program and in the kernel for it.
    pub(crate) cpu_s: f64,
    /// Largest resident set of any of its processes.
    pub(crate) rss_bytes: u64,
    /// Bytes that it asked the kernel to read, from disk or from memory.
    pub(crate) read_bytes: u64,
    /// Bytes that it asked the kernel to write.
    pub(crate) written_bytes: u64,
    /// Most bytes that lay in the scratch folder besides the result.
    pub(crate) temporary_bytes: u64,
    /// How it ended; 128 and more are signals.
    pub(crate) exit: i32,
}

/// Runs a command to its end. `scratch` is watched for temporary files; what begins with the result's name is none.
pub(crate) fn run(command: &mut Command, scratch: &Path) -> Result<Usage> {
    let (done, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(temporary_bytes(scratch), Ordering::Relaxed);
                std::thread::park_timeout(LOOK);
            }
        });
        let measured = measured(command);
        peak.fetch_max(temporary_bytes(scratch), Ordering::Relaxed);
        done.store(true, Ordering::Relaxed);
        watch.thread().unpark();
        let mut usage = measured?;
        usage.temporary_bytes = peak.load(Ordering::Relaxed);
        Ok(usage)
    })
}

fn measured(command: &mut Command) -> Result<Usage> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let child = command.spawn().with_context(|| format!("run {command:?}"))?;
    let pid = Pid::from_child(&child);
    // Ended but not yet reaped, it still tells what it has read and written, and what its own children did.
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let wall_s = begun.elapsed().as_secs_f64();
    let (read_bytes, written_bytes) = moved(pid.as_raw_pid())?;
    let ended = child.wait4()?;
    let exit = ended.status.code().unwrap_or_else(|| 128 + signal(ended.status));
    let cpu_s = (ended.rusage.utime + ended.rusage.stime).as_secs_f64();
    let rss_bytes = ended.rusage.maxrss;
    Ok(Usage { wall_s, cpu_s, rss_bytes, read_bytes, written_bytes, temporary_bytes: 0, exit })
}

fn signal(status: std::process::ExitStatus) -> i32 {
    std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)
}

/// Bytes that a process has read and written so far, by `/proc/PID/io`.
fn moved(pid: i32) -> Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).context("read what a process moved")?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().parse().ok()).with_context(|| format!("no {name} in {text}"))
    };
    Ok((field("rchar:")?, field("wchar:")?))
}

/// Processor time of a running process and of those it has waited for, in seconds.
pub(crate) fn cpu_s(pid: i32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = text.rsplit_once(')').context("a process has a name")?.1.split_whitespace().collect();
    // utime, stime, cutime and cstime are fields 14 to 17 of the whole line.
    let ticks: u64 = fields[11..15].iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Largest resident set of a running process since [`forget_peak`].
pub(crate) fn peak_rss_bytes(pid: i32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? << 10)
}

/// Lets a running process's peak begin anew, and gives what it is now.
pub(crate) fn forget_peak(pid: i32) -> Result<u64> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
    peak_rss_bytes(pid)
}

/// Bytes of everything below a folder that is not the result.
fn temporary_bytes(folder: &Path) -> u64 {
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let mut total = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if !entry.file_name().to_string_lossy().starts_with("result.mp4") {
                total += metadata.len();
            }
        }
    }
    total
}
