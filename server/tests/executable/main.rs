//! The executable as an operator meets it: it is started, spoken to over its ports, and told to stop.

mod access;
mod clients;
mod commands;
#[cfg(feature = "dtls")]
mod dtls;
mod health;
mod operators;
mod reload;
mod server;
mod start;
mod stop;
mod streams;
