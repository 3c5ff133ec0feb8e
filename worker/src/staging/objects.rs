//! Bytes on their way into the object store, under a key of their own.

use super::{Error, Uri};
use crate::storage::{ObjectWriter, Store};
use bytes::Bytes;
use domain::id::{OwnerId, RecordingId};
use domain::segment::{Name, Track};
use uuid::Uuid;

/// Bodies up to this length are collected and written with one request; longer ones are written in parts of it, of which
/// three are in memory. It is the least part that S3 takes.
const PART_BYTES: usize = 5 << 20;

/// One body on its way in. The store shows an object only when it is whole, so dropped before `commit` it leaves none.
pub(super) struct Incoming {
    store: Store,
    uri: Uri,
    key: String,
    body: Body,
}

enum Body {
    Small(Vec<u8>),
    Large(Box<ObjectWriter>),
}

impl Incoming {
    pub(super) async fn begin(
        store: Store,
        owner: &OwnerId,
        recording: &RecordingId,
        track: Track,
        name: Name,
        size_bytes: u64,
    ) -> Result<Incoming, Error> {
        let uri = Uri::in_store(owner.clone(), recording.clone(), track, name, Uuid::new_v4(), None);
        let key = uri.key().expect("what lies in the store has a key");
        // A sender that announces much and sends little takes no memory for it.
        let body = match size_bytes <= PART_BYTES as u64 {
            true => Body::Small(Vec::new()),
            false => Body::Large(Box::new(store.writer(&key, PART_BYTES).await?)),
        };
        Ok(Incoming { store, uri, key, body })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.body {
            Body::Small(collected) => collected.extend_from_slice(bytes),
            Body::Large(writer) => writer.write(Bytes::copy_from_slice(bytes)).await?,
        }
        Ok(())
    }

    /// Makes the object appear. The store has synced it when it answers.
    pub(super) async fn commit(self) -> Result<Uri, Error> {
        let Incoming { store, uri, key, body } = self;
        let written = match body {
            Body::Small(bytes) => store.put(&key, Bytes::from(bytes)).await,
            Body::Large(writer) => writer.close().await,
        };
        match written {
            Ok(meta) => {
                let Uri { recording, track, name, nonce, .. } = uri.clone();
                let super::Place::Store { owner, .. } = uri.place else { unreachable!("it was made in the store") };
                Ok(Uri::in_store(owner, recording, track, name, nonce, meta.etag))
            }
            Err(error) => {
                forget(store, key);
                Err(error.into())
            }
        }
    }
}

/// A write without an answer may have happened, and nobody will ask for its object. Best effort, and nobody waits for it:
/// a store that is away would keep the sender from its answer for as long again. What stays is found by `sweep`.
fn forget(store: Store, key: String) {
    tokio::spawn(async move {
        if let Err(error) = store.delete(std::slice::from_ref(&key)).await {
            tracing::debug!(storage.key = key, error = %error, "unanswered write not taken back");
        }
    });
}
