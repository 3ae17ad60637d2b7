//! Who comes and goes, on topics, as EMQX publishes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use broker::{Broker, BrokerEvent, Client, Observer};
use bus::{Address, ClientId, Filter, Publish, Qos, SessionExpiry, Topic};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::{Config, Moment};

/// Notes who comes and goes; [`Announcements::run`] publishes it.
pub struct Presence {
    sender: Sender<(BrokerEvent, Instant)>,
    wanted: Wanted,
    lost: Arc<AtomicU64>,
}

/// What was noted and is to be published.
pub struct Announcements {
    receiver: Receiver<(BrokerEvent, Instant)>,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
struct Wanted {
    node: String,
    presence: bool,
    subscriptions: bool,
    template: String,
}

/// How much may wait to be published; what is more is lost, and counted.
const WAITING: usize = 16_384;

impl Presence {
    /// The two ends of what the configuration asks for, or nothing.
    pub fn new(config: &Config) -> Option<(Self, Announcements)> {
        let wanted = Wanted {
            node: config.node.clone(),
            presence: config.presence,
            subscriptions: config.presence_subscriptions,
            template: config.presence_topic.clone(),
        };
        if !wanted.presence && !wanted.subscriptions && wanted.template.is_empty() {
            return None;
        }
        let (sender, receiver) = channel(WAITING);
        let presence = Self { sender, wanted: wanted.clone(), lost: Arc::default() };
        Some((presence, Announcements { receiver, wanted }))
    }

    /// Counts what could not be published because too much waited.
    pub fn lost(&self) -> Arc<AtomicU64> {
        self.lost.clone()
    }
}

impl Observer for Presence {
    fn observe(&self, event: &BrokerEvent) {
        let (wanted, at) = match event {
            BrokerEvent::Connected { at, .. } | BrokerEvent::Disconnected { at, .. } => {
                (self.wanted.presence || !self.wanted.template.is_empty(), *at)
            }
            BrokerEvent::Subscribed { .. } | BrokerEvent::Unsubscribed { .. } => {
                (self.wanted.subscriptions, Instant::now())
            }
            _ => return,
        };
        if wanted && self.sender.try_send((event.clone(), at)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Announcements {
    /// Publishes what is noted for as long as somebody notes.
    pub async fn run(mut self, broker: Broker) {
        while let Some((event, at)) = self.receiver.recv().await {
            self.announce(&event, at, &broker);
        }
    }

    /// Publishes what was noted so far.
    pub fn flush(&mut self, broker: &Broker) {
        while let Ok((event, at)) = self.receiver.try_recv() {
            self.announce(&event, at, broker);
        }
    }

    fn announce(&self, event: &BrokerEvent, at: Instant, broker: &Broker) {
        let moment = Moment::now();
        let time = moment.millis(at);
        let told = match event {
            BrokerEvent::Connected { client, clean_start, session_expiry, keep_alive, .. } => {
                let mut told = who(client, time);
                told["connected_at"] = time.into();
                told["clean_start"] = (*clean_start).into();
                told["keepalive"] = keep_alive.map_or(0, |span| span.as_secs()).into();
                told["expiry_interval"] = expiry(*session_expiry).into();
                told["connack"] = 0.into();
                Some((client, "connected", told))
            }
            BrokerEvent::Disconnected { client, reason, course, .. } => {
                let mut told = who(client, time);
                told["connected_at"] = moment.millis(course.since).into();
                told["disconnected_at"] = time.into();
                told["reason"] = reason.name().into();
                Some((client, "disconnected", told))
            }
            BrokerEvent::Subscribed { client, filter, qos } => {
                let mut told = subscription(client, filter, time);
                told["subopts"] = json!({ "qos": qos.level() });
                Some((client, "subscribed", told))
            }
            BrokerEvent::Unsubscribed { client, filter } => {
                Some((client, "unsubscribed", subscription(client, filter, time)))
            }
            _ => None,
        };
        let Some((client, what, told)) = told else { return };
        let about_subscriptions = matches!(what, "subscribed" | "unsubscribed");
        let safe = topic_safe(&client.id);
        if if about_subscriptions { self.wanted.subscriptions } else { self.wanted.presence } {
            let topic = format!("$SYS/brokers/{}/clients/{safe}/{what}", self.wanted.node);
            publish(broker, &topic, told.to_string(), false, at);
        }
        if !about_subscriptions && !self.wanted.template.is_empty() {
            // A connection that was taken over ends after the next one has begun: what is so now counts.
            let online = broker.session(&client.id).is_some_and(|session| session.connected);
            let status = if online { "online" } else { "offline" };
            publish(broker, &self.wanted.template.replace("%c", &safe), status.to_owned(), true, at);
        }
    }
}

fn publish(broker: &Broker, topic: &str, payload: String, retain: bool, now: Instant) {
    // An id of tens of thousands of bytes makes no topic.
    let Ok(topic) = Topic::parse(topic) else { return };
    let publish = Publish { retain, ..Publish::new(topic, payload, Qos::AtMostOnce) };
    if let Err(reason) = broker.announce(publish, now) {
        tracing::debug!(reason = reason.name(), "A client's presence could not be published.");
    }
}

fn who(client: &Client, time: u64) -> Value {
    let (name, version) = protocol(client.protocol);
    let ip = match client.peer.address {
        Address::Socket(address) => address.ip().to_canonical().to_string(),
        other => other.to_string(),
    };
    json!({
        "clientid": client.id.as_str(),
        "username": client.identity.username.as_deref(),
        "ipaddress": ip,
        "listener": &*client.peer.listener,
        "protocol": client.protocol,
        "proto_name": name,
        "proto_ver": version,
        "ts": time,
    })
}

fn subscription(client: &Client, filter: &Filter, time: u64) -> Value {
    json!({
        "clientid": client.id.as_str(),
        "username": client.identity.username.as_deref(),
        "topic": filter.as_str(),
        "ts": time,
    })
}

/// The name and level that stand in an MQTT CONNECT; else the protocol's name and version.
fn protocol(label: &str) -> (&str, Value) {
    match label {
        "MQTT 3.1" => ("MQIsdp", 3.into()),
        "MQTT 3.1.1" => ("MQTT", 4.into()),
        "MQTT 5" => ("MQTT", 5.into()),
        other => other.split_once(' ').map_or((other, Value::Null), |(name, version)| (name, version.into())),
    }
}

fn expiry(expiry: SessionExpiry) -> u64 {
    match expiry {
        SessionExpiry::AtOnce => 0,
        SessionExpiry::After(span) => span.max(Duration::from_secs(1)).as_secs(),
        SessionExpiry::Never => u64::from(u32::MAX),
    }
}

/// A client id as one level of a topic: what has a meaning there, and `%`, is written `%2F`.
fn topic_safe(id: &ClientId) -> String {
    let mut safe = String::with_capacity(id.as_str().len());
    for letter in id.as_str().chars() {
        match letter {
            '/' | '+' | '#' | '%' => safe.push_str(&format!("%{:02X}", u32::from(letter))),
            _ => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_becomes_one_level_and_no_two_ids_the_same() {
        let safe = |id: &str| topic_safe(&ClientId::parse(id).unwrap());
        assert_eq!(safe("a/b+c#d%é"), "a%2Fb%2Bc%23d%25é");
        assert_ne!(safe("a/b"), safe("a%2Fb"));
    }

    #[test]
    fn protocols_are_named_as_their_connect_names_them() {
        assert_eq!(protocol("MQTT 3.1"), ("MQIsdp", json!(3)));
        assert_eq!(protocol("STOMP 1.2"), ("STOMP", json!("1.2")));
        assert_eq!(protocol("CoAP"), ("CoAP", Value::Null));
    }
}
