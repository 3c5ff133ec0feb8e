//! What must hold of everything that reads bytes of a stranger, whatever the bytes are.
//!
//! Each module is one target: its `check` takes any bytes and panics when a promise is broken. The fuzzers call it with
//! bytes that they make up, the tests of `media` with the corpora kept from that.

pub mod ebml;
pub mod index;
pub mod init;
pub mod layout;
pub mod memory;
pub mod readback;
pub mod salvage;
pub mod walk;
