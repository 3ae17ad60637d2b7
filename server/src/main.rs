//! The executable `watersmeet`: reads the configuration, opens the listeners and serves.

mod ask;
mod authz;
mod banner;
mod certificates;
mod cli;
mod config;
mod engine;
mod files;
mod health;
mod http;
mod listeners;
mod log;
mod metrics;
mod offering;
mod oscore;
mod parked;
mod passwd;
mod psk;
mod registry;
mod reload;
mod serve;
mod watch;
mod why;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use cli::{AuthzCommand, Cli, Command, ConfigCommand};
use config::{Detail, Loaded, Problems};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(code) = tools::run(std::env::args_os()) {
        return code;
    }
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A fault of the configuration begins with its place, for editors to jump to.
            let text = match error.downcast::<Problems>() {
                Ok(problems) => problems.to_string(),
                Err(error) => format!("watersmeet: {error:#}"),
            };
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let source = Source::new(cli.config);
    match cli.command.unwrap_or_else(|| Command::Serve(cli::Serve::default())) {
        Command::Serve(options) => serve::serve(&source, &options),
        Command::Check => {
            let config = source.read()?.config;
            certificates::TlsProfiles::load(&config)?;
            oscore::check(&config)?;
            say(&format!("{}: good\n", source.name()));
            Ok(())
        }
        Command::Config { command: ConfigCommand::Show { origin } } => {
            let detail = if origin { Detail::Origins } else { Detail::Values };
            say(&config::show(&source.read()?, detail));
            Ok(())
        }
        Command::Health => health::ask(&source.read()?.config.http),
        Command::Passwd { name, superuser } => {
            say(&passwd::entry(&name, superuser)?);
            Ok(())
        }
        Command::Psk { command, file } => {
            let file = match file {
                Some(file) => file,
                None => psk::configured(&source.read()?.config)?,
            };
            say(&psk::run(&file, &command)?);
            Ok(())
        }
        Command::Why { client_id, output } => {
            say(&why::why(&source.read()?.config.http, &client_id, output)?);
            Ok(())
        }
        Command::Authz { command: AuthzCommand::Explain(options) } => {
            say(&authz::explain(&source.read()?.config, &options)?);
            Ok(())
        }
        Command::Pub(_) | Command::Sub(_) | Command::Rr(_) | Command::Bench(_) => {
            anyhow::bail!(
                "pub, sub, rr and bench read no configuration: name them first, as in watersmeet sub …"
            )
        }
    }
}

/// Where the configuration is read from, again at every reload.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    file: Option<PathBuf>,
}

impl Source {
    fn new(file: Option<PathBuf>) -> Self {
        let named = || std::env::var_os(config::environment::FILE).filter(|name| !name.is_empty());
        Self { file: file.or_else(|| named().map(PathBuf::from)) }
    }

    pub(crate) fn read(&self) -> Result<Loaded, Problems> {
        let variables = std::env::vars_os();
        let variables = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Loaded::read(self.file.as_deref(), variables)
    }

    pub(crate) fn name(&self) -> String {
        self.file.as_ref().map_or_else(|| "the defaults".to_owned(), |file| file.display().to_string())
    }
}

/// Writes to standard output; nobody need listen.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
