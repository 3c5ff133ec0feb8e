//! What the store takes: each operation told with its outcome and time, its tries together, to whoever listens.

use super::{Error, Store};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// An operation on the store that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Reads an object or a range of it; of a stream only the way to its first bytes.
    Get,
    /// Writes an object at once.
    Put,
    /// Takes the next piece of an object: waits while earlier ones are on their way.
    Part,
    /// Makes the object appear whose pieces were taken.
    Finish,
    /// Copies an object on the server; elsewhere a copy is a get and a put.
    Copy,
    /// Looks at an object.
    Stat,
    /// Reads a page of a listing.
    List,
    /// Deletes up to a thousand objects.
    Delete,
}

impl Request {
    /// Each of them.
    pub const ALL: [Request; 8] = [
        Request::Get,
        Request::Put,
        Request::Part,
        Request::Finish,
        Request::Copy,
        Request::Stat,
        Request::List,
        Request::Delete,
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Request::Get => "get",
            Request::Put => "put",
            Request::Part => "part",
            Request::Finish => "finish",
            Request::Copy => "copy",
            Request::Stat => "stat",
            Request::List => "list",
            Request::Delete => "delete",
        }
    }
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOutcome {
    /// Well; a look that finds nothing went well too.
    Ok,
    /// There is no such object.
    NotFound,
    /// The store is away, slow or full.
    Unavailable,
    /// The store will say the same again: no permission, no bucket.
    Refused,
    /// The object is another one than it should be.
    Mismatch,
}

impl StoreOutcome {
    /// Each of them.
    pub const ALL: [StoreOutcome; 5] = [
        StoreOutcome::Ok,
        StoreOutcome::NotFound,
        StoreOutcome::Unavailable,
        StoreOutcome::Refused,
        StoreOutcome::Mismatch,
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            StoreOutcome::Ok => "ok",
            StoreOutcome::NotFound => "not_found",
            StoreOutcome::Unavailable => "unavailable",
            StoreOutcome::Refused => "refused",
            StoreOutcome::Mismatch => "mismatch",
        }
    }

    fn of<T>(done: &Result<T, Error>) -> StoreOutcome {
        match done {
            Ok(_) => StoreOutcome::Ok,
            Err(Error::NotFound { .. }) => StoreOutcome::NotFound,
            Err(Error::Unavailable { .. } | Error::Source { .. } | Error::Public { .. }) => StoreOutcome::Unavailable,
            Err(Error::Refused { .. } | Error::NoBucket { .. } | Error::Broken { .. }) => StoreOutcome::Refused,
            Err(Error::Short { .. } | Error::Changed { .. }) => StoreOutcome::Mismatch,
        }
    }
}

type Listener = Box<dyn Fn(Request, StoreOutcome, Duration) + Send + Sync>;

/// Who listens to a store and its clones; nobody by default.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<OnceLock<Listener>>);

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Store {
    /// Calls `listen` after each operation of this store and its clones; it must not block. The first one given stands.
    pub fn observe(&self, listen: impl Fn(Request, StoreOutcome, Duration) + Send + Sync + 'static) {
        let _ = self.watch.0.set(Box::new(listen));
    }

    /// Does it and tells how it went. What is dropped on the way is not told: nobody knows how it would have ended.
    pub(super) fn timed<T>(
        &self,
        request: Request,
        doing: impl Future<Output = Result<T, Error>>,
    ) -> impl Future<Output = Result<T, Error>> {
        // Beside a request to a store an allocation is nothing, and every future above this one stays small.
        let doing = Box::pin(doing);
        async move {
            let begun = Instant::now();
            let done = doing.await;
            if let Some(listen) = self.watch.0.get() {
                listen(request, StoreOutcome::of(&done), begun.elapsed());
            }
            done
        }
    }
}
