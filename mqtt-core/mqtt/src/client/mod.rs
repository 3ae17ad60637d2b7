//! The client's end of a connection, without a transport.

mod event;
mod hello;
mod options;
mod outgoing;
mod receive;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bus::{EnhancedAuthentication, Filter, Publish, Qos, SessionExpiry, SubscribeOptions, UserProperty};

use crate::aliases::Incoming;
use crate::codec::{
    Ack, Auth, Disconnect, Packet, PacketId, Property, PropertyBuffer, ReasonCode, Subscribe, Unsubscribe,
    Version,
};
use outgoing::{Line, Outgoing, say};

pub use event::{ClientError, ClientEvent, Granted, Received, Refusal};
pub use options::ClientOptions;

/// An MQTT client: bytes in, bytes and events out. It keeps its session across connections.
///
/// Whoever owns it moves the bytes: [`connect`](Self::connect) on a fresh transport, [`receive`](Self::receive)
/// what arrives, [`expire`](Self::expire) at the [`deadline`](Self::deadline), and [`disconnected`](Self::disconnected)
/// when the transport is gone. After an error the transport is to be closed.
#[derive(Debug)]
pub struct MqttClient {
    options: ClientOptions,
    state: State,
    outgoing: Outgoing,
    /// Ids of received QoS 2 messages that the server has not released, and whether PUBREC was sent.
    incoming: BTreeMap<PacketId, bool>,
    /// Subscribe and unsubscribe requests without an answer; they end with the connection.
    asked: BTreeMap<PacketId, Asked>,
    last_id: u16,
    /// Counts sessions, so that an acknowledgement of a lost one is not sent in its successor.
    session: u64,
    /// Messages that are acknowledged by hand, in the order in which they came, and whether they were.
    in_hand: VecDeque<(PacketId, bool)>,
    events: VecDeque<ClientEvent>,
}

#[derive(Debug)]
enum State {
    Offline,
    ExpectConnAck { since: Instant },
    Online(Box<Online>),
}

#[derive(Debug)]
struct Online {
    granted: Granted,
    aliases: Incoming,
    /// When a packet was last sent.
    sent: Instant,
    /// When a PINGREQ was sent that has no answer.
    asked: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Subscribe { filters: usize },
    Unsubscribe { filters: usize },
}

impl MqttClient {
    /// A client that is not connected.
    pub fn new(options: ClientOptions) -> Self {
        Self {
            options,
            state: State::Offline,
            outgoing: Outgoing::default(),
            incoming: BTreeMap::new(),
            asked: BTreeMap::new(),
            last_id: 0,
            session: 0,
            in_hand: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Begins a connection on a fresh transport.
    pub fn connect(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), ClientError> {
        self.disconnected();
        hello::write(&self.options, out)?;
        self.state = State::ExpectConnAck { since: now };
        Ok(())
    }

    /// The transport is gone. The session stays.
    pub fn disconnected(&mut self) {
        self.state = State::Offline;
        self.asked.clear();
        self.in_hand.clear();
    }

    /// Whether the session is open.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Online(_))
    }

    /// How many publishes above QoS 0 are not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.outgoing.len()
    }

    /// The next thing that happened.
    pub fn next_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Publishes. Above QoS 0 it is kept, across connections, until [`ClientEvent::Published`] tells its id;
    /// QoS 0 needs a connection.
    pub fn publish(
        &mut self,
        publish: Publish,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<PacketId>, ClientError> {
        if let State::Online(online) = &self.state
            && (publish.qos > online.granted.maximum_qos
                || (publish.retain && !online.granted.retain_available))
        {
            return Err(ClientError::NotOffered);
        }
        if publish.qos == Qos::AtMostOnce {
            let line = self.line()?;
            line.publish(&publish, None, false, out)?;
            self.sent(now);
            return Ok(None);
        }
        if self.outgoing.len() >= self.options.unacknowledged {
            return Err(ClientError::Full);
        }
        let id = self.next_id().ok_or(ClientError::Full)?;
        if let Ok(line) = self.line() {
            // A publish that can never be sent is refused here, not when its turn comes.
            let mut trial = Vec::new();
            line.publish(&publish, Some(id), false, &mut trial).map_err(|_| ClientError::PacketTooLarge)?;
        }
        self.outgoing.push(id, publish);
        self.flush(now, out);
        Ok(Some(id))
    }

    /// Subscribes; the subscription identifier, from 1 on, and what else is said go to servers of MQTT 5.
    pub fn subscribe(
        &mut self,
        filters: &[(Filter, SubscribeOptions)],
        identifier: Option<u32>,
        said: &[UserProperty],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<PacketId, ClientError> {
        if filters.is_empty() {
            return Err(ClientError::Misuse("a subscription needs a filter")); // [MQTT-3.8.3-2]
        }
        if filters.iter().any(|(filter, options)| filter.share().is_some() && options.no_local) {
            return Err(ClientError::Misuse(
                "a shared subscription cannot leave out what this client published",
            )); // [MQTT-3.8.3-4]
        }
        let mut properties = PropertyBuffer::default();
        if let Some(identifier) = identifier.filter(|_| self.options.version == Version::V5) {
            properties.push(Property::SubscriptionIdentifier(identifier))?;
        }
        self.say(said, &mut properties)?;
        let id = self.ask(Asked::Subscribe { filters: filters.len() })?;
        let filters = filters.iter().map(|(filter, options)| (filter.as_str(), *options)).collect();
        let packet = Subscribe { id, properties: properties.as_properties(), filters };
        self.request(id, &Packet::Subscribe(packet), now, out)
    }

    /// Ends subscriptions; what else is said goes to servers of MQTT 5.
    pub fn unsubscribe(
        &mut self,
        filters: &[Filter],
        said: &[UserProperty],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<PacketId, ClientError> {
        if filters.is_empty() {
            return Err(ClientError::Misuse("a filter is missing")); // [MQTT-3.10.3-2]
        }
        let mut properties = PropertyBuffer::default();
        self.say(said, &mut properties)?;
        let id = self.ask(Asked::Unsubscribe { filters: filters.len() })?;
        let filters = filters.iter().map(Filter::as_str).collect();
        let packet = Unsubscribe { id, properties: properties.as_properties(), filters };
        self.request(id, &Packet::Unsubscribe(packet), now, out)
    }

    /// Acknowledges a message by hand. The server hears of it once all that came before are acknowledged too; one of a
    /// session that the server has lost needs no acknowledgement.
    pub fn acknowledge(
        &mut self,
        message: &Received,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        let Some(id) = message.id.filter(|_| message.session == self.session) else { return Ok(()) };
        if message.publish.qos == Qos::ExactlyOnce
            && let Some(recorded) = self.incoming.get_mut(&id)
        {
            *recorded = true;
        }
        self.line()?;
        if let Some((_, done)) = self.in_hand.iter_mut().find(|(of, done)| *of == id && !done) {
            *done = true;
        }
        while let Some((id, _)) = self.in_hand.pop_front_if(|(_, done)| *done) {
            self.answer(id, now, out)?; // [MQTT-4.6.0-2], [MQTT-4.6.0-3]
        }
        Ok(())
    }

    /// Sends PUBREC if the id is that of a QoS 2 message, else PUBACK.
    fn answer(&mut self, id: PacketId, now: Instant, out: &mut Vec<u8>) -> Result<(), ClientError> {
        match self.incoming.contains_key(&id) {
            true => self.send(&Packet::PubRec(Ack::success(id)), now, out),
            false => self.send(&Packet::PubAck(Ack::success(id)), now, out),
        }
    }

    /// Answers [`ClientEvent::Challenged`].
    pub fn authenticate(
        &mut self,
        step: &EnhancedAuthentication,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        self.auth(ReasonCode::CONTINUE_AUTHENTICATION, step, now, out)
    }

    /// Begins a re-authentication.
    pub fn reauthenticate(
        &mut self,
        step: &EnhancedAuthentication,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        self.line()?;
        self.auth(ReasonCode::RE_AUTHENTICATE, step, now, out)
    }

    /// Says good-bye; the transport may then be closed. MQTT 3 cannot ask for the will or a new expiry.
    pub fn disconnect(
        &mut self,
        publish_will: bool,
        session_expiry: Option<SessionExpiry>,
        said: &[UserProperty],
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        let line = self.line()?;
        let mut properties = PropertyBuffer::default();
        self.say(said, &mut properties)?;
        if let Some(expiry) = session_expiry {
            if self.options.session_expiry == SessionExpiry::AtOnce && expiry != SessionExpiry::AtOnce {
                // [MQTT5 3.14.2.2.2]
                return Err(ClientError::Misuse(
                    "a session that ends with its connection cannot be kept at the end",
                ));
            }
            properties.push(Property::SessionExpiryInterval(expiry.seconds()))?;
        }
        let code = if publish_will { ReasonCode::DISCONNECT_WITH_WILL } else { ReasonCode::SUCCESS };
        let properties = properties.as_properties();
        line.send(&Packet::Disconnect(Disconnect { code, properties }), out)?;
        self.disconnected();
        Ok(())
    }

    /// When [`expire`](Self::expire) is due.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Offline => None,
            State::ExpectConnAck { since } => Some(*since + self.options.patience),
            State::Online(online) => match online.asked {
                Some(asked) => Some(asked + self.options.patience),
                None => {
                    // A little early, so that the packet still begins within the time [MQTT-3.1.2-23].
                    let keep_alive = Duration::from_secs(online.granted.keep_alive.into());
                    (!keep_alive.is_zero()).then(|| online.sent + keep_alive * 9 / 10)
                }
            },
        }
    }

    /// Sends a PINGREQ when one is due, and fails when the server does not answer.
    pub fn expire(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), ClientError> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Ok(());
        }
        match &mut self.state {
            State::Online(online) if online.asked.is_none() => {
                online.asked = Some(now);
                self.send(&Packet::PingReq, now, out) // [MQTT-3.1.2-20]
            }
            _ => {
                self.disconnected();
                Err(ClientError::NoAnswer)
            }
        }
    }

    /// How packets go to the server, if it is there.
    fn line(&self) -> Result<Line, ClientError> {
        match &self.state {
            State::Online(online) => Ok(Line {
                version: self.options.version,
                packet_maximum: online.granted.packet_maximum,
                maximum_qos: online.granted.maximum_qos,
                retain_available: online.granted.retain_available,
            }),
            State::Offline | State::ExpectConnAck { .. } => Err(ClientError::NotConnected),
        }
    }

    fn send(&mut self, packet: &Packet<'_>, now: Instant, out: &mut Vec<u8>) -> Result<(), ClientError> {
        self.line()?.send(packet, out)?;
        self.sent(now);
        Ok(())
    }

    fn sent(&mut self, now: Instant) {
        if let State::Online(online) = &mut self.state {
            online.sent = now;
        }
    }

    /// Sends the publishes that the server's window has room for.
    fn flush(&mut self, now: Instant, out: &mut Vec<u8>) {
        let State::Online(online) = &self.state else { return };
        let window = usize::from(online.granted.receive_maximum);
        let Ok(line) = self.line() else { return };
        let before = out.len();
        for (id, code) in self.outgoing.send(window, &line, out) {
            self.events.push_back(ClientEvent::Published(id, code));
        }
        if out.len() > before {
            self.sent(now);
        }
    }

    fn say(&self, said: &[UserProperty], properties: &mut PropertyBuffer) -> Result<(), ClientError> {
        for (name, value) in said.iter().filter(|_| self.options.version == Version::V5) {
            if name.contains('\0') || value.contains('\0') {
                return Err(ClientError::Misuse("text cannot hold U+0000")); // [MQTT-1.5.4-2]
            }
            properties.push(Property::UserProperty(name, value))?;
        }
        Ok(())
    }

    fn ask(&mut self, asked: Asked) -> Result<PacketId, ClientError> {
        self.line()?;
        if self.asked.len() >= self.options.unacknowledged {
            return Err(ClientError::Full);
        }
        let id = self.next_id().ok_or(ClientError::Full)?;
        self.asked.insert(id, asked);
        Ok(id)
    }

    fn request(
        &mut self,
        id: PacketId,
        packet: &Packet<'_>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<PacketId, ClientError> {
        let sent = self.send(packet, now, out);
        if sent.is_err() {
            self.asked.remove(&id);
        }
        sent.map(|()| id)
    }

    fn auth(
        &mut self,
        code: ReasonCode,
        step: &EnhancedAuthentication,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        if matches!(self.state, State::Offline) {
            return Err(ClientError::NotConnected);
        }
        let method = self.options.authentication.as_ref().map(|step| &step.method);
        if method != Some(&step.method) {
            // [MQTT-4.12.0-5], [MQTT-4.12.0-7], [MQTT-4.12.1-1]
            return Err(ClientError::Misuse("the authentication method is that of the connect, or none"));
        }
        let mut properties = PropertyBuffer::default();
        properties.push(Property::AuthenticationMethod(&step.method))?;
        if !step.data.is_empty() {
            properties.push(Property::AuthenticationData(&step.data))?;
        }
        let packet = Packet::Auth(Auth { code, properties: properties.as_properties() });
        let unlimited = Line {
            version: self.options.version,
            packet_maximum: u32::MAX,
            maximum_qos: Qos::ExactlyOnce,
            retain_available: true,
        };
        let line = self.line().unwrap_or(unlimited);
        line.send(&packet, out)?;
        self.sent(now);
        Ok(())
    }

    /// The next packet id that is not in use [MQTT-2.2.1-3].
    fn next_id(&mut self) -> Option<PacketId> {
        for _ in 0..=u16::MAX {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = PacketId::new(self.last_id)?;
            if !self.outgoing.has(id) && !self.asked.contains_key(&id) {
                return Some(id);
            }
        }
        None
    }
}
