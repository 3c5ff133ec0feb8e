//! What the application wants done: the run loop carries it out, and nothing else does.

use crate::source::Ask;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the source.
    Ask(Ask),
    /// Send text to the terminal's clipboard.
    Copy(String),
    /// Draw every cell again.
    Redraw,
    /// Stop like any program of the shell.
    Suspend,
    /// Leave.
    Quit,
}
