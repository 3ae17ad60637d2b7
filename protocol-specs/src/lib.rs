//! Requirements of each protocol as data, with a reader.
//!
//! The data are the `requirements*.toml` files beside this crate; `README.md` tells their format. The command
//! `report` holds them against the output of `cargo test`.

mod coverage;
mod requirements;
mod results;

pub use coverage::{Coverage, Proof};
pub use requirements::{Binds, KnownDifferent, Level, Requirements, RequirementsError, Statement};
pub use results::{Outcome, TestResults};
