//! What is printed to a terminal is broken at its width; what goes into a pipe stays one line a message.

use std::process::Command;

use super::program;

/// What the program prints, stdout and stderr, on a terminal of so many columns. `script` is part of every Debian and
/// Ubuntu (bsdutils).
fn on_a_terminal(columns: usize, arguments: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let shell = format!("stty cols {columns}; {} {arguments}", program().display());
    let mut command = Command::new("script");
    command.args(["-qec", &shell, "/dev/null"]).current_dir(folder.path()).env("NO_COLOR", "1");
    let output = command.output().expect("script is there");
    String::from_utf8(output.stdout).expect("it prints UTF-8").replace('\r', "")
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or_default()
}

#[test]
fn errors_and_hints_fit_the_terminal() {
    for arguments in [
        "replay nothing-of-this-name",
        "replay README.md --at yesterday-at-noon",
        "record --from -1h --to now --for 10m --pd http://127.0.0.1:1",
        "replay x --formt json",
        "doctor --pd http://127.0.0.1:1",
    ] {
        for columns in [50, 80] {
            let text = on_a_terminal(columns, arguments);
            assert!(text.contains("error: "), "{arguments}: {text}");
            assert!(widest(&text) <= columns.max(80), "{arguments}: {text}");
        }
        let text = on_a_terminal(50, arguments);
        let message = text.split_once("error: ").expect("it is there").1;
        assert!(widest(message) <= 50, "{arguments}: {text}");
    }
}

#[test]
fn a_message_in_a_pipe_is_one_line() {
    let output = Command::new(program()).args(["replay", "nothing-of-this-name"]).output();
    let errors = output.expect("the program starts").stderr;
    let errors = String::from_utf8(errors).expect("it prints UTF-8");
    let lines: Vec<&str> = errors.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with("hint: "), "{errors}");
    assert!(on_a_terminal(40, "replay nothing-of-this-name").lines().count() > 2);
}
