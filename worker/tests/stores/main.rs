//! The object store and staging: one suite for every kind of store, and what a staging folder promises.

mod objects;
mod staged;
