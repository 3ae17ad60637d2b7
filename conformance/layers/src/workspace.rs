use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The workspace and everything it is built from, as `cargo metadata` tells it for this machine.
#[derive(Debug)]
pub struct Workspace {
    /// The folder of the workspace.
    pub root: PathBuf,
    packages: BTreeMap<String, Package>,
    members: Vec<String>,
}

/// A crate, of the workspace or not.
#[derive(Debug)]
pub struct Package {
    /// Its name, as `Cargo.toml` writes it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its SPDX expression, if it states one.
    pub licence: Option<String>,
    /// The folder of its `Cargo.toml`.
    pub folder: PathBuf,
    /// What it depends on, directly.
    pub dependencies: Vec<Dependency>,
}

/// An edge from one crate to another.
#[derive(Debug)]
pub struct Dependency {
    id: String,
    /// In which ways, at least one.
    pub kinds: Vec<Kind>,
}

/// What a dependency is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The crate itself.
    Normal,
    /// Its build script.
    Build,
    /// Its tests.
    Dev,
}

impl Workspace {
    /// Asks cargo about the workspace this crate belongs to.
    pub fn load() -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let arguments = ["metadata", "--format-version", "1", "--filter-platform", &host()];
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned());
        let text = run(Command::new(cargo).args(arguments).current_dir(folder));
        let metadata: Value = serde_json::from_str(&text).expect("cargo metadata prints JSON");
        Self::read(&metadata).expect("cargo metadata has the documented fields")
    }

    /// The crates of the workspace.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.members.iter().filter_map(|id| self.packages.get(id))
    }

    /// The member with this name.
    pub fn member(&self, name: &str) -> Option<&Package> {
        self.members().find(|package| package.name == name)
    }

    /// The crate at the other end of a dependency.
    pub fn target(&self, dependency: &Dependency) -> &Package {
        &self.packages[&dependency.id]
    }

    /// What ends up in `package` or runs while it is built: the closure over normal and build dependencies.
    pub fn built_from(&self, package: &Package) -> Vec<&Package> {
        let mut found = BTreeMap::new();
        let mut open = vec![package];
        while let Some(package) = open.pop() {
            for dependency in package.dependencies.iter().filter(|dependency| dependency.is_built()) {
                let target = self.target(dependency);
                if found.insert(&dependency.id, target).is_none() {
                    open.push(target);
                }
            }
        }
        found.into_values().collect()
    }

    fn read(metadata: &Value) -> Option<Self> {
        let mut packages = BTreeMap::new();
        for package in metadata["packages"].as_array()? {
            packages.insert(text(&package["id"])?, Package::read(package)?);
        }
        for node in metadata["resolve"]["nodes"].as_array()? {
            let package = packages.get_mut(node["id"].as_str()?)?;
            for dependency in node["deps"].as_array()? {
                package.dependencies.push(Dependency::read(dependency)?);
            }
        }
        let members: Option<BTreeSet<_>> =
            metadata["workspace_members"].as_array()?.iter().map(text).collect();
        let root = PathBuf::from(metadata["workspace_root"].as_str()?);
        Some(Self { root, packages, members: members?.into_iter().collect() })
    }
}

impl Package {
    /// Whether the crate lies in `folder` of the workspace.
    pub fn is_in(&self, workspace: &Workspace, folder: &str) -> bool {
        self.folder.starts_with(workspace.root.join(folder))
    }

    fn read(package: &Value) -> Option<Self> {
        Some(Self {
            name: text(&package["name"])?,
            version: text(&package["version"])?,
            licence: text(&package["license"]),
            folder: Path::new(package["manifest_path"].as_str()?).parent()?.to_owned(),
            dependencies: Vec::new(),
        })
    }
}

impl Dependency {
    /// Whether it is needed beyond tests.
    pub fn is_built(&self) -> bool {
        self.kinds.iter().any(|kind| *kind != Kind::Dev)
    }

    fn read(dependency: &Value) -> Option<Self> {
        let kinds = dependency["dep_kinds"].as_array()?.iter().map(|kind| match kind["kind"].as_str() {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some(_) => Kind::Dev,
        });
        Some(Self { id: text(&dependency["pkg"])?, kinds: kinds.collect() })
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The target triple of this machine; without it cargo would want the crates of every platform.
fn host() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let text = run(Command::new(rustc).arg("-vV"));
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc tells its host").to_owned()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {complaint}");
    String::from_utf8(output.stdout).expect("cargo and rustc print UTF-8")
}
