//! Waiting for a state, never for time: ask, bounded, until the answer is there.

use std::time::{Duration, Instant};

/// Between two looks: short against everything that is waited for, long against the cost of a look.
const LOOK: Duration = Duration::from_millis(25);

/// Asks until `look` gives something. Fails the test after `bound` with what was waited for.
pub async fn until<T>(what: &str, bound: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < bound, "waited {bound:?} in vain: {what}");
        tokio::time::sleep(LOOK).await;
    }
}
