//! Whatever is pressed, told and resized: nothing panics, nothing is changed that nobody asked for.

use super::robot::Robot;
use super::rows;
use domain::standing::Standing;
use proptest::prelude::*;
use std::time::Duration;
use tui::app::{Msg, Size};
use tui::keys::{Action, Chord, Key, Layer};
use tui::source::ask::Resource;
use tui::source::rows::{JobPage, RecordingPage};
use tui::source::told::{Answer, Arm, Body, Link, Told, Value};

#[derive(Debug, Clone)]
enum Step {
    Key(Chord),
    Paste(String),
    Resize(u16, u16),
    Focus(bool),
    Pass(u64),
    Up,
    Lose,
    Armed(Option<u64>),
    Disarmed,
    /// An answer to what is asked: rows of these numbers and standings.
    Rows(Resource, Vec<(u32, usize)>),
    /// An answer to a question of long ago.
    Old(Vec<(u32, usize)>),
    Gone(Resource),
    Failed(Resource),
    /// The answer to the oldest change.
    Acted(bool),
}

fn standing(at: usize) -> Standing {
    Standing::all().nth(at % 9).unwrap()
}

/// Any key that means something somewhere, and any letter.
fn chord() -> impl Strategy<Value = Chord> {
    let keymap = tui::keys::Keymap::default();
    let mut bound: Vec<Chord> = Layer::ALL.iter().flat_map(|layer| keymap.bound(*layer)).flat_map(|(_, c)| c).collect();
    bound.sort();
    bound.dedup();
    let changes: Vec<Chord> =
        Action::ALL.iter().filter(|a| a.changes()).flat_map(|a| keymap.chords(Layer::List, *a)).collect();
    prop_oneof![
        4 => prop::sample::select(bound),
        2 => prop::sample::select(changes),
        1 => Just(Chord::char('y')),
        1 => any::<char>().prop_map(|letter| Chord::of(Key::Char(letter))),
    ]
}

fn resource() -> impl Strategy<Value = Resource> {
    prop::sample::select(vec![
        Resource::Recordings,
        Resource::Recording,
        Resource::Jobs,
        Resource::Job,
        Resource::Workers,
        Resource::Queues,
    ])
}

fn some_rows() -> impl Strategy<Value = Vec<(u32, usize)>> {
    prop::collection::btree_map(0..14_u32, 0..9_usize, 0..10).prop_map(|map| map.into_iter().collect()).prop_shuffle()
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        14 => chord().prop_map(Step::Key),
        1 => ".{0,40}".prop_map(Step::Paste),
        1 => (0..240_u16, 0..70_u16).prop_map(|(cols, rows)| Step::Resize(cols, rows)),
        1 => any::<bool>().prop_map(Step::Focus),
        2 => (0..5_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Up),
        1 => Just(Step::Lose),
        2 => prop::option::of(0..600_u64).prop_map(Step::Armed),
        1 => Just(Step::Disarmed),
        6 => (resource(), some_rows()).prop_map(|(resource, rows)| Step::Rows(resource, rows)),
        1 => some_rows().prop_map(Step::Old),
        1 => resource().prop_map(Step::Gone),
        1 => resource().prop_map(Step::Failed),
        1 => any::<bool>().prop_map(Step::Acted),
    ]
}

fn jobs(rows: &[(u32, usize)]) -> Vec<tui::source::rows::JobRow> {
    rows.iter().map(|(n, at)| rows::job(*n, standing(*at))).collect()
}

fn value(resource: Resource, some: &[(u32, usize)], robot: &Robot) -> Option<Value> {
    let (n, at) = *some.first()?;
    Some(match resource {
        Resource::Recordings => {
            let rows = some.iter().map(|(n, _)| rows::recording(*n)).collect();
            Value::Recordings(RecordingPage { rows, next: None, window: None })
        }
        Resource::Jobs => Value::Jobs(JobPage { rows: jobs(some), next: None, window: Some(100_000) }),
        Resource::Workers => Value::Workers(some.iter().map(|(n, _)| rows::worker(*n)).collect()),
        Resource::Queues => {
            Value::Queues(some.iter().map(|(n, at)| rows::queue(&format!("q{n}"), at.is_multiple_of(2))).collect())
        }
        Resource::Recording => {
            let mut view = rows::recording_view(n, jobs(some));
            // As a source would: the recording that was asked for.
            if let tui::source::ask::What::Recording(id) = &robot.watched.get(&resource)?.what {
                view.row.id = id.clone();
            }
            Value::Recording(Box::new(view))
        }
        Resource::Job => {
            let mut view = rows::job_view(n, standing(at));
            if let tui::source::ask::What::Job(id) = &robot.watched.get(&resource)?.what {
                view.row.id = *id;
            }
            Value::Job(Box::new(view))
        }
        Resource::Numbers | Resource::Count => return None,
    })
}

fn carry_out(robot: &mut Robot, step: Step) {
    let asked = |robot: &Robot, resource| robot.watched.get(&resource).map(|read| read.generation);
    match step {
        Step::Key(chord) => robot.tell(Msg::Key(chord)),
        Step::Paste(text) => robot.tell(Msg::Paste(text)),
        Step::Resize(cols, rows) => robot.tell(Msg::Resize(Size { cols, rows })),
        Step::Focus(focused) => robot.tell(Msg::Focus(focused)),
        Step::Pass(millis) => robot.pass(Duration::from_millis(millis)),
        Step::Up => robot.up(),
        Step::Lose => robot.lose(),
        Step::Armed(left) => {
            robot.tell(Msg::Told(Told::Arm(Arm::Armed { left: left.map(Duration::from_secs) })));
        }
        Step::Disarmed => robot.tell(Msg::Told(Told::Arm(Arm::Disarmed))),
        Step::Rows(resource, some) => {
            if let (Some(generation), Some(value)) = (asked(robot, resource), value(resource, &some, robot)) {
                robot.answer(generation, resource, Body::Fresh(value));
            }
        }
        Step::Old(some) => {
            let before = robot.app.jobs.clone();
            let page = JobPage { rows: jobs(&some), next: None, window: None };
            robot.answer(0, Resource::Jobs, Body::Fresh(Value::Jobs(page)));
            assert_eq!(before, robot.app.jobs, "an old answer was shown");
        }
        Step::Gone(resource) => {
            if let Some(generation) = asked(robot, resource) {
                robot.answer(generation, resource, Body::Gone);
            }
        }
        Step::Failed(resource) => {
            if let Some(generation) = asked(robot, resource) {
                robot.answer(generation, resource, Body::Failed("statement timeout".into()));
            }
        }
        Step::Acted(done) => {
            if let Some(pending) = robot.app.acts.first().map(|pending| pending.id) {
                let refused = Answer::Refused("wrong-state: completed".into());
                robot.acted(pending, if done { Answer::Done } else { refused });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Holds what [`Robot::tell`] checks after every message: no change without right, connection, key and question, the
    /// selection on a row that is there, a frame at any size.
    #[test]
    fn nothing_panics_and_nothing_changes_unasked(steps in prop::collection::vec(step(), 1..70)) {
        let mut robot = Robot::start("jobs");
        for step in steps {
            carry_out(&mut robot, step);
        }
    }

    #[test]
    fn the_selection_survives_reordering(
        first in some_rows(),
        at in 0..10_usize,
        sorts in 0..6_usize,
        then in prop::collection::vec(some_rows(), 1..5),
    ) {
        let mut robot = Robot::start("jobs");
        robot.up();
        let page = |some: &[(u32, usize)]| Value::Jobs(JobPage { rows: jobs(some), next: None, window: None });
        robot.reply(page(&first));
        (0..at).for_each(|_| robot.key("j"));
        for some in then {
            let selected = robot.app.jobs.selected;
            (0..sorts).for_each(|_| robot.key("s"));
            prop_assert_eq!(robot.app.jobs.selected, selected);
            robot.reply(page(&some));
            if let Some(id) = selected.filter(|id| some.iter().any(|(n, _)| rows::job_id(*n) == *id)) {
                prop_assert_eq!(robot.app.jobs.selected, Some(id));
            }
        }
    }

    #[test]
    fn nothing_is_sent_while_only_looking(steps in prop::collection::vec(chord(), 1..60), lost in any::<bool>()) {
        let mut robot = Robot::start("jobs");
        if lost {
            robot.tell(Msg::Told(Told::Arm(Arm::Armed { left: None })));
            robot.tell(Msg::Told(Told::Link(Link::Connecting)));
        } else {
            robot.up();
        }
        let some: Vec<(u32, usize)> = (0..9).map(|n| (n, n as usize)).collect();
        for chord in steps {
            if robot.watched.contains_key(&Resource::Jobs) {
                robot.reply(Value::Jobs(JobPage { rows: jobs(&some), next: None, window: None }));
            }
            robot.tell(Msg::Key(chord));
        }
        prop_assert_eq!(&robot.acts, &[]);
    }
}
