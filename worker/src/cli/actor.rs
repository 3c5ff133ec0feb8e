//! Who gives an operator command: the operating system's user and this machine's name, for the audit.

use std::process::Command;

/// What the audit calls commands that came from here.
pub(crate) const VIA: &str = "cli";

/// `user@host`. The user is the one the process runs as, not what a variable of the environment says.
pub(crate) fn name() -> String {
    let host = rustix::system::uname();
    format!("{}@{}", user(), host.nodename().to_string_lossy())
}

fn user() -> String {
    // `id` asks every directory the machine is set up with; an image without it still has the number.
    let named = Command::new("id").arg("-un").output().ok().filter(|output| output.status.success());
    let named = named.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn name_has_a_user_and_a_host() {
        let name = super::name();
        let (user, host) = name.split_once('@').unwrap();
        assert!(!user.is_empty() && !host.is_empty() && !name.contains(char::is_whitespace), "{name}");
    }
}
