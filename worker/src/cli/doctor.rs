//! `spool doctor`: everything Spool needs here, checked part by part, with a cure for what is missing.
//!
//! Every part is checked even when another one failed, so that a person sees all there is to do. Secrets are never shown.

use super::config;
use super::exit::{Exit, sentence};
use super::output::{self, Output};
use ::worker::auth::Keyring;
use ::worker::config::Config;
use ::worker::staging::Mode;
use ::worker::storage::{Service, Store};
use ::worker::webhook::Receivers;
use ::worker::{context, db, pairing, webhook};
use domain::retry::{Classify as _, Fault};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};
use serde::Serialize;
use std::path::Path;

/// The oldest PostgreSQL with everything the schema uses, as `server_version_num`.
const POSTGRES_MIN: i32 = 150_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One line.
#[derive(Debug, Serialize)]
struct Finding {
    part: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
    /// What the command ends with if this is the worst finding.
    #[serde(skip)]
    exit: Exit,
}

fn ok(part: &'static str, found: impl Into<String>) -> Finding {
    Finding { part, verdict: Verdict::Ok, found: found.into(), cure: None, exit: Exit::Ok }
}

fn warn(part: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Warn, cure: Some(cure.into()), ..ok(part, found) }
}

fn fail(part: &'static str, exit: Exit, found: impl Into<String>, cure: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Fail, exit, ..warn(part, found, cure) }
}

#[derive(Serialize)]
struct Answer {
    findings: Vec<Finding>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say that the object store of the settings is that of the database, although it has another id or none: after it
    /// was restored or copied. Stop every process before.
    #[arg(long)]
    adopt_store: bool,
}

/// Checks everything and ends with the code of the first failure.
pub(crate) async fn run(args: Args, set: &[(String, String)], out: Output) -> anyhow::Result<Exit> {
    if args.adopt_store {
        let config = config::settings(set)?;
        let store = Store::open(&config.storage).await?;
        store.check().await?;
        pairing::adopt(&store, &context::open_database(&config).await?).await?;
    }
    let mut findings = Vec::new();
    match config::settings(set) {
        Ok(config) => {
            findings.push(ok("settings", "readable, every key is known"));
            findings.push(secrets(&config));
            findings.push(webhooks(&config));
            findings.extend(database(&config).await);
            findings.push(store(&config).await);
            findings.extend(paired(&config, &findings).await);
            findings.push(match config.staging.mode {
                Mode::Local => staging(Path::new(&config.staging.dir)),
                Mode::Store => {
                    ok("staging", "in the object store: any number of processes take in, and `spool work` brings")
                }
            });
        }
        Err(error) => {
            let cure = "config.toml explains every key; then run this again for the parts that need settings";
            findings.push(fail("settings", Exit::Configuration, sentence(&error), cure));
        }
    }
    findings.push(libraries());
    let answer = Answer { findings };
    out.answer(&answer, |answer| answer.findings.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    Ok(answer.findings.iter().map(|finding| finding.exit).find(|exit| *exit != Exit::Ok).unwrap_or(Exit::Ok))
}

fn line(finding: &Finding) -> String {
    let word = match finding.verdict {
        Verdict::Ok => "ok  ",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    let cure = finding.cure.as_ref().map(|cure| format!("\n                  cure: {cure}")).unwrap_or_default();
    format!("{word}  {:<10}  {}{cure}", finding.part, output::printable(&finding.found))
}

fn secrets(config: &Config) -> Finding {
    match Keyring::open(&config.auth) {
        Ok(_) => ok("secrets", "service tokens and signing keys are set"),
        Err(error) => {
            let cure = "set SPOOL__AUTH__SERVICE_TOKENS and SPOOL__AUTH__SIGNING_KEYS, or the same names with _FILE";
            fail("secrets", Exit::Configuration, error.to_string(), cure)
        }
    }
}

/// Whether everything that would be delivered could be signed. Nobody is asked: `spool webhook test` does that.
fn webhooks(config: &Config) -> Finding {
    let receivers = Receivers::open(&config.webhook, &config.http.public_url);
    match receivers.and_then(|receivers| receivers.require_secrets().map(|()| receivers.endpoints().len())) {
        Ok(0) => ok("webhooks", "no endpoint is named: web apps ask how recordings stand"),
        Ok(n) => ok("webhooks", format!("{n} with secrets; `spool webhook test NAME` tries one")),
        Err(error @ webhook::Error::Unsigned { .. }) => {
            let cure = "whoever works the queue webhook does not start without it; others need none";
            warn("webhooks", error.to_string(), cure)
        }
        Err(error) => {
            let cure = "docs/webhooks.md says how endpoints and secrets are set";
            fail("webhooks", Exit::Configuration, error.to_string(), cure)
        }
    }
}

async fn database(config: &Config) -> Vec<Finding> {
    const PART: &str = "database";
    if !config.database.url.is_set() {
        let cure = "set DATABASE_URL to postgres://user:password@host/database, or DATABASE_URL_FILE";
        return vec![fail(PART, Exit::Configuration, "no address is set", cure)];
    }
    let db = match db::connect(&config.database).await {
        Ok(db) => db,
        Err(error) => {
            let exit = if error.fault() == Fault::Transient { Exit::Unreachable } else { Exit::Configuration };
            let cure = "start the database, or correct host, port, user and password in DATABASE_URL";
            return vec![fail(PART, exit, sentence(&error.into()), cure)];
        }
    };
    let mut findings = vec![version(&db).await];
    findings.push(schema(&db).await);
    findings.push(roles(&db).await);
    findings
}

async fn ask<T: sea_orm::TryGetable>(db: &DatabaseConnection, sql: &str) -> Result<Option<T>, sea_orm::DbErr> {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}

async fn version(db: &DatabaseConnection) -> Finding {
    let number = ask::<i32>(db, "SELECT current_setting('server_version_num')::int").await;
    let name = ask::<String>(db, "SELECT current_setting('server_version')").await;
    match (number, name) {
        (Ok(Some(number)), Ok(Some(name))) if number >= POSTGRES_MIN => ok("database", format!("PostgreSQL {name}")),
        (Ok(Some(_)), Ok(Some(name))) => {
            fail("database", Exit::Configuration, format!("PostgreSQL {name}"), "PostgreSQL 15 or newer is needed")
        }
        (number, name) => {
            let why = number.err().or(name.err()).map_or_else(String::new, |error| error.to_string());
            fail("database", Exit::Unreachable, format!("no answer: {why}"), "look at the log of the database")
        }
    }
}

async fn schema(db: &DatabaseConnection) -> Finding {
    match migration::status(db).await {
        Ok(status) if status.is_current() => ok("schema", format!("version {}", status.version)),
        Ok(status) if status.is_too_new() => {
            let found = format!("version {}, this program knows {}", status.version, status.known);
            fail("schema", Exit::Configuration, found, "use the program that the database was migrated with")
        }
        Ok(status) => {
            let found = format!("version {}, this program needs {}", status.version, status.known);
            fail("schema", Exit::Configuration, found, "run `spool migrate`")
        }
        Err(error) => {
            let error = sentence(&error.into());
            fail("schema", Exit::Configuration, error, "give the role of DATABASE_URL the rights of spool_run")
        }
    }
}

async fn roles(db: &DatabaseConnection) -> Finding {
    let sql = "SELECT coalesce(string_agg(wanted, ', '), '') \
         FROM unnest(ARRAY['spool_owner', 'spool_run', 'spool_app', 'spool_view', 'spool_operate', 'spool_scaler']) AS wanted \
         WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted)";
    match ask::<String>(db, sql).await {
        Ok(Some(missing)) if missing.is_empty() => ok("roles", "all six are there"),
        Ok(missing) => {
            let cure = "an administrator makes them; `spool migrate` prints how and then gives them their rights";
            warn("roles", format!("missing: {}", missing.unwrap_or_default()), cure)
        }
        Err(error) => warn("roles", error.to_string(), "look at the log of the database"),
    }
}

async fn store(config: &Config) -> Finding {
    let place = match config.storage.service {
        Service::Fs => format!("folder {}", config.storage.root),
        Service::S3 => format!("bucket {}", config.storage.bucket),
        Service::Memory => "memory, gone with the process".to_owned(),
    };
    let checked = async {
        let store = Store::open(&config.storage).await?;
        store.check_all().await
    };
    match checked.await {
        Ok(_) if config.storage.service == Service::Memory => {
            warn("storage", place, "set storage.service to fs or s3 for anything but tests")
        }
        Ok(checked) if checked.ignores_conditions => {
            let found =
                format!("{place}: works, but the server ignores conditions: it wrote over what it was told to keep");
            warn("storage", found, "none is needed: nothing rests on conditions, every object has a key of its own")
        }
        Ok(checked) => {
            let presigned = if checked.presigns { ", also through presigned URLs" } else { "" };
            let did = "wrote, found, read, listed, copied and deleted objects of its own";
            ok("storage", format!("{place}: {did}{presigned}"))
        }
        Err(error) => {
            let exit = if error.fault() == Fault::Transient { Exit::Unreachable } else { Exit::Configuration };
            let cure = error.cure();
            fail("storage", exit, format!("{place}: {}", sentence(&error.into())), cure)
        }
    }
}

/// Whether the store is that of the database; nothing where one of them cannot be asked, which was said before.
async fn paired(config: &Config, findings: &[Finding]) -> Option<Finding> {
    const PART: &str = "store id";
    let asked = ["database", "schema", "storage"];
    let failed = |finding: &Finding| finding.verdict == Verdict::Fail && asked.contains(&finding.part);
    if findings.iter().any(failed) || config.storage.service == Service::Memory {
        return None;
    }
    let look = async {
        let (store, db) = (Store::open(&config.storage).await?, context::open_database(config).await?);
        anyhow::Ok(pairing::stand(&store, &db).await?)
    };
    Some(match look.await {
        Ok(pairing::Stand::Paired(id)) => ok(PART, format!("{id}, as the database says")),
        Ok(pairing::Stand::New) => {
            ok(PART, "the database belongs to no store yet; the first process that starts pairs them")
        }
        Ok(pairing::Stand::Foreign { found, expected }) => {
            let found = found.map_or("none".to_owned(), |id| id.to_string());
            let cure = "correct storage.bucket, storage.root and storage.endpoint, or DATABASE_URL; when this store was \
                restored or copied from that one, stop every process and run `spool doctor --adopt-store`";
            fail(PART, Exit::Configuration, format!("{found}, and the database belongs to the store {expected}"), cure)
        }
        Err(error) => {
            fail(PART, Exit::Unreachable, sentence(&error), "look at the log of the store and of the database")
        }
    })
}

/// Looks at the folder without registering it: that is for the process that accepts.
fn staging(dir: &Path) -> Finding {
    let probe = dir.join(format!(".doctor-{}", std::process::id()));
    let write = || {
        std::fs::create_dir_all(dir)?;
        let file = std::fs::File::create(&probe)?;
        let synced = file.sync_all();
        std::fs::remove_file(&probe)?;
        synced
    };
    let free = || rustix::fs::statvfs(dir).map(|about| about.f_bavail.saturating_mul(about.f_frsize)).ok();
    match (write(), free()) {
        (Ok(()), Some(free)) => ok("staging", format!("{}: writable, {} free", dir.display(), output::bytes(free))),
        (Ok(()), None) => ok("staging", format!("{}: writable", dir.display())),
        (Err(error), _) => {
            let cure = "make the folder writable for this user, or set staging.dir to another one";
            fail("staging", Exit::Configuration, format!("{}: {error}", dir.display()), cure)
        }
    }
}

/// Debian 12 has FFmpeg 5.1 with libavformat 59; the program does not start without the libraries it was linked with.
fn libraries() -> Finding {
    ok("ffmpeg", media::ff::versions())
}
