//! Frames: what has changed between two drawings, in one write, between the marks of a synchronized update.

use crate::app::Size;
use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Rect, Size as Area};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use std::io::{self, Write};

/// Room for a full frame of a large terminal: 200 × 60 needs 15 KB.
const FRAME_BYTES: usize = 64 * 1024;

/// A terminal that is drawn on.
#[derive(Debug)]
pub struct Screen<W: Write> {
    terminal: Terminal<Canvas>,
    out: W,
}

impl<W: Write> Screen<W> {
    /// A screen of this size that nothing was drawn on yet.
    ///
    /// # Errors
    /// None that can be.
    pub fn new(out: W, size: Size) -> io::Result<Screen<W>> {
        let canvas = Canvas { bytes: Vec::with_capacity(FRAME_BYTES), size: area(size), cursor: Cursor::Hidden };
        let terminal = Terminal::with_options(canvas, TerminalOptions { viewport: Viewport::Fullscreen })?;
        Ok(Screen { terminal, out })
    }

    /// Draws a frame of this size, and writes what differs from the last one: nothing at all when nothing does. Tells how
    /// many bytes it wrote.
    ///
    /// # Errors
    /// The terminal does not take it.
    pub fn draw(&mut self, size: Size, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<usize> {
        let canvas = self.terminal.backend_mut();
        canvas.size = area(size);
        canvas.bytes.clear();
        queue!(canvas.bytes, BeginSynchronizedUpdate)?;
        let empty = canvas.bytes.len();
        self.terminal.draw(render)?;
        let canvas = self.terminal.backend_mut();
        if canvas.bytes.len() == empty {
            return Ok(0);
        }
        queue!(canvas.bytes, EndSynchronizedUpdate)?;
        self.out.write_all(&canvas.bytes)?;
        self.out.flush()?;
        Ok(canvas.bytes.len())
    }

    /// Forgets what is on the screen: the next frame writes every cell.
    ///
    /// # Errors
    /// None that can be.
    pub fn forget(&mut self) -> io::Result<()> {
        let canvas = self.terminal.backend_mut();
        canvas.cursor = Cursor::Unknown;
        // A size that no terminal has makes the next drawing a resize, and that clears.
        canvas.size = Area::ZERO;
        self.terminal.resize(Rect::ZERO)
    }

    /// Writes something that is no frame.
    ///
    /// # Errors
    /// The terminal does not take it.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }
}

fn area(size: Size) -> Area {
    Area::new(size.cols, size.rows)
}

/// Collects the bytes of one frame. The library's own backend flushes in the middle of a frame and writes 25 bytes for a
/// drawing without any change; this one writes neither.
#[derive(Debug)]
struct Canvas {
    bytes: Vec<u8>,
    size: Area,
    cursor: Cursor,
}

/// What the terminal's cursor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cursor {
    Unknown,
    Hidden,
    /// Shown, wherever the last cell was drawn.
    Shown,
    At(Position),
}

impl Canvas {
    fn plain(&mut self) -> CrosstermBackend<&mut Vec<u8>> {
        CrosstermBackend::new(&mut self.bytes)
    }
}

impl Backend for Canvas {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut content = content.peekable();
        if content.peek().is_none() {
            return Ok(());
        }
        if matches!(self.cursor, Cursor::At(_)) {
            self.cursor = Cursor::Shown;
        }
        self.plain().draw(content)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if self.cursor == Cursor::Hidden {
            return Ok(());
        }
        self.cursor = Cursor::Hidden;
        self.plain().hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if matches!(self.cursor, Cursor::Shown | Cursor::At(_)) {
            return Ok(());
        }
        self.cursor = Cursor::Shown;
        self.plain().show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // Asking the terminal would wait for its answer among the keys.
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let position = position.into();
        if self.cursor == Cursor::At(position) {
            return Ok(());
        }
        if self.cursor == Cursor::Shown || matches!(self.cursor, Cursor::At(_)) {
            self.cursor = Cursor::At(position);
        }
        self.plain().set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.plain().clear()
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.plain().clear_region(region)
    }

    fn size(&self) -> io::Result<Area> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size, pixels: Area::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
