//! Many clients at once on real sockets and several threads, each of them taken over again and again: nothing that
//! was acknowledged is lost, nothing that is exactly once is doubled, and each publisher's order is kept.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Config, Hooks};
use bus::{Limits, Transport};
use mqtt::Mqtt;
use net::{ListenerConfig, Stop, bind};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, watch};
use tokio::time::timeout;

const PUBLISHERS: u8 = 12;
const MESSAGES: u16 = 600;
const PATIENCE: Duration = Duration::from_secs(20);

/// What was published: by whom, and its number; odd ones at least once, even ones exactly once.
type Sent = (u8, u16);

/// A client of MQTT 3.1.1 whose session stays.
struct Peer {
    socket: TcpStream,
    address: SocketAddr,
    id: [u8; 2],
    dice: u64,
}

impl Peer {
    async fn open(address: SocketAddr, id: [u8; 2]) -> Self {
        let dice = 0x9E37_79B9_7F4A_7C15 ^ u64::from(u16::from_be_bytes(id)) << 20;
        Self { socket: connect(address, id).await, address, id, dice }
    }

    /// Another connection of the same client takes the session over.
    async fn move_on(&mut self) {
        let old = std::mem::replace(&mut self.socket, connect(self.address, self.id).await);
        if self.once_in(2) {
            tokio::spawn(until_closed(old));
        }
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice.is_multiple_of(times)
    }

    async fn send(&mut self, packet: &[u8]) {
        self.socket.write_all(packet).await.expect("the server keeps the connection");
    }

    /// The next packet's first byte and its body.
    async fn read(&mut self) -> (u8, Vec<u8>) {
        timeout(PATIENCE, packet(&mut self.socket)).await.expect("a packet in time").expect("a packet")
    }
}

async fn packet(socket: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let [first, length] = {
        let mut header = [0; 2];
        socket.read_exact(&mut header).await?;
        header
    };
    assert!(length < 128, "these packets are short");
    let mut body = vec![0; usize::from(length)];
    socket.read_exact(&mut body).await?;
    Ok((first, body))
}

async fn connect(address: SocketAddr, id: [u8; 2]) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&[b"\x10\x0e\0\x04MQTT\x04\0\0\0\0\x02", &id[..]].concat()).await.unwrap();
    let (first, body) = timeout(PATIENCE, packet(&mut socket)).await.expect("in time").unwrap();
    assert_eq!((first, body[1]), (0x20, 0));
    socket
}

async fn until_closed(mut socket: TcpStream) {
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut rest)).await;
}

/// Publishes each message until it is acknowledged, over one connection or several.
async fn publish(address: SocketAddr, publisher: u8) {
    let mut peer = Peer::open(address, [b'p', b'a' + publisher]).await;
    for number in 1..=MESSAGES {
        let exactly_once = number % 2 == 0;
        let id = number.to_be_bytes();
        let (mut first, mut released) = (if exactly_once { 0x34 } else { 0x32 }, false);
        loop {
            match released {
                false => peer.send(&[&[first, 8][..], b"\0\x01t", &id[..], &[publisher], &id].concat()).await,
                true => peer.send(&[b"\x62\x02", &id[..]].concat()).await,
            }
            first |= 8;
            if peer.once_in(5) {
                peer.move_on().await;
                continue;
            }
            let (answer, body) = peer.read().await;
            assert_eq!(body, id);
            match answer {
                0x50 if exactly_once && !released => released = true,
                0x40 if !exactly_once => break,
                0x70 if released => break,
                other => panic!("{other:#x}"),
            }
        }
    }
}

/// Those who share what is published.
struct Group {
    filter: &'static str,
    came: Mutex<Vec<Sent>>,
    missing: watch::Sender<HashSet<Sent>>,
}

impl Group {
    fn new(filter: &'static str) -> Arc<Self> {
        let all = (0..PUBLISHERS).flat_map(|publisher| (1..=MESSAGES).map(move |number| (publisher, number)));
        Arc::new(Self { filter, came: Mutex::default(), missing: watch::Sender::new(all.collect()) })
    }

    fn note(&self, sent: Sent) {
        self.came.lock().push(sent);
        self.missing.send_if_modified(|missing| missing.remove(&sent) && missing.is_empty());
    }

    /// The exactly-once messages that came more often than once.
    fn doubled(&self) -> Vec<Sent> {
        let mut seen = HashSet::new();
        let exactly_once = self.came.lock().clone().into_iter().filter(|(_, number)| number % 2 == 0);
        exactly_once.filter(|sent| !seen.insert(*sent)).collect()
    }

    /// Whether the messages of each publisher first came in the order in which it published them.
    fn is_in_order(&self) -> bool {
        let (mut seen, mut last) = (HashSet::new(), HashMap::new());
        let first = self.came.lock().clone().into_iter().filter(|sent| seen.insert(*sent));
        first
            .into_iter()
            .all(|(publisher, number)| last.insert(publisher, number).is_none_or(|last| last < number))
    }
}

/// Reads until all has come, over one connection or several.
async fn subscribe(address: SocketAddr, member: u8, group: Arc<Group>, ready: Arc<Barrier>) {
    let mut peer = Peer::open(address, [b's', b'0' + member]).await;
    let packet =
        [b"\0\x01\0".as_slice(), &[group.filter.len() as u8], group.filter.as_bytes(), b"\x02"].concat();
    peer.send(&[&[0x82, packet.len() as u8], &packet[..]].concat()).await;
    assert_eq!(peer.read().await, (0x90, b"\0\x01\x02".to_vec()));
    timeout(PATIENCE, ready.wait()).await.expect("all are ready in time");
    let (mut missing, mut received) = (group.missing.subscribe(), HashSet::new());
    loop {
        let (first, body) = tokio::select! {
            answer = peer.read() => answer,
            _ = missing.wait_for(HashSet::is_empty) => return,
        };
        let exactly_once = first & 6 == 4;
        match first >> 4 {
            3 => {
                let id = [body[3], body[4]];
                if !exactly_once || received.insert(id) {
                    group.note((body[5], u16::from_be_bytes([body[6], body[7]])));
                }
                if !peer.once_in(20) {
                    let answer = if exactly_once { 0x50 } else { 0x40 };
                    peer.send(&[&[answer, 2], &id[..]].concat()).await;
                }
            }
            6 => {
                received.remove(&[body[0], body[1]]);
                peer.send(&[b"\x70\x02", &body[..]].concat()).await;
            }
            _ => panic!("{first:#x}"),
        }
        if peer.once_in(30) {
            peer.move_on().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_and_nothing_exactly_once_is_doubled_by_take_overs() {
    let broker = Broker::new(Config::default(), Hooks::open(), Vec::new());
    let limits = Limits::default();
    let stop = Stop::new();
    let bound = bind(([127, 0, 0, 1], 0).into(), Transport::Stream).unwrap();
    let address = bound.address;
    let protocol = Arc::new(Mqtt::new(mqtt::Config::default(), limits.clone()));
    let _running =
        bound.serve("test".into(), protocol, broker.clone(), ListenerConfig::default(), limits, &stop);
    let groups = [Group::new("t"), Group::new("$share/g/t")];
    let ready = Arc::new(Barrier::new(5));
    let mut tasks = tokio::task::JoinSet::new();
    for (member, group) in [(0, 0), (1, 1), (2, 1), (3, 1)] {
        tasks.spawn(subscribe(address, member, groups[group].clone(), ready.clone()));
    }
    timeout(PATIENCE, ready.wait()).await.expect("all are ready in time");
    for publisher in 0..PUBLISHERS {
        tasks.spawn(publish(address, publisher));
    }
    tasks.join_all().await;
    assert!(groups[0].is_in_order());
    for group in &groups {
        assert_eq!(group.doubled(), [], "{}", group.filter);
    }
    let stats = broker.stats();
    assert_eq!((stats.sessions, stats.subscriptions), (u64::from(PUBLISHERS) + 4, 4));
    assert_eq!(stats.dropped, []);
}
