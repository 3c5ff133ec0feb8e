//! Everything a person can do, once: its name in files and on the command line of the palette, the words of footer and
//! help. Keys are elsewhere, what it does is in `app::update`.

use domain::job::Verb as Wish;
use std::fmt;

/// Where in the help an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Moving about.
    Move,
    /// Which screen.
    Screen,
    /// What is shown and how.
    Show,
    /// What changes something; all of it needs arming.
    Change,
    /// Typing.
    Type,
    /// The program itself.
    Program,
}

impl Group {
    /// The heading in the help.
    pub fn title(self) -> &'static str {
        match self {
            Group::Move => "Move",
            Group::Screen => "Screens",
            Group::Show => "Look",
            Group::Change => "Change (needs arm)",
            Group::Type => "Type",
            Group::Program => "Program",
        }
    }
}

/// The enum, its list and its words from one table, so that none can be forgotten.
macro_rules! actions {
    ($($group:ident: $($action:ident $name:literal $short:literal $text:literal)+;)+) => {
        /// One thing a person can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $($(#[doc = $text] $action,)+)+
        }

        impl Action {
            /// All of them, in the order of the help.
            pub const ALL: &[Action] = &[$($(Action::$action,)+)+];

            /// Its name in key files and the palette.
            pub fn name(self) -> &'static str {
                match self { $($(Action::$action => $name,)+)+ }
            }

            /// One or two words for the footer.
            pub fn short(self) -> &'static str {
                match self { $($(Action::$action => $short,)+)+ }
            }

            /// One line for help and palette.
            pub fn text(self) -> &'static str {
                match self { $($(Action::$action => $text,)+)+ }
            }

            /// Where it stands in the help.
            pub fn group(self) -> Group {
                match self { $($(Action::$action => Group::$group,)+)+ }
            }
        }
    };
}

actions! {
    Move:
        Up "up" "up" "one row up"
        Down "down" "down" "one row down"
        PageUp "page-up" "page up" "one page up"
        PageDown "page-down" "page down" "one page down"
        HalfUp "half-up" "half up" "half a page up"
        HalfDown "half-down" "half down" "half a page down"
        Top "top" "top" "to the first row"
        Bottom "bottom" "bottom" "to the last row"
        Open "open" "open" "open what is selected"
        Back "back" "back" "back; on the first screen, leave"
        NextTab "next-tab" "next tab" "next tab"
        PreviousTab "previous-tab" "tab back" "previous tab"
        Recording "recording" "recording" "open the recording of this job";
    Screen:
        Recordings "recordings" "recordings" "recordings, those in trouble first"
        Jobs "jobs" "jobs" "jobs: what runs, waits, failed"
        Queues "queues" "queues" "queues: depth, pauses, limits"
        Workers "workers" "workers" "workers: what they run, when they were last heard of";
    Show:
        Filter "filter" "filter" "filter the list"
        Sort "sort" "sort" "sort by the next column"
        Freeze "freeze" "freeze" "hold the screen still; again to let it go on"
        Pace "pace" "pace" "how often to look: 1 s, 2 s, 5 s, 15 s, off"
        CopyCommand "copy-command" "copy command" "send the command line of this to the terminal's clipboard"
        CopyId "copy-id" "copy id" "send the selected id to the terminal's clipboard"
        Palette "palette" "command" "type a command, an action or a place"
        Help "help" "help" "what the keys do here";
    Change:
        Retry "retry" "retry" "retry a job that failed, was discarded or cancelled"
        RunNow "run-now" "run now" "run a waiting job now"
        Snooze "snooze" "snooze" "put a waiting job off, for 10 minutes or `:snooze 2h`"
        Cancel "cancel" "cancel" "cancel a job; a running one is asked to stop"
        Discard "discard" "discard" "give a waiting job up"
        Pause "pause" "pause" "pause a queue, or let it go on"
        Drain "drain" "drain" "let a worker finish what it runs and leave"
        Recheck "recheck" "check again" "check a recording again that failed or is being finished"
        Remux "remux" "make again" "make a recording's result again from the same segments"
        Reopen "reopen" "reopen" "let a recording take more segments"
        AcceptGaps "accept-gaps" "accept gaps" "finish a recording without what is missing"
        CancelRecording "cancel-recording" "give up" "give a recording up"
        Arm "arm" "arm" "allow changes, for 10 minutes or `:arm 1h`"
        Disarm "disarm" "disarm" "forbid changes again";
    Type:
        Submit "submit" "take" "take what was typed"
        Close "close" "close" "close this"
        Complete "complete" "complete" "complete the word"
        Left "left" "left" "one character left"
        Right "right" "right" "one character right"
        LineStart "line-start" "start" "to the start of the line"
        LineEnd "line-end" "end" "to the end of the line"
        Erase "erase" "erase" "erase before the cursor"
        EraseNext "erase-next" "erase" "erase at the cursor"
        EraseWord "erase-word" "erase word" "erase the word before the cursor"
        EraseLine "erase-line" "erase line" "erase up to the cursor"
        Yes "yes" "yes" "do it"
        No "no" "no" "leave it as it is";
    Program:
        Redraw "redraw" "redraw" "draw the whole screen again"
        Suspend "suspend" "suspend" "stop the program; the shell's fg brings it back"
        Quit "quit" "quit" "leave";
}

impl Action {
    /// The action of a name.
    pub fn parse(name: &str) -> Option<Action> {
        Action::ALL.iter().copied().find(|action| action.name() == name)
    }

    /// What it asks of a recording, if it does.
    pub fn wish(self) -> Option<Wish> {
        match self {
            Action::Recheck => Some(Wish::Recheck),
            Action::Remux => Some(Wish::Remux),
            Action::Reopen => Some(Wish::Reopen),
            Action::AcceptGaps => Some(Wish::AcceptGaps),
            Action::CancelRecording => Some(Wish::Cancel),
            _ => None,
        }
    }

    /// Reached through the palette only; needs no key.
    pub fn palette_only(self) -> bool {
        matches!(self, Action::Arm | Action::Disarm) || self.wish().is_some()
    }

    /// Changes something in the database, so it is dead while not armed.
    pub fn changes(self) -> bool {
        self.group() == Group::Change && !matches!(self, Action::Arm | Action::Disarm)
    }

    /// Can be chosen from the palette: what moves a cursor or types cannot.
    pub fn in_palette(self) -> bool {
        match self.group() {
            Group::Screen | Group::Show | Group::Change => self != Action::Palette,
            Group::Program => self != Action::Redraw,
            Group::Move => matches!(self, Action::Open | Action::Back | Action::Recording),
            Group::Type => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
