//! Whether a process can work, as it says itself.

use crate::support::{Api, PATIENCE, Site, wait};
use crate::{on_s3, text, work};
use reqwest::Method;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

/// `None` when it is ready, else the code of the problem.
async fn trouble(api: &Api) -> Option<String> {
    let answer = api.send(api.request(Method::GET, "/readyz")).await;
    match answer.status {
        200 => None,
        503 => Some(answer.code().to_owned()),
        other => panic!("{other}: {answer:?}"),
    }
}

async fn until(api: &Api, what: Option<&str>) {
    wait::until("it says how it does", PATIENCE, async || (trouble(api).await.as_deref() == what).then_some(())).await;
}

/// Somebody holds the worker's row: the database answers, and yet takes no heartbeat.
#[tokio::test(flavor = "multi_thread")]
async fn worker_whose_lease_is_lost_is_not_ready_and_lives() {
    let mut site = Site::new().await;
    site.set("SPOOL__QUEUE__LEASE", "3s");
    site.set("SPOOL__QUEUE__HEARTBEAT", "1s");
    site.set("SPOOL__QUEUE__RESCUE", "1s");
    let (worker, api) = work(&site, &[]).await;
    until(&api, None).await;
    let held = site.db.begin().await.unwrap();
    held.execute_unprepared("SELECT FROM queue.worker FOR UPDATE").await.unwrap();
    until(&api, Some("database-unavailable")).await;
    assert!(text(&api, "/healthz").await.contains("\"ok\""));
    held.rollback().await.unwrap();
    until(&api, None).await;
    assert!(worker.stop().success());
}

/// Whoever only works jobs can do nothing; whoever serves answers on.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_a_worker_is_not_ready_and_a_server_is() {
    let (mut server, site) = on_s3().await;
    let (_serve, serving) = site.serve().await;
    let (_worker, api) = work(&site, &[]).await;
    server.stop().await;
    until(&api, Some("storage-unavailable")).await;
    assert_eq!(trouble(&serving).await, None);
    assert!(text(&api, "/healthz").await.contains("\"ok\""));
    assert!(text(&api, "/metrics").await.contains("spool_worker_slots"));
    server.start_again().await;
    until(&api, None).await;
}
