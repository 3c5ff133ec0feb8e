//! Webhooks, from the event to a receiver that is written with somebody else's library: real processes of Spool, a real
//! database, a real receiver that is slow, refuses, and is away.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]
#![allow(unreachable_pub, reason = "what tests share is public in a binary")]

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod delivery;
mod formats;
mod receiver;
mod whole;

use serde_json::{Value, json};
use support::api::Recording;
use support::{Api, PATIENCE, Site, wait};

/// A site whose workers look often.
async fn site() -> Site {
    let mut site = Site::new().await;
    site.set("SPOOL__QUEUE__POLL", "200ms");
    site
}

/// A recording that endpoint `app` hears of.
async fn create(api: &Api, id: &str) -> Recording {
    let body = json!({ "id": id, "owner_id": "anna", "source": "spool", "webhook": "app" });
    let answer = api.call(reqwest::Method::POST, "/api/recordings", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let upload_token = answer.body["upload_token"].as_str().unwrap().to_owned();
    Recording { id: id.to_owned(), owner: "anna".to_owned(), upload_token }
}

/// Something happens to a recording, as the database's own function writes it.
async fn happen(site: &Site, id: &str, kind: &str) {
    let event = "SELECT spool.append_event($1, $2, '{\"result\": {\"bytes\": 1}}')";
    site.execute(event, [id.into(), kind.into()]).await;
}

/// Lets the back-off of every delivery pass.
async fn hurry(site: &Site) {
    site.execute("UPDATE queue.job SET run_at = now() WHERE kind = 'webhook' AND state = 4", []).await;
}

/// Waits until deliveries of a recording stand like this, letting back-offs pass: `seq state tries`, in order.
async fn until_deliveries(site: &Site, id: &str, wanted: &[&str]) {
    wait::until(&format!("deliveries are {wanted:?}"), PATIENCE, async || {
        let now = deliveries(site, id).await;
        if now == wanted {
            return Some(());
        }
        hurry(site).await;
        None
    })
    .await;
}

/// `seq state tries` of each delivery of a recording.
async fn deliveries(site: &Site, id: &str) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', seq, state, tries) FROM spool.webhook_delivery WHERE recording_id = $1 ORDER BY endpoint, seq";
    site.texts(sql, [id.into()]).await
}

/// Waits until nobody delivers any more.
async fn until_idle(site: &Site) {
    wait::until("no webhook job is left", PATIENCE, async || {
        (site.count("SELECT count(*) FROM queue.job WHERE kind = 'webhook'", []).await == 0).then_some(())
    })
    .await;
}

/// Runs a command to its end: exit code and JSON.
fn command(site: &Site, arguments: &[&str]) -> (i32, Value) {
    let output = site.spool(&[arguments, &["--json"]].concat()).output().unwrap();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), answer)
}
