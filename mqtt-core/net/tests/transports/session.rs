//! DTLS listeners over an engine that encrypts nothing: what a datagram stands for is its first byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Hooks;
use bus::{Carrier, KeyMark, Limits, Reason, Transport};
use dtls::{
    Counts, Effects, Ending, Engine, EngineError, EngineFactory, Identity, Key, Keys, Proof, Refusal,
    SavedSession, SessionEvent, SessionId, Settings, StreamAcceptor,
};
use mqtt_sn::MqttSn;
use net::{ListenerConfig, MarkedKeys, Offer, Parked, bind};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::server::{PATIENCE, Server};

/// `H` and a name asks for a session, `O` grants it. `D`, the session's number and bytes carry these, `C` and the
/// number end it.
struct Fake {
    next: u8,
    settings: Settings,
    open: BTreeMap<SessionId, (SocketAddr, Arc<Identity>)>,
}

struct Fakes;

/// Everybody whose name is here has a key.
#[derive(Clone)]
pub(crate) struct Names(&'static [(&'static str, u8)]);

impl Keys for Names {
    fn key(&self, identity: &str) -> Option<Key> {
        self.mark(identity).and_then(|mark| Key::new(mark.0.to_vec()))
    }
}

impl MarkedKeys for Names {
    fn mark(&self, identity: &str) -> Option<KeyMark> {
        self.0.iter().find(|(name, _)| *name == identity).map(|(_, key)| KeyMark([*key; 16]))
    }
}

impl EngineFactory for Fakes {
    fn engine(&self, settings: &Settings) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(Fake { next: 1, settings: settings.clone(), open: BTreeMap::new() }))
    }

    fn stream(&self, _: &Settings) -> Result<Box<dyn StreamAcceptor>, EngineError> {
        Err(EngineError::NothingToShow)
    }
}

impl Engine for Fake {
    fn receive(&mut self, datagram: &[u8], from: SocketAddr, _: Instant, effects: &mut Effects) {
        let id = |number: u8| SessionId(u64::from(number));
        match datagram {
            [b'H', name @ ..] => {
                let name = String::from_utf8(name.to_vec()).unwrap();
                if self.settings.psk.as_ref().and_then(|keys| keys.key(&name)).is_none() {
                    let refusal = Refusal::UnknownIdentity(name);
                    return effects.events.push(SessionEvent::Refused { address: from, refusal });
                }
                let session = id(self.next);
                let identity = Arc::new(Identity {
                    version: "DTLS 1.2".into(),
                    cipher: "TLS_PSK_WITH_AES_128_CCM_8".into(),
                    server_name: None,
                    proof: Proof::Key(name.into()),
                });
                self.open.insert(session, (from, identity.clone()));
                effects.datagrams.push((from, vec![b'O', self.next]));
                effects.events.push(SessionEvent::Opened { session, address: from, identity });
                self.next += 1;
            }
            [b'D', number, plaintext @ ..] => {
                let session = id(*number);
                let Some((address, _)) = self.open.get_mut(&session) else { return };
                if *address != from {
                    *address = from;
                    effects.events.push(SessionEvent::Moved { session, address: from });
                }
                effects.events.push(SessionEvent::Received { session, plaintext: plaintext.to_vec() });
            }
            [b'C', number] if self.open.remove(&id(*number)).is_some() => {
                effects.events.push(SessionEvent::Closed { session: id(*number), ending: Ending::Closed });
            }
            _ => {}
        }
    }

    fn work(&mut self, _: Instant, _: &mut Effects) -> bool {
        false
    }

    fn send(&mut self, session: SessionId, plaintext: &[u8], _: Instant, effects: &mut Effects) {
        if let Some((address, _)) = self.open.get(&session) {
            let datagram = [&[b'D', session.0 as u8], plaintext].concat();
            effects.datagrams.push((*address, datagram));
        }
    }

    fn close(&mut self, session: SessionId, _: Instant, effects: &mut Effects) {
        if let Some((address, _)) = self.open.remove(&session) {
            effects.datagrams.push((address, vec![b'C', session.0 as u8]));
        }
    }

    fn expire(&mut self, _: Instant, _: &mut Effects) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn room(&self, _: SessionId) -> usize {
        1_200
    }

    fn sessions(&self) -> usize {
        self.open.len()
    }

    fn counts(&self) -> Counts {
        Counts { sessions: self.open.len(), ..Counts::default() }
    }

    fn reconfigure(&mut self, settings: &Settings) -> Result<(), EngineError> {
        self.settings = settings.clone();
        Ok(())
    }

    fn save(&mut self) -> Vec<SavedSession> {
        let saved = std::mem::take(&mut self.open).into_iter();
        saved
            .map(|(session, (address, identity))| SavedSession {
                session,
                address,
                identity,
                state: Vec::new().into(),
            })
            .collect()
    }

    fn restore(&mut self, saved: Vec<SavedSession>, _: Instant, effects: &mut Effects) {
        for SavedSession { session, address, identity, .. } in saved {
            self.open.insert(session, (address, identity.clone()));
            effects.events.push(SessionEvent::Opened { session, address, identity });
        }
    }
}

pub(crate) const ANN_AND_BOB: Names = Names(&[("ann", 1), ("bob", 2)]);

pub(crate) struct Secured {
    pub(crate) server: Server,
    offers: watch::Sender<Arc<Offer>>,
}

impl Secured {
    pub(crate) fn new(keys: Names, config: ListenerConfig, parked: Vec<Parked>) -> Self {
        Self::with(Hooks::open(), keys, config, parked)
    }

    pub(crate) fn with(hooks: Hooks, keys: Names, config: ListenerConfig, parked: Vec<Parked>) -> Self {
        let offers = watch::Sender::new(offer(keys));
        let bound = bind(([127, 0, 0, 1], 0).into(), Transport::Datagram).unwrap();
        let bound = bound.over_dtls(&Fakes, &offers.subscribe(), vec![parked], true).unwrap();
        let limits = Limits { handshake: Duration::from_secs(5), ..Limits::default() };
        let protocol = MqttSn::new(mqtt_sn::Config::default(), limits.clone());
        Self { server: Server::with(hooks, bound, Arc::new(protocol), config, limits), offers }
    }

    pub(crate) async fn peer(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.server.address).await.unwrap();
        socket
    }
}

fn offer(keys: Names) -> Arc<Offer> {
    Arc::new(Offer::new(Settings::default(), Some(Arc::new(keys))))
}

pub(crate) fn plain() -> Secured {
    Secured::new(ANN_AND_BOB, ListenerConfig::default(), Vec::new())
}

pub(crate) async fn exchange(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    socket.send(datagram).await.unwrap();
    receive(socket).await
}

pub(crate) async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 1_500];
    let length = timeout(PATIENCE, socket.recv(&mut bytes)).await.expect("an answer in time").unwrap();
    bytes.truncate(length);
    bytes
}

/// CONNECT of MQTT-SN in session 1: clean session, keep alive 60 s, client id `c`.
pub(crate) const CONNECT: &[u8] = b"D\x01\x07\x04\x04\x01\0\x3cc";
pub(crate) const CONNACK: &[u8] = b"D\x01\x03\x05\0";
pub(crate) const PINGREQ: &[u8] = b"D\x01\x02\x16";
pub(crate) const PINGRESP: &[u8] = b"D\x01\x02\x17";

#[tokio::test]
async fn a_session_stays_with_its_connection_wherever_its_datagrams_come_from() {
    let secured = plain();
    let (here, there) = (secured.peer().await, secured.peer().await);
    assert_eq!(exchange(&here, b"Hann").await, b"O\x01");
    assert_eq!(exchange(&here, CONNECT).await, CONNACK);
    assert_eq!(exchange(&there, PINGREQ).await, PINGRESP, "at its new address");
    let seen = secured.server.seen.lock();
    assert_eq!(seen.len(), 1);
    let secured = seen[0].link.secured.as_ref().unwrap();
    assert_eq!(seen[0].link.carrier, Carrier::Dtls);
    assert_eq!((&*secured.version, &*secured.cipher), ("DTLS 1.2", "TLS_PSK_WITH_AES_128_CCM_8"));
    assert_eq!((secured.psk_identity.as_deref(), secured.psk_mark), (Some("ann"), Some(KeyMark([1; 16]))));
    assert_eq!(secured.largest_datagram, Some(1_200));
}

#[tokio::test]
async fn two_sessions_at_one_address_are_two_peers() {
    let secured = plain();
    let socket = secured.peer().await;
    assert_eq!(exchange(&socket, b"Hann").await, b"O\x01");
    assert_eq!(exchange(&socket, b"Hbob").await, b"O\x02");
    assert_eq!(exchange(&socket, CONNECT).await, CONNACK);
    assert_eq!(exchange(&socket, b"D\x02\x07\x04\x04\x01\0\x3cd").await, b"D\x02\x03\x05\0");
    assert_eq!(exchange(&socket, PINGREQ).await, PINGRESP);
    assert_eq!(secured.server.broker.stats().connections, 2);
}

#[tokio::test]
async fn a_good_bye_of_either_side_is_the_others_too() {
    let secured = plain();
    let socket = secured.peer().await;
    assert_eq!(exchange(&socket, b"Hann").await, b"O\x01");
    assert_eq!(exchange(&socket, CONNECT).await, CONNACK);
    assert_eq!(exchange(&socket, b"D\x01\x02\x18").await, b"D\x01\x02\x18", "DISCONNECT");
    assert_eq!(receive(&socket).await, b"C\x01");
    assert_eq!(exchange(&socket, b"Hann").await, b"O\x02");
    assert_eq!(exchange(&socket, b"D\x02\x07\x04\x04\x01\0\x3cc").await, b"D\x02\x03\x05\0");
    socket.send(b"C\x02").await.unwrap();
    secured.server.closed(Reason::PeerClosed).await;
    assert_eq!(secured.server.running.open(), 0);
}

#[tokio::test]
async fn a_handshake_that_fails_is_told_and_takes_no_place() {
    let secured = plain();
    let socket = secured.peer().await;
    socket.send(b"Heve").await.unwrap();
    let refused = |server: &Server| server.broker.stats().refused == [("mqtt-sn", Reason::BadCredentials, 1)];
    secured.server.until("the refusal", refused).await;
    assert_eq!(secured.server.running.open(), 0);
}

#[tokio::test]
async fn a_session_that_can_have_no_connection_ends() {
    let config = ListenerConfig { max_connections: 0, ..ListenerConfig::default() };
    let secured = Secured::new(ANN_AND_BOB, config, Vec::new());
    let socket = secured.peer().await;
    assert_eq!(exchange(&socket, b"Hann").await, b"O\x01");
    assert_eq!(exchange(&socket, CONNECT).await, b"C\x01");
}

#[tokio::test]
async fn new_keys_count_at_once() {
    let secured = plain();
    let (old, socket) = (secured.peer().await, secured.peer().await);
    assert_eq!(exchange(&old, b"Hann").await, b"O\x01");
    assert_eq!(exchange(&old, CONNECT).await, CONNACK);
    secured.offers.send_replace(offer(Names(&[("eve", 3)])));
    assert_eq!(exchange(&socket, b"Heve").await, b"O\x02");
    assert_eq!(receive(&old).await, b"C\x01", "whose key is gone does not stay");
    assert_eq!(exchange(&socket, b"D\x02\x07\x04\x04\x01\0\x3cc").await, b"D\x02\x03\x05\0");
    socket.send(b"Hann").await.unwrap();
    let refused = |server: &Server| server.broker.stats().refused == [("mqtt-sn", Reason::BadCredentials, 1)];
    secured.server.until("the refusal", refused).await;
}

/// Whoever had the old key might have begun its handshake just before.
#[tokio::test]
async fn a_handshake_during_which_its_key_changed_opens_nothing() {
    let secured = plain();
    let socket = secured.peer().await;
    secured.offers.send_replace(offer(Names(&[("ann", 9), ("bob", 2)])));
    // It has heard of the first change when the second comes.
    assert_eq!(exchange(&secured.peer().await, b"Hbob").await, b"O\x01");
    secured.offers.send_replace(offer(Names(&[("ann", 9), ("bob", 2), ("eve", 3)])));
    assert_eq!(exchange(&socket, b"Hann").await, b"O\x02");
    assert_eq!(receive(&socket).await, b"C\x02");
    assert_eq!(exchange(&socket, b"Hbob").await, b"O\x03");
    assert_eq!(exchange(&socket, b"D\x03\x07\x04\x04\x01\0\x3cc").await, b"D\x03\x03\x05\0");
}

/// MQTT-SN's PINGREQ of a sleeping client names it.
#[tokio::test]
async fn a_name_counts_in_another_session_only_with_the_same_key_and_where_the_listener_rebinds() {
    for (rebind, name, answer) in [
        (true, "ann", b"D\x02\x02\x17".as_slice()),
        (true, "bob", b"D\x02\x02\x18"),
        (false, "ann", b"D\x02\x02\x18"),
    ] {
        let config = ListenerConfig { rebind, ..ListenerConfig::default() };
        let secured = Secured::new(ANN_AND_BOB, config, Vec::new());
        let (before, after) = (secured.peer().await, secured.peer().await);
        assert_eq!(exchange(&before, b"Hann").await, b"O\x01");
        assert_eq!(exchange(&before, CONNECT).await, CONNACK);
        assert_eq!(exchange(&before, b"D\x01\x04\x18\0\x3c").await, b"D\x01\x02\x18", "it sleeps");
        assert_eq!(exchange(&after, &[b"H", name.as_bytes()].concat()).await, b"O\x02");
        assert_eq!(exchange(&after, b"D\x02\x03\x16c").await, answer, "rebind {rebind}, {name}");
    }
}

#[tokio::test]
async fn sessions_outlive_their_server_unless_their_keys_have_changed() {
    let secured = plain();
    let socket = secured.peer().await;
    assert_eq!(exchange(&socket, b"Hann").await, b"O\x01");
    assert_eq!(exchange(&socket, b"Hbob").await, b"O\x02");
    assert_eq!(exchange(&socket, CONNECT).await, CONNACK);
    secured.server.stop.stop();
    secured.server.broker.drain();
    let parked = timeout(PATIENCE, secured.server.running.parked()).await.unwrap().remove(0);
    assert_eq!(parked.len(), 2);
    let bobs_is_new = Names(&[("ann", 1), ("bob", 7)]);
    let again = Secured::new(bobs_is_new, ListenerConfig::default(), parked);
    let socket = again.peer().await;
    socket.send(b"D\x02\x07\x04\x04\x01\0\x3cd").await.unwrap();
    assert_eq!(exchange(&socket, CONNECT).await, CONNACK, "and nothing for bob");
}
