//! Plots made of characters, for terminals and for Markdown.
//!
//! A curve is drawn with braille, whose characters are two dots wide and four high. Below it lies the axis of
//! time, on which the onset and the end are marked, and what was not recorded.

use super::curve::Curve;
use super::scale::Scale;
use super::time_axis::{share_of, time_ticks};
use crate::model::{Gap, TimeRange, Timestamp};

/// Columns for the labels of values, and what separates them from the plot.
const LABELS: usize = 10;
/// Columns that a label of time takes, with space around it.
const TIME_LABEL: usize = 14;
/// The fewest columns that a curve gets.
const LEAST_COLUMNS: usize = 20;
/// Dots in a character.
const DOTS: (usize, usize) = (2, 4);
/// The bit of each dot in a braille character, by column and row from the top.
const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
/// Braille without a dot. It is as wide as the others in every font; a space need not be.
const BLANK: u32 = 0x2800;
/// Bars of eight heights, for a curve in one line.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is marked on the axis of time.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::report) struct Marks<'a> {
    /// When something began, and by how many milliseconds that may be off either way.
    pub onset: Option<(Timestamp, i64)>,
    /// When it was over.
    pub end: Option<Timestamp>,
    /// What was not recorded.
    pub gaps: &'a [Gap],
}

impl Marks<'_> {
    /// What the marks that are used mean; empty where there are none.
    pub(in crate::report) fn key(&self) -> String {
        let is_missing = self.gaps.iter().any(|gap| gap.healed_at.is_none());
        let meanings = [
            (self.onset.is_some(), "^ onset, = its uncertainty"),
            (self.end.is_some(), "$ end"),
            (is_missing, "~ not recorded"),
        ];
        let used = meanings.into_iter().filter(|(is_used, _)| *is_used).map(|(_, text)| text);
        used.collect::<Vec<_>>().join(", ")
    }
}

/// One plot of characters.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct TextPlot<'a> {
    /// The time on the axis.
    pub window: TimeRange,
    /// The axis of values.
    pub scale: Scale,
    /// What is marked on the axis of time.
    pub marks: Marks<'a>,
    /// Columns of the whole; at least 34 are used.
    pub width: usize,
    /// Lines of the curve, about: so many that all labels of values are equally far apart.
    pub rows: usize,
}

impl TextPlot<'_> {
    /// The lines of the plot: the curve, the axis of time with its marks, and its labels.
    pub(in crate::report) fn lines(&self, curve: &Curve) -> Vec<String> {
        let ticks = self.scale.ticks();
        Self { rows: even_rows(self.rows, ticks.len() - 1), ..*self }.labelled(curve, &ticks)
    }

    fn labelled(&self, curve: &Curve, ticks: &[(f64, String)]) -> Vec<String> {
        let columns = self.columns();
        let canvas = self.canvas(curve, columns);
        let mut labels = vec![String::new(); self.rows];
        for (value, label) in ticks {
            labels[self.row_of(*value) / DOTS.1].clone_from(label);
        }
        let mut lines: Vec<String> = labels
            .iter()
            .zip(canvas.chunks(columns))
            .map(|(label, row)| format!("{label:>LABELS$} ┤{}", text_of(row)))
            .collect();
        lines.push(format!("{:>LABELS$} └{}", "", self.axis(columns)));
        lines.push(format!("{:>LABELS$}  {}", "", self.time_labels(columns)));
        lines
    }

    fn columns(&self) -> usize {
        self.width.saturating_sub(LABELS + 2).max(LEAST_COLUMNS)
    }

    /// The row of dots in which a value lies, from the top.
    fn row_of(&self, value: f64) -> usize {
        let most = self.rows * DOTS.1 - 1;
        most - (self.scale.share(value) * most as f64).round() as usize
    }

    /// The characters of the curve, row by row.
    fn canvas(&self, curve: &Curve, columns: usize) -> Vec<char> {
        let mut bits = vec![0_u8; columns * self.rows];
        let most = columns * DOTS.0 - 1;
        let place = |at: Timestamp, value: f64| {
            ((share_of(self.window, at) * most as f64).round() as usize, self.row_of(value))
        };
        let mut set = |x: usize, y: usize| {
            bits[y / DOTS.1 * columns + x / DOTS.0] |= BITS[x % DOTS.0][y % DOTS.1];
        };
        for stretch in &curve.stretches {
            let points: Vec<_> = stretch.iter().map(|s| place(s.at, s.value)).collect();
            points.iter().for_each(|(x, y)| set(*x, *y));
            points.windows(2).for_each(|pair| connect(pair[0], pair[1], &mut set));
        }
        let mut canvas: Vec<char> = bits
            .into_iter()
            .map(|bits| char::from_u32(BLANK + u32::from(bits)).unwrap_or(' '))
            .collect();
        for sample in &curve.infinite {
            let column = place(sample.at, 0.0).0 / DOTS.0;
            let (row, mark) = if sample.value > 0.0 { (0, '▲') } else { (self.rows - 1, '▼') };
            canvas[row * columns + column] = mark;
        }
        canvas
    }

    /// The axis of time with marks: `┬` above each label, `^` the onset between `=` for its uncertainty, `$` the end, `~` where
    /// nothing was recorded.
    fn axis(&self, columns: usize) -> String {
        let mut axis = vec!['─'; columns];
        let column = |at: Timestamp| self.column(at, columns);
        for (at, _) in self.time_ticks(columns) {
            axis[column(at)] = '┬';
        }
        // A file of a stranger's may hold a gap that ends before it begins.
        let is_shown = |gap: &&Gap| gap.healed_at.is_none() && gap.range.start <= gap.range.end;
        for gap in self.marks.gaps.iter().filter(is_shown) {
            if gap.range.overlaps(&self.window) {
                axis[column(gap.range.start)..=column(gap.range.end)].fill('~');
            }
        }
        if let Some((onset, uncertainty)) = self.marks.onset {
            let (first, last) = (
                column(onset.saturating_add_millis(-uncertainty)),
                column(onset.saturating_add_millis(uncertainty)),
            );
            axis[first..=last].fill('=');
        }
        if let Some(end) = self.marks.end {
            axis[column(end)] = '$';
        }
        if let Some((onset, _)) = self.marks.onset {
            axis[column(onset)] = '^';
        }
        axis.into_iter().collect()
    }

    fn time_labels(&self, columns: usize) -> String {
        let mut line = vec![' '; columns];
        let mut free = 0;
        for (at, label) in self.time_ticks(columns) {
            let width = label.chars().count();
            let start = self.column(at, columns).saturating_sub(width / 2);
            let start = start.min(columns.saturating_sub(width));
            if start < free {
                continue;
            }
            line.splice(start..(start + width).min(columns), label.chars());
            free = start + width + 1;
        }
        line.into_iter().collect::<String>().trim_end().to_owned()
    }

    fn time_ticks(&self, columns: usize) -> Vec<(Timestamp, String)> {
        time_ticks(self.window, (columns / TIME_LABEL).max(1))
    }

    fn column(&self, at: Timestamp, columns: usize) -> usize {
        (share_of(self.window, at) * (columns - 1) as f64).round() as usize
    }
}

/// How many rows are nearest to `wanted` where `distances` between labels all take as many of them.
fn even_rows(wanted: usize, distances: usize) -> usize {
    let distances = distances.max(1);
    let each = (wanted.saturating_sub(1) + distances / 2) / distances;
    each.max(1) * distances + 1
}

/// Sets the dots between two points, both included.
fn connect(from: (usize, usize), to: (usize, usize), set: &mut impl FnMut(usize, usize)) {
    let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
    let between = |a: usize, b: usize, step: usize| {
        (a as f64 + (b as f64 - a as f64) * step as f64 / steps as f64).round() as usize
    };
    for step in 1..steps {
        set(between(from.0, to.0, step), between(from.1, to.1, step));
    }
}

/// The row without what is blank at its end.
fn text_of(row: &[char]) -> String {
    let text: String = row.iter().collect();
    text.trim_end_matches(char::from_u32(BLANK).unwrap_or(' ')).to_owned()
}

/// A curve in one line of `columns` characters on the same axes: the greatest value of each column, a blank
/// where there is none.
pub(in crate::report) fn sparkline(
    curve: &Curve,
    window: TimeRange,
    scale: Scale,
    columns: usize,
) -> String {
    let mut greatest: Vec<Option<f64>> = vec![None; columns.max(1)];
    let column = |at| (share_of(window, at) * (columns.max(1) - 1) as f64).round() as usize;
    let mut put = |column: usize, value: f64| {
        let held = greatest[column].map_or(value, |held| held.max(value));
        greatest[column] = Some(held);
    };
    for stretch in &curve.stretches {
        for pair in stretch.windows(2) {
            // Where a scrape takes several columns, they hold its value.
            (column(pair[0].at)..column(pair[1].at)).for_each(|at| put(at, pair[0].value));
        }
        stretch.iter().for_each(|sample| put(column(sample.at), sample.value));
    }
    let bar = |value: f64| BARS[(scale.share(value) * (BARS.len() - 1) as f64).round() as usize];
    let line: String = greatest.into_iter().map(|value| value.map_or(' ', bar)).collect();
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GapReason, Sample, Source};
    use crate::report::plot::Unit;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn samples(values: impl IntoIterator<Item = (i64, f64)>) -> Vec<Sample> {
        values.into_iter().map(|(second, value)| Sample { at: at(second), value }).collect()
    }

    fn plot<'a>(marks: Marks<'a>) -> TextPlot<'a> {
        TextPlot {
            window: TimeRange::new(at(0), at(60)),
            scale: Scale::new(0.0, 4.0, Unit::Plain, 3),
            marks,
            width: 42,
            rows: 3,
        }
    }

    #[test]
    fn time_is_real_a_gap_stays_open_and_the_onset_is_marked() {
        let gaps = [Gap {
            range: TimeRange::new(at(20), at(40)),
            source: Source::Prometheus,
            reason: GapReason::Timeout,
            detail: String::new(),
            healed_at: None,
        }];
        let taken: Vec<_> = (0..=4).chain(8..=12).map(|n| (n * 5, (n / 8 * 4) as f64)).collect();
        let marks = Marks { onset: Some((at(42), 4_000)), end: Some(at(55)), gaps: &gaps };
        let lines = plot(marks).lines(&Curve::new(&samples(taken), &gaps));
        assert_eq!(lines.len(), 5);
        assert!(lines[0].ends_with("⠉⠉⠉⠉⠉⠉⠉"), "{lines:#?}");
        assert_eq!(lines[1], "         2 ┤");
        assert!(lines[2].starts_with("         0 ┤⣀⣀⣀⣀") && !lines[2].contains('⠉'), "{lines:#?}");
        let blank = char::from_u32(BLANK).expect("it is a character");
        assert!(lines[0].chars().filter(|c| *c == blank).count() >= 18, "{lines:#?}");
        for mark in ['^', '=', '$', '~'] {
            assert!(lines[3].contains(mark), "{lines:#?}");
        }
    }

    #[test]
    fn labels_are_equally_far_apart() {
        for most in [2.0, 3.0, 4.0, 5.0, 7.0] {
            for rows in [6, 8] {
                let scale = Scale::new(0.0, most, Unit::Plain, 5);
                let plot = TextPlot { scale, rows, ..plot(Marks::default()) };
                let lines = plot.lines(&Curve::new(&samples([(0, 1.0), (60, 1.0)]), &[]));
                let labelled =
                    |line: &String| line.contains('┤') && !line.starts_with("           ");
                let at: Vec<usize> =
                    (0..lines.len()).filter(|row| labelled(&lines[*row])).collect();
                assert_eq!(at.len(), scale.ticks().len(), "{lines:#?}");
                let apart: Vec<usize> = at.windows(2).map(|two| two[1] - two[0]).collect();
                assert!(apart.iter().all(|one| *one == apart[0]), "{lines:#?}");
                assert!(lines.len().abs_diff(rows + 2) <= 2, "{lines:#?}");
            }
        }
    }

    #[test]
    fn a_gap_that_ends_before_it_begins_is_left_out() {
        let gaps = [Gap {
            range: TimeRange::new(at(40), at(20)),
            source: Source::Prometheus,
            reason: GapReason::Timeout,
            detail: String::new(),
            healed_at: None,
        }];
        let marks = Marks { onset: None, end: None, gaps: &gaps };
        let lines = plot(marks).lines(&Curve::new(&samples([(0, 1.0), (60, 1.0)]), &gaps));
        assert!(!lines[3].contains('~'), "{lines:#?}");
    }

    #[test]
    fn infinity_is_marked_and_not_bridged() {
        let values = (0..=12).map(|n| (n * 5, if n == 6 { f64::INFINITY } else { 2.0 }));
        let lines = plot(Marks::default()).lines(&Curve::new(&samples(values), &[]));
        assert!(lines[0].ends_with('▲'), "{lines:#?}");
        let blank = char::from_u32(BLANK).expect("it is a character");
        let drawn = lines[1].split('┤').nth(1).unwrap_or_default();
        assert!(drawn.trim_matches(blank).contains(blank), "{lines:#?}");
    }

    #[test]
    fn every_width_has_lines_no_longer_than_it() {
        let values = (0..=12).map(|n| (n * 5, n as f64 / 3.0));
        let curve = Curve::new(&samples(values), &[]);
        for width in [34, 80, 200] {
            for line in (TextPlot { width, ..plot(Marks::default()) }).lines(&curve) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_sparkline_shows_the_greatest_value_of_each_column() {
        let scale = Scale::new(0.0, 10.0, Unit::Plain, 2);
        let taken = samples([(0, 0.0), (10, 10.0), (20, 10.0), (30, 0.0), (40, 10.0)]);
        let line = sparkline(&Curve::new(&taken, &[]), TimeRange::new(at(0), at(40)), scale, 5);
        assert_eq!(line.chars().count(), 5, "{line}");
        assert!(line.starts_with('▁') && line.ends_with('█'), "{line}");
    }
}
