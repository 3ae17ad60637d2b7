use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use dtls_mbedtls::Client;

use crate::server::{FREE_PORTS, Room, Server, wait_for};

/// A client on a socket that it may change.
struct Device {
    client: Client,
    socket: UdpSocket,
    server: SocketAddr,
}

const PATIENCE: Duration = Duration::from_secs(30);

const KEY: &[u8] = b"0123456789abcdef";

/// GET /ps/t with Observe: 0, token 01, message id 1.
const OBSERVE: &[u8] = b"\x41\x01\x00\x01\x01\x60\x52ps\x01t";

/// GET /.well-known/core, token 02, message id 2.
const DISCOVER: &[u8] = b"\x41\x01\x00\x02\x02\xbb.well-known\x04core";

/// PUT x to /ps/t, token 03, message id 3.
const PUT: &[u8] = b"\x41\x03\x00\x03\x03\xb2ps\x01t\xffx";

impl Device {
    /// One whose session is open.
    fn open(server: SocketAddr) -> Self {
        let client = Client::begin("dev1", KEY, Instant::now());
        let mut device = Self { client, socket: socket(), server };
        let began = Instant::now();
        while !device.client.is_open() {
            assert!(began.elapsed() < PATIENCE, "the handshake takes too long");
            device.next();
        }
        device.flush();
        device
    }

    fn flush(&mut self) {
        for datagram in self.client.take_output() {
            self.socket.send_to(&datagram, self.server).unwrap();
        }
    }

    fn send(&mut self, plaintext: &[u8]) {
        assert!(self.client.send(plaintext, Instant::now()));
        self.flush();
    }

    /// What comes next, or nothing for a moment.
    fn next(&mut self) -> Option<Vec<u8>> {
        self.flush();
        let mut datagram = vec![0; 65_536];
        let length = self.socket.recv(&mut datagram).unwrap_or(0);
        self.client.receive(&datagram[..length], Instant::now())
    }

    /// Sends a request until something comes that is meant.
    fn ask(&mut self, request: &[u8], mut is_meant: impl FnMut(&[u8]) -> bool) {
        let began = Instant::now();
        self.send(request);
        while !self.next().is_some_and(|answer| is_meant(&answer)) {
            assert!(began.elapsed() < PATIENCE, "no answer");
            self.send(request);
        }
    }

    /// Waits for a message whose payload is this.
    fn expect(&mut self, payload: &[u8]) {
        let began = Instant::now();
        while !self.next().is_some_and(|message| message.ends_with(payload)) {
            assert!(began.elapsed() < PATIENCE, "no message");
        }
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket
}

/// A server that knows the key of `dev1`, and where its keys are.
fn server() -> (Server, Room) {
    let room = Room::new();
    let keys = room.write("psk", "dev1:30313233343536373839616263646566\n");
    (Server::start(&format!("access.psk_file = {keys:?}\n{FREE_PORTS}")), room)
}

fn publish(server: &Server, message: &str) {
    let mut stream = server.mqtt("publisher");
    let length = u8::try_from(3 + message.len()).unwrap();
    stream.write_all(&[&[0x30, length, 0, 1, b't'], message.as_bytes(), b"\xe0\0"].concat()).unwrap();
    let _ = stream.read(&mut [0]);
}

#[test]
fn a_device_whose_address_changes_keeps_its_session_and_its_observation() {
    let (server, _room) = server();
    let mut device = Device::open(server.listeners["coaps"]);
    device.ask(OBSERVE, |answer| answer.get(4) == Some(&1));
    publish(&server, "first");
    device.expect(b"first");
    // As after a new address of a NAT: whoever sends from elsewhere is known by its connection id.
    device.socket = socket();
    device.ask(DISCOVER, |answer| answer.get(4) == Some(&2));
    publish(&server, "second");
    device.expect(b"second");
    let (_, metrics) = server.http("GET", "/metrics");
    for line in [
        "watersmeet_dtls_moves_total{listener=\"coaps\"} 1",
        "watersmeet_dtls_handshakes_total{listener=\"coaps\",result=\"full\"} 1",
        "watersmeet_connections{listener=\"coaps\",protocol=\"lwm2m\"} 1.0",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line}\n{metrics}");
    }
}

/// What went wrong: the log said nothing of a device with a wrong key, as if it had not been there.
#[test]
fn a_device_with_a_wrong_key_is_told_of_in_the_log() {
    let (server, _room) = server();
    let cases: [(&str, &[u8], &str); 2] = [
        ("dev1", b"another key", "the client has another key for the PSK identity \\\"dev1\\\""),
        ("dev2", KEY, "no key is known for the PSK identity \\\"dev2\\\""),
    ];
    for (identity, key, cause) in cases {
        let client = Client::begin(identity, key, Instant::now());
        let mut device = Device { client, socket: socket(), server: server.listeners["coaps"] };
        wait_for(|| {
            device.next();
            server.counts_in_log(cause) > 0
        });
    }
}

/// The figures are printed: `cargo test -p server --test executable many_sessions -- --nocapture`.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are what the test is for")]
fn many_sessions_share_one_socket_and_each_is_answered() {
    const DEVICES: usize = 300;
    let (server, _room) = server();
    let before = resident(&server);
    let mut devices: Vec<_> = (0..DEVICES).map(|_| Device::open(server.listeners["coaps"])).collect();
    for device in &mut devices {
        device.ask(PUT, |answer| answer.get(4) == Some(&3));
    }
    let each = resident(&server).saturating_sub(before) / DEVICES;
    println!("{DEVICES} sessions with a connection each: {each} bytes of the server's memory for one");
    for device in &mut devices {
        device.ask(DISCOVER, |answer| answer.get(4) == Some(&2));
    }
}

fn resident(server: &Server) -> usize {
    let (_, metrics) = server.http("GET", "/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    line.and_then(|bytes| bytes.parse::<f64>().ok()).unwrap_or_default() as usize
}
