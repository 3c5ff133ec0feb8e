//! What machines read of running processes: metrics, log lines, health. Real processes on a real database and a real S3
//! server.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

#[path = "../support/mod.rs"]
mod support;

mod health;
mod lines;
mod scrape;

use crate::support::site::free_port;
use crate::support::{Api, PATIENCE, Running, S3Server, Set, Site, wait};
use reqwest::Method;
use std::time::Duration;

/// A site whose segments wait in a real S3 server, so that URLs are signed.
async fn on_s3() -> (S3Server, Site) {
    let (server, mut site) = (S3Server::start().await, Site::new().await);
    for (variable, value) in server.env() {
        site.set(variable, &value);
    }
    site.set("SPOOL__STAGING__MODE", "store");
    (server, site)
}

/// Starts a worker, and the address where it says how it does.
async fn work(site: &Site, arguments: &[&str]) -> (Running, Api) {
    let listen = format!("127.0.0.1:{}", free_port());
    let running = site.start(&[&["work", "--set", &format!("work.listen={listen}")], arguments].concat());
    let api = Api::new(format!("http://{listen}"), String::new());
    wait::until("the worker answers", PATIENCE, async || {
        api.try_send(api.request(Method::GET, "/healthz")).await.filter(|answer| answer.status == 200).map(drop)
    })
    .await;
    (running, api)
}

async fn text(api: &Api, path: &str) -> String {
    let answer = api.request(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

/// One recording from its first segment to its pictures, watched meanwhile, through real processes that write JSON lines;
/// then everything that they leave for machines is read.
#[tokio::test(flavor = "multi_thread")]
async fn recording_leaves_metrics_and_lines_that_machines_read() {
    let (_server, mut site) = on_s3().await;
    site.set("SPOOL__LOG__FORMAT", "json");
    site.set("SPOOL__LOG__FILTER", "info,worker=trace,queue=trace");
    let (serve, api) = site.serve().await;
    let (worker, health) = work(&site, &["--set", "work.pool=io"]).await;
    let set = Set::synthetic(Duration::from_secs(5));
    let recording = api.create("owner-1").await;
    api.put_set(&recording, &set).await;
    let signed = lines::watch(&api, &recording).await;
    api.end(&recording, &set).await;
    api.complete(&recording).await;
    api.until_state(&recording, "ready").await;
    let refused = api.request(Method::GET, "/api/recordings/none?token=v1.k1.none.playback.1.forged-signature");
    assert_eq!(api.send(refused).await.status, 401);

    scrape::check(&site, &api, &health).await;
    let ((first, served), (second, worked)) = (serve.stop_and_read(), worker.stop_and_read());
    assert!(first.success() && second.success());
    lines::check(&[&served, &worked], &[&recording.upload_token, &signed]);
}
