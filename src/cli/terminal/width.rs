//! The width of a terminal, and text in lines that fit it.
//!
//! What goes anywhere else, such as a pipe or a file, is not broken, so that a message stays one line.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

use crate::report::hanging;

/// The columns of a terminal that does not know its width.
const UNKNOWN: usize = 80;

/// The columns of the terminal that a stream goes to; `None` where it goes to none.
pub fn columns(stream: impl AsFd + IsTerminal) -> Option<usize> {
    let width = || tcgetwinsize(&stream).ok().map(|size| usize::from(size.ws_col));
    stream.is_terminal().then(|| width().filter(|&known| known > 0).unwrap_or(UNKNOWN))
}

/// A message as it is shown on a terminal of so many columns, without the end of its last line: broken at spaces,
/// further lines indented. Quoted commands are kept in one line where they fit.
pub fn shown(message: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return message.to_owned() };
    hanging(&kept_together(message, columns), columns, 2)
}

/// The lines of a text with styles (`ESC[1m`), each broken at spaces where it is longer than a line of the terminal.
/// Further lines are indented by two more columns than the line itself.
pub fn shown_lines(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    text.split('\n').map(|line| broken(line, columns)).collect::<Vec<_>>().join("\n")
}

fn broken(line: &str, columns: usize) -> String {
    if visible(line) <= columns {
        return line.to_owned();
    }
    let (indent, _) = line.split_at(line.len() - line.trim_start_matches(' ').len());
    let (mut text, mut used) = (indent.to_owned(), indent.len());
    for (place, word) in line[indent.len()..].split(' ').enumerate() {
        let length = visible(word);
        if place > 0 && used + 1 + length > columns {
            text.push_str(&format!("\n{indent}  "));
            used = indent.len() + 2;
        } else if place > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += length;
    }
    text
}

/// The number of characters of a text that are no style.
fn visible(text: &str) -> usize {
    let mut is_style = false;
    let mut counted = 0;
    for c in text.chars() {
        match (is_style, c) {
            (false, '\u{1b}') => is_style = true,
            (true, 'm') => is_style = false,
            (true, _) => {}
            (false, _) => counted += 1,
        }
    }
    counted
}

/// A message in which commands between backticks have no spaces at which a line is broken, unless they are longer
/// than a line.
fn kept_together(message: &str, columns: usize) -> String {
    let mut parts: Vec<String> = message.split('`').map(str::to_owned).collect();
    // A command stands between two backticks, so it has an odd place and is not the last part.
    let last = parts.len() - 1;
    for (place, part) in parts.iter_mut().enumerate() {
        if place % 2 == 1 && place < last && part.chars().count() + 6 < columns {
            *part = part.replace(' ', "\u{a0}");
        }
    }
    parts.join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_for_a_terminal_lines_are_broken() {
        let message = "hint: `operator runs --dir DIR` lists the runs";
        assert_eq!(shown(message, None), message);
        let broken = "hint:\n  `operator runs --dir DIR`\n  lists the runs";
        assert_eq!(shown(message, Some(30)), broken);
    }

    #[test]
    fn styles_take_no_columns() {
        let text = "\u{1b}[1merror:\u{1b}[0m one two\n\n  tip: three four\n";
        assert_eq!(shown_lines(text, None), text);
        let broken = "\u{1b}[1merror:\u{1b}[0m one\n  two\n\n  tip:\n    three\n    four\n";
        assert_eq!(shown_lines(text, Some(10)), broken);
        assert_eq!(shown_lines(text, Some(17)), text);
    }

    #[test]
    fn a_command_longer_than_a_line_is_broken_too() {
        let text = shown("try `operator runs --dir some/directory`, or not", Some(24));
        assert_eq!(text, "try `operator runs\n  --dir some/directory`,\n  or not");
        assert_eq!(shown("it`s one", Some(24)), "it`s one");
    }
}
