use std::net::{TcpListener, UdpSocket};

use crate::server::{FREE_PORTS, Room, Server, outcome, watersmeet};

#[test]
fn the_greeting_names_every_listener_and_a_line_to_try_each() {
    let server = Server::start(FREE_PORTS);
    let names: Vec<_> = server.listeners.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "coap",
            "coap-tcp",
            "coaps",
            "coaps-tcp",
            "http",
            "mqtt",
            "mqtt-sn",
            "mqtts",
            "quic",
            "stomp",
            "ws",
            "wss"
        ]
    );
    let said = server.room.read("out");
    for (name, address) in &server.listeners {
        assert_ne!(address.port(), 0);
        let listed = said.lines().any(|line| line.contains(name) && line.ends_with(&address.to_string()));
        assert!(listed, "{name} {address}\n{said}");
        let tried = said.lines().filter(|line| line.contains(&address.port().to_string())).count();
        assert!(tried >= 2, "a line to try {name}\n{said}");
    }
}

#[test]
fn a_server_that_logs_for_machines_says_nothing_else() {
    let server = Server::start(&format!("log.format = \"json\"\n{FREE_PORTS}"));
    assert_eq!(server.room.read("out"), "");
    server.wait_for_log("Watersmeet serves.");
    let log = server.room.read("err");
    let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(
        (line["level"].as_str(), line["message"].as_str()),
        (Some("INFO"), Some("Watersmeet serves."))
    );
}

#[test]
fn a_listener_is_reached_at_each_of_its_places() {
    let room = Room::new();
    let socket = room.path("mqtt.sock");
    let config = FREE_PORTS
        .replace("mqtt.bind = \"127.0.0.1:0\"", "mqtt.bind = [\"localhost:0\", \"127.0.0.2:0\"]")
        + &format!(
            "[listeners.local]\nprotocol = \"mqtt\"\ntransport = \"unix\"\nbind = \"{}\"\n",
            socket.display()
        );
    let server = Server::start(&config);
    let said = server.room.read("out");
    let places = said
        .lines()
        .filter(|line| line.starts_with("  mqtt  "))
        .filter_map(|line| line.split(' ').next_back());
    let mut reached = 0;
    for place in places {
        std::net::TcpStream::connect(place).unwrap();
        reached += 1;
    }
    assert!(reached >= 2, "{said}");
    std::os::unix::net::UnixStream::connect(&socket).unwrap();
    assert!(said.contains(&format!("mosquitto_pub --unix {}", socket.display())), "{said}");
    drop(server);
}

#[test]
fn a_port_in_use_is_named_with_the_key_and_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, port) = (taken.local_addr().unwrap(), taken.local_addr().unwrap().port());
    let config = FREE_PORTS.replace("mqtt.bind = \"127.0.0.1:0\"", &format!("mqtt.bind = \"{address}\""));
    let room = Room::new();
    let file = room.write("w.toml", &config);
    let (said, fault, code) = outcome(watersmeet().arg("-c").arg(&file));
    let expected = format!(
        "watersmeet: listeners.mqtt: cannot bind {address}: address already in use; fix: stop the other program \
         (`ss -ltnp 'sport = :{port}'` names it) or set listeners.mqtt.bind\n"
    );
    assert_eq!((said.as_str(), fault, code), ("", expected, Some(1)));
}

#[test]
fn no_port_stays_open_and_no_ready_file_is_written_when_one_cannot_be_bound() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config =
        FREE_PORTS.replace("mqtt-sn.bind = \"127.0.0.1:0\"", &format!("mqtt-sn.bind = \"{address}\""));
    let room = Room::new();
    let file = room.write("w.toml", &config);
    let ready = room.path("ready.json");
    let (_, fault, code) =
        outcome(watersmeet().arg("serve").arg("-c").arg(&file).arg("--ready-file").arg(&ready));
    let expected = format!("watersmeet: listeners.mqtt-sn: cannot bind {address}: address already in use");
    assert!(fault.starts_with(&expected) && fault.contains("ss -lunp"), "{fault}");
    assert!(code == Some(1) && !ready.exists());
}

#[test]
fn a_server_that_strangers_could_use_does_not_start() {
    let room = Room::new();
    let file =
        room.write("w.toml", &FREE_PORTS.replace("mqtt.bind = \"127.0.0.1:0\"", "mqtt.bind = \"0.0.0.0:0\""));
    let (_, fault, code) = outcome(watersmeet().arg("-c").arg(&file));
    let place = format!("{}:4:13: listeners.mqtt.bind: 0.0.0.0:0 can be reached", file.display());
    assert!(fault.starts_with(&place) && code == Some(1), "{fault}");
    assert_eq!(fault.lines().count(), 1);
}
