//! How the engine is timed. The caller reads the environment; this is the result.

use std::time::Duration;

/// Timings and names of one worker process.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long a lease lasts from a heartbeat (15 s): a dead worker's jobs restart after it plus one rescue round.
    pub lease: Duration,
    /// Time between heartbeats (5 s): two may be missed before the lease is in doubt.
    pub beat: Duration,
    /// How long before the end of the lease this process stops trusting it (3 s).
    pub fence_margin: Duration,
    /// Longest time between two looks at the table when no wake-up comes (1 s, jittered by a fifth).
    pub poll: Duration,
    /// Longest time between rescue rounds (3 s, jittered downwards): with the lease before it and one poll behind it a dead
    /// worker's job must start again within 20 s.
    pub rescue: Duration,
    /// Bound of one database call (3 s); shorter than the beat.
    pub call: Duration,
    /// What a handler is given to stop after it was told to (5 s), before it is dropped.
    pub grace: Duration,
    /// Least delay of a snooze that is not zero (100 ms): a handler must not spin through the table.
    pub snooze_min: Duration,
    /// Time between two samples of how much waits (10 s), taken by one process for all.
    pub sample: Duration,
    /// Age at which finished jobs and attempts are dropped, by whole days (14 d).
    pub keep: Duration,
    /// Listen for wake-ups. Off behind a pooler in transaction mode; the poll then does all.
    pub listen: bool,
    /// Do the rounds that any one worker must do: rescue, promotion, schedule, partitions.
    pub upkeep: bool,
    /// Name of the pod or host, for people.
    pub pod: Option<String>,
    /// Name of the node, for people.
    pub node: Option<String>,
    /// Version of the program, for people.
    pub version: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            lease: Duration::from_secs(15),
            beat: Duration::from_secs(5),
            fence_margin: Duration::from_secs(3),
            poll: Duration::from_secs(1),
            rescue: Duration::from_secs(3),
            call: Duration::from_secs(3),
            grace: Duration::from_secs(5),
            snooze_min: Duration::from_millis(100),
            sample: Duration::from_secs(10),
            keep: Duration::from_secs(14 * 24 * 3600),
            listen: true,
            upkeep: true,
            pod: None,
            node: None,
            version: None,
        }
    }
}

impl Config {
    /// The wait before the next rescue; `jitter` is a random number in `0.0..=1.0`. Downwards only: lease, one round and
    /// one poll together are what a dead worker's job waits at most.
    pub(crate) fn rescue_wait(&self, jitter: f64) -> Duration {
        self.rescue.mul_f64(0.5 + 0.4 * jitter)
    }
}

/// Spreads a wait by a fifth to both sides, so that processes started together do not stay together.
pub(crate) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.8 + 0.4 * rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The promise is 20 s, also without wake-ups; what is left is for the statements themselves on a busy machine.
    #[test]
    fn job_of_a_dead_worker_starts_again_within_20_s() {
        let config = Config::default();
        let longest_poll = config.poll.mul_f64(1.2);
        let wait = config.lease + config.rescue_wait(1.0) + longest_poll;
        assert!(wait <= Duration::from_secs(19), "{wait:?}");
    }
}
