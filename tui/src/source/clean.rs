//! The only text that a view accepts.
//!
//! Made here, at the border, from whatever the database said; the rules are the same for the command line.

pub use domain::clean::Clean;
