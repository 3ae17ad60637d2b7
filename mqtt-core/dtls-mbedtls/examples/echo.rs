//! Answers each datagram on loopback with the same, over DTLS, and TLS-PSK streams likewise:
//! `cargo run -p dtls-mbedtls --example echo -- 5684 [CHAIN KEY [CLIENT_CA]]`. The key of `dev1` is `secretPSK`.
//! `coap-client-openssl -u dev1 -k secretPSK coaps://127.0.0.1/x` is answered with its own request, which it refuses.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dtls::{
    Certificate, ClientCertificate, Effects, EngineFactory, Key, Keys, ServerNames, SessionEvent, Settings,
    StreamAcceptor,
};
use dtls_mbedtls::MbedTls;

struct Dev1;

impl Keys for Dev1 {
    fn key(&self, identity: &str) -> Option<Key> {
        (identity == "dev1").then(|| Key::new(b"secretPSK".to_vec()))?
    }
}

#[expect(clippy::print_stdout, reason = "it is there to be looked at")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = arguments.first().map_or(Ok(5684), |port| port.parse())?;
    let read = |place: usize| arguments.get(place).map(std::fs::read).transpose();
    let mut settings = Settings {
        psk: Some(Arc::new(Dev1)),
        park_after: Some(Duration::from_secs(1)),
        ..Settings::default()
    };
    if let (Some(chain), Some(key)) = (read(1)?, read(2)?) {
        settings.certificates = vec![Certificate { chain, key: key.into(), names: ServerNames::default() }];
    }
    if let Some(ca) = read(3)? {
        settings.client_ca = vec![ca];
        settings.client_certificate = ClientCertificate::Optional;
    }
    let streams = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let acceptor: Arc<dyn StreamAcceptor> = Arc::from(MbedTls.stream(&settings)?);
    thread::spawn(move || {
        for stream in streams.incoming().flatten() {
            let acceptor = acceptor.clone();
            thread::spawn(move || println!("stream: {:?}", echo(stream, acceptor.as_ref())));
        }
    });

    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    let mut engine = MbedTls.engine(&settings)?;
    let (mut effects, mut buffer) = (Effects::new(), vec![0; 65_536]);
    loop {
        let wait = engine.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => engine.receive(&buffer[..length], from, Instant::now(), &mut effects),
            Err(_) => engine.expire(Instant::now(), &mut effects),
        }
        while engine.work(Instant::now(), &mut effects) {}
        for event in std::mem::take(&mut effects.events) {
            println!("{event:?} {:?}", engine.counts());
            if let SessionEvent::Received { session, plaintext } = event {
                engine.send(session, &plaintext, Instant::now(), &mut effects);
            }
        }
        for (to, datagram) in effects.datagrams.drain(..) {
            socket.send_to(&datagram, to)?;
        }
    }
}

fn echo(mut stream: TcpStream, acceptor: &dyn StreamAcceptor) -> Result<String, Box<dyn Error>> {
    let mut session = acceptor.accept()?;
    let (mut buffer, mut plaintext) = (vec![0; 16_384], Vec::new());
    loop {
        let length = stream.read(&mut buffer)?;
        let received = session.receive(&buffer[..length]);
        session.read(&mut plaintext);
        session.write(&plaintext)?;
        plaintext.clear();
        stream.write_all(&session.take_output())?;
        received?;
        if length == 0 || session.is_closed() {
            return Ok(format!("{:?}", session.identity()));
        }
    }
}
