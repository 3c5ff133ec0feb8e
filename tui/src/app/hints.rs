//! What may be done here and now, with its keys: the footer, the help and the palette show nothing else.

use super::{App, Screen};
use crate::keys::{Action, Chord, Group};

/// One key of the footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The key.
    pub key: String,
    /// One or two words.
    pub word: &'static str,
    /// It changes something.
    pub changes: bool,
}

/// One line of the help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelpLine {
    /// The heading of a group.
    Title(&'static str),
    /// What keys do.
    Keys {
        /// All of them.
        keys: String,
        /// What they do.
        text: &'static str,
        /// It can be done now, here.
        applies: bool,
    },
}

/// What the footer offers, most wanted first: a narrow terminal cuts the end off.
const FOOTER: [Action; 21] = [
    Action::Open,
    Action::Retry,
    Action::RunNow,
    Action::Cancel,
    Action::Pause,
    Action::Drain,
    Action::Filter,
    Action::NextTab,
    Action::Recording,
    Action::Recordings,
    Action::Jobs,
    Action::Queues,
    Action::Workers,
    Action::Help,
    Action::Back,
    Action::Palette,
    Action::Freeze,
    Action::Snooze,
    Action::Discard,
    Action::Sort,
    Action::Pace,
];

impl App {
    /// The action means something on this screen with what is selected. What changes something may still be refused: see
    /// [`App::may_change`].
    pub fn applies(&self, action: Action) -> bool {
        if action.changes() {
            return self.command(action).is_some();
        }
        match action {
            Action::Open => self.leads_to().is_some(),
            Action::Filter => matches!(self.screen, Screen::Recordings | Screen::Jobs),
            Action::Sort => self.screen.is_list(),
            Action::NextTab | Action::PreviousTab => !self.screen.is_list(),
            Action::Recording => self.recording_of_job().is_some(),
            Action::CopyId => self.chosen_id().is_some(),
            Action::Recordings => self.screen != Screen::Recordings,
            Action::Jobs => self.screen != Screen::Jobs,
            Action::Queues => self.screen != Screen::Queues,
            Action::Workers => self.screen != Screen::Workers,
            Action::Arm => self.armed_for().is_none(),
            Action::Disarm => self.armed_for().is_some(),
            _ => true,
        }
    }

    /// Changes are possible: armed, connected, and nothing else has the keyboard.
    pub fn may_change(&self) -> bool {
        self.armed_for().is_some() && self.is_up() && self.overlay.is_none()
    }

    /// The keys for the footer, most wanted first.
    pub fn footer(&self) -> Vec<Hint> {
        let layer = self.layer();
        if self.overlay.is_some() {
            let bound = self.keys.bound(layer).into_iter();
            let wanted = bound.filter(|(action, _)| {
                matches!(action, Action::Submit | Action::Close | Action::Complete | Action::Yes | Action::No)
            });
            return wanted.map(|(action, chords)| self.hint(action, chords[0])).collect();
        }
        let shown = FOOTER.into_iter().filter(|action| self.applies(*action));
        // A change that cannot be made now is no offer.
        let shown = shown.filter(|action| !action.changes() || self.may_change());
        let keyed = shown.filter_map(|action| Some((action, *self.keys.chords(layer, action).first()?)));
        keyed.map(|(action, chord)| self.hint(action, chord)).collect()
    }

    fn hint(&self, action: Action, chord: Chord) -> Hint {
        let word = match action {
            Action::Back if self.is_home() => "quit",
            Action::Pause if matches!(self.command(action), Some(queue::operate::Command::Resume(_))) => "resume",
            Action::Freeze if self.frozen.is_some() => "go on",
            other => other.short(),
        };
        Hint { key: chord.to_string(), word, changes: action.changes() }
    }

    /// The help of the screen underneath.
    pub fn help(&self) -> Vec<HelpLine> {
        let layer = self.screen_layer();
        let mut lines = Vec::new();
        let mut last: Option<Group> = None;
        for (action, chords) in self.keys.bound(layer) {
            if last != Some(action.group()) {
                last = Some(action.group());
                lines.push(HelpLine::Title(action.group().title()));
            }
            let keys = chords.iter().map(Chord::to_string).collect::<Vec<_>>().join(" ");
            lines.push(HelpLine::Keys { keys, text: action.text(), applies: self.applies(action) });
        }
        lines
    }

    /// `back` leaves the program.
    pub fn is_home(&self) -> bool {
        self.trail.is_empty()
    }
}
