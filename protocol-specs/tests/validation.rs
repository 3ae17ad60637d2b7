//! The requirements are complete in themselves, and the tests they name exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use protocol_specs::Requirements;

#[test]
fn every_file_is_in_the_format_and_lies_in_the_folder_of_its_protocol() {
    let all = Requirements::all().unwrap();
    assert!(!all.is_empty());
    for requirements in &all {
        assert!(!requirements.statements.is_empty(), "{}", requirements.standard);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(&requirements.protocol);
        assert!(folder.is_dir(), "{} does not exist", folder.display());
    }
    let versions: BTreeSet<_> = all.iter().map(|file| (&file.protocol, &file.version)).collect();
    assert_eq!(versions.len(), all.len(), "two files for one version");
}

#[test]
fn every_statement_has_an_id_of_its_own_a_clause_and_a_wording() {
    for requirements in Requirements::all().unwrap() {
        let mut ids = BTreeSet::new();
        for statement in &requirements.statements {
            assert!(ids.insert(&statement.id), "{} is there twice", statement.id);
            assert!(!statement.id.trim().is_empty());
            assert!(!statement.clause.trim().is_empty(), "{} has no clause", statement.id);
            assert!(!statement.says.trim().is_empty(), "{} has no wording", statement.id);
            assert_eq!(statement.says.lines().count(), 1, "{} takes more than a line", statement.id);
        }
    }
}

#[test]
fn every_statement_of_mqtt_3_1_1_and_5_is_there() {
    let all = Requirements::all().unwrap();
    let count = |version| {
        let is_meant = |file: &&Requirements| file.protocol == "mqtt" && file.version == version;
        all.iter().find(is_meant).map(|file| file.statements.len())
    };
    assert_eq!(count("3.1.1"), Some(141));
    assert_eq!(count("5"), Some(251));
}

#[test]
fn every_test_a_statement_names_exists() {
    let targets = test_targets();
    let mut missing = Vec::new();
    for requirements in Requirements::all().unwrap() {
        let listed = requirements.statements.iter().flat_map(|statement| &statement.tests);
        let different = requirements.known_different.iter().map(|different| &different.test);
        missing.extend(listed.chain(different).filter(|test| !exists(test, &targets)).cloned());
    }
    missing.dedup();
    assert!(missing.is_empty(), "no such test: {missing:#?}");
}

/// Whether the target that `test` begins with has a function of the name it ends with.
fn exists(test: &str, targets: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let (Some((target, _)), Some((_, name))) = (test.split_once("::"), test.rsplit_once("::")) else {
        return false;
    };
    targets.get(target).is_some_and(|functions| functions.contains(name))
}

/// The functions in the sources of every crate and test target of the workspace, by the name cargo runs it under.
fn test_targets() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut targets = BTreeMap::new();
    for manifest in files(root, "Cargo.toml") {
        let text = fs::read_to_string(&manifest).unwrap();
        let mut functions = BTreeSet::new();
        for source in files(manifest.parent().unwrap(), ".rs") {
            let source = fs::read_to_string(source).unwrap();
            functions.extend(
                source
                    .split("fn ")
                    .skip(1)
                    .filter_map(|rest| rest.split(['(', '<']).next())
                    .map(str::to_owned),
            );
        }
        let names = text.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        let names = names.map(str::to_owned).chain(found_targets(manifest.parent().unwrap()));
        for name in names {
            let target: &mut BTreeSet<String> = targets.entry(name.replace('-', "_")).or_default();
            target.extend(functions.iter().cloned());
        }
    }
    targets
}

/// The test targets that cargo finds by itself: the files and folders in `tests`.
fn found_targets(package: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(package.join("tests")) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.unwrap().path().file_stem()?.to_str()?.to_owned()));
    names.collect()
}

/// The files under `folder` whose names end with `ending`; what was built is not looked at.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path, ending));
        } else if path.is_file() && name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}
