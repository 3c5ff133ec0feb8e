//! The frame counter in the picture: how it is drawn and how it is read back.
//!
//! **Geometry**, in proportion to the picture, so that a scaled picture reads the same. The strip is the top tenth of
//! the picture (`height / 10` rows), over the whole width, cut into [`CELLS`] = 36 cells; cell `i` covers the columns
//! `i * width / 36` up to, not including, `(i + 1) * width / 36` (integer division). A white cell (luma 235) is a 1,
//! a black cell (luma 16) is a 0:
//!
//! | Cell | Meaning |
//! |---|---|
//! | 0 | always white: with cell 1 it gives the reader its threshold |
//! | 1 | always black |
//! | 2 to 33 | the 32 bits of the counter, most significant first |
//! | 34 | parity: the exclusive or of the 32 bits |
//! | 35 | the opposite of cell 34, so that no evenly coloured strip can pass |
//!
//! Cells 3 and 4 of a counter are therefore bits 30 and 29. The reader averages the middle half of each cell in both
//! directions, which leaves out the edges that compression and scaling smear.

use std::ops::Range;

/// Cells in the strip.
pub const CELLS: usize = 36;

/// Luma of a white cell, the highest of the limited range.
pub const WHITE: u8 = 235;

/// Luma of a black cell, the lowest of the limited range.
pub const BLACK: u8 = 16;

/// Least distance between white and black that is still read: below it the picture is no counter of ours.
const CONTRAST_MIN: u32 = 64;

/// Height of the strip in rows, of a picture of `height` rows.
pub fn strip_height(height: usize) -> usize {
    height / 10
}

/// Columns of cell `cell` in a picture of `width` columns.
pub fn cell_columns(cell: usize, width: usize) -> Range<usize> {
    cell * width / CELLS..(cell + 1) * width / CELLS
}

/// The cells of a counter, white is true.
pub fn cells(counter: u32) -> [bool; CELLS] {
    let mut cells = [false; CELLS];
    cells[0] = true;
    for (bit, cell) in cells[2..34].iter_mut().enumerate() {
        *cell = counter >> (31 - bit) & 1 == 1;
    }
    cells[34] = counter.count_ones() % 2 == 1;
    cells[35] = !cells[34];
    cells
}

/// Draws the strip into a luma plane.
pub fn draw(luma: &mut [u8], stride: usize, width: usize, height: usize, counter: u32) {
    let Some(first) = luma.get_mut(..width) else { return };
    for (cell, white) in cells(counter).into_iter().enumerate() {
        first[cell_columns(cell, width)].fill(if white { WHITE } else { BLACK });
    }
    for row in 1..strip_height(height) {
        luma.copy_within(..width, row * stride);
    }
}

/// Reads the counter from a luma plane; `None` when the picture carries none or it is damaged.
pub fn read_counter(luma: &[u8], stride: usize, width: usize, height: usize) -> Option<u32> {
    let rows = strip_height(height);
    if rows < 4 || width < CELLS * 4 || stride < width || luma.len() < (rows - 1) * stride + width {
        return None;
    }
    let mean = |cell: usize| {
        let columns = cell_columns(cell, width);
        let margin = columns.len() / 4;
        let middle = columns.start + margin..columns.end - margin;
        let rows = rows / 4..rows - rows / 4;
        let pixels = (rows.len() * middle.len()) as u32;
        let sum: u32 =
            rows.map(|row| luma[row * stride..][middle.clone()].iter().map(|&y| u32::from(y)).sum::<u32>()).sum();
        sum / pixels
    };
    let (white, black) = (mean(0), mean(1));
    if white < black + CONTRAST_MIN {
        return None;
    }
    let threshold = (white + black) / 2;
    let bit = |cell: usize| u32::from(mean(cell) > threshold);
    let counter = (2..34).fold(0, |counter, cell| counter << 1 | bit(cell));
    let parity = counter.count_ones() % 2;
    (bit(34) == parity && bit(35) != parity).then_some(counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_reads_what_it_draws() {
        for (width, height, stride) in [(320, 180, 320), (640, 360, 704), (1920, 1080, 1984)] {
            for counter in [0, 1, 59, 0x8000_0000, 0x5555_5555, 0xdead_beef, u32::MAX] {
                let mut luma = vec![128; stride * height];
                draw(&mut luma, stride, width, height, counter);
                assert_eq!(read_counter(&luma, stride, width, height), Some(counter), "{width}x{height}");
            }
        }
    }

    #[test]
    fn counter_is_not_read_where_there_is_none() {
        let (width, height) = (640, 360);
        for grey in [0, 16, 128, 235, 255] {
            assert_eq!(read_counter(&vec![grey; width * height], width, width, height), None);
        }
        assert_eq!(read_counter(&[], width, width, height), None);
    }

    #[test]
    fn counter_with_any_one_cell_flipped_is_refused() {
        let (width, height) = (640, 360);
        for cell in 0..CELLS {
            let mut luma = vec![128; width * height];
            draw(&mut luma, width, width, height, 0xdead_beef);
            for row in 0..strip_height(height) {
                for y in &mut luma[row * width..][cell_columns(cell, width)] {
                    *y = BLACK + WHITE - *y;
                }
            }
            assert_eq!(read_counter(&luma, width, width, height), None, "cell {cell}");
        }
    }
}
