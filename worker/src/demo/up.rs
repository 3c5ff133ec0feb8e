//! Brings everything up that a recording needs: settings, schema, API and worker.

use super::LOOK;
use super::api::Api;
use super::child::{Process, Start};
use super::home::Home;
use super::stage::{self, Setting, Stage};
use crate::cli::exit::Failure;
use anyhow::Context as _;

/// Tries to find free ports: two demos that begin together meet at most once, and what is really broken fails at once.
const STARTS_MAX: u32 = 3;

/// What runs, for those who want to talk to it.
#[derive(Debug)]
pub(super) struct Up {
    /// The settings that it runs with.
    pub(super) setting: Setting,
    /// What a web app talks to it with.
    pub(super) api: Api,
    /// Address of the API, without a slash at its end.
    pub(super) base: String,
}

/// Starts everything and waits until it answers.
pub(super) async fn bring(stage: &mut Stage, home: &Home, flags: &[(String, String)]) -> anyhow::Result<Up> {
    let mut setting = stage.set(home, flags).await.context("prepare")?;
    migrate(home, &setting).await?;
    let api = start(stage, home, &mut setting).await?;
    let base = format!("http://{}", setting.config.http.listen);
    Ok(Up { setting, api, base })
}

/// Brings the schema up to date, as an init container would.
async fn migrate(home: &Home, setting: &Setting) -> anyhow::Result<()> {
    let program = stage::own_program()?;
    let (arguments, env, log) = (setting.arguments("migrate"), &setting.env, home.log("migrate"));
    let mut process = Process::start(Start { name: "migrate", program: &program, arguments, env, log })?;
    match process.ended().await? {
        status if status.success() => Ok(()),
        status => Err(stage::told(&process, format!("migrate failed ({status})")).into()),
    }
}

/// Starts API and worker, on other ports when somebody was faster, and waits until they answer.
async fn start(stage: &mut Stage, home: &Home, setting: &mut Setting) -> anyhow::Result<Api> {
    let mut starts = 0;
    loop {
        starts += 1;
        stage.start(home, setting, "serve")?;
        stage.start(home, setting, "work")?;
        let api = Api::new(format!("http://{}", setting.config.http.listen), service_token(setting)?)?;
        let failure = tokio::select! {
            failure = stage.broken() => failure,
            () = until_ready(&api) => return Ok(api),
        };
        // Whoever was faster at our port may be gone again by now, so that nothing tells why it failed.
        stage.evade(setting).await?;
        if starts == STARTS_MAX {
            return Err(failure.into());
        }
    }
}

async fn until_ready(api: &Api) {
    while !api.is_ready().await {
        tokio::time::sleep(LOOK).await;
    }
}

/// The token part of the first `name:token`.
fn service_token(setting: &Setting) -> anyhow::Result<String> {
    let tokens = setting.config.auth.service_tokens.expose();
    let first = tokens.split(',').next().and_then(|pair| pair.trim().split_once(':'));
    let (_, token) = first.ok_or_else(|| Failure::configuration("no service token is configured"))?;
    Ok(token.to_owned())
}
