//! Instructions that index and layout take for one sample, counted by Valgrind: the same on every machine, however busy.

use crate::set::Set;
use anyhow::{Context as _, Result};
use std::path::Path;
use std::process::Command;

/// Instructions of each stage for all samples of a set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cost {
    pub(crate) samples: u64,
    pub(crate) chunks: u64,
    /// Bytes of all packed indexes.
    pub(crate) packed_bytes: u64,
    pub(crate) header_bytes: u64,
    pub(crate) index: u64,
    pub(crate) layout: u64,
    pub(crate) header: u64,
}

/// Counts; `None` where Valgrind is not installed.
pub(crate) fn of(set: &Set, work: &Path) -> Result<Option<Cost>> {
    if !crate::contender::has("valgrind") {
        return Ok(None);
    }
    std::fs::create_dir_all(work)?;
    let program = std::env::current_exe()?.with_file_name("bench-index");
    let counted = |stage: &str| -> Result<(u64, Vec<u64>)> {
        let output = Command::new("valgrind")
            .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
            .arg(&program)
            .arg(&set.folder)
            .arg(stage)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let refs = said.lines().find_map(|line| line.split_once("I refs:").or_else(|| line.split_once("I   refs:")));
        let refs = refs.with_context(|| format!("Valgrind counted nothing: {said}"))?.1;
        let refs = refs.trim().replace(',', "").parse()?;
        let numbers = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((refs, numbers.split_whitespace().filter_map(|word| word.parse().ok()).collect()))
    };
    let (heads, _) = counted("heads")?;
    let (index, packed) = counted("index")?;
    let (layout, _) = counted("layout")?;
    let (header, numbers) = counted("header")?;
    let number = |numbers: &[u64], n: usize| numbers.get(n).copied().unwrap_or(0);
    Ok(Some(Cost {
        samples: number(&numbers, 0),
        header_bytes: number(&numbers, 1),
        chunks: number(&numbers, 2),
        packed_bytes: number(&packed, 1),
        index: index.saturating_sub(heads),
        layout: layout.saturating_sub(index),
        header: header.saturating_sub(layout),
    }))
}
