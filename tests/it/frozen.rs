//! Formats are promises: a capture that a released build wrote gives the same answers for ever.
//!
//! `data/format-1` holds a capture as build 41a79ac wrote it (sealed blocks, a journal, gaps, marks, a
//! sealed truth) and what that build answered. Neither is ever made anew; of one command the end is a millisecond
//! earlier, since `--to` has come to include its instant. The words of the timeline are what a
//! build makes of a capture, not what the capture says: they may become better.

use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

const ANSWERS: &str = include_str!("../../data/format-1/answers.jsonl");

/// One command line and what it printed.
#[derive(Deserialize)]
struct Answer {
    args: Vec<String>,
    exit: i32,
    answer: Value,
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_capture_of_format_1_answers_as_the_build_that_wrote_it() {
    let answers: Vec<Answer> = ANSWERS
        .lines()
        .map(|line| serde_json::from_str(line).expect("the answers are JSON lines"))
        .collect();
    assert!(answers.len() > 20);
    for Answer { args, exit, answer } in answers {
        let run = Command::new(env!("CARGO_BIN_EXE_operator"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(&args)
            .output()
            .expect("the program runs");
        let told = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(exit), "{args:?}: {told}");
        let now = serde_json::from_slice(&run.stdout).expect("the answer is JSON");
        if let Err(place) = holds(&answer, &now) {
            panic!("{args:?} differs at {place}");
        }
    }
}

/// Whether `now` says all that `then` said. Objects may have further keys by now.
fn holds(then: &Value, now: &Value) -> Result<(), String> {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => then.iter().try_for_each(|(key, value)| {
            if key == "text" && then.contains_key("evidence") {
                return Ok(());
            }
            let now = now.get(key).unwrap_or(&Value::Null);
            holds(value, now).map_err(|place| format!("{key}.{place}"))
        }),
        (Value::Array(then), Value::Array(now)) if then.len() == now.len() => {
            then.iter().zip(now).enumerate().try_for_each(|(index, (then, now))| {
                holds(then, now).map_err(|place| format!("{index}.{place}"))
            })
        }
        (then, now) if then == now => Ok(()),
        (then, now) => Err(format!(": {then} became {now}")),
    }
}

#[test]
fn an_answer_may_gain_keys_and_lose_nothing() {
    let then = serde_json::json!({"a": [1, {"b": "x"}]});
    assert_eq!(holds(&then, &serde_json::json!({"a": [1, {"b": "x", "c": 0}], "d": 1})), Ok(()));
    assert!(holds(&then, &serde_json::json!({"a": [1]})).is_err());
    assert!(holds(&then, &serde_json::json!({"a": [1, {"b": "y"}]})).is_err());
    let entry = |text| serde_json::json!({"text": text, "evidence": {"value": "1"}});
    assert_eq!(holds(&entry("7 -> 0"), &entry("10 -> 0")), Ok(()));
    let mark = |text| serde_json::json!({"text": text});
    assert!(holds(&mark("7 -> 0"), &mark("10 -> 0")).is_err());
}
