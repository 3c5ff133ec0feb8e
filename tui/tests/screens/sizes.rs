//! Any terminal is drawn into, however small, and a frame says nothing that the same frame did not say before.

use crate::console::Console;
use crate::frames;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::sync::LazyLock;
use tui::app::{Msg, Size};
use tui::view::{self, theme::Theme};

static FRAMES: LazyLock<Vec<frames::Frame>> = LazyLock::new(frames::all);

fn drawn(console: &Console, theme: Theme, cols: u16, rows: u16) {
    let mut terminal = Terminal::new(TestBackend::new(cols, rows)).unwrap();
    terminal.draw(|frame| view::draw(&console.app, theme, frame)).unwrap();
}

/// The sizes at which something changes, and the smallest there are.
#[test]
fn every_screen_is_drawn_at_every_edge() {
    for (_, theme, console) in FRAMES.iter() {
        for (cols, rows) in [
            (1, 1),
            (1, 60),
            (250, 1),
            (2, 2),
            (3, 3),
            (7, 7),
            (8, 8),
            (20, 5),
            (59, 15),
            (60, 16),
            (119, 30),
            (120, 8),
        ] {
            let mut console = console.clone();
            console.send(Msg::Resize(Size { cols, rows }));
            drawn(&console, *theme, cols, rows);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The terminal may have another size than it last said.
    #[test]
    fn no_size_is_refused(which in 0_usize..1_000, cols in 1_u16..=250, rows in 1_u16..=80, told in any::<bool>()) {
        let (_, theme, console) = &FRAMES[which % FRAMES.len()];
        let mut console = console.clone();
        if told {
            console.send(Msg::Resize(Size { cols, rows }));
        }
        drawn(&console, *theme, cols, rows);
    }
}
