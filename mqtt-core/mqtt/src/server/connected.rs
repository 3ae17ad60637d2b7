use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{
    DeliveryId, Disconnect, Lane, Outbox, ProtocolError, Qos, Reason, Reply, Request, SessionExpiry, Ticket,
    Topic,
};

use super::Shared;
use super::connection::Step;
use super::lanes::Lanes;
use super::opening::{at_most, authentication, send_authentication};
use super::reason::{code, rejection};
use super::terms::Terms;
use super::ticket::Asked;
use crate::aliases::{Incoming, Outgoing};
use crate::codec::{self, Ack, Auth, Frame, Kind, Packet, PacketId, Property, ReasonCode, Version};

/// So many more bytes of an unfinished packet are a sign of life.
const PROGRESS: usize = 1024;

/// An open session's connection. It is kept small, for most of them are idle.
#[derive(Debug)]
pub(super) struct Connected {
    /// When the client was last heard: the last packet, or enough of one.
    heard: Instant,
    /// The topic of the last PUBLISH, for the next is likely to have the same.
    pub(super) last_topic: Option<Topic>,
    /// What few connections need.
    pub(super) rare: Option<Box<Rare>>,
    /// Publishes whose reply has not come; those that are refused at sight wait for them, to keep the order.
    pub(super) unanswered: u16,
    /// How much of an unfinished packet there was when the client was last heard.
    progress: u32,
    /// How long the client may be silent, in milliseconds; 0 is for ever.
    patience: u32,
    /// Publishes above QoS 0 that are not finished, of a client of MQTT 5.
    pub(super) unfinished: u16,
    pub(super) version: Version,
    problem_information: bool,
    expires_at_once: bool,
}

/// What a client may do and how it is treated, which is the same for most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) bridge: bool,
    pub(super) maximum_qos: Qos,
    pub(super) retain_available: bool,
    pub(super) shared_subscriptions_available: bool,
    pub(super) tells_not_authorized: bool,
    /// Whether nothing comes back that the client published, whatever it subscribes.
    pub(super) no_local: bool,
}

/// What CONNECT and CONNACK settled.
pub(super) struct Agreed {
    pub(super) terms: Terms,
    pub(super) manner: Manner,
    pub(super) keep_alive: u16,
    pub(super) expires_at_once: bool,
    /// How many topic aliases may be sent.
    pub(super) topic_aliases: u8,
    pub(super) method: Option<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct Rare {
    packet_maximum: Option<u32>,
    manner: Manner,
    pub(super) incoming: Incoming,
    pub(super) outgoing: Option<Outgoing>,
    pub(super) lanes: Option<Lanes>,
    method: Option<Arc<str>>,
    again: Again,
    /// Filters that were refused at sight, by the SUBSCRIBE whose other filters the broker judges.
    pub(super) refused: Vec<(PacketId, Vec<(usize, Reason)>)>,
}

/// How far a re-authentication is [MQTT5 4.12.1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Again {
    #[default]
    No,
    ExpectReply,
    ExpectAuth,
}

impl Connected {
    pub(super) fn new(agreed: Agreed, keep_alives: f64, now: Instant) -> Self {
        let rare = Rare {
            packet_maximum: Some(agreed.terms.packet_maximum).filter(|maximum| *maximum < u32::MAX),
            manner: agreed.manner,
            outgoing: (agreed.topic_aliases > 0).then(|| Outgoing::new(agreed.topic_aliases)),
            method: agreed.method,
            ..Rare::default()
        };
        let is_usual = agreed.manner == Manner::default();
        let is_needed = rare.packet_maximum.is_some() || rare.outgoing.is_some() || rare.method.is_some();
        Self {
            heard: now,
            progress: 0,
            last_topic: None,
            rare: (is_needed || !is_usual).then(|| Box::new(rare)),
            unanswered: 0,
            patience: patience(agreed.keep_alive, keep_alives),
            unfinished: 0,
            version: agreed.terms.version,
            problem_information: agreed.terms.problem_information,
            expires_at_once: agreed.expires_at_once,
        }
    }

    pub(super) fn terms(&self) -> Terms {
        Terms {
            version: self.version,
            problem_information: self.problem_information,
            packet_maximum: self.rare.as_ref().and_then(|rare| rare.packet_maximum).unwrap_or(u32::MAX),
        }
    }

    /// How a refusal is told: its code, and the reason to put in words. Who does not wish to reveal the reason says
    /// that it is not specified [MQTT5 3.4.2.1], [MQTT5 3.9.3].
    pub(super) fn refusal(&self, reason: Reason, kind: Kind) -> (ReasonCode, Option<Reason>) {
        if reason == Reason::NotAuthorized && !self.manner().tells_not_authorized {
            return (ReasonCode::UNSPECIFIED_ERROR, None);
        }
        (code(reason, kind), Some(reason))
    }

    pub(super) fn manner(&self) -> Manner {
        self.rare.as_ref().map(|rare| rare.manner).unwrap_or_default()
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(super) fn outgoing_aliases(&mut self) -> Option<&mut Outgoing> {
        self.rare.as_mut()?.outgoing.as_mut()
    }

    /// What there is to remember of lanes, on a transport that has them.
    pub(super) fn lanes(&mut self) -> Option<&mut Lanes> {
        self.rare.as_mut()?.lanes.as_mut()
    }

    /// One and a half keep alives, or as many as configured, after the client was last heard [MQTT-3.1.2-22].
    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.patience > 0).then(|| self.heard + Duration::from_millis(self.patience.into()))
    }

    /// A large packet may take longer than the keep alive, as long as enough of it comes. A few bytes now and then
    /// are no sign of life.
    fn unfinished_packet(&mut self, length: usize, now: Instant) {
        if length >= self.progress as usize + PROGRESS {
            self.progress = u32::try_from(length).unwrap_or(u32::MAX);
            self.heard = now;
        }
    }

    /// Handles the first packet of the input.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        shared: &Shared,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Step, ProtocolError> {
        let Some(frame) = Frame::find(input, self.version, shared.limits.packet)? else {
            self.unfinished_packet(input.len(), now);
            return Ok(Step::Wait);
        };
        (self.heard, self.progress) = (now, 0);
        let taken = frame.length;
        if frame.is_publish() {
            let last = self.last_topic.take();
            let packet = frame.publish(self.version, last.as_ref().map(Topic::as_str))?;
            let is_taken = self.publish(&packet, last.as_ref(), shared, out)?;
            self.last_topic = self.last_topic.take().or(last);
            if !is_taken {
                return Ok(Step::Wait);
            }
            let repeats = match input.get(taken..) {
                None | Some([]) => 0,
                Some(rest) => self.publish_repeats(rest, shared, out),
            };
            return Ok(Step::Took(taken + repeats));
        }
        if let Some((kind, id)) = frame.bare_ack(self.version) {
            match kind {
                Kind::PubRec => self.received(&Ack::success(id), out),
                Kind::PubRel => self.ask_release(id, out),
                _ => self.complete(DeliveryId(id), bus::Ack::Complete, out),
            }
            return Ok(Step::Took(taken));
        }
        match frame.packet(self.version)? {
            Packet::PubAck(ack) => self.acknowledged(&ack, bus::Ack::Complete, out),
            Packet::PubRec(ack) => self.received(&ack, out),
            Packet::PubRel(ack) => self.ask_release(ack.id, out),
            // A client that has no such id has nothing left to complete.
            Packet::PubComp(ack) => self.complete(DeliveryId(ack.id), bus::Ack::Complete, out),
            Packet::Subscribe(packet) => self.subscribe(&packet, shared, out)?,
            Packet::Unsubscribe(packet) => self.unsubscribe(&packet, shared, out)?,
            Packet::PingReq => self.on_main_lane(out, &Packet::PingResp), // [MQTT-3.12.4-1]
            Packet::Disconnect(_) if self.unanswered > 0 => return Ok(Step::Wait),
            Packet::Disconnect(packet) => return self.disconnect(&packet, shared, out),
            Packet::Auth(packet) => self.authenticate(&packet, out)?,
            Packet::Connect(_) => return Err(ProtocolError::violation("a second CONNECT")), // [MQTT-3.1.0-2]
            Packet::Publish(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => {
                return Err(ProtocolError::violation("a packet that only servers send"));
            }
        }
        Ok(Step::Took(taken))
    }

    /// Handles the reply to a request; an error ends the connection.
    pub(super) fn reply(
        &mut self,
        asked: Asked,
        reply: Result<Reply, Reason>,
        out: &mut Outbox,
    ) -> Result<(), Reason> {
        match (asked, reply) {
            (Asked::PublishOnce(id) | Asked::PublishTwice(id), Ok(Reply::Published { matched })) => {
                self.published(asked, id, Ok(matched), out)
            }
            (Asked::PublishOnce(id) | Asked::PublishTwice(id), Err(reason)) => {
                self.published(asked, id, Err(reason), out)
            }
            (Asked::Release(id), Ok(Reply::Released { known })) => {
                self.released(id, known, out);
                Ok(())
            }
            (Asked::Subscribe(id), Ok(Reply::Subscribed(results))) => {
                self.subscribed(id, results, out);
                Ok(())
            }
            (Asked::Unsubscribe(id), Ok(Reply::Unsubscribed(results))) => {
                self.unsubscribed(id, &results, out);
                Ok(())
            }
            (Asked::Session, Ok(Reply::Challenge(step))) => {
                self.rare().again = Again::ExpectAuth;
                send_authentication(self.terms(), &step, ReasonCode::CONTINUE_AUTHENTICATION, out);
                Ok(())
            }
            (Asked::Session, Ok(Reply::Authenticated(step))) => {
                self.rare().again = Again::No;
                send_authentication(self.terms(), &step, ReasonCode::SUCCESS, out);
                Ok(())
            }
            (_, Err(reason)) => Err(reason),
            (_, Ok(_)) => Err(Reason::Internal),
        }
    }

    /// Asks for the release of a delivery that an earlier connection received.
    pub(super) fn release(&mut self, id: DeliveryId, out: &mut Outbox) {
        self.terms().acknowledge(out, Kind::PubRel, id.0);
    }

    fn ask_release(&self, id: PacketId, out: &mut Outbox) {
        out.request(Asked::Release(id).ticket(out.lane()), Request::Release(id.get()));
    }

    fn acknowledged(&mut self, ack: &Ack<'_>, done: bus::Ack, out: &mut Outbox) {
        let said = if ack.code.is_error() { bus::Ack::Reject(rejection(ack.code)) } else { done };
        self.complete(DeliveryId(ack.id), said, out);
    }

    fn complete(&mut self, id: DeliveryId, ack: bus::Ack, out: &mut Outbox) {
        if let Some(lanes) = self.lanes().filter(|_| ack != bus::Ack::Received) {
            lanes.completed(id);
        }
        out.ack(id, ack);
    }

    /// Answers what concerns the whole connection: other lanes carry publishes and subscriptions alone.
    fn on_main_lane(&mut self, out: &mut Outbox, packet: &Packet<'_>) {
        let lane = out.lane();
        out.switch_lane(Lane::MAIN);
        self.terms().answer(out, packet);
        out.switch_lane(lane);
    }

    fn received(&mut self, ack: &Ack<'_>, out: &mut Outbox) {
        self.acknowledged(ack, bus::Ack::Received, out);
        if !ack.code.is_error() {
            self.terms().acknowledge(out, Kind::PubRel, ack.id); // [MQTT-4.3.3-4]
        }
    }

    fn disconnect(
        &mut self,
        packet: &codec::Disconnect<'_>,
        shared: &Shared,
        out: &mut Outbox,
    ) -> Result<Step, ProtocolError> {
        let mut session_expiry = None;
        for property in packet.properties.iter() {
            match property {
                Property::SessionExpiryInterval(seconds) if seconds > 0 && self.expires_at_once => {
                    return Err(ProtocolError::violation("a session that ends at once cannot be prolonged"));
                }
                Property::SessionExpiryInterval(seconds) => {
                    let asked = SessionExpiry::from_seconds(seconds);
                    session_expiry = Some(at_most(asked, shared.config.session_expiry_maximum));
                }
                Property::ServerReference(_) => {
                    return Err(ProtocolError::violation("only servers send a server reference"));
                }
                _ => {}
            }
        }
        let publish_will = packet.code != ReasonCode::SUCCESS; // [MQTT-3.14.4-3]
        out.request(Ticket::NONE, Request::Disconnect(Disconnect { publish_will, session_expiry }));
        out.close(if publish_will { Reason::DisconnectedWithWill } else { Reason::Disconnected });
        Ok(Step::Last)
    }

    fn authenticate(&mut self, packet: &Auth<'_>, out: &mut Outbox) -> Result<(), ProtocolError> {
        let Some(rare) = &mut self.rare else {
            return Err(ProtocolError::violation("AUTH without a method in CONNECT"));
        };
        let step = authentication(packet, rare.method.as_ref())?;
        match (rare.again, packet.code) {
            (Again::No, ReasonCode::RE_AUTHENTICATE)
            | (Again::ExpectAuth, ReasonCode::CONTINUE_AUTHENTICATION) => rare.again = Again::ExpectReply,
            _ => return Err(ProtocolError::violation("an AUTH that was not expected")),
        }
        out.request(Asked::Session.ticket(Lane::MAIN), Request::Authenticate(step));
        Ok(())
    }
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            bridge: false,
            maximum_qos: Qos::ExactlyOnce,
            retain_available: true,
            shared_subscriptions_available: true,
            tells_not_authorized: true,
            no_local: false,
        }
    }
}

/// So many keep alives, in milliseconds. It is asked for at every turn, so it is worked out once.
fn patience(keep_alive: u16, keep_alives: f64) -> u32 {
    (f64::from(keep_alive) * 1_000.0 * keep_alives) as u32
}
