use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bus::Qos;
use mqtt_sn::{Connect, Packet, Publish, PublishQos, ReturnCode, Subscribe, TopicFilter, TopicId, decode};

use crate::Device;

/// An MQTT-SN 1.2 client: publishes a list of messages one by one, or subscribes and collects.
pub struct SnDevice {
    client_id: String,
    subscribe: Option<(String, Qos)>,
    topic: String,
    qos: Qos,
    to_publish: VecDeque<String>,
    /// How many publishes are finished.
    pub published: usize,
    /// What it received, in order; an exactly-once message counts when it is new.
    pub received: Vec<String>,
    state: State,
    topic_id: u16,
    next_id: u16,
    /// Topic names by the ids that the gateway registered.
    names: HashMap<u16, String>,
    /// Exactly-once messages that came. An id stays here after its release: on a network that reorders, a copy
    /// of the message may come last of all.
    known: HashSet<u16>,
    waiting: Option<Waiting>,
    due: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    Subscribing,
    Registering,
    Ready,
}

/// What was sent last and not answered yet.
struct Waiting {
    id: u16,
    datagram: Vec<u8>,
    /// The publish was received, and its release awaits PUBCOMP.
    released: bool,
}

/// How long it waits for an answer.
const RETRY: Duration = Duration::from_secs(3);

impl SnDevice {
    /// A publisher.
    pub fn publisher(client_id: &str, topic: &str, qos: Qos, payloads: Vec<String>) -> Self {
        Self { topic: topic.into(), qos, to_publish: payloads.into(), ..Self::new(client_id) }
    }

    /// A subscriber.
    pub fn subscriber(client_id: &str, filter: &str, qos: Qos) -> Self {
        Self { subscribe: Some((filter.into(), qos)), ..Self::new(client_id) }
    }

    fn new(client_id: &str) -> Self {
        Self {
            client_id: client_id.into(),
            subscribe: None,
            topic: String::new(),
            qos: Qos::AtMostOnce,
            to_publish: VecDeque::new(),
            published: 0,
            received: Vec::new(),
            state: State::Connecting,
            topic_id: 0,
            next_id: 0,
            names: HashMap::new(),
            known: HashSet::new(),
            waiting: None,
            due: None,
        }
    }

    fn ask(&mut self, id: u16, packet: Packet<'_>, now: Instant, send: &mut Vec<Vec<u8>>) {
        let datagram = encoded(packet);
        send.push(datagram.clone());
        self.waiting = Some(Waiting { id, datagram, released: false });
        self.due = Some(now + RETRY);
    }

    fn connect(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.state = State::Connecting;
        let client_id = self.client_id.clone();
        let connect = Connect {
            will: false,
            clean_session: false,
            protocol_id: 1,
            duration: 600,
            client_id: &client_id,
        };
        self.ask(0, Packet::Connect(connect), now, send);
    }

    /// Does what comes next, if nothing is awaited.
    fn go_on(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.next_id += 1;
        let id = self.next_id;
        match self.state {
            State::Connecting => self.connect(now, send),
            State::Subscribing => {
                let (filter, qos) = self.subscribe.clone().expect("a subscriber");
                let topic = TopicFilter::Name(&filter);
                let subscribe = Subscribe { dup: false, qos: Some(qos), msg_id: id, topic };
                self.ask(id, Packet::Subscribe(subscribe), now, send);
            }
            State::Registering => {
                let topic = self.topic.clone();
                self.ask(id, Packet::Register { topic_id: 0, msg_id: id, topic: &topic }, now, send);
            }
            State::Ready => match self.to_publish.front().cloned() {
                None => (self.waiting, self.due) = (None, None),
                Some(payload) => {
                    let publish = Publish {
                        dup: false,
                        qos: PublishQos::Session(self.qos),
                        retain: false,
                        topic: TopicId::Normal(self.topic_id),
                        msg_id: id,
                        data: payload.as_bytes(),
                    };
                    self.ask(id, Packet::Publish(publish), now, send);
                    if self.qos == Qos::AtMostOnce {
                        self.finish_publish(now, send);
                    }
                }
            },
        }
    }

    fn finish_publish(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.to_publish.pop_front();
        self.published += 1;
        self.go_on(now, send);
    }

    fn awaits(&self, id: u16, released: bool) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.id == id && waiting.released == released)
    }

    fn receive_publish(&mut self, publish: Publish<'_>, send: &mut Vec<Vec<u8>>) {
        let (TopicId::Normal(topic_id), PublishQos::Session(qos)) = (publish.topic, publish.qos) else {
            return;
        };
        let msg_id = publish.msg_id;
        if !self.names.contains_key(&topic_id) {
            let code = ReturnCode::InvalidTopicId;
            return send.push(encoded(Packet::PubAck { topic_id, msg_id, code }));
        }
        let payload = String::from_utf8_lossy(publish.data).into_owned();
        match qos {
            Qos::AtMostOnce => self.received.push(payload),
            Qos::AtLeastOnce => {
                self.received.push(payload);
                send.push(encoded(Packet::PubAck { topic_id, msg_id, code: ReturnCode::Accepted }));
            }
            Qos::ExactlyOnce => {
                if self.known.insert(msg_id) {
                    self.received.push(payload);
                }
                send.push(encoded(Packet::PubRec { msg_id }));
            }
        }
    }
}

impl Device for SnDevice {
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.connect(now, send);
    }

    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) {
        match decode(bytes).expect("the server sends well-formed messages") {
            Packet::ConnAck(ReturnCode::Accepted) if self.state == State::Connecting => {
                self.state = if self.subscribe.is_some() { State::Subscribing } else { State::Registering };
                self.go_on(now, send);
            }
            Packet::SubAck { msg_id, topic_id, code, .. } if self.awaits(msg_id, false) => {
                assert_eq!(code, ReturnCode::Accepted);
                if topic_id != 0 {
                    let filter = self.subscribe.clone().map(|(filter, _)| filter).unwrap_or_default();
                    self.names.insert(topic_id, filter);
                }
                self.state = State::Ready;
                self.go_on(now, send);
            }
            Packet::RegAck { msg_id, topic_id, code, .. } if self.awaits(msg_id, false) => {
                assert_eq!(code, ReturnCode::Accepted);
                self.topic_id = topic_id;
                self.state = State::Ready;
                self.go_on(now, send);
            }
            Packet::Register { topic_id, msg_id, topic } => {
                self.names.insert(topic_id, topic.to_owned());
                send.push(encoded(Packet::RegAck { topic_id, msg_id, code: ReturnCode::Accepted }));
            }
            Packet::PubAck { msg_id, code, .. } if self.awaits(msg_id, false) => {
                assert_eq!(code, ReturnCode::Accepted);
                self.finish_publish(now, send);
            }
            Packet::PubRec { msg_id } => {
                if self.awaits(msg_id, false) {
                    self.ask(msg_id, Packet::PubRel { msg_id }, now, send);
                    self.waiting.as_mut().expect("it was just set").released = true;
                } else {
                    send.push(encoded(Packet::PubRel { msg_id }));
                }
            }
            Packet::PubComp { msg_id } if self.awaits(msg_id, true) => self.finish_publish(now, send),
            Packet::PubRel { msg_id } => {
                send.push(encoded(Packet::PubComp { msg_id }));
            }
            Packet::Publish(publish) => self.receive_publish(publish, send),
            Packet::Disconnect { .. } => self.connect(now, send),
            _ => {}
        }
    }

    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        match &mut self.waiting {
            None => self.due = None,
            Some(waiting) => {
                // A PUBLISH that is sent again says so [MQTT-SN 1.2 6.12].
                if let Ok(Packet::Publish(publish)) = decode(&waiting.datagram) {
                    waiting.datagram = encoded(Packet::Publish(Publish { dup: true, ..publish }));
                }
                send.push(waiting.datagram.clone());
                self.due = Some(now + RETRY);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }
}

fn encoded(packet: Packet<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    packet.encode(&mut datagram).expect("devices send short messages");
    datagram
}
