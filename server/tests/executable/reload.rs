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

#[test]
fn new_rules_take_away_what_a_client_has_and_new_rewriting_acts_at_once() {
    let server = Server::start(FREE_PORTS);
    let (mut reader, mut writer) = (server.mqtt("reader"), server.mqtt("writer"));
    reader.write_all(b"\x82\x0a\x00\x01\x00\x01a\x00\x00\x01b\x00").unwrap();
    assert_eq!(receive(&mut reader, 6), b"\x90\x04\x00\x01\x00\x00");

    let rewrite = "[[rewrite]]\nsource = \"c\"\npattern = \"^c$\"\nto = \"b\"\n";
    let deny = DENY_A.replace("topics", "action = \"subscribe\"\ntopics");
    server.room.write("watersmeet.toml", &format!("{FREE_PORTS}{deny}{rewrite}"));
    server.signal("-HUP");
    server.wait_for_log("The configuration was read again.");
    writer.write_all(b"\x30\x04\x00\x01ax\x30\x04\x00\x01cy").unwrap();
    assert_eq!(receive(&mut reader, 6), b"\x30\x04\x00\x01by");
}

#[test]
fn a_client_that_would_not_be_let_in_any_more_is_closed() {
    let server = Server::start(FREE_PORTS);
    let mut client = server.mqtt("c1");
    server.room.write(
        "watersmeet.toml",
        &format!("{FREE_PORTS}[[access.bans]]\nkind = \"client-id\"\nvalue = \"c1\"\n"),
    );
    server.signal("-HUP");
    assert_eq!(std::io::Read::read(&mut client, &mut [0]).unwrap(), 0);
}
