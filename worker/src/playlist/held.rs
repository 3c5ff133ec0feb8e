//! Requests that came before there is anything to show.
//!
//! A player takes a refused or empty playlist for the end of the matter, so its request is held until the first segment
//! is listed. However many wait, one look each [`LOOK`] asks for all of them, in one statement: it sees what any process
//! has listed.

use crate::db::playlists::{Head, heads};
use domain::id::RecordingId;
use sea_orm::DatabaseConnection;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Between two looks: nobody sees a difference of this length at the start of a recording.
const LOOK: Duration = Duration::from_millis(200);

/// Recordings asked for in one statement.
const LOOK_MAX: usize = 200;

/// Places for held requests. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Held {
    groups: Arc<Mutex<Groups>>,
    /// Somebody came who is to be looked for.
    came: Arc<Notify>,
    each_max: u32,
    all_max: u32,
}

#[derive(Debug, Default)]
struct Groups {
    all: u32,
    each: HashMap<RecordingId, Group>,
}

/// Everybody who waits for one recording.
#[derive(Debug)]
struct Group {
    count: u32,
    heard: watch::Sender<Option<Head>>,
}

/// The place of one request, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    held: Held,
    id: RecordingId,
    heard: watch::Receiver<Option<Head>>,
}

impl Held {
    pub(super) fn new(each_max: u32, all_max: u32) -> Held {
        Held { groups: Arc::default(), came: Arc::default(), each_max, all_max }
    }

    /// A place, if there is one left.
    pub(super) fn enter(&self, id: &RecordingId) -> Option<Place> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let held = groups.each.get(id).map_or(0, |group| group.count);
        if groups.all >= self.all_max || held >= self.each_max {
            return None;
        }
        let fresh = || Group { count: 0, heard: watch::Sender::new(None) };
        let group = groups.each.entry(id.clone()).or_insert_with(fresh);
        group.count += 1;
        let heard = group.heard.subscribe();
        groups.all += 1;
        drop(groups);
        self.came.notify_one();
        Some(Place { held: self.clone(), id: id.clone(), heard })
    }

    /// How many requests are held.
    pub(super) fn count(&self) -> u32 {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).all
    }

    fn awaited(&self) -> Vec<RecordingId> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).each.keys().cloned().collect()
    }

    /// Looks for those who wait, for ever; without any it does nothing.
    pub(super) async fn look(&self, db: &DatabaseConnection) {
        let mut blind = false;
        loop {
            let awaited = self.awaited();
            if awaited.is_empty() {
                self.came.notified().await;
                continue;
            }
            for ids in awaited.chunks(LOOK_MAX) {
                match heads(db, ids).await {
                    Ok(heads) => {
                        heads.into_iter().for_each(|head| self.tell(head));
                        blind = false;
                    }
                    // Said once: an outage lasts many looks, and whoever asks anew hears of it.
                    Err(error) if !blind => {
                        tracing::warn!(error = %error, "playlists cannot be looked at");
                        blind = true;
                    }
                    Err(_) => {}
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn tell(&self, head: Head) {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups.each.get(&head.id) {
            group.heard.send_if_modified(|known| {
                let new = known.as_ref() != Some(&head);
                if new {
                    *known = Some(head);
                }
                new
            });
        }
    }
}

impl Place {
    /// What was heard last.
    pub(super) fn last(&self) -> Option<Head> {
        self.heard.borrow().clone()
    }

    /// Waits for a head that `shows` something.
    pub(super) async fn until(&mut self, shows: impl Fn(&Head) -> bool) -> Option<Head> {
        let heard = self.heard.wait_for(|head| head.as_ref().is_some_and(&shows)).await;
        heard.ok().and_then(|head| head.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut groups = self.held.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.all -= 1;
        if let Some(group) = groups.each.get_mut(&self.id) {
            group.count -= 1;
            if group.count == 0 {
                groups.each.remove(&self.id);
            }
        }
    }
}
