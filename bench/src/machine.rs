//! What the numbers were measured on, without a name that tells which machine it was.

use anyhow::Result;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a reader must know to compare.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    /// It has instructions for SHA-256.
    pub(crate) sha: bool,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    pub(crate) system: String,
    pub(crate) disk: String,
    /// The day of the run.
    pub(crate) day: String,
    /// Runnable processes of others when the run began.
    pub(crate) load: String,
}

impl Machine {
    /// This one; `work` lies on the disk that is used.
    pub(crate) fn seen(work: &Path) -> Result<Machine> {
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = field(&fs::read_to_string("/proc/meminfo")?, "MemTotal");
        let memory: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let os = os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown");
        Ok(Machine {
            processor: field(&cpu, "model name"),
            processors: cpu.lines().filter(|line| line.starts_with("processor")).count(),
            sha: field(&cpu, "flags").split(' ').any(|flag| flag == "sha_ni"),
            memory_gib: memory.div_ceil(1 << 20),
            kernel: said(Command::new("uname").arg("-r")),
            system: os.trim_matches('"').to_owned(),
            disk: said(Command::new("df").arg("--output=fstype").arg(work)).replace("Type", "").trim().to_owned(),
            day: said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"])),
            load: fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or_default().to_owned(),
        })
    }
}

fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
