//! The engine's statements, put together once from the files in `sql/`.
//!
//! Completing and claiming exist alone and fused into one statement: one round trip and one commit for both is worth
//! about half of the throughput at low concurrency.

#[cfg(test)]
mod plans;

use std::sync::LazyLock;

/// Columns of `done` as arrays: any number of ended attempts in one statement.
const DONE_MANY: &str = "WITH done AS MATERIALIZED (SELECT * FROM unnest($1::uuid[], $2::int8[], $3::uuid[], $4::int2[], \
     $5::int8[], $6::text[], $7::text[], $8::text[], $9::text[]) \
     AS done (id, epoch, worker, turn, delay_ms, reason, class, error, template)), ";
/// The same for one, for callers that cannot bind arrays.
const DONE_ONE: &str = "WITH done AS MATERIALIZED (SELECT * FROM (VALUES ($1::uuid, $2::int8, $3::uuid, $4::int2, \
     $5::int8, $6::text, $7::text, $8::text, $9::text)) \
     AS done (id, epoch, worker, turn, delay_ms, reason, class, error, template)), ";
const DONE_PARAMETERS: u32 = 9;
const COMPLETE_BODY: &str = include_str!("../../sql/complete.sql");
const COMPLETE_END: &str = include_str!("../../sql/complete_end.sql");

pub(crate) const CLAIM: &str = include_str!("../../sql/claim.sql");
pub(crate) const CLAIM_LIMITED: &str = include_str!("../../sql/claim_limited.sql");
pub(crate) const MINE: &str = include_str!("../../sql/mine.sql");
pub(crate) const HEARTBEAT: &str = include_str!("../../sql/heartbeat.sql");
pub(crate) const REGISTER: &str = include_str!("../../sql/register.sql");
pub(crate) const PROMOTE: &str = include_str!("../../sql/promote.sql");
pub(crate) const RESCUE: &str = include_str!("../../sql/rescue.sql");
pub(crate) const CANDIDATES: &str = include_str!("../../sql/candidates.sql");

/// Writes the ends of many attempts.
pub(crate) static COMPLETE: LazyLock<String> = LazyLock::new(|| format!("{DONE_MANY}{COMPLETE_BODY}{COMPLETE_END}"));

/// Writes the end of one attempt, inside a handler's own transaction.
pub(crate) static COMPLETE_ONE: LazyLock<String> = LazyLock::new(|| format!("{DONE_ONE}{COMPLETE_BODY}{COMPLETE_END}"));

/// Writes the ends of many attempts and claims into the slots they leave.
pub(crate) static FUSED: LazyLock<String> = LazyLock::new(|| {
    let claim = shift(CLAIM, DONE_PARAMETERS);
    let padding = "NULL::text AS queue, NULL::text AS kind, NULL::int4 AS attempt, NULL::int4 AS max_attempts, \
         NULL::int2 AS crashes, NULL::int2 AS priority, NULL::text AS subject, NULL::text AS owner_id, \
         NULL::float8 AS age_s, NULL::text AS payload, NULL::text AS checkpoint, \
         NULL::float8 AS wait_s, NULL::int8 AS born_minute";
    format!(
        "{DONE_MANY}{COMPLETE_BODY}, ended AS ({COMPLETE_END}), got AS ({claim}) \
         SELECT ended.id, ended.epoch, ended.turn, ended.follower, {padding} FROM ended UNION ALL \
         SELECT got.id, got.epoch, NULL, NULL, got.queue, got.kind, got.attempt, got.max_attempts, got.crashes, \
         got.priority, got.subject, got.owner_id, got.age_s, got.payload, got.checkpoint, got.wait_s, got.born_minute FROM got"
    )
});

/// Raises every parameter number.
fn shift(sql: &str, by: u32) -> String {
    let mut out = String::with_capacity(sql.len() + 32);
    let mut rest = sql;
    while let Some(at) = rest.find('$') {
        let digits = rest[at + 1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - at - 1);
        out.push_str(&rest[..=at]);
        match rest[at + 1..at + 1 + digits].parse::<u32>() {
            Ok(number) => out.push_str(&(number + by).to_string()),
            Err(_) => out.push_str(&rest[at + 1..at + 1 + digits]),
        }
        rest = &rest[at + 1 + digits..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::shift;

    #[test]
    fn shift_raises_whole_numbers() {
        assert_eq!(shift("$1, $12 'a$' $2", 9), "$10, $21 'a$' $11");
    }
}
