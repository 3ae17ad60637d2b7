//! Several CoAP peers that share their topics, and as much of a broker as these need.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its part of it")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bus::{
    ContentFormat, Judgement, Limits, Matched, Message as Published, Metadata, Publish, Qos, Reason, Reply,
    Request, Right, SubscriptionId, Ticket, Topic, Transport,
};
use coap::{Coap, Code, Config, Kind, Message, OptionNumber};
use harness::Bench;

use crate::common::{acknowledgement, request};

/// `application/core-pubsub+cbor`
pub const PUBSUB: ContentFormat = ContentFormat(606);

/// The time of day when a world begins.
pub const BEGIN: u64 = 1_700_000_000;

pub struct World {
    coap: Coap,
    pub peers: Vec<Bench>,
    /// Which peer has which subscription to which topic.
    subscriptions: Vec<(usize, SubscriptionId, String)>,
    retained: HashMap<String, Arc<Published>>,
    /// What stands before the topics of each peer.
    mountpoints: Vec<&'static str>,
    /// What was published, with its payload and whether it is kept.
    pub published: Vec<(String, Vec<u8>, bool)>,
    /// What nobody may do.
    pub denied: Vec<Right>,
    /// How often somebody asked what it may do.
    pub judged: usize,
    /// Whether the broker knows the time.
    pub time: bool,
    elapsed: Duration,
    next_id: u16,
}

impl World {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        Self {
            coap: Coap::new(config, Limits::default()),
            peers: Vec::new(),
            subscriptions: Vec::new(),
            retained: HashMap::new(),
            mountpoints: Vec::new(),
            published: Vec::new(),
            denied: Vec::new(),
            judged: 0,
            time: true,
            elapsed: Duration::ZERO,
            next_id: 0,
        }
    }

    /// A peer that was not there before.
    pub fn peer(&mut self) -> usize {
        self.peer_at("")
    }

    /// The same, whose topics have something before them.
    pub fn peer_at(&mut self, mountpoint: &'static str) -> usize {
        let mut bench = Bench::new(&self.coap, Transport::Datagram);
        if let Some(first) = self.peers.first() {
            bench.now = first.now;
        }
        self.peers.push(bench);
        self.mountpoints.push(mountpoint);
        self.peers.len() - 1
    }

    /// A confirmable request of a peer, and the answer to it.
    pub fn ask(&mut self, peer: usize, method: Code, uri: &str) -> Message {
        self.ask_with(peer, method, uri, |message| message)
    }

    /// The same with a payload in a format.
    pub fn send(
        &mut self,
        peer: usize,
        method: Code,
        uri: &str,
        format: ContentFormat,
        payload: &[u8],
    ) -> Message {
        self.ask_with(peer, method, uri, |message| message.with_content_format(format).with_payload(payload))
    }

    /// The same made as the caller says.
    pub fn ask_with(
        &mut self,
        peer: usize,
        method: Code,
        uri: &str,
        make: impl FnOnce(Message) -> Message,
    ) -> Message {
        self.next_id += 1;
        let message =
            make(request(Kind::Confirmable, method, self.next_id, &self.next_id.to_be_bytes(), uri));
        self.exchange(peer, &message)
    }

    /// Sends a message; the answer is the datagram with its token that came last.
    pub fn exchange(&mut self, peer: usize, message: &Message) -> Message {
        self.peers[peer].receive(&message.encode());
        self.settle();
        let answers = &mut self.peers[peer].sent;
        let is_it =
            |bytes: &[u8]| Message::decode(bytes).is_ok_and(|answer| answer.token() == message.token());
        let at = answers.iter().rposition(|(_, bytes)| is_it(bytes)).expect("an answer");
        Message::decode(&answers.remove(at).unwrap().1).unwrap()
    }

    /// Begins to observe with a token of one byte.
    pub fn observe(&mut self, peer: usize, token: u8, uri: &str) -> Message {
        self.next_id += 1;
        let get = request(Kind::Confirmable, Code::GET, self.next_id, &[token], uri).with_observe(0);
        self.exchange(peer, &get)
    }

    /// What a peer was sent and nobody has looked at, acknowledged where that is asked for.
    pub fn told(&mut self, peer: usize) -> Vec<Message> {
        let mut told = Vec::new();
        while let Some((_, bytes)) = self.peers[peer].sent.pop_front() {
            let message = Message::decode(&bytes).unwrap();
            if message.kind() == Kind::Confirmable {
                self.peers[peer].receive(&acknowledgement(message.id()));
                self.settle();
            }
            told.push(message);
        }
        told
    }

    /// Somebody who speaks MQTT publishes.
    pub fn publish(&mut self, topic: &str, payload: &str, retain: bool) {
        let mut publish = harness::publish(topic, payload, Qos::AtLeastOnce);
        publish.retain = retain;
        self.route(publish);
        self.settle();
    }

    /// What is kept of a topic.
    pub fn kept(&self, topic: &str) -> Option<&Published> {
        self.retained.get(topic).map(|message| &**message)
    }

    /// Turns the clock on.
    pub fn advance(&mut self, span: Duration) {
        self.elapsed += span;
        for peer in &mut self.peers {
            peer.advance(span);
        }
        let now = self.peers[0].now;
        self.retained.retain(|_, message| !message.is_expired(now));
        self.settle();
    }

    /// Answers what the peers ask until they ask nothing more.
    fn settle(&mut self) {
        while let Some(peer) = self.peers.iter().position(|peer| !peer.requests.is_empty()) {
            let (ticket, asked) = self.peers[peer].request();
            let result = self.answer(peer, asked);
            if ticket != Ticket::NONE {
                match result {
                    Ok(reply) => self.peers[peer].reply(ticket, reply),
                    Err(reason) => self.peers[peer].refuse(ticket, reason),
                }
            }
        }
    }

    fn answer(&mut self, peer: usize, asked: Request) -> Result<Reply, Reason> {
        Ok(match asked {
            Request::Connect(connect) => Reply::Connected(Box::new(bus::Connected {
                client_id: connect.client_id.unwrap_or(bus::ClientId::parse("c").unwrap()),
                assigned: false,
                session_present: false,
                session_expiry: connect.session_expiry,
                maximum_qos: Qos::ExactlyOnce,
                retain_available: true,
                shared_subscriptions_available: true,
                authentication: None,
            })),
            Request::Publish(mut publish) => {
                self.permit(Right::Publish(publish.topic.clone()))?;
                publish.topic = self.mounted(peer, &publish.topic);
                self.route(publish);
                Reply::Published { matched: 0 }
            }
            Request::PublishIf(wish) => {
                let topic = self.mounted(peer, &wish.publish.topic);
                self.permit(Right::Read(wish.publish.topic.clone()))?;
                self.permit(Right::Publish(wish.publish.topic.clone()))?;
                match wish.precondition.holds(self.retained.get(topic.as_str()).map(|message| &**message)) {
                    true => {
                        self.route(Publish { topic, ..wish.publish });
                        Reply::Published { matched: 0 }
                    }
                    false => Reply::Unfulfilled,
                }
            }
            Request::Subscribe(wishes) => {
                for wish in &wishes {
                    let topic = self.mounted(peer, &wish.filter.as_topic().expect("one topic"));
                    self.subscriptions.retain(|(of, id, _)| (*of, *id) != (peer, wish.id));
                    self.subscriptions.push((peer, wish.id, topic.as_str().to_owned()));
                }
                Reply::Subscribed(vec![Ok(wishes[0].options.qos)])
            }
            Request::Unsubscribe(wishes) => {
                for wish in &wishes {
                    let bus::Unsubscribe::Id(gone) = wish else { panic!("by id") };
                    self.subscriptions.retain(|(of, id, _)| (*of, *id) != (peer, *gone));
                }
                Reply::Unsubscribed(wishes.iter().map(|_| Ok(())).collect())
            }
            Request::Read(topic) => {
                self.permit(Right::Read(topic.clone()))?;
                Reply::Read(self.retained.get(self.mounted(peer, &topic).as_str()).cloned())
            }
            Request::Judge(rights) => {
                self.judged += 1;
                let judge = |right: Right| {
                    let (Right::Publish(topic) | Right::Read(topic) | Right::Name(topic)) = &right;
                    let topic = self.mounted(peer, topic);
                    let retained = self.retained.contains_key(topic.as_str());
                    Judgement { topic, allowed: self.permit(right), retained }
                };
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN) + self.elapsed;
                let judgements = rights.into_iter().map(judge).collect();
                Reply::Judged { judgements, time: Some(time).filter(|_| self.time) }
            }
            Request::Disconnect(_) => Reply::Disconnected,
            Request::Release(_) => Reply::Released { known: true },
            asked => panic!("{asked:?}"),
        })
    }

    fn permit(&self, right: Right) -> Result<(), Reason> {
        if self.denied.contains(&right) { Err(Reason::NotAuthorized) } else { Ok(()) }
    }

    fn mounted(&self, peer: usize, topic: &Topic) -> Topic {
        Topic::parse(&format!("{}{topic}", self.mountpoints[peer])).unwrap()
    }

    fn route(&mut self, publish: Publish) {
        let (topic, now) = (publish.topic.as_str().to_owned(), self.peers[0].now);
        self.published.push((topic.clone(), publish.payload.to_vec(), publish.retain));
        let message = Arc::new(Published {
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            published: now,
            expires: publish.expiry.map(|expiry| now + expiry),
            metadata: publish.metadata,
            origin: bus::ClientId::parse("publisher").unwrap(),
        });
        match (publish.retain, message.payload.is_empty()) {
            (true, true) => drop(self.retained.remove(&topic)),
            (true, false) => drop(self.retained.insert(topic.clone(), message.clone())),
            _ => {}
        }
        let observers: Vec<(usize, SubscriptionId)> = self
            .subscriptions
            .iter()
            .filter(|(_, _, of)| *of == topic)
            .map(|(peer, id, _)| (*peer, *id))
            .collect();
        for (peer, id) in observers {
            let delivery = bus::Delivery {
                id: None,
                message: message.clone(),
                matched: Matched::One(id),
                qos: Qos::AtMostOnce,
                retain: false,
                duplicate: false,
            };
            self.peers[peer].handle(bus::Event::Deliver(delivery));
        }
    }
}

/// One entry of a map of topic properties: a key below 24, and its value as CBOR.
pub fn entry(key: u8, value: &[u8]) -> Vec<u8> {
    [&[key], value].concat()
}

/// A number as CBOR, below 256.
pub fn uint(number: u8) -> Vec<u8> {
    if number < 24 { vec![number] } else { vec![0x18, number] }
}

/// A text as CBOR, below 24 bytes.
pub fn tstr(text: &str) -> Vec<u8> {
    [&[0x60 | text.len() as u8], text.as_bytes()].concat()
}

/// A map of few entries as CBOR.
pub fn map(entries: &[Vec<u8>]) -> Vec<u8> {
    [&[0xA0 | entries.len() as u8][..], &entries.concat()].concat()
}

/// What the creation of a topic needs at least, and more.
pub fn topic(name: &str, more: &[Vec<u8>]) -> Vec<u8> {
    map(&[&[entry(0, &tstr(name)), entry(2, &tstr("core.ps.data"))], more].concat())
}

/// An expiration date so many seconds after the world began.
pub fn date(seconds: u64) -> Vec<u8> {
    let date = (BEGIN + seconds) as u32;
    [&[5, 0xC1, 0x1A][..], &date.to_be_bytes()].concat()
}

/// The path of a topic that was made.
pub fn location(created: &Message) -> String {
    assert_eq!(created.code(), Code::CREATED, "{:?}", std::str::from_utf8(created.payload()));
    created.location_path().join("/")
}

/// Makes a topic; returns its path in the collection.
pub fn make(world: &mut World, peer: usize, name: &str, more: &[Vec<u8>]) -> String {
    location(&world.send(peer, Code::POST, "pubsub", PUBSUB, &topic(name, more)))
}

pub fn max_age(message: &Message) -> Option<u32> {
    message.uint(OptionNumber::MAX_AGE)
}

pub fn metadata(format: ContentFormat) -> Option<Box<Metadata>> {
    Metadata { content_format: Some(format), ..Metadata::default() }.boxed()
}
