//! What the pump binds and reads: ended attempts as arrays, lanes as arrays, rows as claims.

use super::{Done, db::Fail, lane::Lane, limits::Limits};
use crate::{
    ctx::Claimed,
    outcome::{Transition, Turn},
};
use sqlx::{Row, postgres::PgRow};
use std::{collections::HashMap, sync::Arc, time::Duration};
use uuid::Uuid;

/// What an unrecordable end becomes: a retry after this time.
const UNRECORDABLE_DELAY_MS: i64 = 1000;

/// What is asked for one lane: `wanted` is the reserved slots and those that the batch leaves.
pub(super) struct Ask {
    pub(super) lane: Arc<Lane>,
    pub(super) reserved: i64,
    pub(super) wanted: i64,
}

/// Takes the free slots of every lane, and asks beside them for those that the batch will leave. Slots of a limited queue
/// are claimed under its lock, after the statement that this is for.
pub(super) fn reserve(lanes: Vec<Arc<Lane>>, limits: &Limits, batch: &[Done]) -> Vec<Ask> {
    let mut freed: HashMap<(&str, &str), i64> = HashMap::new();
    for ctx in batch.iter().filter_map(|done| done.ctx.as_ref()) {
        *freed.entry((ctx.queue(), ctx.kind())).or_default() += 1;
    }
    let of_lane = |lane: Arc<Lane>| {
        if limits.has(lane.queue) {
            return None;
        }
        let reserved = lane.reserve();
        let wanted = reserved + freed.get(&(lane.queue, lane.kind())).copied().unwrap_or(0);
        (wanted > 0).then_some(Ask { lane, reserved, wanted })
    };
    lanes.into_iter().filter_map(of_lane).collect()
}

type PgQuery<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

pub(super) struct ClaimArrays {
    queues: Vec<&'static str>,
    kinds: Vec<&'static str>,
    versions: Vec<i16>,
    free: Vec<i32>,
}

impl ClaimArrays {
    pub(super) fn of(lanes: &[Ask]) -> Self {
        ClaimArrays {
            queues: lanes.iter().map(|ask| ask.lane.queue).collect(),
            kinds: lanes.iter().map(|ask| ask.lane.kind()).collect(),
            versions: lanes.iter().map(|ask| ask.lane.schema_ver).collect(),
            free: lanes.iter().map(|ask| i32::try_from(ask.wanted).unwrap_or(i32::MAX)).collect(),
        }
    }

    pub(super) fn bind<'q>(self, query: PgQuery<'q>, longest_run: serde_json::Value) -> PgQuery<'q> {
        query.bind(self.queues).bind(self.kinds).bind(self.versions).bind(self.free).bind(longest_run)
    }
}

pub(super) struct DoneArrays {
    ids: Vec<Uuid>,
    epochs: Vec<i64>,
    workers: Vec<Uuid>,
    turns: Vec<i16>,
    delays_ms: Vec<i64>,
    texts: [Vec<String>; 4],
}

impl DoneArrays {
    pub(super) fn of(batch: &[Done]) -> Self {
        DoneArrays {
            ids: batch.iter().map(|done| done.key.0).collect(),
            epochs: batch.iter().map(|done| done.key.1).collect(),
            workers: batch.iter().map(|done| done.worker).collect(),
            turns: batch.iter().map(|done| done.end.turn as i16).collect(),
            delays_ms: batch.iter().map(|done| done.end.delay_ms).collect(),
            texts: [
                batch.iter().map(|done| done.end.reason.clone()).collect(),
                batch.iter().map(|done| done.end.class.clone()).collect(),
                batch.iter().map(|done| done.end.error.clone()).collect(),
                batch.iter().map(|done| done.end.template()).collect(),
            ],
        }
    }

    pub(super) fn bind<'q>(self, query: PgQuery<'q>) -> PgQuery<'q> {
        let query = query.bind(self.ids).bind(self.epochs).bind(self.workers).bind(self.turns).bind(self.delays_ms);
        self.texts.into_iter().fold(query, |query, text| query.bind(text))
    }
}

/// Rows of the fused statement: an ended one carries its turn, a claimed one does not.
pub(super) fn is_claim(row: &PgRow) -> bool {
    row.try_get::<Option<i16>, _>("turn").is_ok_and(|turn| turn.is_none())
}

pub(super) fn claimed_row(row: &PgRow, worker: Uuid, lanes: &[Ask]) -> sqlx::Result<(i16, Arc<Lane>, Claimed, String)> {
    let (queue, kind): (&str, &str) = (row.try_get("queue")?, row.try_get("kind")?);
    let lane = lanes.iter().map(|ask| &ask.lane).find(|lane| lane.queue == queue && lane.kind() == kind);
    let lane = lane.ok_or_else(|| sqlx::Error::Decode(format!("no lane for {queue}/{kind}").into()))?;
    let claimed = Claimed {
        id: row.try_get("id")?,
        epoch: row.try_get("epoch")?,
        worker,
        queue: lane.queue,
        spec: lane.spec,
        attempt: row.try_get("attempt")?,
        max_attempts: row.try_get("max_attempts")?,
        crashes: row.try_get("crashes")?,
        subject: row.try_get("subject")?,
        owner_id: row.try_get("owner_id")?,
        age: Duration::try_from_secs_f64(row.try_get("age_s")?).unwrap_or_default(),
        waited: Duration::try_from_secs_f64(row.try_get("wait_s")?).unwrap_or_default(),
        born_minute: row.try_get("born_minute")?,
        checkpoint: row.try_get("checkpoint")?,
    };
    Ok((row.try_get("priority")?, lane.clone(), claimed, row.try_get("payload")?))
}

pub(super) const UNRECORDABLE: &str = "unrecordable";

/// The same end without any text of the handler, which is all that the database can have objected to.
pub(super) fn unrecordable(end: &Transition, fail: &Fail) -> Transition {
    let turn = if end.is_end() { end.turn } else { Turn::Retry };
    Transition {
        turn,
        delay_ms: if end.is_end() { 0 } else { end.delay_ms.max(UNRECORDABLE_DELAY_MS) },
        reason: String::new(),
        class: UNRECORDABLE.to_owned(),
        error: fail.to_string(),
    }
}
