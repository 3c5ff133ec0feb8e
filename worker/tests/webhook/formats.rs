//! What receivers of other kinds see: while a secret is rotated, in the replaced system's shape, and with the
//! documentation's other example.

use crate::receiver::{Receiver, SECRET, Seen, example};
use crate::support::Set;
use crate::{create, happen, site, until_deliveries, until_idle};
use serde_json::json;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[tokio::test(flavor = "multi_thread")]
async fn rotation_is_believed_by_receivers_with_the_old_and_with_the_new_secret() {
    let mut site = site().await;
    let mut receiver = Receiver::started(&mut site).await;
    site.set("SPOOL__WEBHOOK__SECRETS", &format!("app:{NEW},app:{SECRET}"));
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    create(&api, "r").await;
    happen(&site, "r", "recording.finalizing").await;
    until_deliveries(&site, "r", &["1 delivered 1"]).await;
    receiver.kill();
    receiver.start(NEW).await;
    happen(&site, "r", "recording.ready").await;
    until_deliveries(&site, "r", &["1 delivered 1", "2 delivered 1"]).await;
    let seen = receiver.seen();
    assert!(seen.iter().all(|seen| seen.verified && seen.taken()), "{seen:?}");
    assert_eq!(seen[0].headers["webhook-signature"].as_str().unwrap().split(' ').count(), 2);
}

/// A receiver with another secret believes nothing, and nothing is taken for delivered.
#[tokio::test(flavor = "multi_thread")]
async fn receiver_with_another_secret_refuses() {
    let mut site = site().await;
    let mut receiver = Receiver::new(&site, "receiver");
    receiver.name_in(&mut site, "app");
    receiver.start(NEW).await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    create(&api, "r").await;
    happen(&site, "r", "recording.ready").await;
    until_deliveries(&site, "r", &["1 pending 2"]).await;
    let seen = receiver.until("a try is refused", |seen| seen.iter().any(|seen| seen.status == Some(400))).await;
    // The next try counts before it is made, so one may be under way.
    assert!(seen.iter().all(|seen| !seen.verified && seen.status.is_none_or(|status| status == 400)), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn compatibility_tells_what_the_replaced_system_told() {
    let mut site = site().await;
    let mut receiver = Receiver::new(&site, "receiver");
    site.set("SPOOL__WEBHOOK__ENDPOINTS__APP__URL", &receiver.url("/compatibility"));
    site.set("SPOOL__WEBHOOK__ENDPOINTS__APP__FORMAT", "compatibility");
    site.set("MEDIA_SERVER_WEBHOOK_SECRET", SECRET);
    site.set("SPOOL__CLEANUP__GRACE", "0s");
    receiver.start(SECRET).await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let set = Set::synthetic(Duration::from_secs(6));
    let recording = create(&api, "r").await;
    // The second segment of the picture never comes.
    for (track, name, bytes) in set.objects() {
        if name.index() != 2 || track != domain::segment::Track::Video {
            api.put(&recording, track, name, bytes).await;
        }
    }
    api.end(&recording, &set).await;
    api.complete(&recording).await;
    site.execute("UPDATE spool.recording SET gaps_accepted = true", []).await;
    api.until(&recording, "archived", |status| status["state"] == "archived").await;
    until_idle(&site).await;
    let seen = receiver.until_taken(2).await;
    let phases: Vec<_> = seen.iter().map(|seen| seen.body["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["processing", "complete"], "what it had no word for is not sent: {seen:?}");
    assert!(seen.iter().all(|seen| seen.headers["x-media-server-secret"] == SECRET && seen.verified));
    let told = &seen[1].body;
    assert_eq!((&told["jobId"], &told["videoId"], &told["progress"]), (&json!("r-1"), &json!("r"), &json!(100)));
    let (metadata, result) = (&told["metadata"], &api.status(&recording).await["result"]);
    assert_eq!((&metadata["degraded"], &metadata["segmentsMissing"]), (&json!(true), &json!(1)), "{told}");
    assert_eq!((&metadata["fileSize"], &metadata["videoCodec"]), (&result["bytes"], &json!("h264")));
    assert_eq!(metadata["duration"].as_f64().unwrap() * 1000.0, result["duration_ms"].as_f64().unwrap());
    let skipped = "SELECT count(*) FROM spool.webhook_delivery WHERE state = 'skipped' AND tries = 0";
    assert!(site.count(skipped, []).await >= 1);
}

/// The documentation's example without a library, on a delivery that came.
#[tokio::test(flavor = "multi_thread")]
async fn example_for_node_verifies_a_delivery_and_nothing_else() {
    let mut site = site().await;
    let receiver = Receiver::started(&mut site).await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    create(&api, "r").await;
    happen(&site, "r", "recording.ready").await;
    let seen = receiver.until_taken(1).await.remove(0);
    let program = site.folder().join("verify.mjs");
    let ask = "\nlet text = \"\";\nfor await (const piece of process.stdin) text += piece;\n\
        const { body, headers } = JSON.parse(text);\nconsole.log(verify(body, headers).type);\n";
    std::fs::write(&program, example("js") + ask).unwrap();
    assert_eq!(node(&program, &seen, &seen.text), Ok("recording.ready\n".to_owned()));
    let other = seen.text.replace("\"seq\":1", "\"seq\":2");
    let refused = node(&program, &seen, &other).unwrap_err();
    assert!(refused.contains("no signature matches"), "{refused}");
}

fn node(program: &std::path::Path, seen: &Seen, body: &str) -> Result<String, String> {
    let mut node = Command::new("node");
    node.arg(program).env("SPOOL_WEBHOOK_SECRET", SECRET);
    node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut node = node.spawn().expect("node runs; scripts/setup.sh installs it");
    let asked = json!({ "body": body, "headers": seen.headers }).to_string();
    node.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}
