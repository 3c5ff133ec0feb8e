//! Why a segment is not acknowledged.

use crate::{db, staging, storage};
use domain::id::Sha256;
use domain::recording::Closed;
use media::defect::Defect;
use thiserror::Error;

/// Why a segment is not acknowledged.
#[derive(Debug, Error)]
pub enum Refusal {
    /// There is no such recording.
    #[error("there is no such recording")]
    NoRecording,
    /// The recording takes nothing more.
    #[error(transparent)]
    Closed(Closed),
    /// A media segment whose track has no initialization section yet.
    #[error("the track's initialization section has not come yet")]
    NoInit,
    /// An index beyond the limit.
    #[error("index {index} is beyond the limit of {max}")]
    IndexTooHigh {
        /// The index.
        index: u32,
        /// The limit.
        max: u32,
    },
    /// A body beyond the limit.
    #[error("{size_bytes} bytes are more than {max_bytes}")]
    TooLarge {
        /// Its length.
        size_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The body is longer or shorter than announced.
    #[error("{came} bytes came instead of {announced}")]
    OtherLength {
        /// Length that was announced.
        announced: u64,
        /// Length that came.
        came: u64,
    },
    /// The body has another digest than announced.
    #[error("the body has the SHA-256 {came} instead of {announced}")]
    OtherDigest {
        /// Digest that was announced.
        announced: Sha256,
        /// Digest that came.
        came: Sha256,
    },
    /// The body is not a segment, or not one of this track.
    #[error(transparent)]
    Malformed(Defect),
    /// Other bytes have been acknowledged under this name.
    #[error("other bytes were acknowledged under this name: SHA-256 {known}, not {came}")]
    Conflict {
        /// Digest of those, `unknown` when another uploader wrote them.
        known: String,
        /// Digest of these.
        came: Sha256,
    },
    /// Too many requests change the same row at once.
    #[error("too many requests send this segment at once")]
    Busy,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] db::Error),
    /// The job could not be put in.
    #[error(transparent)]
    Enqueue(#[from] queue::enqueue::Error),
    /// The bytes could not be staged.
    #[error(transparent)]
    Staging(#[from] staging::Error),
    /// The store could not say whether it has the object.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl Refusal {
    /// The same bytes will be refused again, and nothing was acknowledged: nobody needs what was staged of them. A fault
    /// is no answer: the row may have been committed.
    pub fn is_final(&self) -> bool {
        match self {
            Refusal::NoRecording
            | Refusal::Closed(_)
            | Refusal::NoInit
            | Refusal::IndexTooHigh { .. }
            | Refusal::TooLarge { .. }
            | Refusal::OtherLength { .. }
            | Refusal::OtherDigest { .. }
            | Refusal::Malformed(_)
            | Refusal::Conflict { .. }
            | Refusal::Busy => true,
            Refusal::Database(_) | Refusal::Enqueue(_) | Refusal::Staging(_) | Refusal::Storage(_) => false,
        }
    }
}

impl From<Defect> for Refusal {
    fn from(defect: Defect) -> Refusal {
        Refusal::Malformed(defect)
    }
}
