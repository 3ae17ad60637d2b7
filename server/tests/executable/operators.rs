//! What operators see of clients that come and go.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::server::{FREE_PORTS, Server, outcome, receive, wait_for, watersmeet};

/// What `why` prints for programs.
fn why(server: &Server, client_id: &str) -> Value {
    let bind = server.listeners["http"].to_string();
    let mut command = watersmeet();
    let (said, fault, code) =
        outcome(command.args(["why", client_id, "-o", "json"]).env("WATERSMEET_HTTP__BIND", bind));
    assert_eq!((fault.as_str(), code), ("", Some(0)));
    serde_json::from_str(&said).unwrap()
}

/// The causes of the client's ended connections, once there are any.
fn causes(server: &Server, client_id: &str) -> Vec<String> {
    let mut causes = Vec::new();
    wait_for(|| {
        let report = why(server, client_id);
        let rows = report["closed"].as_array().unwrap().iter();
        causes = rows.map(|row| row["reason"].as_str().unwrap().to_owned()).collect();
        !causes.is_empty()
    });
    causes
}

fn read_to_end(mut client: TcpStream) {
    let _ = client.read_to_end(&mut Vec::new());
}

#[test]
fn why_names_the_cause_of_each_end() {
    let server = Server::start(FREE_PORTS);
    let mut polite = server.mqtt("polite");
    polite.write_all(b"\xe0\x00").unwrap();
    read_to_end(polite);
    assert_eq!(causes(&server, "polite"), ["disconnected"]);

    drop(server.mqtt("rude"));
    assert_eq!(causes(&server, "rude"), ["peer_closed"]);

    let mut mad = server.mqtt("mad");
    mad.write_all(b"\xf0\x00").unwrap();
    read_to_end(mad);
    assert_eq!(causes(&server, "mad"), ["malformed"]);
    assert!(why(&server, "mad")["closed"][0]["detail"].is_string());

    let first = server.mqtt("twin");
    let _second = server.mqtt("twin");
    read_to_end(first);
    assert_eq!(causes(&server, "twin"), ["taken_over"]);
    assert_eq!(why(&server, "twin")["session"]["connected"], true);

    let mut silent = server.connect("mqtt");
    silent.write_all(b"\x10\x12\x00\x04MQTT\x04\x02\x00\x01\x00\x06silent").unwrap();
    assert_eq!(receive(&mut silent, 4), b"\x20\x02\x00\x00");
    assert_eq!(causes(&server, "silent"), ["keep_alive_timeout"]);
    assert_eq!(why(&server, "silent")["closed"][0]["keep_alive"], 1);
}

#[test]
fn why_tells_people_what_is_known_and_what_can_be_done() {
    let server = Server::start(FREE_PORTS);
    let bind = server.listeners["http"].to_string();
    let _client = server.mqtt("a/b");
    let ask = |id: &str| outcome(watersmeet().args(["why", id]).env("WATERSMEET_HTTP__BIND", &bind));
    let (said, _, code) = ask("a/b");
    assert!(said.starts_with("a/b: online since 20") && code == Some(0), "{said}");

    let mut stranger = server.connect("mqtt");
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    read_to_end(stranger);
    wait_for(|| ask("nobody").0.contains("wrong_protocol"));
    let (said, ..) = ask("nobody");
    assert!(said.starts_with("nobody: nothing is known of a client with this id."), "{said}");
    assert!(said.contains("fix: check the port in the client"), "{said}");

    drop(server);
    let (_, fault, code) = ask("a/b");
    assert!(
        code == Some(1) && fault.contains("nobody answers") && fault.contains("fix: start the server"),
        "{fault}"
    );
}

#[test]
fn clients_are_listed_page_by_page_and_can_be_thrown_out() {
    let server = Server::start(FREE_PORTS);
    let mut clients: Vec<_> = ["a/1", "b", "c"].map(|id| server.mqtt(id)).into();
    clients[0].write_all(b"\x82\x06\x00\x01\x00\x01t\x01").unwrap();
    assert_eq!(receive(&mut clients[0], 5), b"\x90\x03\x00\x01\x01");

    let json = |path: &str| -> Value { serde_json::from_str(&server.http("GET", path).1).unwrap() };
    let page = json("/clients?limit=2");
    assert_eq!(page["clients"][0]["client_id"], "a/1");
    assert_eq!(page["clients"][0]["subscriptions"], 1);
    assert_eq!(page["next"], "b");
    let page = json("/clients?limit=2&after=b");
    assert_eq!((&page["clients"][0]["client_id"], &page["next"]), (&"c".into(), &Value::Null));
    let one = json("/clients/a%2F1");
    assert_eq!(
        (&one["subscriptions"][0]["filter"], &one["subscriptions"][0]["qos"]),
        (&"t".into(), &1.into())
    );
    assert_eq!(server.http("GET", "/clients/nobody").0, 404);
    assert_eq!(server.http("GET", "/clients?limit=x").0, 400);

    // A page of somebody else's cannot lead a browser here under a name of its own.
    for (method, path) in [("GET", "/clients"), ("GET", "/clients/b/history"), ("DELETE", "/clients/b")] {
        assert_eq!(server.http_as("evil.example", method, path).0, 403);
    }
    assert_eq!(server.http("DELETE", "/clients/b").0, 204);
    read_to_end(clients.remove(1));
    assert_eq!(causes(&server, "b"), ["kicked"]);
    assert_eq!(server.http("DELETE", "/clients/b").0, 404);
}

#[test]
fn what_the_server_counts_and_who_comes_is_published() {
    let server = Server::start(&format!("operators.sys_interval = \"50ms\"\n{FREE_PORTS}"));
    let mut watcher = server.mqtt("watcher");
    watcher.write_all(b"\x82\x0b\x00\x01\x00\x06$SYS/#\x00").unwrap();
    assert_eq!(receive(&mut watcher, 5), b"\x90\x03\x00\x01\x00");
    let _client = server.mqtt("a/b");
    let mut seen = Vec::new();
    let wanted: [&[u8]; 4] = [
        b"$SYS/broker/versionwatersmeet version ",
        b"$SYS/broker/clients/connected2",
        b"$SYS/broker/load/connections/1min",
        b"$SYS/brokers/watersmeet/clients/a%2Fb/connected{",
    ];
    let has = |seen: &[u8], part: &[u8]| seen.windows(part.len()).any(|window| window == part);
    while !wanted.iter().all(|part| has(&seen, part)) {
        let mut bytes = [0; 4_096];
        let length = watcher.read(&mut bytes).expect("all of it in time");
        seen.extend_from_slice(&bytes[..length]);
    }
}
