//! invariant.
