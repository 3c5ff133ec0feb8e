//! What is watched, what is to be read next, and when it is read again. Pure: the time comes in.

use crate::source::ask::{Pace, Read, Resource};
use crate::source::told::Value;
use std::time::{Duration, Instant};

/// A hundred times the database's work is waited before it is asked again: one console takes a hundredth of a core at most.
const REST: u32 = 100;
/// However slow the database is, what is shown is not older than this while it answers.
const REST_MAX: Duration = Duration::from_secs(60);

/// One place: the newest question of a resource, at most one of it under way.
#[derive(Debug)]
struct Slot {
    read: Read,
    /// It is read again at the pace; else once.
    watched: bool,
    /// It waits to be read, since this turn.
    wanted: Option<u64>,
    /// When it is read again.
    due: Option<Instant>,
    /// The answer of this generation.
    last: Option<Value>,
}

/// Every place.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    turn: u64,
    pace: Pace,
    unfocused: bool,
}

impl Slots {
    /// A newer question takes the place of the older one of its resource.
    pub(super) fn put(&mut self, read: Read, watched: bool) {
        let resource = read.what.resource();
        self.turn += 1;
        self.slots.retain(|slot| slot.read.what.resource() != resource);
        self.slots.push(Slot { read, watched, wanted: Some(self.turn), due: None, last: None });
    }

    /// Nothing is read of it any more.
    pub(super) fn leave(&mut self, resource: Resource) {
        self.slots.retain(|slot| slot.read.what.resource() != resource);
    }

    /// Everything that is watched is read again as soon as possible.
    pub(super) fn refresh(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.watched) {
            self.turn += 1;
            slot.wanted = slot.wanted.or(Some(self.turn));
        }
    }

    /// How often it is read again.
    pub(super) fn pace(&mut self, pace: Pace) {
        self.pace = pace;
        self.refresh();
    }

    /// Without the focus nothing is read again; with it everything is at once.
    pub(super) fn focus(&mut self, focused: bool) {
        self.unfocused = !focused;
        if focused {
            self.refresh();
        }
    }

    /// When something is due; `None` when nothing is.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.unfocused || self.pace == Pace::Off {
            return None;
        }
        self.slots.iter().filter(|slot| slot.wanted.is_none()).filter_map(|slot| slot.due).min()
    }

    /// The question that has waited longest, when one waits or is due now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Read> {
        if self.due().is_some_and(|due| due <= now) {
            for slot in self.slots.iter_mut().filter(|slot| slot.wanted.is_none()) {
                if slot.due.is_some_and(|due| due <= now) {
                    self.turn += 1;
                    slot.wanted = Some(self.turn);
                }
            }
        }
        let slot = self.slots.iter_mut().filter(|slot| slot.wanted.is_some()).min_by_key(|slot| slot.wanted)?;
        slot.wanted = None;
        slot.due = None;
        Some(slot.read.clone())
    }

    /// Notes an answer and when to ask again; whether it is the same as before. `jitter` is between 0 and 1.
    pub(super) fn answered(
        &mut self,
        read: &Read,
        value: Option<&Value>,
        work: Duration,
        now: Instant,
        jitter: f64,
    ) -> bool {
        let watched = u32::try_from(self.slots.iter().filter(|slot| slot.watched).count()).unwrap_or(1).max(1);
        let Some(at) =
            self.slots.iter().position(|slot| slot.read.generation == read.generation && slot.read.what == read.what)
        else {
            return false;
        };
        if !self.slots[at].watched {
            self.slots.remove(at);
            return false;
        }
        let rest = (work * REST * watched).min(REST_MAX);
        let base = self.pace.base().unwrap_or(REST_MAX);
        let slot = &mut self.slots[at];
        // A tenth of it at random, so that twenty consoles do not ask at once.
        slot.due = Some(now + base.max(rest).mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 10.0));
        let same = value.is_some() && slot.last.as_ref() == value;
        if value.is_some() && !same {
            slot.last = value.cloned();
        }
        same
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ask::What;

    fn read(generation: u64, what: What) -> Read {
        Read { generation, what }
    }

    fn value(n: usize) -> Value {
        use crate::source::rows::{Number, NumberKind};
        Value::Count(Number { n: n as u64, kind: NumberKind::Exact, at: None })
    }

    #[test]
    fn the_newest_question_of_a_resource_is_asked_and_the_oldest_resource_first() {
        let mut slots = Slots::default();
        let now = Instant::now();
        slots.put(read(1, What::Workers), true);
        slots.put(read(2, What::Queues), true);
        slots.put(read(3, What::Workers), true);
        assert_eq!(slots.next(now), Some(read(2, What::Queues)));
        assert_eq!(slots.next(now), Some(read(3, What::Workers)));
        assert_eq!(slots.next(now), None, "each once");
        assert!(!slots.answered(&read(1, What::Workers), Some(&value(1)), Duration::ZERO, now, 0.0), "overtaken");
        assert_eq!(slots.due(), None);
    }

    #[test]
    fn a_watched_one_is_asked_again_as_rarely_as_it_costs() {
        let mut slots = Slots::default();
        let now = Instant::now();
        let asked = read(1, What::Workers);
        slots.put(asked.clone(), true);
        slots.next(now);
        assert!(!slots.answered(&asked, Some(&value(1)), Duration::from_millis(1), now, 0.0), "new");
        assert_eq!(slots.due(), Some(now + Duration::from_secs(1)));
        assert_eq!(slots.next(now), None);
        let later = now + Duration::from_secs(1);
        assert_eq!(slots.next(later), Some(asked.clone()));
        assert!(slots.answered(&asked, Some(&value(1)), Duration::from_millis(50), later, 1.0), "the same");
        assert_eq!(slots.due(), Some(later + Duration::from_millis(5500)), "a hundred times its work, and a tenth");
        assert!(!slots.answered(&asked, Some(&value(2)), Duration::from_secs(9), later, 0.0), "another");
        assert_eq!(slots.due(), Some(later + REST_MAX));
        slots.put(read(2, What::Queues), true);
        slots.next(later);
        slots.answered(&read(2, What::Queues), None, Duration::from_millis(50), later, 0.0);
        slots.answered(&asked, None, Duration::from_millis(50), later, 0.0);
        assert_eq!(slots.due(), Some(later + Duration::from_secs(10)), "two share what one may cost");
    }

    #[test]
    fn nothing_is_asked_again_without_focus_or_pace_and_everything_afterwards() {
        let mut slots = Slots::default();
        let now = Instant::now();
        let asked = read(1, What::Workers);
        slots.put(asked.clone(), true);
        slots.next(now);
        slots.answered(&asked, Some(&value(1)), Duration::ZERO, now, 0.0);
        slots.focus(false);
        assert_eq!((slots.due(), slots.next(now + REST_MAX)), (None, None));
        slots.focus(true);
        assert_eq!(slots.next(now), Some(asked.clone()));
        slots.answered(&asked, Some(&value(1)), Duration::ZERO, now, 0.0);
        slots.pace(Pace::Off);
        assert_eq!(slots.next(now), Some(asked.clone()), "once more, as of now");
        slots.answered(&asked, Some(&value(1)), Duration::ZERO, now, 0.0);
        assert_eq!(slots.next(now + REST_MAX * 2), None);
        slots.refresh();
        assert_eq!(slots.next(now), Some(asked.clone()), "when asked for");
        slots.leave(asked.what.resource());
        slots.refresh();
        assert_eq!(slots.next(now), None);
    }

    #[test]
    fn what_is_asked_once_is_answered_once() {
        let mut slots = Slots::default();
        let now = Instant::now();
        let asked = read(1, What::Workers);
        slots.put(asked.clone(), false);
        assert_eq!(slots.next(now), Some(asked.clone()));
        slots.answered(&asked, Some(&value(1)), Duration::ZERO, now, 0.0);
        slots.refresh();
        assert_eq!((slots.next(now + REST_MAX), slots.due()), (None, None));
    }
}
