//! Everything the workspace is built from may be shipped under Apache-2.0.

use std::collections::BTreeSet;
use std::fs;

use layers::{Allowed, Workspace};

/// Families of licences that ask for more than a notice.
const NEVER: [&str; 9] = ["AGPL", "BUSL", "CDDL", "EPL", "EUPL", "GPL", "LGPL", "MPL", "SSPL"];

fn allowed(workspace: &Workspace) -> Allowed {
    let page = fs::read_to_string(workspace.root.join("deny.toml")).expect("deny.toml can be read");
    Allowed::parse(&page).expect("deny.toml lists the licences that are allowed")
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let workspace = Workspace::load();
    let allowed = allowed(&workspace);
    let mut wrong = BTreeSet::new();
    for package in workspace.members().flat_map(|member| workspace.built_from(member)) {
        let licence = package.licence.as_deref().unwrap_or("no licence expression");
        if !allowed.permits(licence) {
            wrong.insert(format!("{} {}: {licence}", package.name, package.version));
        }
    }
    assert!(wrong.is_empty(), "not allowed by deny.toml: {wrong:#?}");
}

#[test]
fn no_licence_is_allowed_that_asks_for_more_than_a_notice() {
    let allowed = allowed(&Workspace::load());
    let wrong: Vec<_> =
        allowed.names().filter(|name| NEVER.iter().any(|family| name.starts_with(family))).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
