//! completeness.
