//! The health checks, run with a `PATH` that holds no more than a test puts there.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use tempfile::TempDir;

use super::folder;

/// PD's answer about a store that is Up and one that is not.
const STORES: &str = r#"{
  "stores": [
    { "store": {
        "address": "tikv0:20160",
        "state_name": "Up" } },
    { "store": {
        "address": "tikv1:20160",
        "state_name": "Disconnected" } } ] }
"#;

/// A directory for `PATH` that holds a shell and nothing else.
fn path() -> TempDir {
    let path = tempfile::tempdir().expect("a temporary directory");
    link(&path, "sh");
    link(&path, "cat");
    path
}

/// Puts a program of this machine into the directory.
fn link(path: &TempDir, program: &str) {
    symlink(installed(program), path.path().join(program)).expect("the directory is writable");
}

fn installed(program: &str) -> PathBuf {
    let all = std::env::var("PATH").expect("there is a PATH");
    let mut files = std::env::split_paths(&all).map(|folder| folder.join(program));
    files.find(|file| file.is_file()).expect("it is installed")
}

/// Puts a client into the directory that notes its arguments and does what `body` says.
fn stub(path: &TempDir, program: &str, body: &str) {
    let file = path.path().join(program);
    let notes = path.path().join("arguments");
    let text = format!("#!/bin/sh\necho {program} \"$@\" >> {}\n{body}\n", notes.display());
    fs::write(&file, text).expect("the directory is writable");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("the mode can be set");
}

fn answering(path: &TempDir, program: &str) {
    fs::write(path.path().join("answer"), STORES).expect("the directory is writable");
    stub(path, program, &format!("cat {}", path.path().join("answer").display()));
}

/// Runs a script for 6 s at most; 124 is the exit code of one that was ended.
fn run(path: &TempDir, script: &str, argument: &str, store: &str) -> Output {
    let mut command = Command::new(installed("timeout"));
    command.args(["6", "/bin/sh"]).arg(folder().join("health").join(script)).arg(argument);
    command.env("PATH", path.path()).env("STORE", store).output().expect("there is a shell")
}

fn store_up(path: &TempDir, store: &str) -> Output {
    run(path, "store-up.sh", "", store)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn any_client_of_the_image_will_do() {
    for client in ["curl", "wget", "busybox"] {
        let path = path();
        answering(&path, client);
        assert!(store_up(&path, "tikv0:20160").status.success(), "{client}");
        let down = store_up(&path, "tikv1:20160");
        assert_eq!((down.status.code(), said(&down).as_str()), (Some(1), ""), "{client}");
        let unknown = store_up(&path, "tikv2:20160");
        assert_eq!(unknown.status.code(), Some(1), "{client}");
        assert!(said(&unknown).contains("does not know the store tikv2:20160"), "{client}");
    }
}

#[test]
fn wget_tries_each_member_once_and_not_for_long() {
    let path = path();
    stub(&path, "wget", "exit 4");
    let output = store_up(&path, "tikv0:20160");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("no PD member answers"));
    let arguments = fs::read_to_string(path.path().join("arguments")).expect("it was called");
    let calls: Vec<&str> = arguments.lines().collect();
    assert_eq!(calls.len(), 3, "{arguments}");
    assert!(calls.iter().all(|call| call.contains(" -t 1 ") && call.contains(" -T 2 ")));
}

#[test]
fn an_image_without_any_client_is_told_what_is_missing() {
    let path = path();
    link(&path, "bash");
    for (script, code) in [("get.sh", 2), ("store-up.sh", 1)] {
        let output = run(&path, script, "http://127.0.0.1:1/", "tikv0:20160");
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert!(output.stdout.is_empty(), "{script}");
        let said = said(&output);
        for client in ["curl", "wget", "busybox", "bash", "timeout"] {
            assert!(said.contains(client), "{script}: {client} is not named: {said}");
        }
        assert!(!said.contains("no PD member answers"), "{script}: {said}");
    }
}

/// Serves one connection: `answer` is sent after the request; none leaves the client waiting.
fn serve(answer: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a client comes");
        let mut request = BufReader::new(connection.try_clone().expect("it can be shared")).lines();
        let mut line = || request.next().expect("a request comes").expect("it is read");
        assert_eq!(line(), "GET /pd/api/v1/stores HTTP/1.0");
        assert_eq!(line(), format!("Host: {address}"));
        assert_eq!(line(), "");
        match answer {
            Some(answer) => connection.write_all(answer.as_bytes()).expect("it is taken"),
            None => drop(request.next()),
        }
    });
    address
}

fn by_bash(address: SocketAddr) -> Output {
    let path = path();
    link(&path, "bash");
    link(&path, "timeout");
    run(&path, "get.sh", &format!("http://{address}/pd/api/v1/stores"), "")
}

#[test]
fn bash_alone_asks_as_well() {
    let answered = by_bash(serve(Some("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\n  \"a\": 1\n}")));
    assert_eq!(answered.status.code(), Some(0), "{}", said(&answered));
    assert_eq!(String::from_utf8_lossy(&answered.stdout), "{\n  \"a\": 1\n}\n");
    let refused = by_bash(serve(Some("HTTP/1.1 503 Service Unavailable\r\n\r\nno leader")));
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn bash_does_not_wait_for_a_silent_server() {
    assert_eq!(by_bash(serve(None)).status.code(), Some(1));
}

#[test]
fn scripts_need_no_more_than_the_shell() {
    for script in ["get.sh", "store-up.sh"] {
        let text = fs::read_to_string(Path::new(&folder()).join("health").join(script));
        let text = text.expect("it is there");
        for tool in ["awk", "sed", "grep", "jq"] {
            assert!(!text.contains(tool), "{script} needs {tool}");
        }
    }
}
