//! Which key does what where: the one table behind keys, footer, help and palette.
//!
//! Owns [`Action`], [`Chord`] and the keymap read from `keys.toml`. Must not: know what an action does.

mod action;
mod chord;

pub use action::{Action, Group};
pub use chord::{Chord, Key};

use std::collections::BTreeMap;
use thiserror::Error;

/// What has the keyboard. A key is looked up in the layer, then in the layers under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// Always.
    Everywhere,
    /// Lists and details.
    Screen,
    /// A list.
    List,
    /// One recording or job.
    Detail,
    /// A line of text.
    Input,
    /// The palette: a line of text and a list under it.
    Palette,
    /// A question.
    Confirm,
    /// The help.
    Help,
}

impl Layer {
    /// All of them.
    pub const ALL: [Layer; 8] = [
        Layer::Everywhere,
        Layer::Screen,
        Layer::List,
        Layer::Detail,
        Layer::Input,
        Layer::Palette,
        Layer::Confirm,
        Layer::Help,
    ];

    /// Its name in key files.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Everywhere => "everywhere",
            Layer::Screen => "screen",
            Layer::List => "list",
            Layer::Detail => "detail",
            Layer::Input => "input",
            Layer::Palette => "palette",
            Layer::Confirm => "confirm",
            Layer::Help => "help",
        }
    }

    /// Where a key is looked up, in this order.
    pub fn stack(self) -> &'static [Layer] {
        match self {
            Layer::Everywhere => &[Layer::Everywhere],
            Layer::Screen => &[Layer::Screen, Layer::Everywhere],
            Layer::List => &[Layer::List, Layer::Screen, Layer::Everywhere],
            Layer::Detail => &[Layer::Detail, Layer::Screen, Layer::Everywhere],
            Layer::Input => &[Layer::Input, Layer::Everywhere],
            Layer::Palette => &[Layer::Palette, Layer::Everywhere],
            Layer::Confirm => &[Layer::Confirm, Layer::Everywhere],
            Layer::Help => &[Layer::Help, Layer::Everywhere],
        }
    }
}

/// A key file that cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// It is not TOML of the right shape.
    #[error("read keys: {0}")]
    Shape(String),
    /// No such layer.
    #[error("there is no layer {0}")]
    Layer(String),
    /// No such action in the layer.
    #[error("there is no action {action} in layer {layer}")]
    Action {
        /// The layer.
        layer: &'static str,
        /// The name.
        action: String,
    },
    /// No such key.
    #[error("there is no key {0}")]
    Chord(String),
    /// Two actions want one key.
    #[error("key {chord} of layer {layer} is both {first} and {second}")]
    Twice {
        /// The layer.
        layer: &'static str,
        /// The key.
        chord: Chord,
        /// The one.
        first: Action,
        /// The other.
        second: Action,
    },
}

/// The keys as they are delivered.
const DELIVERED: &str = include_str!("keys.toml");

/// Actions with their keys.
pub type Bindings = Vec<(Action, Vec<Chord>)>;

type Table = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// The keys of every layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap {
    bindings: BTreeMap<Layer, Bindings>,
}

impl Default for Keymap {
    fn default() -> Self {
        Keymap::load("").expect("the delivered keys are held by a test")
    }
}

impl Keymap {
    /// The delivered keys with a person's own on top: each action that `own` names has only the keys it gives there, and
    /// a key it takes is taken from whoever had it.
    ///
    /// # Errors
    /// `own` is no TOML, or names a layer, action or key that is not there, or one key twice.
    pub fn load(own: &str) -> Result<Keymap, Error> {
        let mut keymap = Keymap { bindings: BTreeMap::new() };
        for (layer, bindings) in read(DELIVERED)? {
            keymap.bindings.insert(layer, bindings);
        }
        for (layer, bindings) in read(own)? {
            let delivered = keymap.bindings.entry(layer).or_default();
            let taken: Vec<Chord> = bindings.iter().flat_map(|(_, chords)| chords.clone()).collect();
            for (_, chords) in delivered.iter_mut() {
                chords.retain(|chord| !taken.contains(chord));
            }
            for (action, chords) in bindings {
                match delivered.iter_mut().find(|(bound, _)| *bound == action) {
                    Some((_, keys)) => *keys = chords,
                    None => return Err(Error::Action { layer: layer.name(), action: action.name().to_owned() }),
                }
            }
        }
        Ok(keymap)
    }

    /// What a key does where `layer` has the keyboard.
    pub fn action(&self, layer: Layer, chord: Chord) -> Option<Action> {
        layer.stack().iter().find_map(|layer| {
            let bindings = self.bindings.get(layer)?;
            bindings.iter().find(|(_, chords)| chords.contains(&chord)).map(|(action, _)| *action)
        })
    }

    /// The keys of an action where `layer` has the keyboard; none when it has none there.
    pub fn chords(&self, layer: Layer, action: Action) -> Vec<Chord> {
        let bound = layer.stack().iter().filter_map(|layer| self.bindings.get(layer)).flatten();
        let chords = bound.filter(|(bound, _)| *bound == action).flat_map(|(_, chords)| chords.iter().copied());
        // What a nearer layer has for the key wins there, so it is not this action's.
        chords.filter(|chord| self.action(layer, *chord) == Some(action)).collect()
    }

    /// Every action that has a key where `layer` has the keyboard, with its keys, in the order of the help.
    pub fn bound(&self, layer: Layer) -> Bindings {
        let each = Action::ALL.iter().map(|action| (*action, self.chords(layer, *action)));
        each.filter(|(_, chords)| !chords.is_empty()).collect()
    }
}

fn read(text: &str) -> Result<Vec<(Layer, Bindings)>, Error> {
    let table: Table = toml::from_str(text).map_err(|error| Error::Shape(error.message().to_owned()))?;
    table.into_iter().map(|(layer, actions)| read_layer(&layer, actions)).collect()
}

fn read_layer(name: &str, actions: BTreeMap<String, Vec<String>>) -> Result<(Layer, Bindings), Error> {
    let layer = Layer::ALL.into_iter().find(|layer| layer.name() == name);
    let layer = layer.ok_or_else(|| Error::Layer(name.to_owned()))?;
    let mut bindings = Bindings::new();
    for (action, keys) in actions {
        let action = Action::parse(&action).ok_or(Error::Action { layer: layer.name(), action })?;
        let chords = keys.into_iter().map(|key| Chord::parse(&key).ok_or(Error::Chord(key)));
        let chords = chords.collect::<Result<Vec<Chord>, Error>>()?;
        for (first, bound) in &bindings {
            if let Some(chord) = bound.iter().find(|chord| chords.contains(chord)) {
                return Err(Error::Twice { layer: layer.name(), chord: *chord, first: *first, second: action });
            }
        }
        bindings.push((action, chords));
    }
    Ok((layer, bindings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_words_and_a_key_or_is_of_the_palette() {
        let keymap = Keymap::default();
        for action in Action::ALL {
            assert!(!action.text().is_empty() && !action.short().is_empty(), "{action} has no text");
            assert_eq!(Action::parse(action.name()), Some(*action), "two actions are called {action}");
            let bound = Layer::ALL.iter().any(|layer| !keymap.chords(*layer, *action).is_empty());
            assert!(bound != action.palette_only(), "{action}: either a key or only in the palette");
        }
    }

    #[test]
    fn what_changes_something_is_an_upper_case_letter_and_nothing_else_is_while_typing() {
        let keymap = Keymap::default();
        for action in Action::ALL.iter().filter(|action| action.changes()) {
            for chord in keymap.chords(Layer::List, *action) {
                assert!(matches!(chord.key, Key::Char(letter) if letter.is_ascii_uppercase()), "{action}: {chord}");
            }
            for layer in [Layer::Input, Layer::Palette, Layer::Confirm, Layer::Help] {
                assert_eq!(keymap.chords(layer, *action), [], "{action} while {} has the keys", layer.name());
            }
        }
    }

    #[test]
    fn a_persons_own_keys_replace_single_actions() {
        let keymap = Keymap::load("[screen]\nretry = [\"X\"]\n").unwrap();
        assert_eq!(keymap.action(Layer::List, Chord::char('X')), Some(Action::Retry));
        assert_eq!(keymap.action(Layer::List, Chord::char('R')), None);
        assert_eq!(keymap.chords(Layer::List, Action::Cancel), []);
        assert_eq!(keymap.action(Layer::List, Chord::char('P')), Some(Action::Pause));
    }

    #[test]
    fn a_wrong_key_file_says_what_is_wrong() {
        for (text, want) in [
            ("[lists]\n", "there is no layer lists"),
            ("[list]\nfly = [\"f\"]\n", "there is no action fly in layer list"),
            ("[list]\nretry = [\"R\"]\n", "there is no action retry in layer list"),
            ("[list]\nsort = [\"ctrl-\"]\n", "there is no key ctrl-"),
            ("[list]\nsort = [\"x\"]\nfilter = [\"x\"]\n", "key x of layer list is both filter and sort"),
        ] {
            assert_eq!(Keymap::load(text).unwrap_err().to_string(), want);
        }
        assert!(matches!(Keymap::load("list = 3"), Err(Error::Shape(_))));
    }
}
