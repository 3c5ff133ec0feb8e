//! The process that takes in.
