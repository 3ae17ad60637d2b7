use std::io::Write;
use std::process::Stdio;

use crate::server::{Room, outcome, watersmeet};

#[test]
fn check_tells_whether_the_configuration_is_good() {
    let room = Room::new();
    let good = room.write("good.toml", "[log]\nlevel = \"debug\"\n");
    let (said, _, code) = outcome(watersmeet().arg("check").arg("--config").arg(&good));
    assert_eq!((said, code), (format!("{}: good\n", good.display()), Some(0)));

    let bad = room.write("bad.toml", "[log]\nlevl = 1\n");
    let (_, said, code) = outcome(watersmeet().arg("check").arg("--config").arg(&bad));
    let fault = "unknown key \"levl\" in [log]; did you mean \"level\"?";
    assert_eq!((said, code), (format!("{}:2:1: {fault}\n", bad.display()), Some(1)));
}

#[test]
fn the_file_can_be_named_by_a_variable() {
    let room = Room::new();
    let file = room.write("w.toml", "[log]\nlevel = \"debug\"\n");
    let (said, _, code) =
        outcome(watersmeet().args(["config", "show", "--origin"]).env("WATERSMEET_CONFIG", &file));
    let line = format!("level = \"debug\"  # {}:2:9", file.display());
    assert!(code == Some(0) && said.lines().any(|shown| shown == line), "{said}");
}

#[test]
fn a_file_in_the_working_directory_is_not_read_by_itself() {
    let room = Room::new();
    room.write("watersmeet.toml", "nonsense");
    let (said, _, code) = outcome(watersmeet().arg("check").current_dir(room.path("")));
    assert_eq!((said.as_str(), code), ("the defaults: good\n", Some(0)));
}

#[test]
fn a_command_that_is_not_known_is_refused() {
    let (_, said, code) = outcome(watersmeet().arg("srve"));
    assert!(code == Some(2) && said.contains("serve"), "{said}");
    let (said, _, code) = outcome(watersmeet().arg("--version"));
    assert_eq!((said, code), (format!("watersmeet {}\n", env!("CARGO_PKG_VERSION")), Some(0)));
}

#[test]
fn passwd_prints_an_entry_that_the_server_takes() {
    let mut command = watersmeet();
    command.args(["passwd", "an\"n", "--superuser"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    let entry = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(!entry.contains("secret") && entry.contains("\"SCRAM-SHA-512$4096:"), "{entry}");

    let room = Room::new();
    let file = room.write("w.toml", &entry);
    let (_, fault, code) = outcome(watersmeet().arg("check").arg("-c").arg(&file));
    assert_eq!((fault.as_str(), code), ("", Some(0)));
}

#[test]
fn an_empty_password_is_refused() {
    let (said, fault, code) = outcome(watersmeet().args(["passwd", "ann"]));
    assert!(said.is_empty() && code == Some(1) && fault.contains("empty password"), "{fault}");
}
