//! Tables of the kinds of jobs.

use super::*;

#[test]
fn kinds_are_unique_and_alphabetical() {
    let names: Vec<_> = Kind::ALL.map(Kind::as_str).to_vec();
    assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    for kind in Kind::ALL {
        assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        assert!(kind.spec().retry.attempts_max >= 1 && !kind.spec().retry.base.is_zero());
    }
}

fn shown<P: Payload>(payload: &P) -> String {
    let json = serde_json::to_string(payload).unwrap();
    let back: P = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), json);
    let spec = P::KIND.spec();
    format!(
        "{} {} {:05b} {} {json}\n",
        spec.name,
        spec.queue.as_str(),
        spec.unique_mask,
        payload.unique_key().unwrap_or_default()
    )
}

/// Rows written by an older build must still parse: a change here needs an alias, not a new expectation.
#[test]
fn payloads_and_keys_are_those_of_the_contracts() {
    let recording = RecordingId::parse("r1").unwrap();
    let follow_up = FollowUp {
        subject: recording.clone(),
        ended: Ended {
            job_id: Uuid::nil(),
            kind: "mux".into(),
            unique_key: Some("mux:r1:2".into()),
            outcome: "discarded".into(),
            error_class: Some("poison".into()),
            error: None,
        },
    };
    let text = [
        shown(&Upload { recording: recording.clone() }),
        shown(&ManifestCheck { recording: recording.clone() }),
        shown(&Mux { recording: recording.clone(), version: 2 }),
        shown(&Preview { recording: recording.clone(), version: 2 }),
        shown(&Cleanup { recording: recording.clone(), version: 2 }),
        shown(&Webhook { recording: recording.clone(), endpoint: "app".into() }),
        shown(&Erase { recording: recording.clone() }),
        shown(&Control::Verb { recording: recording.clone(), verb: Verb::AcceptGaps }),
        shown(&Control::FollowUp(follow_up)),
        shown(&Sweep {}),
        shown(&Probe { recording }),
        shown(&Noop { wait_ms: 0 }),
    ]
    .concat();
    expect_test::expect![[r#"
        upload ingest 11111 upload:r1 {"recording":"r1"}
        manifest_check control 10111 check:r1 {"recording":"r1"}
        mux mux 11111 mux:r1:2 {"recording":"r1","version":2}
        preview preview 11111 preview:r1:2 {"recording":"r1","version":2}
        cleanup control 11111 cleanup:r1:2 {"recording":"r1","version":2}
        webhook webhook 11111 webhook:r1:app {"recording":"r1","endpoint":"app"}
        erase control 11111 erase:r1 {"recording":"r1"}
        control control 11111  {"recording":"r1","verb":"accept_gaps"}
        control control 11111  {"subject":"r1","ended":{"job_id":"00000000-0000-0000-0000-000000000000","kind":"mux","unique_key":"mux:r1:2","outcome":"discarded","error_class":"poison","error":null}}
        sweep control 11111 sweep {}
        probe control 11111 probe:r1 {"recording":"r1"}
        noop control 11111  {"wait_ms":0}
    "#]]
    .assert_eq(&text);
}
