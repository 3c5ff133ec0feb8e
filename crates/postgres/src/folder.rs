//! The folder of one cluster: data, password, port, log, and the process that may be running in it.

use crate::Error;
use crate::account::Account;
use crate::binaries::Binaries;
use rand::Rng;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name of the superuser in every cluster of ours.
pub(crate) const SUPERUSER: &str = "postgres";

/// A socket's path is at most this long on Linux; macOS allows 103.
const SOCKET_PATH_MAX: usize = 103;

/// Lines of `postmaster.pid`, counted from 0; the same in every version there is.
const PID_LINE: usize = 0;
const PORT_LINE: usize = 3;

/// A server that runs in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) pid: i32,
    /// By the server's own word: an earlier owner may have ended before it wrote down the port.
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder when it is not there; only its owner may look into it.
    pub(crate) fn open(root: &Path, account: Account) -> Result<Self, Error> {
        let create = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        create(root).map_err(failed("create", root))?;
        let root = root.canonicalize().map_err(failed("find", root))?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).map_err(failed("protect", &root))?;
        account.own(&root)?;
        let folder = Self { root };
        let sockets = folder.sockets();
        create(&sockets).map_err(failed("create", &sockets))?;
        account.own(&sockets)?;
        Ok(folder)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    fn sockets(&self) -> PathBuf {
        self.root.join("socket")
    }

    /// The folder for the server's socket, or nothing when its path would be too long for one; TCP is always there.
    pub(crate) fn socket_dir(&self) -> PathBuf {
        let dir = self.sockets();
        if dir.join(".s.PGSQL.65535").as_os_str().len() <= SOCKET_PATH_MAX { dir } else { PathBuf::new() }
    }

    /// Makes a new cluster unless there is one; returns the superuser's password.
    pub(crate) fn init(&self, binaries: &Binaries, account: Account, sync: bool) -> Result<String, Error> {
        let secret = self.root.join("password");
        if self.cluster().join("PG_VERSION").exists() {
            return fs::read_to_string(&secret).map_err(failed("read", &secret));
        }
        let password: String = {
            let mut bytes = [0_u8; 16];
            rand::rng().fill_bytes(&mut bytes);
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        write_secret(&secret, &password)?;
        account.own(&secret)?;

        // Made aside and then renamed, so that a run killed in the middle leaves nothing that looks finished.
        let aside = self.root.join("cluster.new");
        remove(&aside)?;
        let initdb = binaries.initdb();
        let mut command = account.command(&initdb);
        command.arg("--pgdata").arg(&aside).arg("--pwfile").arg(&secret).current_dir(&self.root);
        command.args(["--username", SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]);
        if !sync {
            command.arg("--no-sync");
        }
        let output = command.output().map_err(|source| Error::Run { program: initdb, source })?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Init { dir: self.root.clone(), output });
        }
        let cluster = self.cluster();
        fs::rename(&aside, &cluster).map_err(failed("rename", &aside))?;
        Ok(password)
    }

    /// The port of the last run.
    pub(crate) fn port(&self) -> Option<u16> {
        fs::read_to_string(self.root.join("port")).ok()?.trim().parse().ok()
    }

    pub(crate) fn set_port(&self, port: u16) -> Result<(), Error> {
        let path = self.root.join("port");
        fs::write(&path, port.to_string()).map_err(failed("write", &path))
    }

    /// The server that runs in this folder, if there is one. A pid file whose process is gone, or is another program that
    /// was given the number since, is removed: PostgreSQL itself would refuse to start over the latter.
    pub(crate) fn running(&self) -> Result<Option<Running>, Error> {
        let path = self.cluster().join("postmaster.pid");
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        let line = |n: usize| text.lines().nth(n).map(str::trim);
        match line(PID_LINE).and_then(|line| line.parse().ok()) {
            Some(pid) if self.is_server(pid) => {
                let port = line(PORT_LINE).and_then(|line| line.parse().ok());
                Ok(Some(Running { pid, port }))
            }
            _ => {
                remove_file(&path)?;
                Ok(None)
            }
        }
    }

    /// Whether this process is a server of this folder. A zombie is none: it has no command line any more.
    pub(crate) fn is_server(&self, pid: i32) -> bool {
        let Some(line) = command_line(pid) else { return false };
        let dir = self.cluster();
        line.contains("postgres") && line.contains(&*dir.to_string_lossy())
    }

    /// The last lines of the log.
    pub(crate) fn log_end(&self) -> String {
        let text = fs::read(self.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

fn command_line(pid: i32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let output = Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    remove_file(path)?;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(failed("create", path))?;
    file.write_all(text.as_bytes()).map_err(failed("write", path))
}

fn remove(path: &Path) -> Result<(), Error> {
    ignore_missing(fs::remove_dir_all(path)).map_err(failed("remove", path))
}

fn remove_file(path: &Path) -> Result<(), Error> {
    ignore_missing(fs::remove_file(path)).map_err(failed("remove", path))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

pub(crate) fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Folder { step, path, source }
}
