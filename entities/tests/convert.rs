//! Rows become values of the domain only when they can be true.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::playlist::{ListingKind, ListingRow};
use domain::recording::{Policy, Source, State};
use domain::segment::{Row, Track};
use entities::spool::{listing, recording, segment};
use entities::{Facts, InvalidRow};
use postgres::testing::TestDb;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, EntityTrait};

async fn migrate(url: String) -> anyhow::Result<()> {
    let db = Database::connect(&url).await?;
    migration::run(&db).await?;
    Ok(db.close().await?)
}

async fn world(rows: &str) -> (DatabaseConnection, TestDb) {
    let keep = TestDb::new(migrate).await.unwrap();
    let db = Database::connect(keep.url()).await.unwrap();
    db.execute_unprepared("INSERT INTO spool.recording (id, owner_id, source) VALUES ('r', 'o', 'bucket')")
        .await
        .unwrap();
    db.execute_unprepared(rows).await.unwrap();
    (db, keep)
}

#[tokio::test]
async fn recording_row_becomes_facts() {
    let (db, _keep) = world(
        r#"UPDATE spool.recording SET state = 'finalizing', provisional = true, policy = 'fail', plan_version = 2, frozen_version = 1,
             declared = '{"tracks": {"video": {"last_index": 7}}, "duration_ms": 14000}',
             gaps = '[{"track": "video", "from_ms": 1, "to_ms": 3, "segments": [2], "cause": "missing"}]'"#,
    )
    .await;
    let mut row = recording::Entity::find_by_id("r").one(&db).await.unwrap().unwrap();
    let facts = Facts::try_from(&row).unwrap();
    assert_eq!((facts.id.as_str(), facts.owner.as_str()), ("r", "o"));
    assert_eq!((facts.source, facts.policy, facts.state), (Source::Bucket, Policy::Fail, State::Finalizing));
    assert_eq!((facts.provisional, facts.signalled, facts.gaps_accepted), (true, false, false));
    assert_eq!(facts.declared.as_ref().unwrap().last_index(Track::Video), 7);
    assert_eq!((facts.plan_version, facts.frozen_version, facts.gaps.len()), (2, 1, 1));
    assert!(facts.door().provisional && !facts.door().frozen);

    row.frozen_version = 2;
    assert!(Facts::try_from(&row).unwrap().door().frozen);
}

#[tokio::test]
async fn segment_and_listing_rows_become_domain_rows() {
    let (db, _keep) = world(
        r#"INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256, timescale, tfdt, duration, codec) VALUES
             ('r', 'video', 0, 700, sha256('i'), 90000, NULL, NULL,
              '{"codec": "avc1.640028", "timescale": 90000, "width": 1920, "height": 1080, "channels": 0, "sample_rate": 0}'),
             ('r', 'video', 1, 900, sha256('x'), 90000, 180000, 180000, NULL);
           INSERT INTO spool.listing (recording_id, track, seq, index, kind, duration, timescale, discontinuity, program_date_time)
             VALUES ('r', 'audio', 3, 3, 'gap', 96000, 48000, true, '2026-06-02 12:00Z')"#,
    )
    .await;
    let rows = segment::Entity::find().all(&db).await.unwrap();
    let (init, media) = (Row::try_from(&rows[0]).unwrap(), Row::try_from(&rows[1]).unwrap());
    assert_eq!((init.index, init.span, init.size_bytes), (0, None, 700));
    assert_eq!((media.track, media.span.unwrap().start_ms(), media.span.unwrap().end_ms()), (Track::Video, 2000, 4000));
    assert_eq!((media.sha256, media.defect), (Some(domain::id::Sha256::of(b"x")), None));
    assert_eq!(rows[0].codec_facts().unwrap().unwrap().width, 1920);
    assert_eq!(rows[1].codec_facts().unwrap(), None);

    let listed = listing::Entity::find().one(&db).await.unwrap().unwrap();
    let expected = ListingRow {
        track: Track::Audio,
        seq: 3,
        index: 3,
        kind: ListingKind::Gap,
        duration: 96_000,
        timescale: 48_000,
        discontinuity: true,
        program_date_time: Some("2026-06-02T12:00:00Z".parse().unwrap()),
    };
    assert_eq!(ListingRow::try_from(&listed).unwrap(), expected);
}

#[tokio::test]
async fn row_that_cannot_be_true_names_its_column() {
    let (db, _keep) = world(
        "INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256, timescale, tfdt, duration)
           VALUES ('r', 'video', 1, 9, sha256('x'), 90000, 0, 1)",
    )
    .await;
    let recording = recording::Entity::find_by_id("r").one(&db).await.unwrap().unwrap();
    let segment = segment::Entity::find().one(&db).await.unwrap().unwrap();

    let facts = |change: fn(&mut recording::Model)| {
        let mut row = recording.clone();
        change(&mut row);
        Facts::try_from(&row).unwrap_err()
    };
    let of_segment = |change: fn(&mut segment::Model)| {
        let mut row = segment.clone();
        change(&mut row);
        Row::try_from(&row).unwrap_err()
    };
    let errors: [(InvalidRow, &str); 8] = [
        (facts(|row| row.state = "done".into()), "state"),
        (facts(|row| row.id = "../r".into()), "id"),
        (facts(|row| row.plan_version = -1), "plan_version"),
        (facts(|row| row.declared = Some("text".into())), "declared"),
        (facts(|row| row.gaps = 7.into()), "gaps"),
        (of_segment(|row| row.sha256 = Some(vec![1])), "sha256"),
        (of_segment(|row| row.timescale = Some(1 << 40)), "timescale"),
        (of_segment(|row| row.duration = None), "tfdt"),
    ];
    for (error, column) in errors {
        assert_eq!(error.column, column);
        assert!(error.to_string().starts_with(&format!("column {column} of spool.")), "{error}");
    }
}
