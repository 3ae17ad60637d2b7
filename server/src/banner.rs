use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use access::Anonymous;

use crate::config::{Config, TLS_PROFILE, Transport};
use crate::listeners::{Open, Place, reachable};

/// What brings the clients of the examples.
const INSTALL: &str = "apt install mosquitto-clients libcoap3-bin curl; npm install -g mqtt; in a venv pip install mqtt-sn-12 stomp.py";

/// What a person sees who starts the server: each listener, and lines to try it with.
pub(crate) fn banner(config: &Config, listeners: &[Open], http: Option<SocketAddr>) -> String {
    let mut text = format!("Watersmeet {}\n\n", env!("CARGO_PKG_VERSION"));
    let width = listeners.iter().map(|open| open.name.len()).max().unwrap_or(0).max("http".len());
    for open in listeners {
        let (name, protocol) = (&open.name, open.protocol.names.join("+"));
        for place in &open.places {
            let _ = writeln!(text, "  {name:width$}  {protocol:10}  {:4}  {place}", open.transport.name());
        }
    }
    if let Some(address) = http {
        let _ = writeln!(text, "  {:width$}  {:10}  tcp   {address}", "http", "http");
    }
    let _ = write!(text, "\nTry it from another terminal ({INSTALL}):\n\n");
    for open in mqtt_first(listeners) {
        let examples = open.protocol.examples.iter().filter(|(transport, _)| *transport == open.transport);
        for line in examples.filter_map(|(_, example)| line(example, open, config)) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if let Some(address) = http {
        let _ = writeln!(text, "  {}", fill_in("curl 'http://ADDRESS/readyz?verbose'", address));
    }
    if config.access.anonymous == Anonymous::Never {
        text.push_str("\nClients need a user name and a password.\n");
    }
    text
}

/// The listeners with MQTT's first: its first example subscribes, and shows what the others publish.
fn mqtt_first(listeners: &[Open]) -> Vec<&Open> {
    let mut ordered: Vec<_> = listeners.iter().collect();
    let is_first = |open: &&Open| open.protocol.names.contains(&"mqtt") && open.transport == Transport::Tcp;
    ordered.sort_by_key(|open| (!is_first(open), !open.protocol.names.contains(&"mqtt")));
    ordered
}

/// The example for this listener, if it can be followed.
fn line(example: &str, open: &Open, config: &Config) -> Option<String> {
    let mut line = match open.place() {
        Place::Address(address) => fill_in(example, *address),
        Place::Path(path) => example.replace("PATH", &quoted(path)?),
    };
    if let Some(certificates) = &open.certificates {
        let profile = config.listeners.0[&*open.name].tls.as_deref().unwrap_or(TLS_PROFILE);
        if config.tls.0.get(profile)?.client_certificate == tls::ClientCertificate::Required {
            return None;
        }
        match certificates.local_ca()?.1 {
            tls::Kept::File(ca) => line = line.replace("CA", &quoted(&ca)?),
            tls::Kept::Memory => return None,
        }
    }
    if line.starts_with("EXE ") {
        line.replace_range(..3, &quoted(&std::env::current_exe().ok()?)?);
    }
    Some(line)
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> Option<String> {
    let path = path.to_str()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    Some(if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) })
}

/// Puts in an address that a client on this machine reaches.
fn fill_in(example: &str, address: SocketAddr) -> String {
    let address = reachable(address);
    example
        .replace("ADDRESS", &address.to_string())
        .replace("HOST", &address.ip().to_string())
        .replace("PORT", &address.port().to_string())
}
