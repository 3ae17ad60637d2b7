use std::fmt::Write;
use std::net::SocketAddr;

use access::Anonymous;

use crate::config::Config;
use crate::listeners::{Open, reachable};

/// What brings the clients of the examples.
const INSTALL: &str =
    "apt install mosquitto-clients libcoap3-bin curl; in a venv pip install mqtt-sn-12 stomp.py";

/// What a person sees who starts the server: each listener, and lines to try it with.
pub(crate) fn banner(config: &Config, listeners: &[Open], http: Option<SocketAddr>) -> String {
    let mut text = format!("Watersmeet {}\n\n", env!("CARGO_PKG_VERSION"));
    let width = listeners.iter().map(|open| open.name.len()).max().unwrap_or(0).max("http".len());
    for open in listeners {
        let carrier = match open.protocol.transport {
            bus::Transport::Stream => "tcp",
            bus::Transport::Datagram => "udp",
        };
        let (name, protocol, address) = (&open.name, open.protocol.names.join("+"), open.address);
        let _ = writeln!(text, "  {name:width$}  {protocol:10}  {carrier}  {address}");
    }
    if let Some(address) = http {
        let _ = writeln!(text, "  {:width$}  {:10}  tcp  {address}", "http", "http");
    }
    let _ = write!(text, "\nTry it from another terminal ({INSTALL}):\n\n");
    for open in mqtt_first(listeners) {
        for example in open.protocol.examples {
            let _ = writeln!(text, "  {}", fill_in(example, open.address));
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
    ordered.sort_by_key(|open| !open.protocol.names.contains(&"mqtt"));
    ordered
}

/// Puts in an address that a client on this machine reaches.
fn fill_in(example: &str, address: SocketAddr) -> String {
    let address = reachable(address);
    example
        .replace("ADDRESS", &address.to_string())
        .replace("HOST", &address.ip().to_string())
        .replace("PORT", &address.port().to_string())
}
