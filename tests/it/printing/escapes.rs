//! No command prints what a terminal obeys or a person does not see.

use super::program;
use testkit::hostile_files::{HOSTILE, HostileFiles, raw};

#[test]
fn no_command_prints_a_raw_character_of_a_hostile_capture() {
    let stage = HostileFiles::make();
    for arguments in stage.commands() {
        let mut command = stage.operator(program());
        let printed = command.args(&arguments).output().expect("the program starts");
        let code = printed.status.code();
        assert!(code.is_some_and(|code| code < 101), "{arguments:?} ends with {}", printed.status);
        for (name, bytes) in [("stdout", &printed.stdout), ("stderr", &printed.stderr)] {
            let raw = raw(bytes);
            let text = String::from_utf8_lossy(bytes);
            assert!(raw.is_empty(), "{arguments:?}: {raw:?} on {name} in {text}");
        }
    }
}

#[test]
fn what_is_escaped_is_still_told() {
    let stage = HostileFiles::make();
    let printed = |arguments: &[&str]| {
        let mut command = stage.operator(program());
        let (subcommand, rest) = arguments.split_first().expect("a subcommand");
        let output = command.arg(subcommand).arg(stage.capture()).args(rest).output();
        String::from_utf8(output.expect("the program starts").stdout).expect("it prints UTF-8")
    };
    for arguments in [
        &["show"][..],
        &["replay"],
        &["replay", "--format", "prompt"],
        &["query", "up"],
        &["query", "up", "--format", "csv"],
    ] {
        let text = printed(arguments);
        for escape in ["\\u{1b}]0;PWN", "\\u{202e}", "\\u{e0041}", "\\u{200b}", "\\r\\nFORGED"] {
            // Long lines break anywhere, escapes included.
            let joined: String = text.split_whitespace().collect();
            assert!(joined.contains(escape), "{arguments:?} does not tell {escape}: {text}");
        }
        assert!(text.contains('ß') && text.contains('日') && text.contains('🦀'), "{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&printed(&["show", "--format", "json"])).expect("it is JSON");
    assert_eq!(json["meta"]["subject"], HOSTILE);
    let csv = printed(&["query", "up", "--format", "csv"]);
    assert!(csv.contains(",'=x\\u{1b}") && !csv.contains(",=x"), "{csv}");
}
