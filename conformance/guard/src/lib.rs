//! What a message and an idle connection cost, in numbers that do not depend on the machine's speed.
//!
//! [`paths`] are the main ways of a message through a whole server: bytes in, bytes out, without sockets, threads or a
//! clock; [`idle`] is what rests there. The tests count allocations, the program `guard` instructions; [`Budgets`] holds
//! what they may be.

mod budgets;
mod frames;
pub mod idle;
pub mod paths;
mod world;

pub use budgets::{Budget, Budgets, Verdict, is_storing};
pub use idle::Idle;
pub use paths::{Path, measured};
pub use world::{Speaks, World};
