use std::net::SocketAddr;

use access::{ConfigError, Place, Step};
use bus::Transport;
use tracing_subscriber::EnvFilter;

use super::problem::{Problem, Problems, suggestion};
use super::tree::{Path, Table};
use super::{Config, Listener, Listeners};
use crate::registry;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Judges what each key alone cannot tell: whether the configuration may be run.
pub(crate) fn check(config: &Config, tree: &Table) -> Result<(), Problems> {
    let mut problems = Vec::new();
    let mut report = |path: Path, message: String| {
        problems.push(Problem::at(tree.origin(&path), format!("{path}: {message}")));
    };
    let at = |keys: &[&str]| keys.iter().fold(Path::default(), |path, key| path.key(key));
    if let Some(message) = level_fault(&config.log.level) {
        report(at(&["log", "level"]), message);
    }
    if config.broker.max_qos > 2 {
        report(at(&["broker", "max_qos"]), "expected 0, 1 or 2".to_owned());
    }
    for (name, listener) in config.listeners.0.iter().filter(|(_, listener)| listener.enabled) {
        if registry::find(&listener.protocol).is_none() {
            let known: Vec<_> = registry::names().collect();
            let hint = suggestion(&listener.protocol, &known, |known| format!("{known:?}"));
            let message = format!("unknown protocol {:?}{hint}", listener.protocol);
            report(at(&["listeners", name, "protocol"]), message);
        }
        if let Some(message) = exposure(config, name, listener) {
            report(at(&["listeners", name, "bind"]), message);
        }
    }
    for (name, other) in shared_ports(config) {
        let message = format!("the port is that of {other} too; choose another, or disable one of the two");
        report(at(&["listeners", name, "bind"]), message);
    }
    let fault = access::AuthChain::new(&config.access).err();
    let beside = match &fault {
        Some(ConfigError { place: Place::Key(steps), message }) => {
            let path = steps.iter().fold(Path::default().key("access"), |path, step| match step {
                Step::Key(key) => path.key(key),
                Step::Index(index) => path.index(*index),
            });
            report(path, message.clone());
            None
        }
        Some(error) => Some(Problem::general(error.to_string())),
        None => None,
    };
    problems.extend(beside);
    Problems::check(problems)
}

/// What is wrong with the level. A lone word that is no level would silently be taken for a module.
fn level_fault(level: &str) -> Option<String> {
    let words = level.split(',').map(str::trim);
    if let Some(word) = words.filter(|part| !part.contains('=')).find(|word| !LEVELS.contains(word)) {
        let hint = suggestion(word, &LEVELS, |known| format!("{known:?}"));
        return Some(format!("unknown level {word:?}{hint}"));
    }
    let error = EnvFilter::try_new(level).err()?;
    Some(format!("{level:?} is no level: {error}"))
}

/// The listeners whose port another one before them has, with the other's name. Port 0 is another each time.
fn shared_ports(config: &Config) -> Vec<(&str, String)> {
    let enabled = config.listeners.0.iter().filter(|(_, listener)| listener.enabled);
    let ports = enabled.filter_map(|(name, listener)| {
        let transport = registry::find(&listener.protocol)?.transport;
        Some((name.as_str(), listener.bind, transport))
    });
    let mut ports: Vec<_> = ports.filter(|(_, bind, _)| bind.port() != 0).collect();
    ports.sort_by_key(|(name, ..)| !Listeners::default().0.contains_key(*name));
    let mut shared = Vec::new();
    for (position, (name, bind, transport)) in ports.iter().enumerate() {
        let same =
            |(_, other, carrier): &&(&str, SocketAddr, Transport)| other == bind && carrier == transport;
        if config.http.enabled && config.http.bind == *bind && *transport == Transport::Stream {
            shared.push((*name, "http".to_owned()));
        } else if let Some((other, ..)) = ports[..position].iter().find(same) {
            shared.push((*name, format!("listeners.{other}")));
        }
    }
    shared
}

/// Why the listener must not be opened as things stand.
fn exposure(config: &Config, name: &str, listener: &Listener) -> Option<String> {
    use access::Anonymous::{Everywhere, Loopback, Never};
    let local = listener.bind.ip().to_canonical().is_loopback();
    match config.access.anonymous_on(name) {
        _ if config.access.keeps_users() => None,
        Everywhere => None,
        Loopback if local => None,
        Never if local => Some(
            "nobody could connect, because clients without a name are refused and there are no users; add a \
             user (`watersmeet passwd NAME` prints one), name an access.password_file, or set access.anonymous = \"loopback\""
                .to_owned(),
        ),
        Loopback | Never => Some(format!(
            "{} can be reached from other machines, but there are no users to be let in; add a user \
             (`watersmeet passwd NAME` prints one), or bind a loopback address, or set access.anonymous = \
             \"everywhere\" to let everybody in without a password",
            listener.bind
        )),
    }
}
