//! From screen to screen, what is watched meanwhile, filters and the palette.

use super::robot::Robot;
use super::rows;
use domain::standing::Standing;
use std::time::Duration;
use tui::app::overlay::Overlay;
use tui::app::{Effect, Msg, Screen, Size};
use tui::source::ask::{Resource, What};
use tui::source::rows::{JobPage, RecordingPage};
use tui::source::told::{Body, Value};

fn watched(robot: &Robot) -> Vec<Resource> {
    robot.watched.keys().copied().collect()
}

fn recordings(robot: &mut Robot, numbers: std::ops::Range<u32>, more: bool) {
    let rows: Vec<_> = numbers.map(rows::recording).collect();
    let last = rows.last().filter(|_| more);
    let next = last.map(|row| tui::source::rows::RecordingCursor { created_at: row.created_at, id: row.id.clone() });
    robot.reply(Value::Recordings(RecordingPage { rows, next, window: None }));
}

#[test]
fn what_is_watched_is_what_is_shown() {
    let mut robot = Robot::start("recordings");
    assert_eq!(watched(&robot), [Resource::Recordings, Resource::Numbers]);
    recordings(&mut robot, 0..3, false);
    robot.key("enter");
    assert_eq!(robot.app.screen, Screen::Recording(rows::recording_id(0)));
    assert_eq!(watched(&robot), [Resource::Recording, Resource::Numbers]);
    let jobs = vec![rows::job(4, Standing::Running), rows::job(5, Standing::Discarded)];
    robot.reply(Value::Recording(Box::new(rows::recording_view(0, jobs))));
    robot.keys(&["j", "enter"]);
    assert_eq!(robot.app.screen, Screen::Job(rows::job_id(5)));
    robot.reply(Value::Job(Box::new(rows::job_view(5, Standing::Discarded))));
    robot.key("o");
    assert_eq!(robot.app.screen, Screen::Recording(rows::recording_id(5)));
    robot.keys(&["q", "q", "q"]);
    assert_eq!(watched(&robot), [Resource::Recordings, Resource::Numbers]);
    assert_eq!(robot.app.recordings.selected, Some(rows::recording_id(0)), "back is where it was");
    assert!(!robot.effects.contains(&Effect::Quit));
    robot.key("q");
    assert!(robot.effects.contains(&Effect::Quit));
}

#[test]
fn a_place_is_where_it_starts() {
    let id = rows::job_id(3);
    for (path, screen, back) in [
        ("recordings/rec-9".to_owned(), Screen::Recording(rows::recording_id(9)), Screen::Recordings),
        (format!("jobs/{id}"), Screen::Job(id), Screen::Jobs),
    ] {
        let mut robot = Robot::start(&path);
        assert_eq!(robot.app.screen, screen);
        robot.key("esc");
        assert_eq!(robot.app.screen, back);
    }
    let robot = Robot::start("jobs?state:retryable&queue:mux");
    let What::Jobs { filter, .. } = &robot.watched[&Resource::Jobs].what else { panic!("no jobs") };
    assert_eq!(filter.to_string(), "state:retryable queue:mux");
}

#[test]
fn an_answer_to_an_older_question_is_not_shown() {
    let mut robot = Robot::start("jobs");
    let old = robot.watched[&Resource::Jobs].generation;
    robot.key("/");
    robot.type_in("state:discarded");
    robot.key("enter");
    let new = robot.watched[&Resource::Jobs].generation;
    assert!(new > old);
    let page = |n| Value::Jobs(JobPage { rows: vec![rows::job(n, Standing::Discarded)], next: None, window: None });
    robot.answer(new, Resource::Jobs, Body::Fresh(page(1)));
    robot.answer(old, Resource::Jobs, Body::Fresh(page(2)));
    assert_eq!(robot.app.jobs.selected, Some(rows::job_id(1)));
}

#[test]
fn a_filter_says_what_is_wrong_with_it_and_stays_until_it_is_right() {
    let mut robot = Robot::start("jobs");
    robot.key("/");
    robot.type_in("state:disc");
    let Some(Overlay::Filter(typing)) = &robot.app.overlay else { panic!("no filter") };
    assert!(typing.wrong.is_some());
    robot.key("enter");
    assert!(matches!(robot.app.overlay, Some(Overlay::Filter(_))), "a wrong filter is not taken");
    robot.keys(&["tab", "enter"]);
    assert_eq!((robot.app.overlay.clone(), robot.app.jobs.filter_text.as_str()), (None, "state:discarded"));
    robot.keys(&["/", "ctrl-u", "enter"]);
    assert!(robot.app.jobs.filter.is_empty());
}

#[test]
fn a_wide_terminal_reads_what_is_selected_too() {
    let mut robot = Robot::start("recordings");
    robot.tell(Msg::Resize(Size { cols: 140, rows: 40 }));
    recordings(&mut robot, 0..3, false);
    assert_eq!(robot.watched[&Resource::Recording].what, What::Recording(rows::recording_id(0)));
    robot.reply(Value::Recording(Box::new(rows::recording_view(0, Vec::new()))));
    robot.key("j");
    assert_eq!(robot.watched[&Resource::Recording].what, What::Recording(rows::recording_id(1)));
    assert_eq!(robot.app.recording.view, None, "the old one is not shown under the new one's name");
    robot.tell(Msg::Resize(Size { cols: 80, rows: 24 }));
    assert_eq!(watched(&robot), [Resource::Recordings, Resource::Numbers]);
}

#[test]
fn more_rows_are_asked_for_before_the_end_is_reached() {
    let mut robot = Robot::start("recordings");
    let limit = |robot: &Robot| match &robot.watched[&Resource::Recordings].what {
        What::Recordings { limit, .. } => *limit,
        other => panic!("{other:?}"),
    };
    assert_eq!(limit(&robot), 72);
    recordings(&mut robot, 0..72, true);
    robot.key("G");
    assert_eq!(limit(&robot), 144);
    recordings(&mut robot, 0..100, false);
    robot.key("G");
    assert_eq!((limit(&robot), robot.app.recordings.cursor), (144, 99));
}

#[test]
fn the_palette_finds_actions_places_and_commands() {
    let mut robot = Robot::start("recordings");
    recordings(&mut robot, 0..2, false);
    robot.key("ctrl-p");
    let Some(Overlay::Palette(palette)) = &robot.app.overlay else { panic!("no palette") };
    assert!(palette.choices.iter().all(|choice| choice.name.as_str() != "retry"), "nothing here to retry");
    robot.type_in("wrk");
    robot.key("enter");
    assert_eq!(robot.app.screen, Screen::Workers);
    robot.key(":");
    robot.type_in("jobs?state:running");
    robot.key("enter");
    assert_eq!((robot.app.screen.clone(), robot.app.jobs.filter_text.as_str()), (Screen::Jobs, "state:running"));
    robot.key(":");
    robot.type_in("arm forever");
    robot.key("enter");
    let Some(Overlay::Palette(palette)) = &robot.app.overlay else { panic!("closed") };
    assert_eq!(palette.wrong.as_ref().unwrap().as_str(), "forever is no time; arm takes 90s, 10m, 2h, at most 7d");
}

#[test]
fn ages_are_counted_by_the_databases_clock_and_stand_still_while_frozen() {
    let mut robot = Robot::start("recordings");
    robot.up();
    assert_eq!(robot.app.wake(), None, "with nothing to see there is nothing to draw");
    recordings(&mut robot, 0..2, false);
    robot.pass(Duration::from_millis(2_500));
    assert_eq!(robot.app.db_now().unwrap() - rows::clock(), chrono::TimeDelta::milliseconds(2_500));
    assert_eq!(robot.app.wake(), Some(Duration::from_secs(3)));
    robot.key("space");
    robot.pass(Duration::from_secs(60));
    assert_eq!(robot.app.db_now().unwrap() - rows::clock(), chrono::TimeDelta::milliseconds(2_500));
    assert_eq!(robot.app.wake(), Some(Duration::from_secs(63)), "for how long it is frozen is counted");
    robot.key("space");
    robot.tell(Msg::Focus(false));
    assert_eq!(robot.app.wake(), None, "nobody looks");
}

#[test]
fn the_help_is_of_the_screen_and_the_footer_offers_only_what_applies() {
    let mut robot = Robot::start("recordings");
    recordings(&mut robot, 0..1, false);
    let words = |robot: &Robot| robot.app.footer().into_iter().map(|hint| hint.word).collect::<Vec<_>>();
    assert!(words(&robot).contains(&"quit") && !words(&robot).contains(&"recordings"));
    robot.key("2");
    assert!(words(&robot).contains(&"back") && !words(&robot).contains(&"open"), "{:?}", words(&robot));
    robot.key("?");
    assert!(words(&robot).contains(&"close"));
    robot.keys(&["j", "j", "R", "?"]);
    assert_eq!(robot.app.overlay, None);
}
