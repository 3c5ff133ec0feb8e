//! What a person sees of webhooks, and what is refused before anything starts.

use crate::receiver::{Receiver, SECRET};
use crate::support::{PATIENCE, wait};
use crate::{command, create, deliveries, happen, site, until_deliveries, until_idle};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn unknown_endpoint_is_refused_by_name() {
    let site = site().await;
    let (_serve, api) = site.serve().await;
    let body = json!({ "owner_id": "anna", "webhook": "app" });
    let answer = api.call(reqwest::Method::POST, "/api/recordings", body).await;
    assert_eq!(
        (answer.status, answer.code(), &answer.body["object"]),
        (400, "bad-request", &json!("app")),
        "{answer:?}"
    );
    assert_eq!(site.count("SELECT count(*) FROM spool.recording", []).await, 0);
    assert_eq!(command(&site, &["webhook", "test", "app"]).0, 4);
    assert_eq!(command(&site, &["webhook", "ls"]), (0, json!({ "endpoints": [] })));
}

/// Nothing is delivered unsigned, and a setting that is wrong is told before anything is opened.
#[tokio::test(flavor = "multi_thread")]
async fn worker_does_not_start_with_settings_it_could_only_deliver_unsigned_with() {
    let mut site = site().await;
    let receiver = Receiver::new(&site, "receiver");
    receiver.name_in(&mut site, "app");
    let refused = |site: &crate::Site| {
        let mut work = site.work();
        let code = work.wait(Duration::from_secs(30)).code();
        (code, work.log())
    };
    site.unset("SPOOL__WEBHOOK__SECRETS");
    let (code, log) = refused(&site);
    assert!(code == Some(7) && log.contains("webhook endpoint \"app\" has no secret"), "{code:?} {log}");
    assert_eq!(command(&site, &["webhook", "test", "app"]).0, 7);
    // One that delivers nothing needs none.
    let (_serve, _api) = site.serve().await;
    for secrets in ["app:short", "other:0123456789abcdef"] {
        site.set("SPOOL__WEBHOOK__SECRETS", secrets);
        let (code, log) = refused(&site);
        assert!(code == Some(7) && log.contains("webhook.secrets"), "{code:?} {log}");
    }
    site.set("SPOOL__WEBHOOK__ENDPOINTS__APP__URL", "ftp://app.example.com");
    assert_eq!(refused(&site).0, Some(7));
}

/// An endpoint that nobody configures any more is told nothing; what waits for it goes out when it is there again.
#[tokio::test(flavor = "multi_thread")]
async fn endpoint_that_is_taken_out_of_the_settings_keeps_what_waits_for_it() {
    let mut site = site().await;
    let receiver = Receiver::started(&mut site).await;
    let (serve, api) = site.serve().await;
    create(&api, "r").await;
    assert!(serve.stop().success());
    let url = site.variable("SPOOL__WEBHOOK__ENDPOINTS__APP__URL").to_owned();
    let secrets = site.variable("SPOOL__WEBHOOK__SECRETS").to_owned();
    site.unset("SPOOL__WEBHOOK__ENDPOINTS__APP__URL");
    site.unset("SPOOL__WEBHOOK__SECRETS");
    let (serve, api) = site.serve().await;
    happen(&site, "r", "recording.ready").await;
    let (_, listed) = command(&site, &["webhook", "ls"]);
    let row = &listed["endpoints"][0];
    assert_eq!((&row["state"], &row["pending"], &row["last"]), (&json!("unconfigured"), &json!(1), &json!(null)));
    assert_eq!(command(&site, &["webhook", "replay", "r", "--from", "1"]).0, 5);
    drop((serve, api));

    site.set("SPOOL__WEBHOOK__ENDPOINTS__APP__URL", &url);
    site.set("SPOOL__WEBHOOK__SECRETS", &secrets);
    let _work = site.work();
    wait::until("it is told again", PATIENCE, async || {
        (command(&site, &["webhook", "ls"]).1["endpoints"][0]["state"] == "enabled").then_some(())
    })
    .await;
    // The next event takes along what waits before it.
    happen(&site, "r", "recording.archived").await;
    until_deliveries(&site, "r", &["1 delivered 1", "2 delivered 1"]).await;
    assert_eq!(receiver.until_taken(2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn list_shows_what_waits_and_the_last_answer() {
    let mut site = site().await;
    let receiver = Receiver::started(&mut site).await;
    receiver.answers(&[json!({ "status": 302, "headers": { "Location": "/elsewhere" } })]);
    let (_serve, api) = site.serve().await;
    let work = site.work();
    create(&api, "r").await;
    happen(&site, "r", "recording.ready").await;
    until_deliveries(&site, "r", &["1 pending 1"]).await;
    let shown = site.spool(&["webhook", "ls"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("app") && !shown.contains("127.0.0.1"), "{shown}");
    let told = wait::until("the answer is told", PATIENCE, async || {
        let (_, listed) = command(&site, &["webhook", "ls"]);
        Some(listed["endpoints"][0]["last"].clone()).filter(|last| last["status"] == 302)
    });
    assert_eq!(told.await["error"], "answered 302: redirects are not followed");
    assert_eq!(receiver.seen().len(), 1, "no redirect is followed");
    // Somebody drains the worker: the delivery is another one's, nothing is counted twice.
    assert!(work.stop().success());
    let _work = site.work();
    until_deliveries(&site, "r", &["1 delivered 2"]).await;
    until_idle(&site).await;
    assert_eq!(deliveries(&site, "r").await, ["1 delivered 2"]);
    let (code, tested) = command(&site, &["webhook", "test", "app"]);
    assert_eq!((code, &tested["taken"], &tested["enabled_again"]), (0, &json!(true), &json!(false)));
    let test = receiver.seen().pop().unwrap();
    assert!(test.verified && test.kind() == "webhook.test" && test.id.starts_with("test-"), "{test:?}");
}

/// A receiver with a certificate of one's own is believed where the system's store knows it, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn receiver_whose_certificate_nobody_knows_is_sent_nothing() {
    let mut site = site().await;
    let (mut receiver, certificate) = Receiver::with_tls(&mut site, "receiver");
    receiver.start(SECRET).await;
    let (code, tested) = command(&site, &["webhook", "test", "app"]);
    let error = tested["error"].as_str().unwrap();
    assert!(code == 1 && error.starts_with("no connection: invalid peer certificate"), "{tested}");
    assert_eq!(receiver.seen(), []);
    site.set("SSL_CERT_FILE", certificate.to_str().unwrap());
    let (code, tested) = command(&site, &["webhook", "test", "app"]);
    assert_eq!((code, &tested["status"]), (0, &json!(204)), "{tested}");
    assert!(receiver.seen()[0].verified);
}
