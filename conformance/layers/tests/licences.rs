//! Everything the workspace is built from may be shipped under Apache-2.0.

use std::collections::BTreeSet;

use layers::{Workspace, is_permissive};

#[test]
fn every_dependency_is_permissively_licensed() {
    let workspace = Workspace::load();
    let mut wrong = BTreeSet::new();
    for package in workspace.members().flat_map(|member| workspace.built_from(member)) {
        let licence = package.licence.as_deref().unwrap_or("no licence expression");
        if !is_permissive(licence) {
            wrong.insert(format!("{} {}: {licence}", package.name, package.version));
        }
    }
    assert!(wrong.is_empty(), "not permissive: {wrong:#?}");
}
