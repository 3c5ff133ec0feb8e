//! Colours and glyphs: the only place that knows either.
//!
//! Sixteen ANSI colours, so that the person's own palette decides how they look, and a mark or a word beside each of
//! them, so that nothing is told by colour alone. Must not: know a screen.

use ratatui::style::{Color, Modifier, Style};

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Colours may be used; without them (`NO_COLOR`) bold, dim, underlined and reversed remain.
    pub colour: bool,
    /// Characters beyond ASCII may be used.
    pub unicode: bool,
}

impl Default for Theme {
    fn default() -> Theme {
        Theme { colour: true, unicode: true }
    }
}

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Ordinary text.
    Plain,
    /// Less important than what is beside it: labels, units, ages.
    Faint,
    /// The name of what is shown.
    Strong,
    /// As it should be.
    Good,
    /// At work.
    Busy,
    /// Look at it when you have time.
    Warn,
    /// Look at it now.
    Bad,
    /// A key that can be pressed.
    Key,
    /// A key that changes something.
    Change,
    /// A heading over a list or a part.
    Head,
}

/// Where it is written, when a whole line has a ground of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ground {
    /// The line of the selection.
    Selected,
    /// The bar of a production environment.
    Production,
    /// The bar of an environment that rehearses production.
    Staging,
    /// The bar of a demo or a machine of one's own.
    Local,
    /// The bar of any other environment.
    Elsewhere,
    /// What is shown is not what is true now.
    Notice,
    /// The console may change things.
    Armed,
    /// The database cannot be reached.
    Lost,
}

impl Ground {
    /// The bar of an environment, by its name. An unknown name gets the bar that is neither calm nor loud.
    pub fn of(environment: &str) -> Ground {
        let name = environment.to_ascii_lowercase();
        if ["127.0.0.1", "::1"].iter().any(|host| name.contains(host)) {
            return Ground::Local;
        }
        let is = |words: &[&str]| {
            words.iter().any(|word| name.split(['-', '_', '.', ' ', '/', ':', '@']).any(|part| part == *word))
        };
        if is(&["prod", "production", "live"]) {
            Ground::Production
        } else if is(&["staging", "stage", "preprod", "test", "qa"]) {
            Ground::Staging
        } else if is(&["demo", "dev", "development", "local", "localhost"]) {
            Ground::Local
        } else {
            Ground::Elsewhere
        }
    }
}

impl Theme {
    /// What the terminal can show, by what it is told: `NO_COLOR` as any program is, and a locale without UTF-8 (the
    /// first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set) or a person's own wish for ASCII.
    pub fn of(no_colour: Option<&str>, locale: Option<&str>, ascii: bool) -> Theme {
        let utf8 = |locale: &str| {
            let name = locale.to_ascii_lowercase();
            name.ends_with("utf-8") || name.ends_with("utf8") || name.contains("utf-8@") || name.contains("utf8@")
        };
        Theme { colour: no_colour.is_none_or(str::is_empty), unicode: !ascii && locale.is_some_and(utf8) }
    }

    /// How a tone looks.
    pub fn tone(self, tone: Tone) -> Style {
        let plain = Style::new();
        let coloured = |colour: Color| if self.colour { plain.fg(colour) } else { plain };
        match tone {
            Tone::Plain => plain,
            Tone::Faint => plain.add_modifier(Modifier::DIM),
            Tone::Strong => plain.add_modifier(Modifier::BOLD),
            Tone::Good => coloured(Color::Green),
            Tone::Busy => coloured(Color::Cyan),
            Tone::Warn if self.colour => plain.fg(Color::Yellow),
            Tone::Warn => plain.add_modifier(Modifier::UNDERLINED),
            Tone::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Key => coloured(Color::Cyan).add_modifier(Modifier::BOLD),
            Tone::Change => coloured(Color::Magenta).add_modifier(Modifier::BOLD),
            Tone::Head => plain.add_modifier(Modifier::BOLD | Modifier::DIM),
        }
    }

    /// How a ground looks. It replaces the colours of what is written on it, because red on red says nothing.
    pub fn ground(self, ground: Ground) -> Style {
        if !self.colour {
            return Style::new().add_modifier(Modifier::REVERSED).remove_modifier(Modifier::DIM);
        }
        let (text, behind) = match ground {
            Ground::Selected => (Color::White, Color::Blue),
            Ground::Production => (Color::White, Color::Red),
            Ground::Staging | Ground::Notice => (Color::Black, Color::Yellow),
            Ground::Local => (Color::Black, Color::Green),
            Ground::Elsewhere => (Color::Black, Color::Cyan),
            Ground::Armed => (Color::Black, Color::Magenta),
            // Seen on the bar of any environment.
            Ground::Lost => (Color::Red, Color::White),
        };
        Style::new().fg(text).bg(behind).add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM)
    }

    /// What an old screen looks like: all of it recedes, nothing of it claims attention.
    pub fn old(self) -> Style {
        Style::new().fg(Color::Reset).bg(Color::Reset).add_modifier(Modifier::DIM).remove_modifier(Modifier::BOLD)
    }

    /// The glyph, or what stands for it in ASCII.
    pub fn glyph(self, glyph: Glyph) -> &'static str {
        let (unicode, ascii) = glyph.pair();
        if self.unicode { unicode } else { ascii }
    }
}

/// A mark of one cell. Each has a word beside it wherever it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Glyph {
    /// Alive, at work.
    Active,
    /// Half way.
    Half,
    /// May start at any moment.
    Open,
    /// Waits for something else.
    Dotted,
    /// Waits for a moment.
    Clock,
    /// Comes again.
    Again,
    /// Good end.
    Check,
    /// Bad end.
    Cross,
    /// Put away.
    Boxed,
    /// Stopped by a person.
    Barred,
    /// Gone.
    Void,
    /// Gave way, or was given back.
    Aside,
    /// Stands still because somebody said so.
    Paused,
    /// Attention.
    Alert,
    /// The selection's mark.
    Cursor,
    /// Between two things of one line.
    Dot,
    /// Something was left out.
    Ellipsis,
    /// A stretch between two ends.
    Dash,
    /// One inside another: where you are.
    Path,
    /// Horizontal line.
    Rule,
    /// Vertical line.
    Wall,
    /// A corner of a box, from the upper left on clockwise.
    Corner1,
    /// Upper right.
    Corner2,
    /// Lower right.
    Corner3,
    /// Lower left.
    Corner4,
    /// More above.
    Up,
    /// More below.
    Down,
    /// Multiplied.
    Times,
    /// Done part of a bar.
    BarDone,
    /// What is left of a bar.
    BarLeft,
    /// Strip: in the store.
    Stored,
    /// Strip: acknowledged, being brought into the store.
    Received,
    /// Strip: later than it should be.
    Late,
    /// Strip: never arrived.
    Missing,
    /// Strip: arrived and could not be kept.
    Lost,
}

impl Glyph {
    /// As Unicode and as ASCII. None of the former is drawn as an emoji, which would take two cells.
    const fn pair(self) -> (&'static str, &'static str) {
        match self {
            Glyph::Active => ("●", "*"),
            Glyph::Half => ("◐", "%"),
            Glyph::Open => ("○", "o"),
            Glyph::Dotted => ("◌", "."),
            Glyph::Clock => ("◷", "@"),
            Glyph::Again => ("↻", "~"),
            Glyph::Check => ("✓", "+"),
            Glyph::Cross => ("✗", "x"),
            Glyph::Boxed => ("▣", "="),
            Glyph::Barred => ("⊘", "-"),
            Glyph::Void => ("∅", "0"),
            Glyph::Aside => ("↷", ">"),
            Glyph::Paused => ("‖", "|"),
            Glyph::Alert => ("▲", "!"),
            Glyph::Cursor => ("▌", ">"),
            Glyph::Dot => ("·", "-"),
            Glyph::Ellipsis => ("…", "~"),
            Glyph::Dash => ("–", "-"),
            Glyph::Path => ("›", ">"),
            Glyph::Rule => ("─", "-"),
            Glyph::Wall => ("│", "|"),
            Glyph::Corner1 => ("┌", "+"),
            Glyph::Corner2 => ("┐", "+"),
            Glyph::Corner3 => ("┘", "+"),
            Glyph::Corner4 => ("└", "+"),
            Glyph::Up => ("↑", "^"),
            Glyph::Down => ("↓", "v"),
            Glyph::Times => ("×", "x"),
            Glyph::BarDone => ("█", "#"),
            Glyph::BarLeft => ("░", "."),
            Glyph::Stored => ("█", "#"),
            Glyph::Received => ("▒", "+"),
            Glyph::Late => ("░", "."),
            Glyph::Missing => ("╳", "?"),
            Glyph::Lost => ("✗", "x"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    const GLYPHS: [Glyph; 35] = [
        Glyph::Active,
        Glyph::Half,
        Glyph::Open,
        Glyph::Dotted,
        Glyph::Clock,
        Glyph::Again,
        Glyph::Check,
        Glyph::Cross,
        Glyph::Boxed,
        Glyph::Barred,
        Glyph::Void,
        Glyph::Aside,
        Glyph::Paused,
        Glyph::Alert,
        Glyph::Cursor,
        Glyph::Dot,
        Glyph::Ellipsis,
        Glyph::Dash,
        Glyph::Path,
        Glyph::Rule,
        Glyph::Wall,
        Glyph::Corner1,
        Glyph::Corner2,
        Glyph::Corner3,
        Glyph::Corner4,
        Glyph::Up,
        Glyph::Down,
        Glyph::Times,
        Glyph::BarDone,
        Glyph::BarLeft,
        Glyph::Stored,
        Glyph::Received,
        Glyph::Late,
        Glyph::Missing,
        Glyph::Lost,
    ];

    #[test]
    fn a_glyph_is_one_cell_wide_and_has_an_ascii_form() {
        for glyph in GLYPHS {
            let (unicode, ascii) = glyph.pair();
            assert_eq!((unicode.width(), ascii.len()), (1, 1), "{glyph:?}");
            assert!(ascii.is_ascii(), "{glyph:?}");
        }
    }

    #[test]
    fn an_environment_is_told_by_a_whole_word_of_its_name() {
        assert_eq!(Ground::of("prod-eu"), Ground::Production);
        assert_eq!(Ground::of("eu.production"), Ground::Production);
        assert_eq!(Ground::of("staging"), Ground::Staging);
        assert_eq!(Ground::of("demo"), Ground::Local);
        assert_eq!(Ground::of("127.0.0.1:42039/postgres"), Ground::Local);
        assert_eq!(Ground::of("product-lab"), Ground::Elsewhere, "not every word that begins so");
    }

    #[test]
    fn a_terminal_is_asked_by_its_environment() {
        for (no_colour, locale, ascii, want) in [
            (None, Some("en_US.UTF-8"), false, (true, true)),
            (Some("1"), Some("C.utf8"), false, (false, true)),
            (Some(""), Some("ca_ES.UTF-8@valencia"), false, (true, true)),
            (None, Some("C"), false, (true, false)),
            (None, None, false, (true, false)),
            (None, Some("en_US.UTF-8"), true, (true, false)),
        ] {
            let theme = Theme::of(no_colour, locale, ascii);
            assert_eq!((theme.colour, theme.unicode), want, "{no_colour:?} {locale:?} {ascii}");
        }
    }

    #[test]
    fn without_colour_no_style_names_one() {
        let theme = Theme { colour: false, unicode: true };
        let tones = [
            Tone::Plain,
            Tone::Faint,
            Tone::Strong,
            Tone::Good,
            Tone::Busy,
            Tone::Warn,
            Tone::Bad,
            Tone::Key,
            Tone::Change,
            Tone::Head,
        ];
        for tone in tones {
            assert_eq!((theme.tone(tone).fg, theme.tone(tone).bg), (None, None), "{tone:?}");
        }
        assert_eq!(theme.ground(Ground::Production).bg, None);
    }
}
