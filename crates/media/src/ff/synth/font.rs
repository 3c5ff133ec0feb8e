//! Twelve glyphs for the readable clock: digits, colon and full stop, five columns by seven rows each.

/// Columns of a glyph.
pub(super) const COLUMNS: usize = 5;
/// Rows of a glyph.
pub(super) const ROWS: usize = 7;

/// Rows of a glyph from top to bottom, the leftmost pixel in bit 4. Characters we never write are empty.
pub(super) fn glyph(character: u8) -> [u8; ROWS] {
    match character {
        b'0' => [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110],
        b'1' => [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
        b'2' => [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111],
        b'3' => [0b11110, 0b00001, 0b00001, 0b01110, 0b00001, 0b00001, 0b11110],
        b'4' => [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
        b'5' => [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
        b'6' => [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
        b'7' => [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
        b'8' => [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
        b'9' => [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
        b':' => [0, 0b00100, 0b00100, 0, 0b00100, 0b00100, 0],
        b'.' => [0, 0, 0, 0, 0, 0b01100, 0b01100],
        _ => [0; ROWS],
    }
}

/// `HH:MM:SS.mmm` of a time in milliseconds; hours wrap at 100.
pub(super) fn clock(ms: u64) -> String {
    let (seconds, minutes) = (ms / 1000, ms / 60_000);
    format!("{:02}:{:02}:{:02}.{:03}", minutes / 60 % 100, minutes % 60, seconds % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_reads_as_wall_clock() {
        assert_eq!(clock(0), "00:00:00.000");
        assert_eq!(clock(3_723_042), "01:02:03.042");
    }

    #[test]
    fn glyphs_differ_from_each_other() {
        let all: std::collections::HashSet<_> = b"0123456789:.".iter().map(|&c| glyph(c)).collect();
        assert_eq!(all.len(), 12);
    }
}
