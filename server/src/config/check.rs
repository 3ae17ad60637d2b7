use std::net::SocketAddr;

use access::{ConfigError, Place, Step};
use tracing_subscriber::EnvFilter;

use super::listener::{ProxyProtocol, TLS_PROFILE};
use super::problem::{Problem, Problems, suggestion};
use super::tree::{Origin, Path, Table};
use super::{Bind, Config, Dtls, Listener, Listeners, Transport};
use crate::registry::{self, Entry};

/// The longest message in one record of DTLS.
const LONGEST_RECORD: usize = 4_096;

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
    for (index, wish) in config.broker.auto_subscribe.iter().enumerate().filter(|(_, wish)| !wish.is_valid())
    {
        let message = format!(
            "{:?} with QoS {} is no subscription; give a filter and 0, 1 or 2",
            wish.filter, wish.qos
        );
        report(at(&["broker", "auto_subscribe"]).index(index), message);
    }
    if let Some(filter) = config.broker.priorities.invalid() {
        let message = "is no topic filter: + and # stand only as whole levels, and # only last".to_owned();
        report(at(&["broker", "priorities", "topics", filter]), message);
    }
    if let Err(error) = config.operators.check() {
        report(at(&["operators", error.key]), error.message);
    }
    for fault in config.coap.faults() {
        report(fault.keys.iter().fold(at(&["coap"]), |path, key| path.key(key)), fault.message.to_owned());
    }
    for (name, listener) in config.listeners.0.iter().filter(|(_, listener)| listener.enabled) {
        match listener.entry() {
            None => {
                let known: Vec<_> = registry::names().collect();
                let hint = suggestion(&listener.protocol, &known, |known| format!("{known:?}"));
                let message = format!("unknown protocol {:?}{hint}", listener.protocol);
                report(at(&["listeners", name, "protocol"]), message);
            }
            Some(entry) => {
                let keys = tree.table(&at(&["listeners", name]));
                let written = |key: &str| {
                    keys.and_then(|keys| keys.entry(key)).is_some_and(|entry| entry.origin != Origin::Default)
                };
                for (key, message) in misfits(config, listener, entry, &written) {
                    let path = key.split('.').fold(at(&["listeners", name]), |path, key| path.key(key));
                    report(path, message);
                }
            }
        }
        if let Some(message) = exposure(config, name, listener) {
            report(at(&["listeners", name, "bind"]), message);
        }
    }
    for (name, other) in shared_ports(config) {
        let message = format!("the port is that of {other} too; choose another, or disable one of the two");
        report(at(&["listeners", name, "bind"]), message);
    }
    if let Err(error) = rewrite::Rewrite::new(&config.rewrite) {
        report(Path::default().key("rewrite").index(error.index).key(error.key), error.message);
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

/// What does not go together with the listener's transport, by key.
fn misfits(
    config: &Config,
    listener: &Listener,
    entry: &Entry,
    written: &dyn Fn(&str) -> bool,
) -> Vec<(&'static str, String)> {
    let transport = listener.transport.unwrap_or(entry.transports[0]);
    let name = transport.name();
    let mut misfits = Vec::new();
    if !entry.transports.contains(&transport) {
        let possible: Vec<_> = entry.transports.iter().map(|known| format!("{:?}", known.name())).collect();
        let possible = match possible.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => possible.concat(),
        };
        misfits.push(("transport", format!("{} goes over {possible}, not over {name:?}", listener.protocol)));
    }
    let is_path = |bind: &Bind| matches!(bind, Bind::Path(_));
    if let Some(bind) = listener.bind.0.iter().find(|bind| is_path(bind) != (transport == Transport::Unix)) {
        let expected = if is_path(bind) { "an address such as \"127.0.0.1:1883\"" } else { "a path" };
        misfits.push(("bind", format!("the transport {name:?} needs {expected}, found \"{bind}\"")));
    }
    let mut only_for = |fits: bool, key: &'static str, who: &str| {
        if !fits && written(key) {
            misfits.push((key, format!("this is for {who} only, and the transport is {name:?}")));
        }
    };
    only_for(transport == Transport::Unix, "mode", "Unix sockets");
    only_for(transport.is_secured(), "tls", "TLS, secure WebSockets, QUIC and DTLS");
    for key in ["path", "subprotocols", "origins", "max_frame"] {
        only_for(transport.is_web_socket(), key, "WebSockets");
    }
    only_for(transport == Transport::Quic, "quic", "QUIC");
    only_for(transport == Transport::Dtls, "dtls", "DTLS");
    only_for(transport == Transport::Udp && entry.names.contains(&"coap"), "groups", "CoAP over UDP");
    let is_stream = transport.socket() == bus::Transport::Stream;
    for key in ["proxy_protocol", "proxy_sources", "proxy_timeout"] {
        only_for(is_stream, key, "byte streams");
    }
    let profile = listener.tls.as_deref().unwrap_or(TLS_PROFILE);
    if transport.is_secured() && !config.tls.0.contains_key(profile) {
        let known: Vec<_> = config.tls.0.keys().map(String::as_str).collect();
        let hint = suggestion(profile, &known, |known| format!("{known:?}"));
        misfits.push(("tls", format!("there is no profile [tls.{profile}]{hint}")));
    }
    if transport.takes_keys() && cfg!(not(feature = "dtls")) {
        let message = format!("this program was built without {name:?}; build it with the feature \"dtls\"");
        misfits.push(("transport", message));
    }
    if transport == Transport::TlsPsk && config.access.psk_file.as_os_str().is_empty() {
        let message = "nobody could connect, since there are no keys; name a file with keys as access.psk_file \
                       (`watersmeet psk add IDENTITY --file FILE` makes one)";
        misfits.push(("transport", message.to_owned()));
    }
    if transport == Transport::Dtls
        && entry.names.contains(&"mqtt-sn")
        && config.mqtt_sn.datagram > LONGEST_RECORD
    {
        let message = "a record of DTLS has at most 4KB; choose mqtt_sn.datagram so";
        misfits.push(("transport", message.to_owned()));
    }
    let dtls = listener.dtls.as_ref().filter(|_| transport == Transport::Dtls);
    if let Some((key, fault)) = dtls.and_then(Dtls::fault) {
        misfits.push((key, fault.to_owned()));
    }
    if let Some(address) = listener.groups.iter().flatten().find(|address| !address.is_multicast()) {
        misfits.push((
            "groups",
            format!("{address} is no multicast address; CoAP's are 224.0.1.187 and ff02::fd"),
        ));
    }
    if let Some(path) = listener.path.iter().flatten().find(|path| !path.starts_with('/')) {
        misfits.push(("path", format!("{path:?} is no path of a URL; it begins with /")));
    }
    let is_origin = |origin: &str| {
        let rest = origin.split_once("://").map_or("/", |(_, host)| host);
        matches!(origin, "*" | "null") || !rest.is_empty() && !rest.contains('/')
    };
    if let Some(origin) = listener.origins.iter().flatten().find(|origin| !is_origin(origin)) {
        misfits.push(("origins", format!("{origin:?} is no origin; write it as in \"https://example.com\"")));
    }
    let headed = listener.proxy_protocol.is_some_and(|versions| versions != ProxyProtocol::Off);
    let nobody = listener.proxy_sources.as_ref().is_none_or(Vec::is_empty);
    if headed && nobody && !listener.bind.0.iter().all(Bind::is_local) {
        let message = "proxy_sources must name the networks of the proxies, since others reach this listener";
        misfits.push(("proxy_protocol", message.to_owned()));
    }
    misfits
}

/// The listeners one of whose places another one before them has, with the other's name. Port 0 is another each
/// time.
fn shared_ports(config: &Config) -> Vec<(&str, String)> {
    let enabled = config.listeners.0.iter().filter(|(_, listener)| listener.enabled);
    let mut listeners: Vec<_> = enabled.collect();
    listeners.sort_by_key(|(name, _)| !Listeners::default().0.contains_key(*name));
    let mut shared = Vec::new();
    let mut taken = Vec::new();
    if config.http.enabled {
        taken.push((Claim::Port(config.http.bind, bus::Transport::Stream), "http".to_owned()));
    }
    for (name, listener) in listeners {
        let Some(transport) = listener.carrier() else { continue };
        for claim in listener.bind.0.iter().flat_map(|bind| claims(bind, transport.socket())) {
            match taken.iter().find(|(other, _)| *other == claim) {
                Some((_, other)) => shared.push((name.as_str(), other.clone())),
                None => taken.push((claim, format!("listeners.{name}"))),
            }
        }
    }
    shared.dedup();
    shared
}

/// What one listener alone can have.
#[derive(PartialEq)]
enum Claim {
    Port(SocketAddr, bus::Transport),
    Path(std::path::PathBuf),
}

fn claims(bind: &Bind, socket: bus::Transport) -> Vec<Claim> {
    match bind {
        Bind::Path(path) => vec![Claim::Path(path.clone())],
        bind => {
            let addresses = bind.addresses().into_iter().filter(|address| address.port() != 0);
            addresses.map(|address| Claim::Port(address, socket)).collect()
        }
    }
}

/// Why the listener must not be opened as things stand.
fn exposure(config: &Config, name: &str, listener: &Listener) -> Option<String> {
    use access::Anonymous::{Everywhere, Loopback, Never};
    let open = listener.bind.0.iter().find(|bind| !bind.is_local());
    let local = open.is_none();
    match config.access.anonymous_on(name) {
        _ if config.access.keeps_users() || config.access.takes_certificates_on(name) => None,
        _ if config.access.takes_keys_on(name) && listener.carrier().is_some_and(Transport::takes_keys) => None,
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
            open.map(Bind::to_string).unwrap_or_default()
        )),
    }
}
