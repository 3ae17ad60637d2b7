use std::net::SocketAddr;
use std::path::Path;

use super::{Carrier, Kind, Manner};

/// What stands before the configuration's name on the command line.
pub(super) fn arguments(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Watersmeet => &["serve", "--config"],
        Kind::Flashmq => &["--config-file"],
        Kind::Nats | Kind::Mosquitto => &["-c"],
        Kind::Relay | Kind::Running(..) => &[],
    }
}

/// How many worker threads a broker is told to have, if it is told.
pub(super) fn threads(manner: Manner) -> Option<usize> {
    manner.threads.or(manner.pinned.then_some(1))
}

/// A configuration with one MQTT port for anonymous clients, nothing that writes to a disk, and room for the load.
pub(super) fn text(kind: Kind, address: SocketAddr, manner: Manner, directory: &Path) -> String {
    match kind {
        Kind::Watersmeet => watersmeet(address, manner, directory),
        Kind::Flashmq => flashmq(address, manner, directory),
        Kind::Mosquitto => mosquitto(address, manner, directory),
        Kind::Nats => nats(address, directory),
        Kind::Relay | Kind::Running(..) => String::new(),
    }
}

/// Everything at its default, access checks, statistics and limits included, but for this:
/// - `connect_rate`: thousands of clients come at once from one process;
/// - `queue_messages`: a hiccup of the machine must not count as loss where the rate is fixed (1 s of `tele_q0` is
///   40,000 messages);
/// - `send_window`: as many unacknowledged deliveries as the other brokers send.
fn watersmeet(address: SocketAddr, manner: Manner, directory: &Path) -> String {
    let mut text = format!("state_directory = {directory:?}\n");
    if let Some(threads) = threads(manner) {
        text += &format!("threads = {threads}\n");
    }
    text += "[http]\nenabled = false\n";
    if !manner.own_limits {
        text += "[broker]\nqueue_messages = 200000\n[limits]\nsend_window = 1000\n";
    }
    if manner.carrier.is_secure() {
        text += "[[tls.default.certificates]]\n";
        text +=
            &format!("chain = {:?}\nkey = {:?}\n", directory.join("chain.pem"), directory.join("key.pem"));
    }
    for name in
        ["mqtt", "mqtts", "ws", "wss", "quic", "mqtt-sn", "coap", "coaps", "coap-tcp", "coaps-tcp", "stomp"]
    {
        let carrier = manner.carrier;
        text += &if name == carrier.scheme() || (name == "mqtt" && carrier == Carrier::Quic) {
            format!("[listeners.{name}]\nbind = \"{address}\"\nconnect_rate = 1000000\n")
        } else {
            format!("[listeners.{name}]\nenabled = false\n")
        };
    }
    text
}

fn flashmq(address: SocketAddr, manner: Manner, directory: &Path) -> String {
    let threads = threads(manner).map_or(String::new(), |threads| format!("thread_count {threads}\n"));
    let raised = "max_qos_msg_pending_per_client 65535\nmax_qos_bytes_pending_per_client 268435456\n\
                  client_max_write_buffer_size 67108864\nretained_messages_delivery_limit 4294967295\n";
    let protocol = if manner.carrier.is_web_socket() { "websockets" } else { "mqtt" };
    let secured = match manner.carrier.is_secure() {
        true => format!("  fullchain {0}/chain.pem\n  privkey {0}/key.pem\n", directory.display()),
        false => String::new(),
    };
    format!(
        "listen {{\n  protocol {protocol}\n  inet_protocol ip4\n  inet4_bind_address {}\n  port {}\n{secured}}}\n\
         allow_anonymous true\nlog_level none\nrlimit_nofile 20000\n{threads}{}",
        address.ip(),
        address.port(),
        if manner.own_limits { "" } else { raised }
    )
}

fn mosquitto(address: SocketAddr, manner: Manner, directory: &Path) -> String {
    let raised = "max_queued_messages 0\nmax_inflight_messages 0\n";
    let protocol = if manner.carrier.is_web_socket() { "protocol websockets\n" } else { "" };
    let secured = match manner.carrier.is_secure() {
        true => format!("certfile {0}/chain.pem\nkeyfile {0}/key.pem\n", directory.display()),
        false => String::new(),
    };
    // It gives root's rights up and could not read the key then.
    format!(
        "user root\nlistener {} {}\n{protocol}{secured}allow_anonymous true\nset_tcp_nodelay true\nlog_type none\n{}",
        address.port(),
        address.ip(),
        if manner.own_limits { "" } else { raised }
    )
}

/// Its MQTT needs the store that it keeps in files.
fn nats(address: SocketAddr, directory: &Path) -> String {
    format!(
        "server_name: bench\nlisten: \"127.0.0.1:-1\"\njetstream {{ store_dir: {directory:?} }}\n\
         mqtt {{ listen: \"{address}\", max_ack_pending: 65535 }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PINNED: Manner = Manner { pinned: true, threads: None, own_limits: false, carrier: Carrier::Tcp };

    #[test]
    fn a_pinned_broker_has_one_thread_and_another_what_it_takes() {
        let address = "127.0.0.1:1000".parse().unwrap();
        let text = |manner| text(Kind::Flashmq, address, manner, Path::new("/x"));
        assert!(text(PINNED).contains("thread_count 1\n"));
        assert!(!text(Manner { pinned: false, ..PINNED }).contains("thread_count"));
        assert!(text(Manner { pinned: false, threads: Some(2), ..PINNED }).contains("thread_count 2\n"));
    }

    #[test]
    fn queues_are_as_the_broker_comes_only_when_that_is_asked() {
        let address = "127.0.0.1:1000".parse().unwrap();
        for (kind, key) in [
            (Kind::Watersmeet, "queue_messages"),
            (Kind::Flashmq, "client_max_write_buffer_size"),
            (Kind::Mosquitto, "max_queued_messages"),
        ] {
            assert!(text(kind, address, PINNED, Path::new("/x")).contains(key));
            let own = Manner { own_limits: true, ..PINNED };
            assert!(!text(kind, address, own, Path::new("/x")).contains(key));
        }
    }
}
