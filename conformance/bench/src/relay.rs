//! What the machine allows: a process that copies bytes from publishers to subscribers.
//!
//! It answers CONNECT and SUBSCRIBE, and takes a publisher's topic and the length of its frames from its first one. From
//! then on it reads and writes, and parses nothing: all frames of a load are of one length.

use std::collections::HashMap;
use std::net::SocketAddr;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use crate::frame::{self, kind};
use crate::generator::Wire;

/// The argument that makes this program a relay.
pub(crate) const WORD: &str = "relay-at";

const LISTENER: Token = Token(usize::MAX);

const SCRATCH: usize = 64 << 10;

struct Relay {
    peers: Vec<Option<Peer>>,
    topics: HashMap<Vec<u8>, Vec<usize>>,
    scratch: Vec<u8>,
}

struct Peer {
    wire: Wire,
    route: Option<Route>,
}

/// Where a publisher's bytes go.
struct Route {
    subscribers: Vec<usize>,
    frame: usize,
}

/// Serves until it is killed.
pub(crate) fn serve(address: SocketAddr) -> Result<(), String> {
    crate::generator::open_files();
    accept(TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?)
}

fn accept(mut listener: TcpListener) -> Result<(), String> {
    let fault = |error: std::io::Error| error.to_string();
    let mut poll = Poll::new().map_err(fault)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(fault)?;
    let mut events = Events::with_capacity(1_024);
    let mut relay = Relay { peers: Vec::new(), topics: HashMap::new(), scratch: vec![0; SCRATCH] };
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(fault(error)),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.set_nodelay(true);
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    let token = Token(relay.peers.len());
                    poll.registry().register(&mut stream, token, interest).map_err(fault)?;
                    relay.peers.push(Some(Peer { wire: Wire::new(stream), route: None }));
                }
            } else {
                relay.turn(event.token().0, event.is_readable(), event.is_writable());
            }
        }
    }
}

impl Relay {
    /// A peer that fails is gone.
    fn turn(&mut self, number: usize, readable: bool, writable: bool) {
        let Some(mut peer) = self.peers[number].take() else { return };
        let flushed = if writable { peer.wire.flush() } else { Ok(()) };
        let read = match flushed {
            Ok(()) if readable => self.read(number, &mut peer),
            flushed => flushed,
        };
        if read.is_ok() {
            self.peers[number] = Some(peer);
        }
    }

    fn read(&mut self, number: usize, peer: &mut Peer) -> Result<(), String> {
        let Self { peers, topics, scratch } = self;
        let mut answers = Vec::new();
        let Peer { wire, route } = peer;
        wire.read(scratch, |bytes| {
            let mut at = 0;
            while route.is_none() {
                let rest = &bytes[at..];
                let Some((head, length)) =
                    frame::head(rest)?.filter(|(head, length)| rest.len() >= head + length)
                else {
                    return Ok(at);
                };
                let body = &rest[head..head + length];
                match rest[0] {
                    kind::CONNECT => answers.extend([kind::CONNACK, 2, 0, 0]),
                    kind::SUBSCRIBE => {
                        topics.entry(text(&body[2..])?.to_vec()).or_default().push(number);
                        answers.extend([kind::SUBACK, 3, body[0], body[1], 0]);
                    }
                    kind::PUBLISH => {
                        let subscribers = topics.get(text(body)?).cloned().unwrap_or_default();
                        *route = Some(Route { subscribers, frame: head + length });
                        break;
                    }
                    other => return Err(format!("{other:02x} is not for a relay")),
                }
                at += head + length;
            }
            let Some(route) = route else { return Ok(at) };
            // A subscriber of many must not get the parts of different frames in turn.
            let end = at + (bytes.len() - at) / route.frame * route.frame;
            for &subscriber in &route.subscribers {
                if let Some(Some(subscriber)) = peers.get_mut(subscriber) {
                    subscriber.wire.send(&bytes[at..end])?;
                }
            }
            Ok(end)
        })?;
        if answers.is_empty() { Ok(()) } else { wire.send(&answers) }
    }
}

/// A string behind its length.
fn text(bytes: &[u8]) -> Result<&[u8], String> {
    let length = bytes.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)));
    length.and_then(|length| bytes.get(2..2 + length)).ok_or_else(|| "a string is cut off".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::generator::Load;
    use crate::scenario::{BATCHED, Beside, PACED, Scenario};

    #[test]
    fn what_the_load_sends_through_the_relay_comes_whole_and_in_order() {
        let small = |scenario: &&Scenario| {
            let connections = scenario.shape.subscribers() + scenario.shape.publishers();
            scenario.suits_relay() && connections <= 101 && scenario.beside == Beside::Nothing
        };
        for scenario in BATCHED.iter().chain(&PACED).filter(small) {
            let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            let address = listener.local_addr().unwrap();
            std::thread::spawn(|| accept(listener));
            let mut load = Load::connect(scenario, address).unwrap();
            load.subscribe().unwrap();
            let outcome = load.run(Duration::from_millis(20), || Some(Duration::ZERO)).unwrap();
            assert!(outcome.deliveries >= u64::from(scenario.shape.copies()), "{}", scenario.name);
            assert_eq!(outcome.latency.quantile(0.5).is_some(), scenario.is_timed(), "{}", scenario.name);
        }
    }
}
