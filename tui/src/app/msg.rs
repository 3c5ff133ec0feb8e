//! What the application is told: everything that can change it comes in as one of these.

use super::Size;
use crate::keys::Chord;
use crate::source::Told;
use std::time::Duration;

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Msg {
    /// The time since the start of the program. Comes before whatever happened then.
    Time(Duration),
    /// A key was pressed.
    Key(Chord),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this size now.
    Resize(Size),
    /// The terminal has got or lost the focus.
    Focus(bool),
    /// The source has something.
    Told(Told),
}
