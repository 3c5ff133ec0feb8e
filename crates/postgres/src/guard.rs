//! Ends a temporary server when its owner is gone, however it went.

use crate::Error;
use crate::folder::Folder;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its input, which comes when the last holder of the other side of the pipe has ended, even by
/// SIGKILL; then stops the server that runs in the folder and removes the folder.
/// SIGQUIT, because nobody wants anything of it any more.
const SCRIPT: &str = r#"
cat >/dev/null
pid=$(head -n 1 "$1/cluster/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
i=0
while [ -e "$1/cluster/postmaster.pid" ] && [ "$i" -lt 50 ]; do sleep 0.1; i=$((i + 1)); done
[ -e "$1/cluster/postmaster.pid" ] && kill -KILL "$pid" 2>/dev/null
rm -rf "$1"
"#;

/// A shell that outlives us by a moment. Its input is our end of the pipe; the system closes it with our process.
#[derive(Debug)]
pub(crate) struct Guard {
    child: Child,
}

impl Guard {
    pub(crate) fn watch(folder: &Folder) -> Result<Self, Error> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(folder.root()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A Ctrl-C at the terminal goes to our whole process group and must not take the guard first.
        command.process_group(0);
        let child = command.spawn().map_err(|source| Error::Run { program: PathBuf::from("sh"), source })?;
        Ok(Self { child })
    }
}

impl Drop for Guard {
    /// Ends the guard's input and waits until the folder is gone.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Nothing could be done about a shell that cannot be waited for.
        let _ = self.child.wait();
    }
}
