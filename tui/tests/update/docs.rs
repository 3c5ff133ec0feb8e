//! What the documentation says about the keys is what the keys do.

use tui::keys::{Action, Chord, Group, Keymap, Layer};

const BEGIN: &str = "<!-- keys: held equal to keys.toml by a test -->\n";
const END: &str = "<!-- end of keys -->\n";

fn table() -> String {
    let keymap = Keymap::default();
    let mut text = "| Keys | Where | What they do |\n|---|---|---|\n".to_owned();
    for action in Action::ALL.iter().filter(|action| action.group() != Group::Type) {
        let keys = |layer| {
            let chords = keymap.chords(layer, *action);
            chords.iter().map(|chord: &Chord| format!("`{chord}`")).collect::<Vec<_>>().join(" ")
        };
        let (list, detail) = (keys(Layer::List), keys(Layer::Detail));
        let (keys, place) = match (list.is_empty(), detail.is_empty()) {
            (true, true) => (format!("`:{action}`"), "palette"),
            (false, true) => (list, "lists"),
            (true, false) => (detail, "details"),
            (false, false) => (list, "all screens"),
        };
        text += &format!("| {keys} | {place} | {} |\n", action.text());
    }
    text
}

#[test]
fn the_documented_keys_are_those_of_the_program() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/console.md");
    let document = std::fs::read_to_string(path).unwrap();
    let documented = document.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(table, _)| table);
    assert_eq!(documented, Some(table().as_str()), "put this into docs/console.md:\n{}", table());
}
