//! One server: started on a free port, awaited by connecting, stopped and started again under the same address.

use crate::Error;
use crate::account::Account;
use crate::binaries::{self, Binaries};
use crate::folder::{Folder, SUPERUSER, failed};
use crate::guard::Guard;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// What the server promises about a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Everything PostgreSQL promises: the demo, crash tests, benches. A number or a claim from any other profile is void.
    Durable,
    /// Nothing survives a crash of the machine, in exchange for speed: tests.
    Throwaway,
}

/// How to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Open transactions are rolled back, the data is written out.
    Fast,
    /// As if the process had crashed: the next start recovers.
    Immediate,
}

/// Where and how to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder. What an earlier run left there is used again, a server that still runs there is taken over.
    pub dir: PathBuf,
    /// What is promised.
    pub profile: Profile,
}

/// Recovery after a crash with a full log takes this long on a slow disk.
const START_BOUND: Duration = Duration::from_secs(60);
/// A fast stop writes everything out first.
const STOP_BOUND: Duration = Duration::from_secs(30);
/// Between two looks: starting takes about 100 ms.
const LOOK: Duration = Duration::from_millis(20);
/// Another process may take the port between our choice and the server's start.
const PORTS_MAX: u32 = 5;

/// A running or stopped server of ours. Dropping it stops the server; [`Cluster::temporary`] also removes the folder.
#[derive(Debug)]
pub struct Cluster {
    folder: Folder,
    binaries: Binaries,
    account: Account,
    profile: Profile,
    port: u16,
    password: String,
    server: Server,
    /// Last, because it removes the folder.
    guard: Option<Guard>,
}

#[derive(Debug)]
enum Server {
    Stopped,
    Ours(Child),
    /// Left running by an earlier process.
    Adopted(i32),
}

impl Cluster {
    /// Starts a server in `options.dir`, which stays when the server is stopped.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when this machine has no PostgreSQL; the others name the step, the folder and the cause.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let binaries = binaries::find()?;
        let account = Account::choose();
        let folder = Folder::open(&options.dir, account)?;
        let password = folder.init(&binaries, account, options.profile == Profile::Durable)?;
        // The port of the last run, so that an address written down stays right, unless somebody else has it now.
        let mut port = folder.port().unwrap_or(0);
        if folder.running()?.is_none() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            port = 0;
        }
        let mut cluster = Self {
            port,
            folder,
            binaries,
            account,
            profile: options.profile,
            password,
            server: Server::Stopped,
            guard: None,
        };
        cluster.launch().await?;
        Ok(cluster)
    }

    /// Starts a server in a new folder. Both are gone when this process is, even when it is killed.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn temporary(profile: Profile) -> Result<Self, Error> {
        let parent = std::env::temp_dir();
        let dir = tempfile::Builder::new()
            .prefix("spool-pg-")
            .tempdir_in(&parent)
            .map_err(failed("create a folder in", &parent))?;
        let guard = Guard::watch(&Folder::open(dir.path(), Account::choose())?)?;
        let mut cluster = Self::start(Options { dir: dir.keep(), profile }).await?;
        cluster.guard = Some(guard);
        Ok(cluster)
    }

    /// Address of one database, for the superuser; it stays the same over [`Cluster::stop`] and [`Cluster::start_again`].
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}?sslmode=disable", self.password, self.port)
    }

    /// The server's process id while it runs.
    pub fn pid(&self) -> Option<i32> {
        match &self.server {
            Server::Stopped => None,
            Server::Ours(child) => i32::try_from(child.id()).ok(),
            Server::Adopted(pid) => Some(*pid),
        }
    }

    /// Stops the server and waits for its end.
    ///
    /// # Errors
    /// [`Error::Stop`] when it does not end.
    pub async fn stop(&mut self, how: Shutdown) -> Result<(), Error> {
        self.signal(match how {
            Shutdown::Fast => Signal::INT,
            Shutdown::Immediate => Signal::QUIT,
        });
        let since = Instant::now();
        while !self.has_ended() {
            if since.elapsed() > STOP_BOUND {
                return self.kill();
            }
            tokio::time::sleep(LOOK).await;
        }
        self.server = Server::Stopped;
        Ok(())
    }

    /// Starts the stopped server again, under the same address. Does nothing when it runs.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_again(&mut self) -> Result<(), Error> {
        if self.pid().is_some() && !self.has_ended() {
            return Ok(());
        }
        self.server = Server::Stopped;
        self.launch().await
    }

    async fn launch(&mut self) -> Result<(), Error> {
        if let Some(running) = self.folder.running()? {
            self.server = Server::Adopted(running.pid);
            let port = self.port;
            self.port = running.port.unwrap_or(port);
            // It may also be on its way down; then it is gone in a moment and a new one takes its place.
            match self.await_answer().await {
                Err(Error::Start { .. }) => (self.server, self.port) = (Server::Stopped, port),
                Err(error) => return Err(error),
                Ok(()) => return self.folder.set_port(self.port),
            }
        }
        let known = self.port != 0;
        let mut tries = 0;
        loop {
            tries += 1;
            if !known {
                self.port = free_port().map_err(failed("find a port for", self.folder.root()))?;
            }
            self.server = Server::Ours(self.spawn()?);
            match self.await_answer().await {
                // Backends of a killed server are still leaving, or somebody else was given our port meanwhile.
                Err(Error::Start { log, .. }) if tries < PORTS_MAX && is_passing(&log) => {
                    tokio::time::sleep(LOOK * 10).await;
                }
                Err(error) => return Err(error),
                Ok(()) => return self.folder.set_port(self.port),
            }
        }
    }

    fn spawn(&self) -> Result<Child, Error> {
        let log = self.folder.log();
        // Anew each time: what an earlier server said must not be taken for the answer of this one.
        let file = fs::File::create(&log).map_err(failed("create", &log))?;
        let errors = file.try_clone().map_err(failed("open", &log))?;
        let program = self.binaries.postgres();
        let mut command = self.account.command(&program);
        command.arg("-D").arg(self.folder.cluster()).current_dir(self.folder.root()).stdout(file).stderr(errors);
        let sockets = format!("unix_socket_directories={}", self.folder.socket_dir().display());
        let port = format!("port={}", self.port);
        let settings =
            ["listen_addresses=127.0.0.1", "timezone=UTC", "log_timezone=UTC", "max_connections=200", &sockets, &port];
        // DROP DATABASE waits for every client that is just logging in, and one that a finished test left behind may
        // never go on: every test of the run would stand still for a minute. Long enough all the same for fifty logins at
        // once on a busy machine.
        let fast = [
            "fsync=off",
            "full_page_writes=off",
            "synchronous_commit=off",
            "autovacuum_naptime=10s",
            "authentication_timeout=20s",
        ];
        let fast: &[&str] = if self.profile == Profile::Throwaway { &fast } else { &[] };
        for setting in settings.iter().chain(fast) {
            command.args(["-c", setting]);
        }
        // A Ctrl-C at the terminal must not stop the server under those who are still finishing their work.
        command.process_group(0);
        command.spawn().map_err(|source| Error::Run { program, source })
    }

    /// Waits until the server answers a connection, or has ended.
    async fn await_answer(&mut self) -> Result<(), Error> {
        let since = Instant::now();
        loop {
            let ended = self.has_ended();
            match self.connect().await {
                Ok(()) if !ended => return Ok(()),
                _ if ended => {
                    return Err(Error::Start { dir: self.folder.root().to_path_buf(), log: self.folder.log_end() });
                }
                Err(source) if since.elapsed() > START_BOUND => {
                    let dir = self.folder.root().to_path_buf();
                    return Err(Error::Silent { dir, bound_s: START_BOUND.as_secs(), source });
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn connect(&self) -> Result<(), sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.port).username(SUPERUSER);
        let options = options.password(&self.password).database("postgres").ssl_mode(PgSslMode::Disable);
        let connection: PgConnection = options.disable_statement_logging().connect().await?;
        connection.close().await
    }

    fn has_ended(&mut self) -> bool {
        match &mut self.server {
            Server::Stopped => true,
            // An error means that somebody else has waited for it: it has ended.
            Server::Ours(child) => child.try_wait().map_or(true, |status| status.is_some()),
            Server::Adopted(pid) => !self.folder.is_server(*pid),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid().and_then(Pid::from_raw) {
            // It may have ended by itself; the wait that follows sees that.
            let _ = kill_process(pid, signal);
        }
    }

    fn kill(&mut self) -> Result<(), Error> {
        let pid = self.pid().unwrap_or_default();
        self.signal(Signal::KILL);
        let since = Instant::now();
        while !self.has_ended() {
            if since.elapsed() > STOP_BOUND {
                return Err(Error::Stop { pid });
            }
            std::thread::sleep(LOOK);
        }
        self.server = Server::Stopped;
        Ok(())
    }
}

impl Drop for Cluster {
    /// Stops fast; a temporary server without writing anything out, since nobody will read it.
    fn drop(&mut self) {
        self.signal(if self.guard.is_some() { Signal::QUIT } else { Signal::INT });
        let since = Instant::now();
        while !self.has_ended() && since.elapsed() < STOP_BOUND {
            std::thread::sleep(LOOK);
        }
        if !self.has_ended() {
            // The end of the road: there is nobody to tell.
            let _ = self.kill();
        }
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn is_passing(log: &str) -> bool {
    ["Address already in use", "pre-existing shared memory block", "lock file \"postmaster.pid\" already exists"]
        .iter()
        .any(|reason| log.contains(reason))
}
