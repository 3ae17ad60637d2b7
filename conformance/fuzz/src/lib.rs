//! Fuzz targets of every decoder, runnable as stable tests.
//!
//! A [`Target`] is a function over bytes that must neither panic, hang nor grow, and the valid inputs from which
//! mutation starts. `tests/smoke.rs` runs each of them for a moment with [`Mutator`]; `fuzz_targets/` hands the
//! same functions to libFuzzer.

mod conversation;
mod mutator;
mod target;
mod targets;

pub use mutator::Mutator;
pub use target::Target;
