//! Tables of text: rows of cells in aligned columns.
//!
//! The words in the cells are the callers'.

use super::page::wrap;
use crate::model::{cut, escape};

/// The widest cell of a table, in characters: an error with the start of an answer fits.
const WIDEST_CELL: usize = 512;
/// Columns are padded to at most this width, so that one long cell does not pad every other row.
const WIDEST_PADDING: usize = 120;

/// How the columns of a table are aligned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alignment {
    /// All to the left, without spaces at the end of a line.
    Left,
    /// The first column to the left, the others to the right.
    NumbersRight,
}

/// Rows in columns two spaces apart, aligned to the left, without spaces at the end of a line. Every cell
/// is [escaped](escape) and cut to 512 characters.
pub fn table(rows: &[Vec<String>]) -> String {
    let shown = |cell: &String| cut(&escape(cell), WIDEST_CELL).into_owned();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    aligned(&rows, Alignment::Left, WIDEST_PADDING)
}

/// As [`table`], in lines of at most `width` columns where words allow: the last column is broken at spaces.
pub fn table_within(rows: &[Vec<String>], width: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default() + 2
    };
    let before: usize = (0..columns.saturating_sub(1)).map(widest).sum();
    let room = width.saturating_sub(before).max(20);
    let mut broken = Vec::new();
    for row in rows {
        let (last, first) = match row.split_last() {
            Some((last, first)) if row.len() == columns => (wrap(last, room), first),
            _ => (Vec::new(), row.as_slice()),
        };
        let mut lines = last.into_iter();
        broken.push(first.iter().cloned().chain(lines.next()).collect());
        broken.extend(lines.map(|line| {
            let empty = vec![String::new(); columns - 1];
            empty.into_iter().chain([line]).collect()
        }));
    }
    table(&broken)
}

/// Rows in columns two spaces apart: the first aligned to the left, the others, which are numbers, to the
/// right. Cells are escaped by the caller, and none is cut.
pub(super) fn table_of_numbers(rows: &[Vec<String>]) -> String {
    aligned(rows, Alignment::NumbersRight, usize::MAX)
}

fn aligned(rows: &[Vec<String>], alignment: Alignment, widest_padding: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default().min(widest_padding)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            let separator = if column == 0 { "" } else { "  " };
            let is_right = alignment == Alignment::NumbersRight && column > 0;
            let (before, after) = if is_right { (&*padding, "") } else { ("", &*padding) };
            line.extend([separator, before, cell, after]);
        }
        let line = if alignment == Alignment::Left { line.trim_end() } else { &line };
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_cell_does_not_pad_the_other_rows() {
        let row = |name: &str| vec![name.to_owned(), "1".to_owned()];
        let long = "x".repeat(100_000);
        let rows = [vec![row(&long)], vec![row("y"); 1_000]].concat();
        let text = table(&rows);
        assert!(
            text.len() < 2 * WIDEST_CELL + 1_000 * (WIDEST_PADDING + 8),
            "{} bytes",
            text.len()
        );
        assert_eq!(table(&[row("abc"), row("d")]), "abc  1\nd    1\n");
    }

    #[test]
    fn tables_escape_and_cut_their_cells() {
        let rows = [
            vec!["a\nb".to_owned(), "x".repeat(600)],
            vec!["c".to_owned(), "\u{1b}[2J".to_owned()],
        ];
        let text = table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("a\\nb  {}…", "x".repeat(WIDEST_CELL - 1)));
        assert_eq!(lines[1..], ["c     \\u{1b}[2J"]);
    }

    #[test]
    fn the_last_column_is_broken_where_lines_are_bounded() {
        let row = |name: &str, says: &str| vec![name.to_owned(), says.to_owned()];
        let rows = [row("a", "it is long and does not fit"), row("bc", "it does")];
        let broken = "a   it is long and does\n    not fit\nbc  it does\n";
        assert_eq!(table_within(&rows, 24), broken);
        assert_eq!(table_within(&rows, 80), table(&rows));
    }

    #[test]
    fn numbers_are_aligned_to_the_right() {
        let row = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
        assert_eq!(table_of_numbers(&[row("a", "1"), row("bcd", "10")]), "a     1\nbcd  10\n");
    }
}
