//! The one loop that claims rows and writes their ends, over one held connection.
//!
//! Being alone makes it exact: when it looks for rows that are ours in the table and not in our hands, no claim of ours
//! can be on its way. It takes whatever has ended so far, writes it and claims into the freed slots in one statement;
//! while draining, in doubt about the lease or after an error it only writes.
//! An end that could not be written is kept until it is: forgetting it would run the job again.

use super::{
    Claim, Done, Event, Shared,
    batch::{Ask, ClaimArrays, DoneArrays, UNRECORDABLE, claimed_row, is_claim, reserve, unrecordable},
    db::{Fail, Hot, unless_away},
    held::Key,
    lane::Row as LaneRow,
    limits::{self, Limits},
    settled::Settled,
    stat::StatBook,
};
use crate::{
    config::jittered,
    ctx::JobCtx,
    outcome::{Stop, Transition, Turn},
    sql,
};
use sqlx::{Row, postgres::PgRow};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

/// Most ends written in one statement: beyond it a batch only gets slower to repeat when one row is refused.
const BATCH: usize = 512;
/// First wait after the database did not answer; doubles up to the poll interval.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Wait before a locked row is tried again.
const LOCKED_WAIT: Duration = Duration::from_millis(200);
/// Wait before a row that cannot be written at all is tried again.
const REFUSED_WAIT: Duration = Duration::from_secs(5);

struct Pending {
    done: Done,
    not_before: Instant,
}

pub(super) struct Pump {
    inbox: UnboundedReceiver<Done>,
    pending: Vec<Pending>,
    settled: Settled,
    hot: Hot,
    limits: Limits,
    stats: StatBook,
    longest_run: serde_json::Value,
    tick_at: Instant,
    away_until: Option<Instant>,
    backoff: Duration,
    again: bool,
    started: bool,
}

impl Pump {
    pub(super) fn new(shared: &Shared, inbox: UnboundedReceiver<Done>) -> Self {
        Pump {
            inbox,
            pending: Vec::new(),
            settled: Settled::default(),
            hot: Hot::new(&shared.pool, "spool pump", shared.config.call),
            limits: Limits::default(),
            stats: StatBook::new(),
            longest_run: serde_json::Value::Null,
            tick_at: Instant::now(),
            away_until: None,
            backoff: BACKOFF_MIN,
            again: false,
            started: false,
        }
    }

    pub(super) async fn run(&mut self, shared: &Arc<Shared>) {
        self.longest_run = shared
            .lanes()
            .iter()
            .map(|lane| (lane.kind().to_owned(), lane.spec.max_runtime.as_secs_f64().into()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        if std::mem::replace(&mut self.started, true) {
            self.recover(shared);
        }
        while !shared.stopped.is_cancelled() {
            let by_poll = self.wait(shared).await;
            if self.away_until.is_some_and(|until| until > Instant::now()) {
                continue;
            }
            match self.round(shared, by_poll).await {
                Ok(()) => {
                    self.away_until = None;
                    self.backoff = BACKOFF_MIN;
                }
                Err(_) => {
                    shared.counters.away.fetch_add(1, Ordering::Relaxed);
                    // A claim may have committed although its answer was lost: compare hands and table first thing.
                    shared.look.store(true, Ordering::Release);
                    self.away_until = Some(Instant::now() + self.backoff);
                    self.backoff = (self.backoff * 2).min(shared.config.poll);
                }
            }
        }
        // Last words: what has ended meanwhile.
        self.receive(shared);
        let batch = self.take_due(true);
        if !batch.is_empty() && self.complete(shared, batch).await.is_err() {
            tracing::warn!("ends of jobs left unwritten, their lease will end");
        }
        let _ = self.stats.write(&mut self.hot).await;
        self.hot.close();
    }

    /// After a panic: ends that were being written then are in nobody's hands. How they ended is lost, so those jobs run
    /// again, rather than staying in their slots for ever.
    fn recover(&mut self, shared: &Shared) {
        while let Ok(done) = self.inbox.try_recv() {
            self.accept(shared, done);
        }
        let kept: HashSet<Key> = self.pending.iter().map(|p| p.done.key).collect();
        for (ctx, finishing) in shared.held.snapshot() {
            if finishing && !kept.contains(&ctx.key()) {
                tracing::error!(job.id = %ctx.id(), "end of a job lost, handing it back");
                shared.done(&ctx, Transition::plain(Turn::HandBack));
            }
        }
    }

    /// Waits for something to do. Says whether only the clock woke us.
    async fn wait(&mut self, shared: &Shared) -> bool {
        if let Some(until) = self.away_until {
            tokio::select! { () = sleep_until(until) => {}, () = shared.stopped.cancelled() => {} }
            return true;
        }
        if std::mem::take(&mut self.again) {
            return false;
        }
        let next = self.pending.iter().map(|p| p.not_before).min().unwrap_or(self.tick_at).min(self.tick_at);
        tokio::select! {
            biased;
            done = self.inbox.recv(), if self.pending.len() < BATCH => {
                done.into_iter().for_each(|done| self.accept(shared, done));
                false
            }
            () = shared.wake.notified() => false,
            () = shared.stopped.cancelled() => false,
            () = sleep_until(next) => true,
        }
    }

    /// Takes whatever else has ended by now: no batch is ever waited for.
    fn receive(&mut self, shared: &Shared) {
        while self.pending.len() < BATCH {
            let Ok(done) = self.inbox.try_recv() else { return };
            self.accept(shared, done);
        }
    }

    fn accept(&mut self, shared: &Shared, done: Done) {
        if done.written {
            self.stats.ended(&done);
            shared.tell(|| done.event(done.end.turn as i16));
            self.settled.note(done.key, done.ctx);
        } else {
            self.pending.push(Pending { done, not_before: Instant::now() });
        }
    }

    fn take_due(&mut self, all: bool) -> Vec<Done> {
        let now = Instant::now();
        let (due, held) = std::mem::take(&mut self.pending).into_iter().partition(|p| all || p.not_before <= now);
        self.pending = held;
        Vec::into_iter(due).map(|p| p.done).collect()
    }

    fn hold(&mut self, done: impl IntoIterator<Item = Done>, wait: Duration) {
        let not_before = Instant::now() + wait;
        self.pending.extend(done.into_iter().map(|done| Pending { done, not_before }));
    }

    async fn round(&mut self, shared: &Arc<Shared>, by_poll: bool) -> Result<(), Fail> {
        self.receive(shared);
        let batch = self.take_due(false);
        let claimant = shared.lease.claimant().filter(|_| !shared.draining.is_cancelled());
        let claimed = match (claimant, batch.is_empty()) {
            (Some(worker), _) => self.fused(shared, worker, batch).await?,
            (None, false) => self.complete(shared, batch).await.map(|()| 0)?,
            (None, true) => 0,
        };
        if let Some(worker) = claimant {
            self.claim_limited(shared, worker).await?;
        }
        if by_poll && claimed > 0 {
            shared.counters.polled.fetch_add(claimed, Ordering::Relaxed);
        }
        if shared.look.swap(false, Ordering::AcqRel) || Instant::now() >= self.tick_at {
            self.tick_at = Instant::now() + jittered(shared.config.poll);
            unless_away(self.limits.look(&mut self.hot).await, "limits")?;
            let compared = self.compare(shared).await;
            unless_away(compared, "own rows")?;
            if unless_away(self.stats.write(&mut self.hot).await, "numbers")? {
                self.stats.drop_all();
            }
        }
        Ok(())
    }

    /// Writes the batch and claims into its slots and the free ones. Returns how many rows were claimed.
    async fn fused(&mut self, shared: &Arc<Shared>, worker: Uuid, batch: Vec<Done>) -> Result<u64, Fail> {
        let lanes = reserve(shared.lanes(), &self.limits, &batch);
        if lanes.is_empty() {
            return if batch.is_empty() { Ok(0) } else { self.complete(shared, batch).await.map(|()| 0) };
        }
        shared.counters.claims.fetch_add(1, Ordering::Relaxed);
        let (done, ask) = (DoneArrays::of(&batch), ClaimArrays::of(&lanes));
        let longest_run = self.longest_run.clone();
        let alone = batch.is_empty();
        let result = self
            .hot
            .run(move |connection| {
                Box::pin(async move {
                    if alone {
                        ask.bind(sqlx::query(sql::CLAIM).bind(worker), longest_run).fetch_all(connection).await
                    } else {
                        let query = done.bind(sqlx::query(sql::FUSED.as_str())).bind(worker);
                        ask.bind(query, longest_run).fetch_all(connection).await
                    }
                })
            })
            .await;
        let rows = match result {
            Ok(rows) => rows,
            Err(fail) => {
                for ask in &lanes {
                    ask.lane.release(ask.reserved);
                }
                return self.unfuse(shared, batch, fail).await;
            }
        };
        let (got, ended): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| alone || is_claim(row));
        let claimed = self.admit(shared, worker, &lanes, &got);
        if !alone {
            self.confirm(shared, batch, &ended).await?;
        }
        Ok(claimed)
    }

    /// The fused statement failed: nothing of it happened, or its answer was lost.
    async fn unfuse(&mut self, shared: &Arc<Shared>, batch: Vec<Done>, fail: Fail) -> Result<u64, Fail> {
        if matches!(fail, Fail::Away(_)) || batch.is_empty() {
            self.hold(batch, Duration::ZERO);
            return Err(fail);
        }
        self.again = true;
        self.one_by_one(shared, batch).await.map(|()| 0)
    }

    /// Writes the batch without claiming.
    async fn complete(&mut self, shared: &Arc<Shared>, batch: Vec<Done>) -> Result<(), Fail> {
        match self.write(&batch).await {
            Ok(ended) => self.confirm(shared, batch, &ended).await,
            Err(fail @ Fail::Away(_)) => {
                self.hold(batch, Duration::ZERO);
                Err(fail)
            }
            Err(_) => self.one_by_one(shared, batch).await,
        }
    }

    async fn write(&mut self, batch: &[Done]) -> Result<Vec<PgRow>, Fail> {
        let done = DoneArrays::of(batch);
        self.hot
            .run(move |connection| Box::pin(done.bind(sqlx::query(sql::COMPLETE.as_str())).fetch_all(connection)))
            .await
    }

    /// One row of a batch was refused, and the statement does not say which: the others must not wait for it.
    async fn one_by_one(&mut self, shared: &Arc<Shared>, batch: Vec<Done>) -> Result<(), Fail> {
        let mut rest = batch.into_iter();
        while let Some(mut done) = rest.next() {
            let fail = match self.write(std::slice::from_ref(&done)).await {
                Ok(ended) => {
                    if let Err(fail) = self.confirm(shared, vec![done], &ended).await {
                        self.hold(rest, Duration::ZERO);
                        return Err(fail);
                    }
                    continue;
                }
                Err(fail) => fail,
            };
            match fail {
                Fail::Away(_) => {
                    self.hold(std::iter::once(done).chain(rest), Duration::ZERO);
                    return Err(fail);
                }
                Fail::Locked => self.hold([done], LOCKED_WAIT),
                // A newer job of the same key waits: this one gives way.
                Fail::Duplicate if done.end.turn != Turn::Superseded => {
                    done.end.turn = Turn::Superseded;
                    self.hold([done], Duration::ZERO);
                    self.again = true;
                }
                Fail::Refused { .. } | Fail::Duplicate if done.end.class == UNRECORDABLE => {
                    tracing::error!(job.id = %done.key.0, error = %fail, "end of a job cannot be written, holding it");
                    self.hold([done], REFUSED_WAIT);
                }
                Fail::Refused { .. } | Fail::Duplicate => {
                    tracing::error!(job.id = %done.key.0, error = %fail, "end of a job refused, writing it without its text");
                    done.end = unrecordable(&done.end, &fail);
                    self.hold([done], Duration::ZERO);
                    self.again = true;
                }
            }
        }
        Ok(())
    }

    /// Lets go of what is written. What matched nothing is looked at again: it may have been taken from us, or an
    /// operator's cancel came between the statement's snapshot and its row lock.
    async fn confirm(&mut self, shared: &Arc<Shared>, batch: Vec<Done>, ended: &[PgRow]) -> Result<(), Fail> {
        let mut written: HashMap<Key, i16> = HashMap::with_capacity(ended.len());
        for row in ended {
            if let (Ok(id), Ok(epoch), Ok(turn)) = (row.try_get(0), row.try_get(1), row.try_get(2)) {
                written.insert((id, epoch), turn);
            }
            // A follow-up was enqueued; its queue may be ours.
            self.again |= row.try_get::<Option<Uuid>, _>(3).is_ok_and(|follower| follower.is_some());
        }
        let mut unmatched = Vec::new();
        for done in batch {
            let Some(turn) = written.get(&done.key).copied() else {
                unmatched.push(done);
                continue;
            };
            shared.counters.ended.fetch_add(1, Ordering::Relaxed);
            self.stats.ended(&done);
            shared.tell(|| done.event(turn));
            if done.end.turn == Turn::HandBack || (done.end.turn == Turn::Snooze && done.end.delay_ms == 0) {
                self.again = true;
                shared.bell.ring(&done.queue);
            }
            shared.forget(done.key);
        }
        if unmatched.is_empty() { Ok(()) } else { self.look_again(shared, unmatched).await }
    }

    async fn look_again(&mut self, shared: &Arc<Shared>, unmatched: Vec<Done>) -> Result<(), Fail> {
        let ids: Vec<Uuid> = unmatched.iter().map(|done| done.key.0).collect();
        let look = "SELECT id, epoch FROM queue.job WHERE id = ANY ($1) AND epoch IS NOT NULL";
        let found = self.hot.run(move |connection| Box::pin(sqlx::query(look).bind(ids).fetch_all(connection))).await;
        let rows = match found {
            Ok(rows) => rows,
            Err(fail) => {
                self.hold(unmatched, Duration::ZERO);
                return Err(fail);
            }
        };
        let there: HashSet<Key> =
            rows.iter().filter_map(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?))).collect();
        for done in unmatched {
            if there.contains(&done.key) {
                self.hold([done], LOCKED_WAIT);
            } else {
                shared.counters.stale.fetch_add(1, Ordering::Relaxed);
                tracing::info!(job.id = %done.key.0, "end of an attempt not written, its job is written or somebody else's");
                shared.forget(done.key);
            }
        }
        Ok(())
    }

    fn admit(&mut self, shared: &Arc<Shared>, worker: Uuid, lanes: &[Ask], rows: &[PgRow]) -> u64 {
        let mut got: HashMap<(&str, &str), i64> = HashMap::new();
        let mut admitted = Vec::with_capacity(rows.len());
        for row in rows {
            // Row by row: one odd row must not lose a whole committed claim. The look at the own rows hands it back.
            match claimed_row(row, worker, lanes) {
                Ok(one) => admitted.push(one),
                Err(error) => tracing::error!(error = %error, "claimed row not understood"),
            }
        }
        admitted.sort_by_key(|(priority, _, claimed, _)| (*priority, claimed.id));
        for (_, lane, claimed, payload) in admitted {
            *got.entry((lane.queue, lane.kind())).or_default() += 1;
            self.stats.claimed(&claimed);
            let (waited, first) = (claimed.waited, claimed.born_minute.is_some());
            shared.tell(|| Some(Event::Claimed(Claim { queue: lane.queue, kind: lane.kind(), waited, first })));
            let ctx = JobCtx::new(claimed, shared.clone());
            shared.held.insert(ctx.clone(), lane.clone());
            lane.push(LaneRow { ctx, payload });
        }
        for ask in lanes {
            let got = got.get(&(ask.lane.queue, ask.lane.kind())).copied().unwrap_or(0);
            ask.lane.release(ask.reserved - got);
        }
        if shared.draining.is_cancelled() {
            for ask in lanes {
                shared.hand_back_unstarted(&ask.lane);
            }
        }
        shared.counters.claimed.fetch_add(rows.len() as u64, Ordering::Relaxed);
        rows.len() as u64
    }

    async fn claim_limited(&mut self, shared: &Arc<Shared>, worker: Uuid) -> Result<(), Fail> {
        if self.limits.is_empty() {
            return Ok(());
        }
        for queue in self.limits.queues() {
            let mut asks = Vec::new();
            for lane in shared.lanes().into_iter().filter(|lane| lane.queue == queue) {
                let reserved = lane.reserve();
                if reserved > 0 {
                    asks.push(Ask { lane, reserved, wanted: reserved });
                }
            }
            if asks.is_empty() {
                continue;
            }
            let lanes: Vec<_> = asks.iter().map(|ask| (ask.lane.clone(), ask.wanted)).collect();
            match limits::claim(&mut self.hot, worker, queue, &lanes, self.longest_run.clone()).await {
                Ok(rows) => {
                    self.admit(shared, worker, &asks, &rows);
                }
                Err(fail) => {
                    for ask in &asks {
                        ask.lane.release(ask.reserved);
                    }
                    // Somebody else claims in this queue just now; the next round comes within the poll.
                    if !matches!(fail, Fail::Locked) {
                        return Err(fail);
                    }
                }
            }
        }
        Ok(())
    }

    /// Compares the table with our hands: cancel requests, claims whose answer was lost, hands without a row.
    async fn compare(&mut self, shared: &Arc<Shared>) -> Result<(), Fail> {
        let worker = shared.lease.worker();
        let before = shared.held.snapshot();
        self.receive(shared);
        let rows = self.hot.run(move |c| Box::pin(sqlx::query(sql::MINE).bind(worker).fetch_all(c))).await?;
        let held_before: HashSet<Key> = before.iter().map(|(ctx, _)| ctx.key()).collect();
        let waiting: HashSet<Key> = self.pending.iter().map(|p| p.done.key).collect();
        let mut seen = HashSet::with_capacity(rows.len());
        for row in &rows {
            let (Ok(id), Ok(epoch)) = (row.try_get(0), row.try_get(1)) else { continue };
            let key: Key = (id, epoch);
            seen.insert(key);
            if let Some(ctx) = shared.held.get(key) {
                if row.try_get(2).unwrap_or(false) {
                    ctx.halt(Stop::Cancel(row.try_get::<Option<String>, _>(3).ok().flatten().unwrap_or_default()));
                }
            } else if !held_before.contains(&key) && !waiting.contains(&key) {
                let queue = row.try_get(4).unwrap_or_default();
                let end = self.settled.not_committed(key).unwrap_or_else(|| {
                    shared.counters.orphans.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(job.id = %id, "claim found that was never received, handing it back");
                    Transition::plain(Turn::HandBack)
                });
                let orphan = Done { key, worker, queue, end, ran: Duration::ZERO, ctx: None, written: false };
                self.hold([orphan], Duration::ZERO);
                self.again = true;
            }
        }
        self.settled.clear();
        for (ctx, finishing) in before {
            if !finishing && !seen.contains(&ctx.key()) && ctx.row().worker == worker && shared.held.is_open(ctx.key())
            {
                tracing::warn!(job.id = %ctx.id(), "job taken away, stopping its attempt");
                ctx.halt(Stop::Fenced);
            }
        }
        Ok(())
    }
}
