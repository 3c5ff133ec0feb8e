//! Results of attempts that were never published: each attempt through libavformat has a key of its own, and what a later
//! one does not write over has to be deleted.
//!
//! Done by whoever publishes such a result, and for all of a recording by its `cleanup`.

use crate::storage::{self, Store};
use domain::key::{Keys, Object};

/// Keys listed and deleted at once.
const PAGE: usize = 1000;

/// Deletes results of single attempts up to this plan version, except those of `kept`. Later versions are left alone: an
/// operator's remux may be writing one.
///
/// # Errors
/// The store's.
pub async fn sweep(store: &Store, keys: &Keys, version: u32, kept: &[&str]) -> Result<(), storage::Error> {
    let mut listing = store.list(keys.prefix()).await?;
    loop {
        let page = listing.page(PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        let is_left = |key: &String| {
            let of_attempt = matches!(keys.parse(key), Some(Object::ResultOfEpoch(of, _)) if of <= version);
            of_attempt && !kept.contains(&key.as_str())
        };
        let left: Vec<String> = page.into_iter().map(|listed| listed.key).filter(is_left).collect();
        if !left.is_empty() {
            store.delete(&left).await?;
            tracing::info!(objects = left.len(), "results of unpublished attempts deleted");
        }
    }
}
