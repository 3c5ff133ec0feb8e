//! Draws what a terminal shows: runs a program in one, types and waits as told, and writes the screen as SVG.
//!
//! `picture 100x26 STEP… -- PROGRAM ARGUMENT…`; a step is `wait:TEXT`, `type:KEYS` (with \r, \e), or `shot:FILE`.
//! The pictures of the documents are made with it (`make pictures`).

#![allow(clippy::unwrap_used, reason = "a picture that cannot be drawn ends here, with what was on the screen")]

#[path = "../tests/support/terminal.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod terminal;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use terminal::Terminal;

/// Size of a cell and of the letters in it, in pixels: about the proportions of every monospaced face.
const CELL: (f64, f64) = (8.4, 18.0);
const LETTER: f64 = 14.0;
/// Around the screen.
const MARGIN: f64 = 12.0;
/// A screen without anything new for so long is finished; what goes on by itself comes once a second.
const QUIET: Duration = Duration::from_millis(300);

const GROUND: &str = "#16181d";
const INK: &str = "#d4d7dd";
/// The sixteen colours of a terminal, chosen to be read on the ground.
const COLOURS: [&str; 16] = [
    "#2a2e37", "#e5636c", "#7fc383", "#dcb35c", "#6ea3e8", "#c08be0", "#58b8c4", "#c3c7cf", "#7d8594", "#ff8b92",
    "#a1e0a4", "#f2d07f", "#93c0ff", "#dcb0f7", "#7fdbe6", "#ffffff",
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let at = words.iter().position(|word| word == "--").expect("-- stands before the program");
    let (steps, program) = (&words[1..at], &words[at + 1..]);
    let (columns, rows) = words[0].split_once('x').expect("a size like 80x24");
    let (columns, rows) = (columns.parse().unwrap(), rows.parse().unwrap());
    let environment: Vec<(String, String)> = std::env::vars().filter(|(name, _)| name != "TERM").collect();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let arguments: Vec<&str> = program[1..].iter().map(String::as_str).collect();
    let mut terminal = Terminal::start(Path::new(&program[0]), &arguments, &environment, columns, rows);
    for step in steps {
        match step.split_once(':').expect("a step like wait:TEXT") {
            ("wait", text) => terminal.shows(text),
            ("type", keys) => terminal.type_in(&keys.replace("\\r", "\r").replace("\\e", "\x1b")),
            ("shot", file) => {
                terminal.until_quiet(QUIET);
                std::fs::write(file, terminal.ask(svg)).unwrap();
            }
            (other, _) => panic!("no such step: {other}"),
        }
    }
    terminal.type_in("\x03");
    terminal.ends_within(Duration::from_secs(10));
}

/// Cells of one row that look alike.
struct Run {
    column: u16,
    width: u16,
    text: String,
    look: Look,
}

#[derive(Clone, Copy, PartialEq)]
struct Look {
    ink: vt100::Color,
    ground: vt100::Color,
    bold: bool,
    dim: bool,
    underlined: bool,
}

fn look(cell: &vt100::Cell) -> Look {
    let (mut ink, mut ground) = (cell.fgcolor(), cell.bgcolor());
    if cell.inverse() {
        let or = |colour, other: usize| if colour == vt100::Color::Default { other_colour(other) } else { colour };
        (ink, ground) = (or(ground, 0), or(ink, 7));
    }
    Look { ink, ground, bold: cell.bold(), dim: cell.dim(), underlined: cell.underline() }
}

fn other_colour(index: usize) -> vt100::Color {
    vt100::Color::Idx(u8::try_from(index).unwrap())
}

fn colour(colour: vt100::Color, default: &str) -> String {
    match colour {
        vt100::Color::Default => default.to_owned(),
        vt100::Color::Idx(index) => COLOURS.get(usize::from(index)).copied().unwrap_or(default).to_owned(),
        vt100::Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
    }
}

fn svg(screen: &vt100::Screen) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let width = f64::from(columns) * CELL.0 + 2.0 * MARGIN;
    let height = f64::from(rows) * CELL.1 + 2.0 * MARGIN;
    let mut out = format!(
        "<svg shape-rendering=\"crispEdges\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"{LETTER}\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{GROUND}\"/>\n"
    );
    for row in 0..rows {
        for run in runs(screen, row, columns) {
            draw(&mut out, row, &run);
        }
    }
    out + "</svg>\n"
}

fn runs(screen: &vt100::Screen, row: u16, columns: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column).filter(|cell| !cell.is_wide_continuation()) else { continue };
        let (look, text) = (look(cell), if cell.has_contents() { cell.contents() } else { " " });
        let width = if cell.is_wide() { 2 } else { 1 };
        // A letter that is not of every face may be wider there: it gets a run of its own, and the others keep their place.
        let plain = text.is_ascii();
        match runs.last_mut() {
            Some(run) if run.look == look && plain && run.text.is_ascii() => {
                run.text += text;
                run.width += width;
            }
            _ => runs.push(Run { column, width, text: text.to_owned(), look }),
        }
    }
    runs
}

fn draw(out: &mut String, row: u16, run: &Run) {
    let (x, y) = (MARGIN + f64::from(run.column) * CELL.0, MARGIN + f64::from(row) * CELL.1);
    let width = f64::from(run.width) * CELL.0;
    let ink = colour(run.look.ink, INK);
    let mut rect = |x: f64, y: f64, width: f64, height: f64, fill: &str, opacity: f64| {
        writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{height:.1}\" fill=\"{fill}\" opacity=\"{opacity}\"/>"
        )
        .unwrap();
    };
    if run.look.ground != vt100::Color::Default {
        rect(x, y, width + 0.3, CELL.1, &colour(run.look.ground, GROUND), 1.0);
    }
    // Blocks are drawn, since letters leave seams between them.
    let block = match run.text.as_str() {
        "█" => Some((0.0, 1.0, 1.0)),
        "▓" => Some((0.0, 1.0, 0.75)),
        "▒" => Some((0.0, 1.0, 0.5)),
        "░" => Some((0.0, 1.0, 0.25)),
        "▌" => Some((0.0, 0.5, 1.0)),
        "▐" => Some((0.5, 0.5, 1.0)),
        _ => None,
    };
    if let Some((from, share, opacity)) = block {
        return rect(x + from * CELL.0, y + 1.5, share * CELL.0 + 0.3, CELL.1 - 3.0, &ink, opacity);
    }
    let text = run.text.trim_end();
    let indent = text.len() - text.trim_start().len();
    let text = text.trim_start();
    if text.is_empty() {
        return;
    }
    let letters = text.chars().count();
    let length = if run.text.is_ascii() { letters as f64 * CELL.0 } else { width };
    let attributes = [
        (run.look.bold, " font-weight=\"700\""),
        (run.look.dim, " opacity=\"0.6\""),
        (run.look.underlined, " text-decoration=\"underline\""),
    ];
    let attributes: String = attributes.iter().filter(|(on, _)| *on).map(|(_, text)| *text).collect();
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{ink}\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
         xml:space=\"preserve\"{attributes}>{escaped}</text>",
        x + indent as f64 * CELL.0,
        y + CELL.1 - 4.5,
    )
    .unwrap();
}
