//! Everything the demo has started: a Postgres, the API, a worker, and for a while a recorder.

use super::child::{Process, Start};
use super::home::Home;
use crate::cli::exit::{Failure, sentence};
use anyhow::Context as _;
use postgres::{Cluster, Options, Profile, Shutdown};
use std::collections::HashMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use worker::child::Program;
use worker::config::{self, Config, Sources};

/// How long segments stay after the result was published: long enough to see them, short enough to see them go.
const CLEANUP_GRACE: &str = "2s";

/// Addresses the processes listen at, and their usual ports.
const PORTS: [(&str, u16); 2] = [("SPOOL__HTTP__LISTEN", 8080), ("SPOOL__WORK__LISTEN", 9091)];

/// What runs, in the order of its start.
#[derive(Debug, Default)]
pub(super) struct Stage {
    cluster: Option<Cluster>,
    processes: Vec<Process>,
}

/// The settings of one demo: the person's own ones, and ours wherever they have said nothing.
#[derive(Debug)]
pub(super) struct Setting {
    /// Environment of every process.
    pub(super) env: HashMap<String, String>,
    /// Flags of every process of ours.
    flags: Vec<(String, String)>,
    /// Both, read.
    pub(super) config: Config,
}

impl Setting {
    /// The command line of one of our own commands.
    pub(super) fn arguments(&self, command: &str) -> Vec<OsString> {
        let flags = self.flags.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]);
        std::iter::once(command.to_owned()).chain(flags).map(OsString::from).collect()
    }
}

impl Stage {
    /// Settings for every process; starts a private Postgres unless an address is given.
    pub(super) async fn set(&mut self, home: &Home, flags: &[(String, String)]) -> anyhow::Result<Setting> {
        let mut sources = Sources::of_process(flags.to_vec());
        let env = &mut sources.env;
        let mut ours = HashMap::new();
        let mut default = |key: &str, value: String| {
            if !env.contains_key(key) && !env.contains_key(&format!("{key}_FILE")) {
                ours.insert(key.to_owned(), value);
            }
        };
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        default("SPOOL__STORAGE__ROOT", path(home.objects()));
        default("SPOOL__STAGING__DIR", path(home.staging()));
        default("SPOOL__CLEANUP__GRACE", CLEANUP_GRACE.to_owned());
        for (key, usual) in PORTS {
            default(key, listen(usual)?);
        }
        for (key, file) in [("SERVICE_TOKENS", "service-tokens"), ("SIGNING_KEYS", "signing-keys")] {
            let key = format!("SPOOL__AUTH__{key}");
            if !env.contains_key(&key) && !env.contains_key(&format!("{key}_FILE")) {
                ours.insert(format!("{key}_FILE"), path(home.secret(file, "demo")?));
            }
        }
        let database = ["DATABASE_URL", "DATABASE_URL_FILE", "SPOOL__DATABASE__URL", "SPOOL__DATABASE__URL_FILE"];
        if !database.iter().any(|key| env.contains_key(*key)) {
            let options = Options { dir: home.postgres(), profile: Profile::Durable };
            let cluster = Cluster::start(options).await.context("start a private Postgres")?;
            ours.insert("DATABASE_URL".to_owned(), cluster.url("postgres"));
            self.cluster = Some(cluster);
        }
        env.extend(ours.clone());
        let config = config::load(&sources)?;
        Ok(Setting { env: ours, flags: flags.to_vec(), config })
    }

    /// Stops the processes and sets another port wherever somebody else has taken ours since it was chosen.
    pub(super) async fn evade(&mut self, setting: &mut Setting) -> anyhow::Result<()> {
        while let Some(process) = self.processes.pop() {
            process.stop().await?;
        }
        for (key, _) in PORTS {
            let Some(address) = setting.env.get_mut(key).filter(|address| TcpListener::bind(address.as_str()).is_err())
            else {
                continue;
            };
            *address = listen(0)?;
        }
        if let Some(address) = setting.env.get(PORTS[0].0) {
            setting.config.http.listen = address.parse().context("read the address of the API")?;
        }
        Ok(())
    }

    /// Starts a process that stays until the demo stops it.
    pub(super) fn start(&mut self, home: &Home, setting: &Setting, name: &'static str) -> anyhow::Result<()> {
        let program = own_program()?;
        let (arguments, env, log) = (setting.arguments(name), &setting.env, home.log(name));
        self.processes.push(Process::start(Start { name, program: &program, arguments, env, log })?);
        Ok(())
    }

    /// Resolves when a process that should stay has ended. Never resolves otherwise. Cancel safe.
    pub(super) async fn broken(&mut self) -> Failure {
        let mut waits: Vec<_> = self.processes.iter_mut().map(|process| Box::pin(ended(process))).collect();
        if waits.is_empty() {
            return std::future::pending().await;
        }
        futures_util::future::select_all(waits.drain(..)).await.0
    }

    /// Stops everything, in the opposite order of its start; the first failure is told, the others are tried.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let mut result = Ok(());
        while let Some(process) = self.processes.pop() {
            result = result.and(process.stop().await);
        }
        if let Some(mut cluster) = self.cluster.take() {
            result = result.and(cluster.stop(Shutdown::Fast).await.context("stop Postgres"));
        }
        result
    }
}

async fn ended(process: &mut Process) -> Failure {
    let how = match process.ended().await {
        Ok(status) => format!("{} ended by itself ({status})", process.name()),
        Err(error) => sentence(&error),
    };
    told(process, how)
}

/// A failure of `process`, with the end of its log where a person can read it.
pub(super) fn told(process: &Process, how: String) -> Failure {
    let words = process.last_words();
    let text = if words.is_empty() { how } else { format!("{how}; its last words:\n{words}") };
    Failure::failed(text).hint(format!("look at {}", process.log().display()))
}

/// This program, to be started again with another command.
pub(super) fn own_program() -> anyhow::Result<PathBuf> {
    Ok(Program::this()?.path().to_owned())
}

/// Where this program lies, for a person.
pub(super) fn installed() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("find the own program")
}

/// A program that was built and installed together with this one.
pub(super) fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let path = installed()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    let text = format!("there is no {}", path.display());
    let hint = format!("`cargo build --bin {name}` makes it; `make demo` builds everything it needs");
    Err(Failure::failed(text).hint(hint).into())
}

/// The usual port where it is free, else any. Somebody may take it before our process does; then that process ends, and
/// [`Stage::evade`] finds another.
fn listen(usual: u16) -> anyhow::Result<String> {
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr());
    let address = free(usual).or_else(|_| free(0)).context("find a free port")?;
    Ok(address.to_string())
}
