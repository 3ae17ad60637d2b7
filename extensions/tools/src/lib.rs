//! The commands that are clients: `pub`, `sub` and `rr`, with the flags of mosquitto's clients, and `bench`.

mod bench;
mod connection;
mod exit;
mod format;
mod json;
mod output;
mod payload;
mod property;
mod publish;
mod request;
mod security;
mod subscribe;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The commands of this crate, by the word that names them.
pub const COMMANDS: [&str; 4] = ["pub", "sub", "rr", "bench"];

#[derive(Debug, Parser)]
#[command(name = "watersmeet", bin_name = "watersmeet", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(name = "pub")]
    Publish(Box<publish::Publish>),
    #[command(name = "sub")]
    Subscribe(Box<subscribe::Subscribe>),
    #[command(name = "rr")]
    Request(Box<request::Request>),
    Bench(Box<bench::Bench>),
}

/// Runs one of the [`COMMANDS`], if the second of these words names one; they are those of the whole command line.
pub fn run(words: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let words: Vec<OsString> = words.into_iter().collect();
    let name = words.get(1)?.to_str()?;
    COMMANDS.contains(&name).then_some(())?;
    let cli = Cli::parse_from(words::gathered(words));
    Some(match cli.command {
        Command::Publish(command) => exit::code("pub", command.is_quiet(), exit::block_on(command.run())),
        Command::Subscribe(command) => exit::code("sub", command.is_quiet(), exit::block_on(command.run())),
        Command::Request(command) => exit::code("rr", command.is_quiet(), exit::block_on(command.run())),
        Command::Bench(command) => exit::code("bench", command.is_quiet(), command.run()),
    })
}
