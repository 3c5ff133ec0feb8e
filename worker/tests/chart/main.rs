//! What the Helm chart gives the program is what the program takes: settings, variables, command lines, and the question
//! of the autoscaler. The chart's own checks hold `charts/spool/ci/expected` to what is rendered; this reads it.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

#[path = "../support/mod.rs"]
mod support;

mod drain;
mod image;
mod load;
mod roles;
mod settings;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One set of values, and what came out of the chart for it.
struct Case {
    name: String,
    folder: PathBuf,
    /// Every container of the release.
    processes: Vec<Process>,
}

/// A container.
struct Process {
    /// Object and container.
    name: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Case {
    /// Every case that the chart is checked with.
    fn all() -> Vec<Case> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/spool/ci/expected");
        let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders.into_iter().map(Case::read).collect()
    }

    fn read(folder: PathBuf) -> Case {
        let text = std::fs::read_to_string(folder.join("processes.json")).unwrap();
        let listed: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
        let process = |(name, value): (String, Value)| Process {
            name,
            args: serde_json::from_value(value["args"].clone()).unwrap(),
            env: serde_json::from_value(value["env"].clone()).unwrap(),
        };
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Case { name, processes: listed.into_iter().map(process).collect(), folder }
    }

    /// What the autoscaler asks, by pool.
    fn queries(&self) -> BTreeMap<String, String> {
        let files = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "sql"));
        let query = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.file_stem().unwrap().to_string_lossy().into_owned(), text.trim_end().to_owned())
        };
        files.map(query).collect()
    }

    /// The queues that a pool works.
    fn queues(&self, pool: &str) -> Vec<String> {
        let ending = format!("-work-{pool}/work");
        let process = self.processes.iter().find(|process| process.name.ends_with(&ending)).unwrap();
        process.env["SPOOL__WORK__QUEUES"].split(',').map(str::to_owned).collect()
    }
}
