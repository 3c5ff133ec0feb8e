//! The engine behind the runtime: claims rows, holds the lease, writes ends, takes back what died.
//!
//! One loop each, all over [`Shared`]: the **pump** owns claim and completion, the **heart** the lease, the **ears** the
//! wake-ups, the **keeper** rescue, promotion and schedule. `held` is the truth about what runs here.
//! Nothing in here knows what a job does.

pub(crate) mod db;
pub(crate) mod heart;
pub(crate) mod held;
pub(crate) mod lane;

mod batch;
mod depth;
mod ears;
mod event;
mod keeper;
mod limits;
mod pump;
mod settled;
mod stat;

use crate::{
    config::Config,
    ctx::JobCtx,
    kind::JobKind,
    notify::Bell,
    outcome::{Stop, Transition, Turn},
};
use domain::job::Queue;
use event::Observer;
pub use event::{Claim, End, Event, TakenBack};
use held::Held;
use lane::Lane;
use sea_orm::DatabaseConnection;
use sqlx::PgPool;
use std::{
    future::Future,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What has happened in this process since its start. Counters only; read them for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Statements that claimed or tried to.
    pub claims: AtomicU64,
    /// Rows claimed.
    pub claimed: AtomicU64,
    /// Ends written and committed.
    pub ended: AtomicU64,
    /// Ends that matched nothing, because the job had been taken away.
    pub stale: AtomicU64,
    /// Claims whose answer was lost; found and handed back.
    pub orphans: AtomicU64,
    /// Jobs taken back from dead workers or beyond their deadline.
    pub rescued: AtomicU64,
    /// Calls of the pump that the database did not answer.
    pub away: AtomicU64,
    /// Wake-ups heard.
    pub heard: AtomicU64,
    /// Rows claimed by the poll although a wake-up should have come.
    pub polled: AtomicU64,
}

/// An attempt that has ended, on its way to the pump.
pub(crate) struct Done {
    pub(crate) key: held::Key,
    pub(crate) worker: Uuid,
    pub(crate) queue: String,
    pub(crate) end: Transition,
    /// How long it ran.
    pub(crate) ran: Duration,
    /// None: a claim found in the table and never held.
    pub(crate) ctx: Option<JobCtx>,
    /// The handler's own transaction wrote it: only to be counted.
    pub(crate) written: bool,
}

/// What the loops share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) db: DatabaseConnection,
    pub(crate) pool: PgPool,
    pub(crate) held: Held,
    pub(crate) lease: heart::Lease,
    pub(crate) draining: CancellationToken,
    pub(crate) counters: Counters,
    pub(crate) bell: Bell,
    pub(crate) observer: OnceLock<Observer>,
    lanes: RwLock<Vec<Arc<Lane>>>,
    done: mpsc::UnboundedSender<Done>,
    wake: Notify,
    /// Look at the own rows before the next tick.
    look: AtomicBool,
    /// An operator asked this process to drain.
    leave: CancellationToken,
    stopped: CancellationToken,
    /// The last thing to go: the lease is kept until every end is written.
    buried: CancellationToken,
}

impl Shared {
    /// The end of an attempt. The number in flight is bounded by the slots: a slot is free only after the commit.
    pub(crate) fn done(&self, ctx: &JobCtx, end: Transition) {
        self.held.set_finishing(ctx.key(), true);
        self.tell_pump(ctx, end, false);
    }

    /// The end of an attempt that its handler has written: the slot is free at once.
    pub(crate) fn settled(&self, ctx: &JobCtx, end: Transition) {
        // Told first: a row that is found in nobody's hands must be known as one that was said to be settled.
        self.tell_pump(ctx, end, true);
        self.forget(ctx.key());
    }

    fn tell_pump(&self, ctx: &JobCtx, end: Transition, written: bool) {
        let (worker, queue, ran) = (ctx.row().worker, ctx.queue().to_owned(), ctx.ran_for());
        let done = Done { key: ctx.key(), worker, queue, end, ran, ctx: Some(ctx.clone()), written };
        // The receiver lives as long as the engine.
        let _ = self.done.send(done);
    }

    /// The slot comes back; there may be something to claim into it.
    pub(crate) fn forget(&self, key: held::Key) {
        if self.held.forget(key) {
            self.wake.notify_one();
        }
    }

    /// Tells whoever listens; what is told is put together only for a listener.
    pub(crate) fn tell<'a>(&self, event: impl FnOnce() -> Option<Event<'a>>) {
        if let Some(observe) = self.observer.get()
            && let Some(event) = event()
        {
            observe(event);
        }
    }

    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn look_now(&self) {
        self.look.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(crate) fn leave(&self) {
        self.leave.cancel();
    }

    pub(crate) fn lanes(&self) -> Vec<Arc<Lane>> {
        self.lanes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn hand_back_unstarted(&self, lane: &Lane) {
        for row in lane.take_all() {
            self.done(&row.ctx, Transition::plain(Turn::HandBack));
        }
    }
}

/// The running engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    pump: Arc<tokio::sync::Mutex<pump::Pump>>,
    loops: Arc<Mutex<Vec<JoinHandle<()>>>>,
    heart: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
}

impl Engine {
    pub(crate) fn new(db: DatabaseConnection, config: Config) -> Self {
        let pool = db.get_postgres_connection_pool().clone();
        let (sender, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            held: Held::default(),
            lease: heart::Lease::new(),
            draining: CancellationToken::new(),
            counters: Counters::default(),
            bell: Bell::new(&db),
            observer: OnceLock::new(),
            lanes: RwLock::default(),
            done: sender,
            wake: Notify::new(),
            look: AtomicBool::new(false),
            leave: CancellationToken::new(),
            stopped: CancellationToken::new(),
            buried: CancellationToken::new(),
            config,
            db,
            pool,
        });
        let pump = pump::Pump::new(&shared, receiver);
        Engine { shared, pump: Arc::new(tokio::sync::Mutex::new(pump)), loops: Arc::default(), heart: Arc::default() }
    }

    /// The lane of a kind in a queue; the same one again when the runtime rebuilds its worker.
    pub(crate) fn lane<K: JobKind>(&self, queue: Queue, slots: usize) -> Arc<Lane> {
        let mut lanes = self.shared.lanes.write().unwrap_or_else(PoisonError::into_inner);
        let (queue_name, kind) = (queue.as_str(), K::spec().name);
        if let Some(lane) = lanes.iter().find(|lane| lane.queue == queue_name && lane.kind() == kind) {
            return lane.clone();
        }
        let lane = Arc::new(Lane::new::<K>(queue, slots));
        lanes.push(lane.clone());
        lane
    }

    pub(crate) fn start(&self) {
        let heart = heart::start(self.shared.clone());
        *self.heart.lock().unwrap_or_else(PoisonError::into_inner) = Some(heart);
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        let (shared, pump) = (self.shared.clone(), self.pump.clone());
        loops.push(supervise("pump", shared.stopped.clone(), move || {
            let (shared, pump) = (shared.clone(), pump.clone());
            async move { pump.lock().await.run(&shared).await }
        }));
        if self.shared.config.listen {
            let shared = self.shared.clone();
            loops.push(supervise("ears", shared.stopped.clone(), move || ears::run(shared.clone())));
        }
        for (name, upkeep) in keeper::LOOPS {
            let shared = self.shared.clone();
            loops.push(supervise(name, shared.stopped.clone(), move || upkeep(shared.clone())));
        }
    }

    /// The identity of this process while its lease lasts.
    pub fn worker_id(&self) -> Uuid {
        self.shared.lease.worker()
    }

    /// How many attempts are running or being written.
    pub fn busy(&self) -> usize {
        self.shared.held.len()
    }

    /// How many attempts may run at once.
    pub fn slots(&self) -> usize {
        let slots: i64 = self.shared.lanes().iter().map(|lane| lane.slots).sum();
        usize::try_from(slots).unwrap_or(usize::MAX)
    }

    /// The lease of this process can be trusted: it claims, and nobody takes its jobs.
    pub fn has_lease(&self) -> bool {
        self.shared.lease.claimant().is_some()
    }

    /// Time since the last heartbeat that the database took; none before the first.
    pub fn beat_age(&self) -> Option<Duration> {
        self.shared.lease.beaten_at().map(|at| at.elapsed())
    }

    /// It claims nothing more.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.is_cancelled()
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The bell to ring after a commit that enqueued something.
    pub fn bell(&self) -> &Bell {
        &self.shared.bell
    }

    /// Resolves when an operator asked this worker to drain.
    pub async fn asked_to_leave(&self) {
        self.shared.leave.cancelled().await;
    }

    /// Claims nothing more, hands back what has not started, waits `bound` for the rest, then stops the rest and hands
    /// it back too. Returns when nothing is held, or a little after the grace when the database is away.
    pub async fn drain(&self, bound: Duration) {
        let shared = &self.shared;
        tracing::info!(busy = self.busy(), bound_ms = bound.as_millis() as u64, "draining");
        shared.draining.cancel();
        for lane in shared.lanes() {
            shared.hand_back_unstarted(&lane);
        }
        shared.wake();
        if self.settles_within(bound).await {
            return;
        }
        for (ctx, _) in shared.held.snapshot() {
            ctx.halt(Stop::Drain);
        }
        if !self.settles_within(shared.config.grace + shared.config.call * 2).await {
            tracing::warn!(busy = self.busy(), "left with jobs in hand; their lease will end");
        }
    }

    /// Stops the loops, after a last try to write what has ended, and takes the worker's row away.
    pub(crate) async fn stop(&self) {
        self.shared.stopped.cancel();
        self.shared.wake();
        let loops = std::mem::take(&mut *self.loops.lock().unwrap_or_else(PoisonError::into_inner));
        let bound = self.shared.config.call * 2;
        for running in loops {
            let abort = running.abort_handle();
            if timeout(bound, running).await.is_err() {
                abort.abort();
            }
        }
        self.shared.buried.cancel();
        let heart = self.heart.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(heart) = heart {
            let joined = tokio::task::spawn_blocking(move || heart.join());
            let _ = timeout(bound, joined).await;
        }
    }

    async fn settles_within(&self, bound: Duration) -> bool {
        let end = Instant::now() + bound;
        while self.busy() > 0 {
            if Instant::now() >= end {
                return false;
            }
            sleep(Duration::from_millis(10)).await;
        }
        true
    }
}

/// Runs a loop for ever: one that panics is a bug, and one that is not restarted is an outage.
fn supervise<F>(name: &'static str, stopped: CancellationToken, run: impl Fn() -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        // In a set, so that the loop ends with its supervisor when that is aborted.
        let mut running = JoinSet::new();
        loop {
            running.spawn(run());
            let Some(Err(panic)) = running.join_next().await else { return };
            if stopped.is_cancelled() {
                return;
            }
            tracing::error!(engine.part = name, error = %panic, "engine loop ended by a panic, starting it again");
            sleep(Duration::from_secs(1)).await;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::supervise;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    use tokio_util::sync::CancellationToken;

    #[tokio::test]
    async fn supervise_starts_a_loop_that_panicked_again() {
        let starts = Arc::new(AtomicU32::new(0));
        let seen = starts.clone();
        let running = supervise("test", CancellationToken::new(), move || {
            let nth = seen.fetch_add(1, Ordering::SeqCst);
            async move { assert!(nth >= 1, "planned panic {nth}") }
        });
        running.await.expect("the supervisor itself goes on");
        assert_eq!(starts.load(Ordering::SeqCst), 2);
    }
}
