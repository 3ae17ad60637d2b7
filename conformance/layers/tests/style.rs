//! What a machine can see of the house style.

use std::fs;

use layers::{Package, SourceFile, Workspace, sources};

/// Half-done or switched-off code, each name in two parts so that this file is clean.
const UNFINISHED: [(&str, &str); 5] =
    [("todo", "!("), ("unimplemented", "!("), ("#[ig", "nore"), ("// TO", "DO"), ("// FIX", "ME")];

/// Type names that say nothing.
const EMPTY_NAMES: [&str; 4] = ["Manager", "Helper", "Util", "Utils"];

/// The one crate that may be unsafe.
const SPEAKS_TO_C: &str = "dtls-mbedtls";

fn all_sources(package: &Package) -> Vec<SourceFile> {
    ["src", "tests", "benches", "examples"]
        .iter()
        .flat_map(|part| sources(&package.folder.join(part)))
        .collect()
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let workspace = Workspace::load();
    for member in workspace.members() {
        let manifest = fs::read_to_string(member.folder.join("Cargo.toml")).unwrap();
        if member.name == SPEAKS_TO_C {
            assert!(manifest.contains("undocumented_unsafe_blocks = \"deny\"\n"));
            continue;
        }
        assert!(manifest.contains("[lints]\nworkspace = true\n"), "{} has lints of its own", member.name);
    }
}

#[test]
fn the_crates_without_clocks_and_sockets_have_the_same_clippy_rules() {
    let root = Workspace::load().root;
    let read = |folder: &str| fs::read_to_string(root.join(folder).join("clippy.toml")).unwrap();
    for folder in ["mqtt-core/bus", "mqtt-core/mqtt"] {
        assert_eq!(read(folder), read("gateways"), "{folder}/clippy.toml differs from gateways/clippy.toml");
    }
}

#[test]
fn what_parses_foreign_bytes_may_not_panic() {
    let workspace = Workspace::load();
    for name in ["mqtt", "mqtt-sn", "coap", "lwm2m", "stomp", "dtls-mbedtls"] {
        let member = workspace.member(name).unwrap_or_else(|| panic!("there is no crate {name}"));
        let library = fs::read_to_string(member.folder.join("src/lib.rs")).unwrap();
        for lint in ["unwrap_used", "expect_used", "indexing_slicing", "panic"] {
            assert!(library.contains(&format!("clippy::{lint}")), "{name}/src/lib.rs does not deny {lint}");
        }
    }
}

#[test]
fn a_source_file_has_at_most_600_lines() {
    let workspace = Workspace::load();
    let mut long = Vec::new();
    for file in workspace.members().flat_map(|member| sources(&member.folder.join("src"))) {
        let lines = file.text.lines().count();
        if lines > 600 {
            long.push(format!("{} has {lines} lines", file.path.display()));
        }
    }
    assert!(long.is_empty(), "split: {long:#?}");
}

#[test]
fn nothing_is_left_half_done() {
    let workspace = Workspace::load();
    let mut found = Vec::new();
    for file in workspace.members().flat_map(all_sources) {
        for (number, line) in file.text.lines().enumerate() {
            if UNFINISHED.iter().any(|(a, b)| line.contains(&format!("{a}{b}"))) {
                found.push(format!("{}:{}: {}", file.path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "half done: {found:#?}");
}

#[test]
fn names_say_what_a_thing_is() {
    let workspace = Workspace::load();
    let mut found = Vec::new();
    for file in workspace.members().flat_map(|member| sources(&member.folder.join("src"))) {
        for (number, line) in file.text.lines().enumerate() {
            if declares_an_empty_name(line) {
                found.push(format!("{}:{}: {}", file.path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "names without meaning: {found:#?}");
}

/// `fn get_…`, or a type whose name ends in one of [`EMPTY_NAMES`].
fn declares_an_empty_name(line: &str) -> bool {
    let mut words = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .skip_while(|word| !matches!(*word, "fn" | "struct" | "enum" | "trait"));
    match (words.next(), words.next()) {
        (Some("fn"), Some(name)) => name.starts_with("get_"),
        (Some(_), Some(name)) => EMPTY_NAMES.iter().any(|ending| name.ends_with(ending)),
        _ => false,
    }
}
