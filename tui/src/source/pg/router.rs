//! Between the application and the two connections: takes every wish at once, whatever the database does.

use super::error::Fault;
use super::slots::Slots;
use super::{Settings, actor, reader};
use crate::source::ask::Act;
use crate::source::clean::Clean;
use crate::source::told::{Acted, Answer, Arm, Body, Link, Reply};
use crate::source::{Ask, Told};
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Waits between two tries to connect; the last one stays.
const BACK_OFF: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_millis(1500),
    Duration::from_secs(3),
    Duration::from_secs(5),
];

/// Acts that may wait for the one under way: a person gives no more.
const ACTS_MAX: usize = 64;

/// How the reading connection stands.
enum State {
    Up,
    /// `lost`: there was one before, or there should have been.
    Down {
        lost: bool,
        since: Instant,
        tries: u32,
        retry_at: Instant,
    },
}

struct Router {
    told: mpsc::Sender<Told>,
    slots: Slots,
    state: State,
    /// The reader is at work.
    busy: bool,
    read: mpsc::Sender<reader::Job>,
    act: mpsc::Sender<actor::Job>,
    /// When the database last answered.
    heard: Instant,
    /// Since when changes are possible, and until when.
    armed: Option<Option<Instant>>,
}

/// Nobody listens any more.
struct Gone;

/// Works until the application's ends are gone.
pub(super) async fn run(settings: Settings, mut asks: mpsc::Receiver<Ask>, told: mpsc::Sender<Told>) {
    let (read, todo) = mpsc::channel(1);
    let (answered, mut answers) = mpsc::channel(1);
    tokio::spawn(reader::run(settings.clone(), todo, answered));
    let (act, acts) = mpsc::channel(ACTS_MAX);
    let (acted, mut changes) = mpsc::channel(ACTS_MAX);
    tokio::spawn(actor::run(settings, acts, acted));
    let now = Instant::now();
    let state = State::Down { lost: false, since: now, tries: 0, retry_at: now };
    let mut router = Router { told, slots: Slots::default(), state, busy: false, read, act, heard: now, armed: None };
    let _ = router.told.send(Told::Link(Link::Connecting)).await;
    loop {
        router.dispatch();
        let wake = router.wake();
        let step = tokio::select! {
            biased;
            ask = asks.recv() => match ask {
                Some(ask) => router.ask(ask).await,
                None => Err(Gone),
            },
            Some(change) = changes.recv() => router.changed(change).await,
            Some(answer) = answers.recv() => router.answered(answer).await,
            () = until(wake) => router.expire().await,
        };
        if step.is_err() {
            return;
        }
    }
}

/// Waits for a moment; for ever when there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Between 0 and 1, another each time.
fn jitter() -> f64 {
    f64::from(u32::try_from(RandomState::new().hash_one(0) >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

impl Router {
    /// Gives the reader its next work, if it has none.
    fn dispatch(&mut self) {
        if self.busy {
            return;
        }
        let now = Instant::now();
        let job = match self.state {
            State::Up => self.slots.next(now).map(reader::Job::Read),
            State::Down { retry_at, .. } => (retry_at <= now).then_some(reader::Job::Open),
        };
        if let Some(job) = job {
            self.busy = self.read.try_send(job).is_ok();
        }
    }

    /// When there is something to do without being asked.
    fn wake(&self) -> Option<Instant> {
        let reading = match self.state {
            _ if self.busy => None,
            State::Up => self.slots.due(),
            State::Down { retry_at, .. } => Some(retry_at),
        };
        [reading, self.armed.flatten()].into_iter().flatten().min()
    }

    async fn tell(&self, told: Told) -> Result<(), Gone> {
        self.told.send(told).await.map_err(|_| Gone)
    }

    async fn ask(&mut self, ask: Ask) -> Result<(), Gone> {
        match ask {
            Ask::Watch(read) => self.slots.put(read, true),
            Ask::Once(read) => self.slots.put(read, false),
            Ask::Leave(resource) => self.slots.leave(resource),
            Ask::Refresh => self.slots.refresh(),
            Ask::Pace(pace) => self.slots.pace(pace),
            Ask::Focus(focused) => self.slots.focus(focused),
            Ask::Act(act) => self.act(act).await?,
            Ask::Arm(left) => {
                if self.act.try_send(actor::Job::Arm(left)).is_err() {
                    self.tell(Told::Arm(Arm::Refused(Clean::new("too much is waiting to be done")))).await?;
                }
            }
            Ask::Disarm => self.disarm().await?,
        }
        Ok(())
    }

    async fn act(&mut self, act: Act) -> Result<(), Gone> {
        let id = act.id;
        let why = match (&self.armed, &self.state) {
            (None, _) => "not armed",
            (Some(_), State::Down { lost: true, .. }) => "the database is lost",
            (Some(_), State::Up | State::Down { lost: false, .. }) => match self.act.try_send(actor::Job::Act(act)) {
                Ok(()) => return Ok(()),
                Err(_) => "too much is waiting to be done",
            },
        };
        self.tell(Told::Acted(Acted { id, answer: Answer::Refused(Clean::new(why)) })).await
    }

    /// Acts that were sent before are still carried out: the word to disarm waits behind them.
    async fn disarm(&mut self) -> Result<(), Gone> {
        let was = self.armed.take().is_some();
        let _ = self.act.try_send(actor::Job::Disarm);
        if was { self.tell(Told::Arm(Arm::Disarmed)).await } else { Ok(()) }
    }

    /// The time is over for which changes were possible.
    async fn expire(&mut self) -> Result<(), Gone> {
        if self.armed.flatten().is_some_and(|until| until <= Instant::now()) {
            return self.disarm().await;
        }
        Ok(())
    }

    async fn changed(&mut self, change: actor::Done) -> Result<(), Gone> {
        match change {
            actor::Done::Armed(left) => {
                self.armed = Some(left.map(|left| Instant::now() + left));
                self.tell(Told::Arm(Arm::Armed { left })).await
            }
            actor::Done::Refused(why) => {
                self.armed = None;
                self.tell(Told::Arm(Arm::Refused(why))).await
            }
            actor::Done::Acted(acted) => {
                // What was changed is seen at once.
                self.slots.refresh();
                self.tell(Told::Acted(acted)).await
            }
        }
    }

    async fn answered(&mut self, answer: reader::Done) -> Result<(), Gone> {
        self.busy = false;
        match answer {
            reader::Done::Opened { place, role } => {
                (self.state, self.heard) = (State::Up, Instant::now());
                self.slots.refresh();
                self.tell(Told::Link(Link::Up { place, role })).await
            }
            reader::Done::Closed(fault) => self.lost(&fault).await,
            reader::Done::Read(read, value, seen) => {
                self.heard = Instant::now();
                let resource = read.what.resource();
                let same = self.slots.answered(&read, value.as_ref(), seen.work, Instant::now(), jitter());
                let body = match value {
                    Some(_) if same => Body::Unchanged,
                    Some(value) => Body::Fresh(value),
                    None => Body::Gone,
                };
                let (took, db_now) = (seen.took, Some(seen.now));
                self.tell(Told::Reply(Reply { generation: read.generation, resource, body, took, db_now })).await
            }
            reader::Done::Failed(read, fault) => {
                // A statement that took its whole second is not asked again within the next.
                let work = Duration::from_millis(50);
                self.slots.answered(&read, None, work, Instant::now(), jitter());
                let (resource, body) = (read.what.resource(), Body::Failed(fault.why().clone()));
                let reply = Reply { generation: read.generation, resource, body, took: Duration::ZERO, db_now: None };
                self.tell(Told::Reply(reply)).await?;
                if matches!(fault, Fault::Lost(_)) { self.lost(&fault).await } else { Ok(()) }
            }
        }
    }

    /// There is no connection: notes when to try again.
    async fn lost(&mut self, fault: &Fault) -> Result<(), Gone> {
        let now = Instant::now();
        let (since, tries) = match self.state {
            State::Up => (self.heard, 0),
            State::Down { since, tries, .. } => (since, tries + 1),
        };
        let wait = BACK_OFF[usize::try_from(tries).unwrap_or(usize::MAX).min(BACK_OFF.len() - 1)];
        self.state = State::Down { lost: true, since, tries, retry_at: now + wait.mul_f64(1.0 + jitter() / 5.0) };
        let why = fault.why().clone();
        self.tell(Told::Link(Link::Lost { since: now - since, tries, why })).await
    }
}
