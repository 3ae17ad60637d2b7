//! The tags above the tests and the tables in `protocol-specs` say the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use protocol_specs::Requirements;

/// A statement and a test that shows it.
type Shown = BTreeSet<(String, String, String)>;

#[test]
fn every_tag_is_listed_and_every_listing_has_its_tag() {
    let (tagged, listed) = (tagged(), listed());
    let unlisted: Vec<_> = tagged.difference(&listed).collect();
    let untagged: Vec<_> = listed.difference(&tagged).collect();
    assert!(unlisted.is_empty(), "tagged, not listed: {unlisted:#?}");
    assert!(untagged.is_empty(), "listed, not tagged: {untagged:#?}");
}

/// Version, statement and test of every listing of a test in `blackbox::mqtt`.
fn listed() -> Shown {
    let mut listed = Shown::new();
    for file in Requirements::all().unwrap().into_iter().filter(|file| file.protocol == "mqtt") {
        for statement in &file.statements {
            for test in statement.tests.iter().filter(|test| test.starts_with("blackbox::")) {
                listed.insert((file.version.clone(), statement.id.clone(), test.clone()));
            }
        }
    }
    listed
}

/// The same from the comments: `/// 3.1.1 [MQTT-3.1.0-2], 5 [MQTT-3.1.0-2]`; a tag without a version is for both.
fn tagged() -> Shown {
    let mut tagged = Shown::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackbox/mqtt");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        let source = fs::read_to_string(&path).unwrap();
        let both = source.split_once("for_both!(").and_then(|(_, rest)| rest.split_once(");"));
        let both: Vec<_> = both.map_or(vec![], |(names, _)| names.split(',').map(str::trim).collect());
        let mut comment = String::new();
        for line in source.lines() {
            if let Some(text) = line.strip_prefix("///") {
                comment = format!("{comment} {text}");
            } else if let Some(name) = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next()) {
                for (version, id) in tags(&comment) {
                    let of_version = format!("v{}::", version.replace('.', "_"));
                    let within = if both.contains(&name) { of_version } else { String::new() };
                    tagged.insert((version, id, format!("blackbox::mqtt::{module}::{within}{name}")));
                }
                comment.clear();
            } else if !line.starts_with("#[") {
                comment.clear();
            }
        }
    }
    tagged
}

fn tags(comment: &str) -> Vec<(String, String)> {
    let mut versions = vec!["3.1.1", "5"];
    let mut tags = Vec::new();
    for word in comment.split([' ', ',']) {
        match word {
            "3.1.1" => versions = vec!["3.1.1"],
            "5" => versions = vec!["5"],
            _ => {
                if let Some(id) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
                    tags.extend(versions.iter().map(|version| ((*version).to_owned(), id.to_owned())));
                }
            }
        }
    }
    tags
}
