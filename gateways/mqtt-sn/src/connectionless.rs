use std::time::Instant;

use bus::{ClientId, Connect, Credentials, Reason, Reply, Request, SessionExpiry, Ticket, Topic};
use bytes::Bytes;

use crate::turn::{Shared, Turn};
use crate::{Publish, TopicId};

/// A device that publishes with QoS -1: its session is opened for it, so that its messages pass the same door
/// as everyone's.
#[derive(Debug)]
pub(crate) struct Connectionless {
    client_id: ClientId,
    ticket: Ticket,
    pub(crate) open: bool,
    /// What came before the session was open.
    waiting: Vec<bus::Publish>,
    seen: Instant,
}

/// How many messages wait for their session.
const WAITING: usize = 16;

impl Connectionless {
    /// Asks for the session; `None` if the configured client id is none.
    pub(crate) fn new(turn: &mut Turn<'_>) -> Option<Self> {
        let client_id = ClientId::parse(&derive_client_id(turn))?;
        let ticket = turn.request(Request::Connect(Box::new(Connect {
            client_id: Some(client_id.clone()),
            credentials: Credentials::default(),
            clean_start: true,
            session_expiry: SessionExpiry::AtOnce,
            will: None,
            receive_maximum: 1,
            takes_unasked: false,
            keep_alive: None,
            user_properties: Vec::new(),
            protocol: "MQTT-SN 1.2 QoS -1",
        })));
        Some(Self { client_id, ticket, open: false, waiting: Vec::new(), seen: turn.now })
    }

    /// Publishes, at once or when the session is open. What names no topic is lost, as QoS -1 may be.
    pub(crate) fn publish(&mut self, publish: &Publish<'_>, turn: &mut Turn<'_>) {
        self.seen = turn.now;
        let Some(topic) = unregistered_topic(publish.topic, self.client_id.as_str(), turn.shared) else {
            return;
        };
        let payload = Bytes::copy_from_slice(publish.data);
        let mut request = bus::Publish::new(topic, payload, bus::Qos::AtMostOnce);
        request.retain = publish.retain;
        if self.open {
            turn.out.request(Ticket::NONE, Request::Publish(request));
        } else if self.waiting.len() < WAITING {
            self.waiting.push(request);
        }
    }

    /// Takes the answer to the connect; an error is why there is no session.
    pub(crate) fn reply(
        &mut self,
        ticket: Ticket,
        reply: Result<Reply, Reason>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Reason> {
        if ticket != self.ticket {
            return Ok(());
        }
        match reply? {
            Reply::Connected(_) => {
                self.open = true;
                for publish in self.waiting.drain(..) {
                    turn.out.request(Ticket::NONE, Request::Publish(publish));
                }
                Ok(())
            }
            _ => Err(Reason::BadAuthenticationMethod),
        }
    }

    /// When the device is forgotten.
    pub(crate) fn deadline(&self, shared: &Shared) -> Instant {
        self.seen + shared.config.qos_minus_one_idle
    }
}

/// The topic that an id stands for without registration.
pub(crate) fn unregistered_topic(id: TopicId, client_id: &str, shared: &Shared) -> Option<Topic> {
    match id {
        TopicId::Predefined(id) => shared.predefined.find(client_id, id).cloned(),
        TopicId::Short(name) => Topic::parse(std::str::from_utf8(&name).ok()?).ok(),
        TopicId::Normal(_) | TopicId::Reserved(_) => None,
    }
}

fn derive_client_id(turn: &Turn<'_>) -> String {
    let mut address = turn.peer.address.to_string();
    if let Some(node) = &turn.node.0 {
        address.push('-');
        address.extend(node.iter().map(|octet| format!("{octet:02x}")));
    }
    turn.shared.config.qos_minus_one_client_id.replace("{address}", &address)
}
