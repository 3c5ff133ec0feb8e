//! The data folder of the demo: its layout, its lock and its secrets.
//!
//! Everything the demo makes is below this folder, so that deleting it leaves nothing behind. The secrets are drawn
//! once and kept, readable by their owner only, so that tokens of one run are good in the next.

use crate::cli::exit::Failure;
use anyhow::Context as _;
use rand::RngExt as _;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of a secret: as many as the digest that it keys.
const SECRET_BYTES: usize = 32;

/// The data folder, held by this process alone.
#[derive(Debug)]
pub(super) struct Home {
    root: PathBuf,
    /// The operating system gives the lock back however this process ends.
    _lock: File,
}

impl Home {
    /// Makes the folder if need be and takes it for this process.
    pub(super) fn open(root: &Path) -> anyhow::Result<Home> {
        let name = || format!("make the data folder {}", root.display());
        fs::create_dir_all(root).with_context(name)?;
        let root = root.canonicalize().with_context(name)?;
        let path = root.join("demo.lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.with_context(|| format!("open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("another demo is running in {}", root.display());
                return Err(Failure::refused(text).hint("stop it, or name another folder with --data").into());
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", path.display()));
            }
        }
        for folder in ["objects", "staging", "logs"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        }
        private_folder(&root.join("secrets"))?;
        Ok(Home { root, _lock: lock })
    }

    /// The folder itself, absolute.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the logs are.
    pub(super) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Where the private Postgres keeps its files.
    pub(super) fn postgres(&self) -> PathBuf {
        self.root.join("pg")
    }

    /// Root of the object store on the file system.
    pub(super) fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// Where acknowledged bytes wait for the store.
    pub(super) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Where results are brought from a store that is not on this disk.
    pub(super) fn results(&self) -> PathBuf {
        self.root.join("results")
    }

    /// Log of one process.
    pub(super) fn log(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.log"))
    }

    /// File with a secret of the form `<id>:<random>`, drawn when it is asked for the first time.
    pub(super) fn secret(&self, name: &str, id: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.join("secrets").join(name);
        if path.exists() {
            return Ok(path);
        }
        let drawn: [u8; SECRET_BYTES] = rand::rng().random();
        let hex: String = drawn.iter().map(|byte| format!("{byte:02x}")).collect();
        write_private(&path, &format!("{id}:{hex}\n"))?;
        Ok(path)
    }

    /// File for a shell to read: with it every command in another terminal works on what this demo has started.
    pub(super) fn shell(&self, env: &HashMap<String, String>) -> anyhow::Result<PathBuf> {
        let path = self.root.join("demo.env");
        let mut lines: Vec<String> =
            env.iter().map(|(key, value)| format!("export {key}='{}'\n", value.replace('\'', r"'\''"))).collect();
        lines.sort();
        write_private(&path, &lines.concat())?;
        Ok(path)
    }
}

/// Writes a file that its owner alone may read. Aside first: a demo that is killed here must not leave half of it.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let aside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}

fn private_folder(path: &Path) -> anyhow::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("make {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn home_is_taken_by_one_demo_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("new/data");
        let first = Home::open(&root).unwrap();
        let refused = Home::open(&root).unwrap_err().to_string();
        assert!(refused.starts_with("another demo is running in /"), "{refused}");
        drop(first);
        Home::open(&root).unwrap();
    }

    #[test]
    fn shell_reads_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let env = HashMap::from([("A".to_owned(), "it's $HOME".to_owned()), ("B".to_owned(), "2".to_owned())]);
        let path = Home::open(folder.path()).unwrap().shell(&env).unwrap();
        let script = format!(". '{}' && printf '%s|%s' \"$A\" \"$B\"", path.display());
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's $HOME|2");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn secret_is_drawn_once_and_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = Home::open(folder.path()).unwrap().secret("signing-keys", "demo").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(text.starts_with("demo:") && text.trim().len() == "demo:".len() + 2 * SECRET_BYTES, "{}", text.len());
        let again = Home::open(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(again.secret("signing-keys", "demo").unwrap()).unwrap(), text);
        assert_ne!(fs::read_to_string(again.secret("service-tokens", "demo").unwrap()).unwrap(), text);
    }
}
