//! What is changed, by whom, and what is left of it in the audit.

use crate::world::{Console, World};
use domain::id::RecordingId;
use domain::job::Verb;
use queue::operate::Command;
use tui::source::ask::{Act, What};
use tui::source::told::{Acted, Answer, Arm, Body, Value};
use tui::source::{Ask, Told};
use uuid::Uuid;

async fn act(console: &mut Console, command: Command) -> Answer {
    let id = Uuid::now_v7();
    act_as(console, id, command).await
}

async fn act_as(console: &mut Console, id: Uuid, command: Command) -> Answer {
    console.ask(Ask::Act(Act { id, command, reason: Some("because".into()) }));
    console
        .until("what became of it", |told| match told {
            Told::Acted(Acted { id: of, answer }) if of == id => Some(answer),
            _ => None,
        })
        .await
}

async fn arm(console: &mut Console, left: Option<std::time::Duration>) -> Arm {
    console.ask(Ask::Arm(left));
    told_arm(console).await
}

async fn told_arm(console: &mut Console) -> Arm {
    console
        .until("a word about arms", |told| match told {
            Told::Arm(arm) => Some(arm),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn an_armed_console_changes_what_it_is_told_to_and_leaves_it_in_the_audit() {
    let world = World::new().await;
    let job = world.enqueue("noop", "r1", "{}").await;
    world.discard(job).await;
    let mut console = world.console();
    let seen = console.read(What::Job(job), true);
    console.reply(seen).await;

    let refused = act(&mut console, Command::Retry(job)).await;
    assert!(matches!(&refused, Answer::Refused(why) if why.as_str() == "not armed"), "{refused:?}");
    assert_eq!(arm(&mut console, None).await, Arm::Armed { left: None });
    assert_eq!(act(&mut console, Command::Retry(job)).await, Answer::Done);
    let audit = "SELECT concat_ws(' ', actor, via, action, selector ->> 'job', reason, db_user = session_user) FROM queue.op_log \
        WHERE via = 'tui' ORDER BY id DESC LIMIT 1";
    assert_eq!(world.text(audit).await, format!("ann@desk tui retry {job} because t"));
    // What was changed is read again without being asked for.
    let standing = console
        .until("the job that lives again", |told| match told {
            Told::Reply(reply) => match reply.body {
                Body::Fresh(Value::Job(view)) => Some(view.row.standing.as_str()),
                _ => None,
            },
            _ => None,
        })
        .await;
    assert_eq!(standing, "available");

    let again = act(&mut console, Command::Retry(job)).await;
    assert!(
        matches!(&again, Answer::Refused(why) if why.as_str() == "it is available: retry is not possible"),
        "{again:?}"
    );
    assert_eq!(act(&mut console, Command::Pause("mux".into())).await, Answer::Done);
    assert_eq!(act(&mut console, Command::Resume("mux".into())).await, Answer::Done);
    assert_eq!(act(&mut console, Command::Cancel(job)).await, Answer::Done);
    let gone = act(&mut console, Command::Cancel(Uuid::now_v7())).await;
    assert!(matches!(&gone, Answer::Refused(why) if why.as_str() == "it is not there any more"), "{gone:?}");
    assert_eq!(world.text("SELECT count(*)::text FROM queue.op_log WHERE via = 'tui'").await, "4");

    console.ask(Ask::Disarm);
    assert_eq!(told_arm(&mut console).await, Arm::Disarmed);
    let refused = act(&mut console, Command::Retry(job)).await;
    assert!(matches!(refused, Answer::Refused(_)), "{refused:?}");
    let acting = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name LIKE 'spool-tui/%' AND datname = current_database()";
    for _ in 0..500 {
        if world.text(acting).await == "1" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the connection that acts is still there");
}

#[tokio::test]
async fn a_wish_about_a_recording_sent_twice_is_one_job_with_one_entry_in_the_audit() {
    let world = World::new().await;
    world.recording("r1", "failed").await;
    let mut console = world.console();
    arm(&mut console, None).await;
    let wish = Command::Recording(RecordingId::parse("r1").unwrap(), Verb::Recheck);
    let id = Uuid::now_v7();
    for _ in 0..2 {
        assert_eq!(act_as(&mut console, id, wish.clone()).await, Answer::Requested);
    }
    let job = "SELECT string_agg(concat_ws(' ', id, kind, payload, owner_id), '; ') FROM queue.job";
    assert_eq!(world.text(job).await, format!(r#"{id} control {{"verb": "recheck", "recording": "r1"}} o-r"#));
    assert_eq!(
        world.text("SELECT string_agg(action || ' ' || (selector ->> 'recording'), '; ') FROM queue.op_log").await,
        "recheck r1"
    );
    let other = Command::Recording(RecordingId::parse("r2").unwrap(), Verb::Recheck);
    assert!(matches!(act(&mut console, other).await, Answer::Refused(_)));
}

#[tokio::test]
async fn arms_are_refused_where_the_schema_is_another_and_end_by_themselves() {
    let world = World::new().await;
    let mut console = world.console();
    let short = std::time::Duration::from_millis(200);
    assert_eq!(arm(&mut console, Some(short)).await, Arm::Armed { left: Some(short) });
    assert_eq!(told_arm(&mut console).await, Arm::Disarmed, "after its time");
    world.run("UPDATE spool.setting SET value = jsonb_set(value, '{version}', '99') WHERE key = 'schema'").await;
    let refused = arm(&mut console, None).await;
    assert!(matches!(&refused, Arm::Refused(why) if why.as_str().contains("99")), "{refused:?}");
    // It still reads: the newer schema says that it fits.
    console.value(What::Queues).await;
}

/// A login of an administrator's making, member of one role alone.
#[tokio::test]
async fn a_login_that_may_only_look_cannot_be_armed() {
    let world = World::new().await;
    let login = format!("looker_{}", Uuid::new_v4().simple());
    world.run(&format!("CREATE ROLE {login} LOGIN PASSWORD '{login}' IN ROLE spool_view")).await;
    let url: sqlx::postgres::PgConnectOptions = world.db.url().parse().unwrap();
    let url = sqlx::ConnectOptions::to_url_lossy(&url.username(&login).password(&login)).to_string();
    let mut console = Console::on(&url);
    console.value(What::Numbers).await;
    let refused = arm(&mut console, None).await;
    assert!(matches!(&refused, Arm::Refused(why) if why.as_str().contains("spool_operate")), "{refused:?}");
    drop(console);
    world.run(&format!("DROP ROLE {login}")).await;
}

#[tokio::test]
async fn the_schema_that_the_console_knows_is_the_newest() {
    let world = World::new().await;
    let status = migration::status(&crate::world::connect(world.db.url()).await).await.unwrap();
    assert_eq!(tui::source::pg::SCHEMA, status.known, "raise SCHEMA in tui/src/source/pg with each migration");
}
