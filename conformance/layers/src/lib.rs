//! Checks the layer table and the licences.
//!
//! The rules are the tests in `tests/`; here is what they read: the workspace as `cargo metadata` tells it, the
//! layer table of `ARCHITECTURE.md`, the licences of `deny.toml`, and the source files.

mod layers;
mod licence;
mod sources;
mod workspace;

pub use layers::{Layers, TableError};
pub use licence::Allowed;
pub use sources::{SourceFile, sources};
pub use workspace::{Dependency, Kind, Package, Workspace};
