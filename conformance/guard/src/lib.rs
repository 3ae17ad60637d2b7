//! What a message and an idle connection cost, in numbers that do not depend on the machine's speed.
//!
//! [`paths`] are the main ways of a message through a whole server: bytes in, bytes out, without sockets, threads or a
//! clock. The tests count their allocations, the program `guard` their instructions; [`Budgets`] holds what they may
//! be.

mod budgets;
mod frames;
pub mod paths;
mod world;

pub use budgets::{Budget, Budgets, Verdict, is_storing};
pub use paths::{Path, measured};
pub use world::{Speaks, World};
