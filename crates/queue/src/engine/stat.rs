//! Numbers for the console: what came, was claimed and ended per minute, and which errors there were.
//!
//! Counted here and written once a second, so that watching costs the jobs nothing. What a crash loses is a second of
//! counts; the history of every attempt is in `queue.attempt`.
//!
//! What came is counted when it is first claimed, in the minute in which it was put in: so jobs of every caller are
//! counted, of SQL in other languages too, none that was rolled back is, and no enqueue waits for a counter's row. What
//! nobody has claimed yet is in `queue.depth`.

use super::{Done, db::Fail, db::Hot};
use crate::{ctx::Claimed, outcome::Turn};
use std::{collections::HashMap, time::Duration};

/// Upper bounds of the histograms of run time and of wait in milliseconds, doubling: bucket 0 is below 1 ms, bucket i
/// below 2^i ms; the last takes the rest.
const BUCKETS: usize = 24;
/// Most different errors kept between two writes; beyond that a storm is a storm.
const FAULTS_MAX: usize = 256;

/// Queue, kind and owner.
type Key = (&'static str, &'static str, Option<String>);

#[derive(Default)]
struct Flow {
    ok: i32,
    err: i32,
    dur_ms: i64,
    hist: [i32; BUCKETS],
    wait_hist: [i32; BUCKETS],
}

#[derive(Default)]
pub(super) struct StatBook {
    flow: HashMap<Key, Flow>,
    /// Jobs by the minute they were put in, counted from the epoch of Unix.
    came: HashMap<(Key, i64), i32>,
    faults: HashMap<(&'static str, String, String), i64>,
    shard: i16,
}

impl StatBook {
    pub(super) fn new() -> Self {
        StatBook { shard: rand::random::<u16>() as i16, ..StatBook::default() }
    }

    pub(super) fn claimed(&mut self, row: &Claimed) {
        let key = (row.queue, row.spec.name, row.owner_id.clone());
        if let Some(minute) = row.born_minute {
            *self.came.entry((key.clone(), minute)).or_default() += 1;
        }
        self.flow.entry(key).or_default().wait_hist[bucket(row.waited)] += 1;
    }

    pub(super) fn ended(&mut self, done: &Done) {
        let Some(ctx) = &done.ctx else { return };
        let (ok, err) = match done.end.turn {
            Turn::Completed => (1, 0),
            Turn::Discarded | Turn::Retry | Turn::RetryUncounted | Turn::Superseded => (0, 1),
            Turn::Cancelled | Turn::Snooze | Turn::HandBack => return,
        };
        let flow = self.flow.entry((ctx.queue(), ctx.kind(), ctx.owner_id().map(str::to_owned))).or_default();
        flow.ok += ok;
        flow.err += err;
        flow.dur_ms += i64::try_from(done.ran.as_millis()).unwrap_or(i64::MAX);
        flow.hist[bucket(done.ran)] += 1;
        let template = done.end.template();
        if !template.is_empty() && self.faults.len() < FAULTS_MAX {
            *self.faults.entry((ctx.kind(), done.end.class.clone(), template)).or_default() += 1;
        }
    }

    /// Writes what has come together. On failure it is kept for the next time.
    pub(super) async fn write(&mut self, hot: &mut Hot) -> Result<(), Fail> {
        if !self.flow.is_empty() {
            self.write_flow(hot).await?;
            self.flow.clear();
        }
        if !self.came.is_empty() {
            self.write_came(hot).await?;
            self.came.clear();
        }
        if !self.faults.is_empty() {
            self.write_faults(hot).await?;
            self.faults.clear();
        }
        Ok(())
    }

    /// Forgets what could not be written for a reason that will not go away.
    pub(super) fn drop_all(&mut self) {
        self.flow.clear();
        self.came.clear();
        self.faults.clear();
    }

    async fn write_flow(&self, hot: &mut Hot) -> Result<(), Fail> {
        let shard = self.shard;
        let (mut queues, mut kinds, mut owners) = (vec![], vec![], vec![]);
        let (mut ok, mut err, mut dur_ms, mut hist, mut wait_hist) = (vec![], vec![], vec![], vec![], vec![]);
        for ((queue, kind, owner), flow) in &self.flow {
            queues.push(*queue);
            kinds.push(*kind);
            owners.push(owner.clone());
            ok.push(flow.ok);
            err.push(flow.err);
            dur_ms.push(flow.dur_ms);
            hist.push(array(flow.hist));
            wait_hist.push(array(flow.wait_hist));
        }
        hot.run(move |connection| {
            let write = sqlx::query(WRITE_FLOW).bind(queues).bind(kinds).bind(owners).bind(shard);
            Box::pin(write.bind(ok).bind(err).bind(dur_ms).bind(hist).bind(wait_hist).execute(connection))
        })
        .await
        .map(|_| ())
    }

    async fn write_came(&self, hot: &mut Hot) -> Result<(), Fail> {
        let shard = self.shard;
        let (mut queues, mut kinds, mut owners, mut minutes, mut came) = (vec![], vec![], vec![], vec![], vec![]);
        for (((queue, kind, owner), minute), n) in &self.came {
            queues.push(*queue);
            kinds.push(*kind);
            owners.push(owner.clone());
            minutes.push(*minute);
            came.push(*n);
        }
        hot.run(move |connection| {
            let write = sqlx::query(WRITE_CAME).bind(queues).bind(kinds).bind(owners).bind(shard);
            Box::pin(write.bind(minutes).bind(came).execute(connection))
        })
        .await
        .map(|_| ())
    }

    async fn write_faults(&self, hot: &mut Hot) -> Result<(), Fail> {
        let (mut kinds, mut classes, mut templates, mut counts) = (vec![], vec![], vec![], vec![]);
        for ((kind, class, template), n) in &self.faults {
            kinds.push((*kind).to_owned());
            classes.push(class.clone());
            templates.push(template.clone());
            counts.push(*n);
        }
        hot.run(move |connection| {
            let write = sqlx::query(WRITE_FAULTS).bind(kinds).bind(classes).bind(templates).bind(counts);
            Box::pin(write.execute(connection))
        })
        .await
        .map(|_| ())
    }
}

fn bucket(time: Duration) -> usize {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    (64 - ms.leading_zeros() as usize).min(BUCKETS - 1)
}

/// An array as text: arrays of arrays cannot be bound.
fn array(hist: [i32; BUCKETS]) -> String {
    format!("{{{}}}", hist.map(|n| n.to_string()).join(","))
}

/// The shard is this process's own, so no two writers meet in a row.
const WRITE_FLOW: &str = "INSERT INTO queue.stat AS old (queue, kind, owner_id, minute, shard, ok, err, dur_ms, hist, wait_hist) \
    SELECT s.queue, s.kind, s.owner_id, date_trunc('minute', now()), $4::int2, s.ok, s.err, s.dur_ms, s.hist::int4[], s.wait_hist::int4[] \
    FROM unnest($1::text[], $2::text[], $3::text[], $5::int4[], $6::int4[], $7::int8[], $8::text[], $9::text[]) \
      AS s (queue, kind, owner_id, ok, err, dur_ms, hist, wait_hist) \
    ON CONFLICT (queue, kind, owner_id, minute, shard) DO UPDATE SET ok = old.ok + excluded.ok, err = old.err + excluded.err, \
      dur_ms = old.dur_ms + excluded.dur_ms, \
      hist = ARRAY(SELECT coalesce(a, 0) + coalesce(b, 0) FROM unnest(old.hist, excluded.hist) AS u (a, b)), \
      wait_hist = ARRAY(SELECT coalesce(a, 0) + coalesce(b, 0) FROM unnest(old.wait_hist, excluded.wait_hist) AS u (a, b))";

const WRITE_CAME: &str = "INSERT INTO queue.stat AS old (queue, kind, owner_id, minute, shard, enq) \
    SELECT s.queue, s.kind, s.owner_id, to_timestamp(s.minute * 60), $4::int2, s.enq \
    FROM unnest($1::text[], $2::text[], $3::text[], $5::int8[], $6::int4[]) AS s (queue, kind, owner_id, minute, enq) \
    ON CONFLICT (queue, kind, owner_id, minute, shard) DO UPDATE SET enq = old.enq + excluded.enq";

/// Sorted by the key: two processes that write the same faults must lock them in the same order.
const WRITE_FAULTS: &str = "INSERT INTO queue.fault AS old (fp, kind, error_class, template, n) \
    SELECT f.fp, min(f.kind), min(f.class), min(f.template), sum(f.n)::bigint FROM ( \
      SELECT substring(sha256(convert_to(u.template, 'UTF8')) FOR 16) AS fp, u.kind, u.class, u.template, u.n \
      FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[]) AS u (kind, class, template, n)) AS f \
    GROUP BY f.fp ORDER BY f.fp \
    ON CONFLICT (fp) DO UPDATE SET n = old.n + excluded.n, last_at = now()";
