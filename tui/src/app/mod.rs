//! What the console knows and what follows from what happens: pure, so that every behaviour is a test without terminal,
//! database or clock.
//!
//! [`App`] is all there is to be drawn, [`Msg`] everything that can change it, [`Effect`] everything it wants done, and
//! [`update`] the only way from one to the next. Must not: do IO, read a clock, know a terminal.

pub mod effect;
pub mod hints;
pub mod line;
pub mod list;
pub mod load;
pub mod msg;
pub mod overlay;
pub mod place;
pub mod shell;

mod act;
mod rows;
mod update;
mod watch;

pub use effect::Effect;
pub use msg::Msg;
pub use place::{Place, Screen};
pub use update::update;

use crate::keys::{Keymap, Layer};
use crate::source::ask::{Pace, Resource, What};
use crate::source::clean::Clean;
use crate::source::rows::{JobRow, JobView, Numbers, QueueRow, ROWS_MAX, RecordingRow, RecordingView, WorkerRow};
use crate::source::told::Link;
use act::Pending;
use chrono::{DateTime, TimeDelta, Utc};
use list::List;
use load::Load;
use overlay::Overlay;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// From so many columns on a list has the detail of its selection beside it.
pub const BESIDE_COLS: u16 = 120;
/// Lines of a list's screen that are no rows: header, counts, column names, footer, last line.
pub const FRAME_LINES: u16 = 5;

/// Columns and lines of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub cols: u16,
    /// Lines.
    pub rows: u16,
}

/// How soon what has changed must be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Dirty {
    /// Nothing has changed.
    #[default]
    No,
    /// Something that was read has.
    Data,
    /// Something has that a person did.
    Now,
}

/// Whether changes are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Armed {
    /// They are not: the console only looks.
    #[default]
    No,
    /// They were asked for.
    Asked,
    /// They are, until then in time since the start; none: until disarmed.
    Until(Option<Duration>),
}

/// Where what is shown comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Server and database, never a password.
    pub place: Clean,
    /// The role whose rights hold.
    pub role: Clean,
}

/// What a line at the bottom says for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// What.
    pub text: Clean,
    /// In what tone.
    pub tone: Tone,
    /// The command line that does the same.
    pub command: Option<Clean>,
    /// When it goes away, in time since the start.
    pub until: Duration,
}

/// The tone of a toast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something was done.
    Done,
    /// Something to know.
    Note,
    /// Something was refused or has failed.
    Bad,
}

/// One thing that is open, with its tabs.
#[derive(Debug, Clone, PartialEq)]
pub struct Open<V> {
    /// What is known of it.
    pub view: Option<Box<V>>,
    /// How current that is.
    pub load: Load,
    /// The tab, a place in [`RECORDING_TABS`] or [`JOB_TABS`].
    pub tab: usize,
    /// How many lines of the tab are above the screen.
    pub scroll: usize,
    /// The selected job of a recording.
    pub selected: Option<Uuid>,
    /// The person has chosen it; else it only stands at the top.
    pub chosen: bool,
    /// While frozen: the newest view, which is not shown.
    pub held: Option<Box<V>>,
}

/// The tabs of a recording. The jobs of the first can be selected.
pub const RECORDING_TABS: [&str; 3] = ["overview", "gaps", "events"];
/// The tabs of a job.
pub const JOB_TABS: [&str; 3] = ["overview", "attempts", "payload"];

impl<V> Default for Open<V> {
    fn default() -> Self {
        Open { view: None, load: Load::default(), tab: 0, scroll: 0, selected: None, chosen: false, held: None }
    }
}

/// Where the program was started, and by whom.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// What to show first.
    pub place: Place,
    /// Ask for the right to change things at once.
    pub arm: bool,
    /// The keys.
    pub keys: Keymap,
    /// Size of the terminal.
    pub size: Option<Size>,
    /// A number that no other run has, for the ids of what it does.
    pub seed: u64,
}

/// Everything the console knows. Views read it, [`update`] alone changes it.
#[derive(Debug, Clone)]
pub struct App {
    /// What is shown.
    pub screen: Screen,
    /// Where `back` leads, the nearest last.
    pub trail: Vec<Screen>,
    /// What lies over the screen and has the keyboard.
    pub overlay: Option<Overlay>,
    /// Columns and lines.
    pub size: Size,
    /// Time since the start.
    pub now: Duration,
    /// The database's clock, and when it said so in time since the start; none before its first answer.
    pub db_clock: Option<(DateTime<Utc>, Duration)>,
    /// How the connection stands.
    pub link: Link,
    /// When it was last told, in time since the start.
    pub link_at: Duration,
    /// The server that was last connected: its name stays on the screen while it is away.
    pub server: Option<Server>,
    /// Whether changes are possible.
    pub armed: Armed,
    /// How often is looked.
    pub pace: Pace,
    /// The terminal has the focus.
    pub focused: bool,
    /// The screen is held still since then, in time since the start.
    pub frozen: Option<Duration>,
    /// The list of recordings.
    pub recordings: List<RecordingRow>,
    /// The list of jobs.
    pub jobs: List<JobRow>,
    /// The list of queues.
    pub queues: List<QueueRow>,
    /// The list of workers.
    pub workers: List<WorkerRow>,
    /// The recording that is open, or beside the list.
    pub recording: Open<RecordingView>,
    /// The job that is open, or beside the list.
    pub job: Open<JobView>,
    /// The numbers of the header; none before the first answer.
    pub numbers: Option<Box<Numbers>>,
    /// What the line at the bottom says.
    pub toast: Option<Toast>,
    /// The keys.
    pub keys: Keymap,
    /// What was done and is not answered yet.
    pub acts: Vec<Pending>,
    /// How soon what has changed must be seen; whoever draws sets it back.
    pub dirty: Dirty,
    /// The generation of the newest question.
    generation: u64,
    /// What the source is watching for us, with the generation of the question.
    watching: BTreeMap<Resource, (u64, What)>,
    seed: u64,
    acts_made: u64,
}

impl App {
    /// The console as it starts, and what it wants done first.
    pub fn start(start: Start) -> (App, Vec<Effect>) {
        let size = start.size.unwrap_or(Size { cols: 80, rows: 24 });
        let mut app = App {
            screen: Screen::Recordings,
            trail: Vec::new(),
            overlay: None,
            size,
            now: Duration::ZERO,
            db_clock: None,
            link: Link::Connecting,
            link_at: Duration::ZERO,
            server: None,
            armed: Armed::No,
            pace: Pace::default(),
            focused: true,
            frozen: None,
            recordings: List::new(rows_at_first(size)),
            jobs: List::new(rows_at_first(size)),
            queues: List::new(ROWS_MAX),
            workers: List::new(ROWS_MAX),
            recording: Open::default(),
            job: Open::default(),
            numbers: None,
            toast: None,
            keys: start.keys,
            acts: Vec::new(),
            dirty: Dirty::Now,
            generation: 0,
            watching: BTreeMap::new(),
            seed: start.seed,
            acts_made: 0,
        };
        let mut effects = update::first(&mut app, &start.place, start.arm);
        effects.extend(watch::settle(&mut app));
        (app, effects)
    }

    /// What has the keyboard.
    pub fn layer(&self) -> Layer {
        match &self.overlay {
            Some(Overlay::Filter(_)) => Layer::Input,
            Some(Overlay::Palette(_)) => Layer::Palette,
            Some(Overlay::Confirm(_)) => Layer::Confirm,
            Some(Overlay::Help { .. }) => Layer::Help,
            None => self.screen_layer(),
        }
    }

    /// What has the keyboard when nothing lies over the screen.
    pub fn screen_layer(&self) -> Layer {
        if self.screen.is_list() { Layer::List } else { Layer::Detail }
    }

    /// The database's clock as it stands now, or stood when the screen was frozen or the connection lost.
    pub fn db_now(&self) -> Option<DateTime<Utc>> {
        let (said, at) = self.db_clock?;
        let now = self.frozen.unwrap_or(self.now).max(at);
        let now = if self.lost_for().is_some() { now.min(at.max(self.link_at)) } else { now };
        Some(said + TimeDelta::from_std(now - at).unwrap_or_default())
    }

    /// The database's clock when what is shown was read: the time that ages are counted to. Since then a worker may have
    /// been heard of and a segment listed: that nobody has looked makes no worker lost and no viewer wait.
    pub fn as_of(&self, load: &Load) -> Option<DateTime<Utc>> {
        let (said, at) = self.db_clock?;
        let read = load.at?;
        let read = self.frozen.map_or(read, |frozen| read.min(frozen));
        let time = |time: Duration| TimeDelta::from_std(time).unwrap_or_default();
        Some(said + time(read.saturating_sub(at)) - time(at.saturating_sub(read)))
    }

    /// For how long there has been no connection; none while there is one or the first is being made.
    pub fn lost_for(&self) -> Option<Duration> {
        match &self.link {
            Link::Lost { since, .. } => Some(*since + self.now.saturating_sub(self.link_at)),
            Link::Connecting | Link::Up { .. } => None,
        }
    }

    /// There is a connection.
    pub fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// How long changes are still possible: none when they are not, `Some(None)` until disarmed.
    pub fn armed_for(&self) -> Option<Option<Duration>> {
        match self.armed {
            Armed::No | Armed::Asked => None,
            Armed::Until(None) => Some(None),
            Armed::Until(Some(until)) => until.checked_sub(self.now).filter(|left| !left.is_zero()).map(Some),
        }
    }

    /// The list has the detail of its selection beside it.
    pub fn beside(&self) -> bool {
        self.size.cols >= BESIDE_COLS && matches!(self.screen, Screen::Recordings | Screen::Jobs)
    }

    /// How current the screen is.
    pub fn load(&self) -> &Load {
        match self.screen {
            Screen::Recordings => &self.recordings.load,
            Screen::Recording(_) => &self.recording.load,
            Screen::Jobs => &self.jobs.load,
            Screen::Job(_) => &self.job.load,
            Screen::Queues => &self.queues.load,
            Screen::Workers => &self.workers.load,
        }
    }

    /// Where we are, as a path.
    pub fn place(&self) -> Place {
        let filter = match self.screen {
            Screen::Recordings => self.recordings.filter_text.clone(),
            Screen::Jobs => self.jobs.filter_text.clone(),
            Screen::Recording(_) | Screen::Job(_) | Screen::Queues | Screen::Workers => String::new(),
        };
        Place { screen: self.screen.clone(), filter }
    }

    /// When [`Msg::Time`] must come at the latest, in time since the start; none when nothing shown depends on it.
    pub fn wake(&self) -> Option<Duration> {
        let toast = self.toast.as_ref().map(|toast| toast.until);
        let armed = matches!(self.armed, Armed::Until(Some(_)));
        let counts = armed || self.lost_for().is_some() || self.frozen.is_some();
        let ages = self.focused && self.db_clock.is_some() && self.has_ages();
        let second = (counts || ages).then(|| Duration::from_secs(self.now.as_secs() + 1));
        [toast, second].into_iter().flatten().min()
    }

    /// Something on the screen grows older.
    fn has_ages(&self) -> bool {
        match self.screen {
            Screen::Recordings => !self.recordings.rows.is_empty(),
            Screen::Jobs => !self.jobs.rows.is_empty(),
            Screen::Queues => !self.queues.rows.is_empty(),
            Screen::Workers => !self.workers.rows.is_empty(),
            Screen::Recording(_) => self.recording.view.is_some(),
            Screen::Job(_) => self.job.view.is_some(),
        }
    }

    /// How many rows of a list there is room for.
    pub fn list_height(&self) -> usize {
        usize::from(self.size.rows.saturating_sub(FRAME_LINES)).max(1)
    }

    /// Something has changed that must be seen this soon.
    fn touch(&mut self, dirty: Dirty) {
        self.dirty = self.dirty.max(dirty);
    }

    /// Says something for a while.
    fn say(&mut self, tone: Tone, text: impl Into<Clean>) {
        self.toast = Some(Toast { text: text.into(), tone, command: None, until: self.now + TOAST });
        self.touch(Dirty::Now);
    }
}

/// How long a toast stays: long enough to read a command line.
const TOAST: Duration = Duration::from_secs(8);

/// Three screens full: what is scrolled to first is there already.
fn rows_at_first(size: Size) -> u32 {
    (u32::from(size.rows) * 3).clamp(60, ROWS_MAX)
}
