//! Changing things: who may, when, after which question, and what is said about it.

use super::robot::Robot;
use super::rows;
use domain::job::Verb as Wish;
use domain::recording::State;
use domain::standing::Standing;
use queue::operate::Command;
use std::time::Duration;
use tui::app::overlay::Overlay;
use tui::app::{Effect, Msg, Tone};
use tui::source::Ask;
use tui::source::rows::{JobPage, RecordingPage};
use tui::source::told::{Answer, Arm, Told, Value};

fn jobs(robot: &mut Robot, standings: &[Standing]) {
    let rows = (0..).zip(standings).map(|(n, standing)| rows::job(n, *standing)).collect();
    robot.reply(Value::Jobs(JobPage { rows, next: None, window: None }));
}

fn toast(robot: &Robot) -> (Tone, String) {
    let toast = robot.app.toast.as_ref().expect("something is said");
    (toast.tone, toast.text.to_string())
}

#[test]
fn a_retry_is_one_key_and_its_answer_names_the_command() {
    let mut robot = Robot::armed("jobs");
    jobs(&mut robot, &[Standing::Discarded]);
    robot.key("R");
    let act = robot.acts[0].clone();
    assert_eq!(act.command, Command::Retry(rows::job_id(0)));
    robot.acted(act.id, Answer::Done);
    assert_eq!(toast(&robot).0, Tone::Done);
    let line = format!("spool job retry {}", rows::job_id(0));
    assert_eq!(robot.app.toast.as_ref().unwrap().command.as_ref().unwrap().as_str(), line);
    assert!(robot.effects.contains(&Effect::Ask(Ask::Refresh)), "{:?}", robot.effects);
    robot.key("c");
    assert!(robot.effects.contains(&Effect::Copy(line)), "{:?}", robot.effects);
}

#[test]
fn every_change_has_a_number_of_its_own() {
    let mut robot = Robot::armed("jobs");
    jobs(&mut robot, &[Standing::Retryable, Standing::Retryable]);
    robot.keys(&["R", "R", "j", "R"]);
    let mut ids: Vec<_> = robot.acts.iter().map(|act| act.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3, "one key press is one change");
    assert!(ids.is_sorted());
}

#[test]
fn a_cancel_asks_first_and_only_yes_does_it() {
    let mut robot = Robot::armed("jobs");
    jobs(&mut robot, &[Standing::Running]);
    for no in ["n", "esc"] {
        robot.keys(&["X", "q", "R", no]);
        assert_eq!((robot.app.overlay.clone(), robot.acts.len()), (None, 0));
    }
    robot.key("X");
    let Some(Overlay::Confirm(confirm)) = &robot.app.overlay else { panic!("no question") };
    assert!(confirm.question.as_str().starts_with("Cancel mux …"), "{}", confirm.question);
    robot.key("y");
    assert_eq!(robot.acts[0].command, Command::Cancel(rows::job_id(0)));
}

/// The row may have moved, and the job ended, while the question stood there.
#[test]
fn a_question_is_about_the_job_it_names() {
    let mut robot = Robot::armed("jobs");
    jobs(&mut robot, &[Standing::Running, Standing::Available]);
    robot.key("X");
    robot.reply(Value::Jobs(JobPage { rows: vec![rows::job(5, Standing::Available)], next: None, window: None }));
    robot.key("y");
    assert_eq!(robot.acts[0].command, Command::Cancel(rows::job_id(0)));
}

#[test]
fn only_what_may_be_done_is_done() {
    let mut robot = Robot::armed("jobs");
    jobs(&mut robot, &[Standing::Completed]);
    for key in ["R", "I", "Z", "X", "D", "P", "T"] {
        robot.key(key);
    }
    assert_eq!(robot.acts, []);
    assert_eq!(robot.app.overlay, None);
    let offered: Vec<_> = robot.app.footer().into_iter().filter(|hint| hint.changes).collect();
    assert_eq!(offered, []);
}

#[test]
fn nothing_is_changed_while_typing() {
    let mut robot = Robot::armed("jobs");
    jobs(&mut robot, &[Standing::Discarded, Standing::Running]);
    robot.key("/");
    robot.type_in("RXDPTIZ y");
    robot.tell(Msg::Paste("R\nX\ny\n".to_owned()));
    assert_eq!(robot.acts, []);
    robot.key("esc");
    robot.tell(Msg::Paste("RXDy".to_owned()));
    assert_eq!((robot.acts.len(), robot.app.overlay.clone()), (0, None), "what is pasted is no key");
}

#[test]
fn without_the_right_a_key_says_how_to_get_it() {
    let mut robot = Robot::start("jobs");
    robot.up();
    jobs(&mut robot, &[Standing::Discarded]);
    robot.key("R");
    assert_eq!(toast(&robot), (Tone::Bad, "read only: type :arm to allow changes for 10 minutes".to_owned()));
    robot.key(":");
    robot.type_in("arm 5m");
    robot.key("enter");
    assert!(robot.effects.contains(&Effect::Ask(Ask::Arm(Some(Duration::from_secs(300))))), "{:?}", robot.effects);
    robot.tell(Msg::Told(Told::Arm(Arm::Armed { left: Some(Duration::from_secs(300)) })));
    robot.key("R");
    assert_eq!(robot.acts.len(), 1);
}

/// The right runs out by the application's own count too: the source's word may be late.
#[test]
fn the_right_runs_out_between_question_and_answer() {
    let mut robot = Robot::start("jobs");
    robot.up();
    robot.tell(Msg::Told(Told::Arm(Arm::Armed { left: Some(Duration::from_secs(60)) })));
    jobs(&mut robot, &[Standing::Running]);
    assert_eq!(robot.app.wake(), Some(Duration::from_secs(1)), "the countdown is drawn every second");
    robot.key("X");
    robot.pass(Duration::from_secs(61));
    robot.key("y");
    assert_eq!(robot.acts, []);
    assert_eq!(toast(&robot).0, Tone::Bad);
}

#[test]
fn nothing_is_changed_without_a_connection() {
    let mut robot = Robot::armed("jobs");
    jobs(&mut robot, &[Standing::Discarded, Standing::Running]);
    robot.lose();
    robot.keys(&["R", "j", "X", "y"]);
    assert_eq!(robot.acts, []);
    assert_eq!(robot.app.jobs.rows.len(), 2, "what was there stays");
    robot.pass(Duration::from_secs(14));
    assert_eq!(robot.app.lost_for(), Some(Duration::from_secs(17)));
}

#[test]
fn queues_are_paused_and_resumed_by_one_key() {
    let mut robot = Robot::armed("queues");
    robot.reply(Value::Queues(vec![rows::queue("mux", false), rows::queue("a'b", true)]));
    robot.keys(&["P", "y"]);
    robot.keys(&["j", "P"]);
    let Some(Overlay::Confirm(confirm)) = &robot.app.overlay else { panic!("no question") };
    assert_eq!(confirm.line.as_ref().unwrap().as_str(), "spool queue resume 'a'\\''b'");
    robot.key("y");
    let commands: Vec<_> = robot.acts.iter().map(|act| act.command.clone()).collect();
    assert_eq!(commands, [Command::Pause("mux".into()), Command::Resume("a'b".into())]);
}

#[test]
fn a_frozen_list_is_acted_on_as_it_is_shown() {
    let mut robot = Robot::armed("jobs");
    jobs(&mut robot, &[Standing::Discarded]);
    robot.key("space");
    robot.reply(Value::Jobs(JobPage { rows: vec![rows::job(8, Standing::Discarded)], next: None, window: None }));
    assert_eq!(robot.app.jobs.newer(), 1);
    robot.key("R");
    assert_eq!(robot.acts[0].command, Command::Retry(rows::job_id(0)));
    robot.key("space");
    assert_eq!(robot.app.jobs.selected, Some(rows::job_id(8)));
}

fn order(robot: &mut Robot, line: &str) {
    robot.key(":");
    robot.type_in(line);
    robot.key("enter");
}

/// What is wished for a recording stands in the palette, where its state lets it lead somewhere.
#[test]
fn a_recording_is_steered_from_the_palette() {
    let id = rows::recording_id(0);
    let mut robot = Robot::armed("recordings");
    let mut row = rows::recording(0);
    row.state = State::Failed;
    robot.reply(Value::Recordings(RecordingPage { rows: vec![row.clone()], next: None, window: None }));
    order(&mut robot, "recheck");
    assert_eq!(robot.acts[0].command, Command::Recording(id.clone(), Wish::Recheck), "no question");
    for (line, wish) in
        [("reopen", Wish::Reopen), ("accept-gaps", Wish::AcceptGaps), ("cancel-recording", Wish::Cancel)]
    {
        order(&mut robot, line);
        let Some(Overlay::Confirm(confirm)) = &robot.app.overlay else { panic!("{line} asks nothing") };
        assert_eq!(confirm.command, Command::Recording(id.clone(), wish));
        assert!(confirm.question.as_str().contains(id.as_str()), "{}", confirm.question);
        robot.key("n");
    }
    order(&mut robot, "remux");
    assert!(matches!(robot.app.overlay, Some(Overlay::Palette(_))), "there is no result to make again");
    robot.key("esc");
    row.state = State::Ready;
    robot.reply(Value::Recordings(RecordingPage { rows: vec![row], next: None, window: None }));
    order(&mut robot, "remux");
    robot.key("y");
    let act = robot.acts[1].clone();
    assert_eq!(act.command, Command::Recording(id.clone(), Wish::Remux));
    robot.acted(act.id, Answer::Requested);
    assert_eq!(toast(&robot), (Tone::Done, format!("remux recording {id}: asked for")));
}
