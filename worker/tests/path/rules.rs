//! The rules that every test of the whole path asks for at its end, broken on purpose: a look that finds nothing in a
//! broken world would make all of them worthless.

use crate::support::{PATIENCE, Set, Site, invariants, wait};
use domain::invariant;
use std::time::Duration;
use worker::context::Context;

#[tokio::test(flavor = "multi_thread")]
async fn broken_rules_are_found_in_rows_and_objects() {
    let site = Site::new().await;
    let (serve, api) = site.serve().await;
    let work = site.work();
    let set = Set::synthetic(Duration::from_secs(5));
    let recording = api.create("owner-1").await;
    api.put_set(&recording, &set).await;
    api.end(&recording, &set).await;
    api.complete(&recording).await;
    api.until_state(&recording, "ready").await;
    wait::until("nothing is left to do", PATIENCE, async || {
        (site.count("SELECT count(*) FROM queue.job WHERE state IN (2, 3) AND kind <> 'sweep'", []).await == 0)
            .then_some(())
    })
    .await;
    assert!(work.stop().success() && serve.stop().success());
    invariants::hold(&site).await;

    let cx = Context::open(site.config()).await.unwrap();
    let before = invariants::picture(&cx).await;
    let broken = async || {
        let now = invariants::picture(&cx).await;
        let mut rules: Vec<_> = invariant::check(&before, &now).into_iter().map(|breach| rule(&breach)).collect();
        rules.dedup();
        rules
    };
    assert_eq!(broken().await, [""; 0]);

    let prefix = site.objects().join(format!("owner-1/{}", recording.id));
    let segment = prefix.join("segments/video/segment_002.m4s");
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, b"other bytes").unwrap();
    assert_eq!(broken().await, ["R-2"]);
    std::fs::remove_file(&segment).unwrap();
    assert_eq!(broken().await, ["R-3", "R-7"]);
    std::fs::write(&segment, bytes).unwrap();

    let result = std::fs::read(prefix.join("result.mp4")).unwrap();
    std::fs::remove_file(prefix.join("result.mp4")).unwrap();
    assert_eq!(broken().await, ["R-1"]);
    std::fs::write(prefix.join("result.mp4"), &result).unwrap();

    for (break_it, mend_it, rules) in [
        (
            "UPDATE queue.job_archive SET attempt = attempt + 1 WHERE kind = 'mux'",
            "UPDATE queue.job_archive SET attempt = attempt - 1 WHERE kind = 'mux'",
            &["R-6"][..],
        ),
        (
            "UPDATE spool.segment SET state = 'received', stored_at = NULL, \
               staging_uri = 'local:' || recording_id || '/video-001-' || encode(sha256, 'hex') || '-' || repeat('0', 32) WHERE track = 'video' AND index = 1",
            "UPDATE spool.segment SET state = 'stored', stored_at = now() WHERE track = 'video' AND index = 1",
            &["R-9"],
        ),
        (
            "UPDATE spool.plan SET body = replace(body, '\"index\":2,', '\"index\":9,'), \
               sha256 = sha256(convert_to(replace(body, '\"index\":2,', '\"index\":9,'), 'UTF8'))",
            "UPDATE spool.plan SET body = replace(body, '\"index\":9,', '\"index\":2,'), \
               sha256 = sha256(convert_to(replace(body, '\"index\":9,', '\"index\":2,'), 'UTF8'))",
            &["R-10"],
        ),
        (
            "UPDATE spool.listing SET duration = duration + 1 WHERE seq = 1",
            "UPDATE spool.listing SET duration = duration - 1 WHERE seq = 1",
            &["R-11"],
        ),
    ] {
        assert!(site.execute(break_it, []).await > 0, "{break_it}");
        assert_eq!(broken().await, rules, "{break_it}");
        site.execute(mend_it, []).await;
    }
    assert_eq!(broken().await, [""; 0]);
}

fn rule(breach: &str) -> String {
    breach.split(':').next().unwrap_or_default().to_owned()
}
