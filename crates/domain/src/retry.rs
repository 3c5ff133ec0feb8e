//! Whether to try again, and when. Nobody reads error text: a fault and a class decide.
//!
//! Back-off grows by attempt and is capped; full jitter on its upper half spreads a storm (AWS Architecture Blog,
//! "Exponential Backoff And Jitter", 2015). Transient storage faults of jobs that move acknowledged bytes are not
//! counted, because ten attempts are spent in ten minutes and an outage may last an hour.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// May clear by itself. A whitelist: what is not known to be transient is permanent.
    Transient,
    /// Will not clear by itself.
    Permanent,
    /// A precondition is missing; something else has to happen first.
    NotYet,
    /// We were told to stop.
    Cancelled,
}

/// An error that says what kind of failure it is. Implemented exhaustively by the error of every edge.
pub trait Classify {
    /// The kind of failure.
    fn fault(&self) -> Fault;

    /// A short constant word for history, metrics and retry rules, for example `storage` or `not-iso-bmff`.
    fn class(&self) -> &'static str;

    /// The peer said when to come back.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// Longest wait that a peer may ask for. Its word is a number from outside: beyond a day it is a mistake, and far enough
/// beyond it no database can write the moment down.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// How a kind of job is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts before the job is discarded; at least 1.
    pub attempts_max: u32,
    /// First back-off; never zero, so that no misconfiguration makes a hot loop.
    pub base: Duration,
    /// Longest back-off.
    pub cap: Duration,
    /// Transient faults of these classes do not count towards `attempts_max`.
    pub uncounted: &'static [&'static str],
    /// A job older than this is discarded at its next failure, whatever its attempts.
    pub age_max: Option<Duration>,
}

impl RetryPolicy {
    /// Ten attempts within about ten minutes.
    pub const DEFAULT: RetryPolicy = RetryPolicy {
        attempts_max: 10,
        base: Duration::from_secs(1),
        cap: Duration::from_secs(120),
        uncounted: &[],
        age_max: None,
    };

    /// For jobs that move or delete acknowledged bytes: a store or a database that is away costs no attempt.
    pub const STORAGE: RetryPolicy =
        RetryPolicy { uncounted: &["storage", "database"], cap: Duration::from_secs(60), ..RetryPolicy::DEFAULT };

    /// For jobs that deliver events: each event has a policy of its own ([`RetryPolicy::DELIVERY`]) and says when to come
    /// back, so what is left for the job is a database that is away. It lives as long as there is something to deliver.
    pub const COURIER: RetryPolicy = RetryPolicy {
        attempts_max: u32::MAX,
        base: Duration::from_secs(1),
        cap: Duration::from_secs(5),
        uncounted: &[],
        age_max: None,
    };

    /// For one event on its way to a receiver: three days, then it is parked and the next one goes out.
    pub const DELIVERY: RetryPolicy = RetryPolicy {
        attempts_max: u32::MAX,
        base: Duration::from_secs(5),
        cap: Duration::from_secs(3600),
        uncounted: &[],
        age_max: Some(Duration::from_secs(3 * 24 * 3600)),
    };
}

/// One failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The attempt that failed, counted from 1.
    pub attempt: u32,
    /// Time since the job was created.
    pub age: Duration,
    /// What kind of failure it was.
    pub fault: Fault,
    /// Its class.
    pub class: &'static str,
    /// The peer said when not to come back before (RFC 9110 §10.2.3); up to a day.
    pub retry_after: Option<Duration>,
}

/// What becomes of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Try again after this time. `counted` tells whether the attempt is spent.
    Retry {
        /// How long to wait.
        after: Duration,
        /// The attempt counts towards the cap.
        counted: bool,
    },
    /// Try no more: the class and a person decide.
    Discard,
    /// Stop, as we were told to.
    Cancelled,
}

/// Decides. `jitter` is a random number in `0.0..=1.0`.
pub fn decide(policy: &RetryPolicy, failure: Failure, jitter: f64) -> Decision {
    let uncounted = policy.uncounted.contains(&failure.class);
    let too_old = policy.age_max.is_some_and(|max| failure.age >= max);
    match failure.fault {
        Fault::Cancelled => Decision::Cancelled,
        Fault::Permanent => Decision::Discard,
        Fault::Transient | Fault::NotYet if too_old => Decision::Discard,
        Fault::Transient if uncounted => Decision::Retry { after: wait(policy, failure, jitter), counted: false },
        Fault::Transient | Fault::NotYet if failure.attempt >= policy.attempts_max => Decision::Discard,
        Fault::Transient | Fault::NotYet => Decision::Retry { after: wait(policy, failure, jitter), counted: true },
    }
}

fn wait(policy: &RetryPolicy, failure: Failure, jitter: f64) -> Duration {
    let floor = policy.base.max(Duration::from_millis(100));
    // An uncounted attempt does not raise `attempt`, so its back-off grows with the age of the job: half of it.
    let doublings = failure.attempt.saturating_sub(1).min(20);
    let by_attempt = floor.saturating_mul(1 << doublings);
    let full = if policy.uncounted.contains(&failure.class) { by_attempt.max(failure.age / 2) } else { by_attempt };
    let full = full.clamp(floor, policy.cap.max(floor));
    let computed = full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
    // A peer that is away for minutes says "in two seconds" each time: its word is when not to come before.
    computed.max(failure.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn failure(attempt: u32, fault: Fault) -> Failure {
        Failure { attempt, age: Duration::from_secs(1), fault, class: "storage", retry_after: None }
    }

    #[test]
    fn decide_counts_attempts() {
        let policy = &RetryPolicy::DEFAULT;
        assert_eq!(
            decide(policy, failure(1, Fault::Transient), 1.0),
            Decision::Retry { after: Duration::from_secs(1), counted: true }
        );
        assert_eq!(
            decide(policy, failure(5, Fault::NotYet), 0.0),
            Decision::Retry { after: Duration::from_secs(8), counted: true }
        );
        assert_eq!(decide(policy, failure(10, Fault::Transient), 1.0), Decision::Discard);
        assert_eq!(decide(policy, failure(1, Fault::Permanent), 1.0), Decision::Discard);
        assert_eq!(decide(policy, failure(1, Fault::Cancelled), 1.0), Decision::Cancelled);
    }

    #[test]
    fn decide_never_gives_up_on_a_store_that_is_away() {
        let failure = Failure { age: Duration::from_secs(7200), ..failure(10_000, Fault::Transient) };
        let Decision::Retry { after, counted } = decide(&RetryPolicy::STORAGE, failure, 1.0) else { panic!("gave up") };
        assert_eq!((after, counted), (Duration::from_secs(60), false));
    }

    #[test]
    fn decide_gives_up_on_a_delivery_by_age() {
        let old = Failure { age: Duration::from_secs(3 * 24 * 3600), ..failure(40, Fault::Transient) };
        assert_eq!(decide(&RetryPolicy::DELIVERY, old, 1.0), Decision::Discard);
        assert!(matches!(decide(&RetryPolicy::DELIVERY, failure(400, Fault::Transient), 1.0), Decision::Retry { .. }));
    }

    #[test]
    fn decide_comes_back_when_the_peer_says() {
        let told = Failure { retry_after: Some(Duration::from_secs(3600)), ..failure(1, Fault::Transient) };
        assert_eq!(
            decide(&RetryPolicy::DEFAULT, told, 0.3),
            Decision::Retry { after: Duration::from_secs(3600), counted: true }
        );
    }

    #[test]
    fn decide_backs_off_from_a_peer_that_says_the_same_each_time() {
        let told = Failure { retry_after: Some(Duration::from_secs(2)), ..failure(5, Fault::Transient) };
        let computed = decide(&RetryPolicy::DEFAULT, failure(5, Fault::Transient), 0.3);
        assert_eq!(decide(&RetryPolicy::DEFAULT, told, 0.3), computed);
        assert_ne!(computed, Decision::Retry { after: Duration::from_secs(2), counted: true });
    }

    #[test]
    fn decide_believes_no_peer_that_names_a_moment_nobody_will_see() {
        let told = Failure { retry_after: Some(Duration::MAX), ..failure(1, Fault::Transient) };
        assert_eq!(
            decide(&RetryPolicy::DEFAULT, told, 0.3),
            Decision::Retry { after: Duration::from_secs(24 * 3600), counted: true }
        );
    }

    proptest! {
        #[test]
        fn wait_is_never_zero_and_never_beyond_the_cap(attempt in 0u32..100_000, age_s in 0u64..10_000_000, jitter in -1.0f64..2.0) {
            for policy in [RetryPolicy::DEFAULT, RetryPolicy::STORAGE, RetryPolicy::DELIVERY] {
                let failure = Failure { attempt, age: Duration::from_secs(age_s), ..failure(1, Fault::Transient) };
                if let Decision::Retry { after, .. } = decide(&policy, failure, jitter) {
                    prop_assert!(after >= policy.base / 2 && after <= policy.cap);
                }
            }
        }
    }
}
