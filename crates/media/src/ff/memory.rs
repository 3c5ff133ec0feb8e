//! How the C library hands memory out, which is where Rust and FFmpeg's libraries both have theirs from.
//!
//! Left alone, the GNU library gives up to eight times as many arenas as there are processors, one to each thread that
//! happens to allocate, and returns nothing of an arena whose end is in use; and whenever a large buffer is given back it
//! keeps all of that size and below from then on. A mux whose buffers go from thread to thread costs a third more for it,
//! a process that stays several times as much.

/// Arenas of the whole process: one is enough for what a mux allocates, two for threads that meet.
#[cfg(target_env = "gnu")]
const ARENAS: libc::c_int = 2;

/// A buffer of this length or more is mapped for itself and given back to the system at once: a segment, a part, a table.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES: libc::c_int = 256 << 10;

/// Bounds what this process keeps of the memory that it does not use. Called once, before there are threads; elsewhere
/// than with the GNU C library it does nothing.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn bound() {
    let settings =
        [(libc::M_ARENA_MAX, ARENAS), (libc::M_MMAP_THRESHOLD, MAPPED_BYTES), (libc::M_TRIM_THRESHOLD, MAPPED_BYTES)];
    for (name, value) in settings {
        // SAFETY: mallopt takes two numbers, locks what it changes and touches no memory of ours. A name or a value that
        // it does not know changes nothing, and then memory is handed out as before.
        unsafe { libc::mallopt(name, value) };
    }
}

/// Bounds nothing here.
#[cfg(not(target_env = "gnu"))]
pub fn bound() {}
