//! What lies over the screen and has the keyboard while it is there.

use super::Place;
use super::line::Line;
use crate::keys::Action;
use crate::source::clean::Clean;
use queue::operate::Command;
use std::time::Duration;

/// One thing over the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// The filter is being typed.
    Filter(Typing),
    /// A command is being typed or chosen.
    Palette(Palette),
    /// A question is to be answered.
    Confirm(Box<Confirm>),
    /// The help.
    Help {
        /// How many of its lines are above the screen.
        scroll: usize,
    },
}

/// A line being typed, with what is wrong with it so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Typing {
    /// The line.
    pub line: Line,
    /// Why it cannot be taken as it is.
    pub wrong: Option<Clean>,
    /// What the word at the cursor could become, best first.
    pub suggestions: Vec<String>,
}

/// The palette.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Palette {
    /// The line.
    pub line: Line,
    /// What fits to it, best first.
    pub choices: Vec<Choice>,
    /// Which of them is taken on enter.
    pub selected: usize,
    /// Why what was typed last could not be taken.
    pub wrong: Option<Clean>,
}

/// One line of the palette.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// What is typed for it.
    pub name: Clean,
    /// What it does.
    pub text: Clean,
    /// Its keys on the screen underneath; empty when it has none.
    pub keys: String,
    /// What follows.
    pub order: Order,
}

/// What the palette can do.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// What a key would do.
    Do(Action),
    /// Allow changes for so long.
    Arm(Duration),
    /// Put the selected job off for so long.
    Snooze(Duration),
    /// Go there.
    Go(Place),
}

/// A question before a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    /// The question.
    pub question: Clean,
    /// What it means.
    pub consequence: Clean,
    /// The command line that does the same.
    pub line: Option<Clean>,
    /// What is done on yes.
    pub command: Command,
}
