//! As whom the server runs. PostgreSQL refuses to run as root, so root needs a second identity.

use crate::Error;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The identity, the same for every program that touches one data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// We are not root.
    Own,
    /// Root, seen as another user inside a user namespace: no file changes its owner.
    Mapped,
    /// Root, where user namespaces are forbidden: the files are given to this user and group. A folder below one that is
    /// closed to others, as root's home mostly is, is out of that user's reach, so it keeps the right to pass where
    /// `setpriv` can leave it that.
    Other { uid: u32, gid: u32, passes: bool },
}

impl Account {
    pub(crate) fn choose() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Account::Own;
        }
        if Account::Mapped.works() {
            return Account::Mapped;
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (uid, gid) = ids_of("postgres", &passwd).unwrap_or((NOBODY, NOBODY));
        let passing = Account::Other { uid, gid, passes: true };
        if passing.works() { passing } else { Account::Other { uid, gid, passes: false } }
    }

    /// Whether a program starts under this identity here.
    fn works(self) -> bool {
        self.command(Path::new("true")).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// A command that runs `program` under this identity, with nothing to read from.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = match self {
            Account::Own => Command::new(program),
            Account::Other { uid, gid, passes: false } => {
                let mut command = Command::new(program);
                command.uid(uid).gid(gid);
                command
            }
            Account::Other { uid, gid, passes: true } => {
                let mut setpriv = Command::new("setpriv");
                setpriv.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
                setpriv.args(["--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]);
                setpriv.arg(program);
                setpriv
            }
            Account::Mapped => {
                let mut unshare = Command::new("unshare");
                // unshare, and setpriv too, replaces itself by the program, so the process id is the program's.
                unshare.args(["--user", "--map-user=1000", "--"]).arg(program);
                unshare
            }
        };
        command.stdin(Stdio::null());
        command
    }

    /// Gives a file or folder to this identity.
    pub(crate) fn own(self, path: &Path) -> Result<(), Error> {
        let Account::Other { uid, gid, .. } = self else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(|source| Error::Folder {
            step: "change owner of",
            path: path.to_path_buf(),
            source,
        })
    }
}

/// `nobody` on every Linux.
const NOBODY: u32 = 65_534;

fn ids_of(name: &str, passwd: &str) -> Option<(u32, u32)> {
    let mut fields =
        passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name)?.into_iter();
    Some((fields.nth(2)?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_from_the_line_of_the_user() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:7::/:/bin/sh\npostgres:x:105:110:PostgreSQL:/var/lib:/bin/bash\n";
        assert_eq!(ids_of("postgres", passwd), Some((105, 110)));
        assert_eq!(ids_of("nobody", passwd), None);
    }
}
