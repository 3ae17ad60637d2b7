use std::io::Write;

use crate::server::{FREE_PORTS, Server, receive};

const SUBSCRIBE_TO_A: &[u8] = b"\x82\x06\x00\x01\x00\x01a\x00";
const DENY_A: &str = "[[access.rules]]\npermit = \"deny\"\ntopics = [\"a\"]\n";

#[test]
fn a_hangup_puts_new_rules_in_force_for_clients_that_are_there() {
    let server = Server::start(FREE_PORTS);
    let mut client = server.mqtt("c1");
    client.write_all(SUBSCRIBE_TO_A).unwrap();
    assert_eq!(receive(&mut client, 5), b"\x90\x03\x00\x01\x00");

    server.room.write("watersmeet.toml", &format!("{FREE_PORTS}{DENY_A}[limits]\npacket = \"2MB\"\n"));
    server.signal("-HUP");
    server.wait_for_log("The configuration was read again.");
    server.wait_for_log("wait for a restart");
    assert!(server.room.read("err").contains("limits.packet"));

    client.write_all(SUBSCRIBE_TO_A).unwrap();
    assert_eq!(receive(&mut client, 5), b"\x90\x03\x00\x01\x80");
    server.wait_for_log("Access was denied.");
    server.signal("-HUP");
    server.wait_for_count("wait for a restart", 2);
    assert!(server.room.read("err").contains("access.rules[1]"));
}

#[test]
fn a_faulty_file_leaves_the_old_configuration_in_force() {
    let server = Server::start(&format!("{FREE_PORTS}{DENY_A}"));
    server.room.write("watersmeet.toml", &format!("{FREE_PORTS}[log]\nlevl = 1\n"));
    server.signal("-HUP");
    server.wait_for_log("unknown key \"levl\" in [log]; did you mean \"level\"?");
    assert!(
        server.http("GET", "/metrics").1.contains("watersmeet_config_reloads_total{result=\"failed\"} 1")
    );

    let mut client = server.mqtt("c1");
    client.write_all(SUBSCRIBE_TO_A).unwrap();
    assert_eq!(receive(&mut client, 5), b"\x90\x03\x00\x01\x80");
}
