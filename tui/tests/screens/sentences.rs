//! Sentences that promise something.

use crate::console::Console;

fn screen(console: &Console) -> String {
    console.lines().join("\n")
}

/// It once said that enter would take a word as a place, and enter refused it.
#[test]
fn a_palette_says_what_enter_does() {
    for (line, before, after) in [
        ("nonsense", "Nothing that can be done here is called that.", "there is nothing here called nonsense"),
        ("remux", "Nothing that can be done here is called that.", "remux means nothing for what is selected"),
    ] {
        let mut console = Console::answered("jobs", 80, 24);
        console.keys(":");
        console.text(line);
        assert!(screen(&console).contains(before), "{}", screen(&console));
        console.keys("enter");
        assert!(screen(&console).contains(after), "{}", screen(&console));
        assert!(!screen(&console).contains(before), "{}", screen(&console));
    }
}

/// The moment a connection is lost nobody has tried again yet.
#[test]
fn a_loss_is_no_try() {
    let mut console = Console::answered("jobs", 80, 24);
    console.lose(3, 0);
    let header = console.lines().swap_remove(0);
    assert!(header.contains("DB LOST 00:03") && !header.contains("try"), "{header}");
    console.lose(1, 1);
    let header = console.lines().swap_remove(0);
    assert!(header.contains("DB LOST 00:01, try 1"), "{header}");
}
