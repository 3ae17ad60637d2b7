use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bus::{Filter, Publish, Qos, SessionExpiry, SubscribeOptions, Topic};
use mqtt::{ClientEvent, ClientOptions, MqttClient, ReasonCode, Version};

use crate::Device;

/// An MQTT client whose session outlives its connections: publishes a list of messages, or subscribes and
/// collects.
pub struct MqttDevice {
    client: MqttClient,
    subscribe: Option<(Filter, Qos)>,
    to_publish: VecDeque<Publish>,
    unread: Vec<u8>,
    /// How many publishes the server took.
    pub published: usize,
    /// The payloads received, in order.
    pub received: Vec<String>,
    /// How often it was connected.
    pub connections: usize,
    /// Whether the server has granted the subscription.
    pub subscribed: bool,
    broken: bool,
}

/// How many publishes are under way at once.
const WINDOW: usize = 8;

impl MqttDevice {
    /// A publisher.
    pub fn publisher(
        version: Version,
        client_id: &str,
        topic: &str,
        qos: Qos,
        payloads: Vec<String>,
    ) -> Self {
        let topic = Topic::parse(topic).expect("a topic");
        let publish = |payload| Publish::new(topic.clone(), payload, qos);
        Self { to_publish: payloads.into_iter().map(publish).collect(), ..Self::new(version, client_id) }
    }

    /// A subscriber.
    pub fn subscriber(version: Version, client_id: &str, filter: &str, qos: Qos) -> Self {
        let filter = Filter::parse(filter).expect("a filter");
        Self { subscribe: Some((filter, qos)), ..Self::new(version, client_id) }
    }

    fn new(version: Version, client_id: &str) -> Self {
        let options = ClientOptions {
            clean_start: false,
            session_expiry: SessionExpiry::After(Duration::from_secs(3_600)),
            ..ClientOptions::new(version, client_id)
        };
        Self {
            client: MqttClient::new(options),
            subscribe: None,
            to_publish: VecDeque::new(),
            unread: Vec::new(),
            published: 0,
            received: Vec::new(),
            connections: 0,
            subscribed: false,
            broken: false,
        }
    }

    fn go_on(&mut self, now: Instant, out: &mut Vec<u8>) {
        while let Some(event) = self.client.next_event() {
            match event {
                ClientEvent::Connected(granted) => {
                    self.connections += 1;
                    if let Some((filter, qos)) = self.subscribe.clone().filter(|_| !granted.session_present) {
                        assert!(!self.subscribed, "the session was lost, and messages with it");
                        let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
                        self.client
                            .subscribe(&[(filter, options)], None, &[], now, out)
                            .expect("room to ask");
                    }
                }
                ClientEvent::Message(message) => {
                    self.received.push(String::from_utf8_lossy(&message.publish.payload).into_owned());
                }
                ClientEvent::Published(_, code) => {
                    assert_eq!(code, ReasonCode::SUCCESS);
                    self.published += 1;
                }
                ClientEvent::Subscribed(_, codes) => {
                    self.subscribed = codes[0] != ReasonCode::UNSPECIFIED_ERROR
                }
                ClientEvent::Disconnected(_) | ClientEvent::Unsubscribed(..) => {}
                other => panic!("{other:?}"),
            }
        }
        while self.client.is_connected() && self.client.unacknowledged() < WINDOW {
            let Some(publish) = self.to_publish.pop_front() else { break };
            self.client.publish(publish, now, out).expect("the window has room");
        }
    }

    /// Whether the server has a subscription that its lost SUBACK did not tell of.
    fn asks_again(&self) -> bool {
        self.subscribe.is_some() && !self.subscribed
    }
}

impl Device for MqttDevice {
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        let mut out = Vec::new();
        self.broken = false;
        self.client.connect(now, &mut out).expect("a connect that can be written");
        send.push(out);
    }

    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) {
        if self.broken {
            return;
        }
        let mut out = Vec::new();
        self.unread.extend_from_slice(bytes);
        let connected = self.client.is_connected();
        let taken =
            self.client.receive(&self.unread, now, &mut out).expect("the server keeps to the protocol");
        self.unread.drain(..taken);
        self.go_on(now, &mut out);
        if !connected && self.client.is_connected() && self.asks_again() {
            let (filter, qos) = self.subscribe.clone().expect("a subscriber");
            let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
            self.client.subscribe(&[(filter, options)], None, &[], now, &mut out).expect("room to ask");
        }
        if !out.is_empty() {
            send.push(out);
        }
    }

    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        let mut out = Vec::new();
        if self.client.expire(now, &mut out).is_err() {
            // The answer was lost with the connection; the next start asks again.
            self.broken = true;
            self.client.disconnected();
        }
        if !out.is_empty() {
            send.push(out);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.client.deadline()
    }

    fn cut(&mut self) {
        self.client.disconnected();
        self.unread.clear();
    }
}
