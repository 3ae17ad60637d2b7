//! A crate uses only crates on lower layers, and what parses foreign bytes reaches no socket.

use layers::{Layers, Package, Workspace};

/// Crates that open sockets or turn an event loop.
const INPUT_OUTPUT: [&str; 14] = [
    "async-io",
    "async-net",
    "async-std",
    "axum",
    "hyper",
    "mio",
    "polling",
    "quinn",
    "quinn-udp",
    "smol",
    "socket2",
    "tokio",
    "tokio-rustls",
    "tokio-util",
];

fn table(workspace: &Workspace) -> Layers {
    let page = workspace.root.join("ARCHITECTURE.md");
    let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    Layers::parse(&text).unwrap_or_else(|error| panic!("{}: {error:?}", page.display()))
}

/// Conformance crates and the requirements are beside the layers: they may use everything.
fn is_layered(workspace: &Workspace, package: &Package) -> bool {
    !package.is_in(workspace, "conformance") && !package.is_in(workspace, "protocol-specs")
}

#[test]
fn the_layer_table_names_exactly_the_crates_there_are() {
    let workspace = Workspace::load();
    let table = table(&workspace);
    let unlisted =
        workspace.members().filter(|member| is_layered(&workspace, member)).map(|member| &member.name);
    let unlisted: Vec<_> = unlisted.filter(|name| table.of(name).is_none()).collect();
    let missing: Vec<_> = table.crates().filter(|name| workspace.member(name).is_none()).collect();
    assert!(unlisted.is_empty(), "not in the layer table: {unlisted:?}");
    assert!(missing.is_empty(), "in the layer table, not in the workspace: {missing:?}");
}

#[test]
fn a_crate_uses_only_crates_on_lower_layers() {
    let workspace = Workspace::load();
    let table = table(&workspace);
    let mut wrong = Vec::new();
    for user in workspace.members().filter(|member| is_layered(&workspace, member)) {
        for dependency in &user.dependencies {
            let used = workspace.target(dependency);
            let Some(member) = workspace.member(&used.name).filter(|member| member.folder == used.folder)
            else {
                continue;
            };
            let allowed = match is_layered(&workspace, member) {
                true => table.of(&used.name) < table.of(&user.name),
                false => !dependency.is_built(),
            };
            if !allowed {
                wrong.push(format!("{} uses {} ({:?})", user.name, used.name, dependency.kinds));
            }
        }
    }
    assert!(wrong.is_empty(), "against the layers: {wrong:#?}");
}

#[test]
fn what_parses_foreign_bytes_reaches_no_socket() {
    let workspace = Workspace::load();
    let table = table(&workspace);
    let mut wrong = Vec::new();
    for member in workspace.members().filter(|member| table.of(&member.name).is_some_and(|layer| layer <= 2))
    {
        let reached = workspace.built_from(member).into_iter().map(|package| package.name.as_str());
        wrong.extend(
            reached
                .filter(|name| INPUT_OUTPUT.contains(name))
                .map(|name| format!("{} -> {name}", member.name)),
        );
    }
    assert!(wrong.is_empty(), "input and output belong to net: {wrong:#?}");
}
