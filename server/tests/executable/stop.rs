use std::io::Read;
use std::net::TcpStream;

use crate::server::{FREE_PORTS, Server};

#[test]
fn a_signal_closes_every_connection_and_ends_the_server_well() {
    for signal in ["-TERM", "-INT"] {
        let mut server = Server::start(FREE_PORTS);
        let mut client = server.mqtt("c1");
        server.signal(signal);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"", "MQTT 3.1.1 has no word for it");
        assert_eq!(server.wait().code(), Some(0), "{signal}");
        assert!(!server.room.path("ready.json").exists());
        assert!(TcpStream::connect(server.listeners["mqtt"]).is_err());
    }
}

#[test]
fn a_client_that_never_connected_does_not_hold_the_server_for_long() {
    let mut server = Server::start(FREE_PORTS);
    let _silent = server.connect("mqtt");
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let mut server = Server::start(FREE_PORTS);
    let _silent = server.connect("mqtt");
    server.signal("-TERM");
    server.wait_for_log("Watersmeet stops.");
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
}
