//! An engine and clients of the same library, in one process and under one clock that the test turns.

mod abuse;
mod certificates;
mod handshakes;
mod lifetimes;
mod memory;
mod names;
mod parking;
mod streams;
mod turns;
mod world;
