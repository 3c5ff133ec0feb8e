//! What a frame costs: one write, and only what has changed.

use crate::rows;
use domain::standing::Standing;
use std::cell::RefCell;
use std::io::{self, Write};
use std::num::NonZeroU16;
use std::rc::Rc;
use tui::app::{App, Effect, Msg, Place, Size, Start, update};
use tui::keys::Chord;
use tui::source::rows::JobPage;
use tui::source::told::{Body, Link, Reply, Told, Value};
use tui::source::{Ask, ask::Resource};
use tui::term::screen::Screen;
use tui::view;
use tui::view::theme::Theme;

/// Counts how often it is written to, and is a terminal.
struct Counting {
    writes: usize,
    screen: vt100::Parser,
}

/// The same, looked at while it is written to.
#[derive(Clone)]
struct Line(Rc<RefCell<Counting>>);

impl Line {
    fn new(size: Size) -> Line {
        Line(Rc::new(RefCell::new(Counting {
            writes: 0,
            screen: vt100::Parser::new(cells(size.rows), cells(size.cols), 0),
        })))
    }
}

fn cells(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut counting = self.0.borrow_mut();
        counting.writes += 1;
        counting.screen.process(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn app(size: Size) -> App {
    let place = Place::parse("jobs").unwrap();
    let (mut app, effects) = App::start(Start { place, size: Some(size), ..Start::default() });
    update(&mut app, Msg::Told(Told::Link(Link::Up { place: "db".into(), role: "spool_view".into() })));
    let generation = effects.iter().find_map(|effect| match effect {
        Effect::Ask(Ask::Watch(read)) if read.what.resource() == Resource::Jobs => Some(read.generation),
        _ => None,
    });
    let rows = (0..200).map(|n| rows::job(n, Standing::all().nth(n as usize % 9).unwrap())).collect();
    let page = JobPage { rows, next: None, window: None };
    let body = Body::Fresh(Value::Jobs(page));
    let (generation, resource, took) = (generation.unwrap(), Resource::Jobs, std::time::Duration::ZERO);
    update(&mut app, Msg::Told(Told::Reply(Reply { generation, resource, body, took, db_now: Some(rows::clock()) })));
    app
}

/// Bytes of a full frame, of the selection one row down, of a page down, and of nothing.
fn cost(size: Size) -> [usize; 4] {
    let out = Line::new(size);
    let mut app = app(size);
    let mut screen = Screen::new(out.clone(), size).unwrap();
    let mut draw = |app: &App| screen.draw(size, |frame| view::draw(app, Theme::default(), frame)).unwrap();
    let full = draw(&app);
    update(&mut app, Msg::Key(Chord::char('j')));
    let row = draw(&app);
    update(&mut app, Msg::Key(Chord::ctrl('f')));
    let page = draw(&app);
    let nothing = draw(&app);
    assert_eq!(out.0.borrow().writes, 3, "one write for each frame that changed something");
    [full, row, page, nothing]
}

#[test]
fn a_frame_is_one_write_of_what_has_changed() {
    let [full, row, page, nothing] = cost(Size { cols: 200, rows: 60 });
    assert!(full <= 15_000 && row <= 500 && page <= 7_000, "{full} {row} {page}");
    assert_eq!(nothing, 0);
    let [full, row, page, nothing] = cost(Size { cols: 80, rows: 24 });
    assert!(full <= 5_000 && row <= 700 && page <= 5_000, "{full} {row} {page}");
    assert_eq!(nothing, 0);
}

/// What a terminal makes of the bytes is what was drawn, frame after frame, whatever the size.
#[test]
fn a_terminal_shows_what_was_drawn() {
    let mut size = Size { cols: 80, rows: 24 };
    let mut app = app(size);
    let out = Line::new(size);
    let mut screen = Screen::new(out.clone(), size).unwrap();
    let keys = ["j", "ctrl-f", "G", "?", "esc", "/", "x", "esc", "4", "3", "2", "space", "s", "k"];
    let sizes = [(80, 24), (80, 24), (120, 40), (60, 16), (200, 60), (80, 24)];
    for (n, key) in keys.iter().cycle().take(80).enumerate() {
        let (cols, lines) = sizes[n / 5 % sizes.len()];
        if size != (Size { cols, rows: lines }) {
            size = Size { cols, rows: lines };
            out.0.borrow_mut().screen.screen_mut().set_size(cells(lines), cells(cols));
            update(&mut app, Msg::Resize(size));
        }
        update(&mut app, Msg::Key(Chord::parse(key).unwrap()));
        let mut drawn = String::new();
        let render = |frame: &mut ratatui::Frame<'_>| {
            view::draw(&app, Theme::default(), frame);
            drawn = text(frame.buffer_mut());
        };
        screen.draw(size, render).unwrap();
        let shown: Vec<String> =
            out.0.borrow().screen.screen().rows(0, cols).map(|row| row.trim_end().to_owned()).collect();
        assert_eq!(shown.join("\n"), drawn, "after {key} at {cols}×{lines}");
    }
}

fn text(buffer: &ratatui::buffer::Buffer) -> String {
    let area = buffer.area;
    let row = |y: u16| {
        let cells = (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        cells.trim_end().to_owned()
    };
    (0..area.height).map(row).collect::<Vec<_>>().join("\n")
}
