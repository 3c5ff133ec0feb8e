//! What makes a type a job: its kind and the rules of the kind.
//!
//! Payload types live in `domain::job`; every payload there is a [`JobKind`].

use domain::job::{KindSpec, Payload};
use serde::de::DeserializeOwned;

/// A payload that the engine can claim, decode and hand to a handler.
pub trait JobKind: DeserializeOwned + Send + Sync + 'static {
    /// The newest payload version this build can read; rows of a newer one are left to newer workers.
    const SCHEMA_VER: i16 = 1;

    /// The rules of the kind. The same at every call.
    fn spec() -> KindSpec;
}

impl<P: Payload> JobKind for P {
    fn spec() -> KindSpec {
        P::KIND.spec()
    }
}
