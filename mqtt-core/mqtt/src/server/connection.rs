use std::sync::Arc;
use std::time::Instant;

use bus::{Carrier, Connection, Deliveries, Event, Lane, Outbox, ProtocolError, Reason, Reply};

use super::Shared;
use super::connected::Connected;
use super::foreign;
use super::lanes::Lanes;
use super::opening::{Next, Opening, open};
use super::terms::Terms;
use super::ticket::Asked;
use crate::codec::{DecodeError, Level, Packet, Version, decode};

/// One client's MQTT connection.
#[derive(Debug)]
pub struct MqttConnection {
    shared: Arc<Shared>,
    state: State,
}

#[derive(Debug)]
enum State {
    ExpectConnect {
        since: Option<Instant>,
        /// Whether there may be other lanes than the main one.
        has_lanes: bool,
    },
    /// The broker, or the client in a challenge, is to speak.
    Opening {
        opening: Box<Opening>,
        has_lanes: bool,
    },
    Connected(Connected),
    Closed,
}

/// What became of the first packet of the input.
pub(super) enum Step {
    /// It had so many bytes.
    Took(usize),
    /// It is not complete, or cannot be handled before a reply has come.
    Wait,
    /// It was the last one.
    Last,
}

impl MqttConnection {
    pub(super) fn new(shared: Arc<Shared>, carrier: Carrier) -> Self {
        let has_lanes = carrier == Carrier::Quic;
        Self { shared, state: State::ExpectConnect { since: None, has_lanes } }
    }

    fn step(&mut self, input: &[u8], now: Instant, out: &mut Outbox) -> Result<Step, ProtocolError> {
        match &mut self.state {
            // Other lanes wait until the main one has opened the session.
            State::ExpectConnect { .. } | State::Opening { .. } if out.lane() != Lane::MAIN => Ok(Step::Wait),
            State::ExpectConnect { since, has_lanes } => {
                let (since, has_lanes) = (since.unwrap_or(now), *has_lanes);
                self.expect_connect(input, since, has_lanes, out)
            }
            State::Opening { opening, .. } => opening.receive(input, &self.shared, out),
            State::Connected(connected) => connected.step(input, &self.shared, now, out),
            State::Closed => Ok(Step::Last),
        }
    }

    fn expect_connect(
        &mut self,
        input: &[u8],
        since: Instant,
        has_lanes: bool,
        out: &mut Outbox,
    ) -> Result<Step, ProtocolError> {
        if input.is_empty() {
            return Ok(Step::Wait);
        }
        if !foreign::may_be_connect(input) {
            return foreign::judge(input).map_or(Ok(Step::Wait), Err);
        }
        let max = self.shared.limits.packet_before_connect.min(self.shared.limits.packet);
        let Some((packet, taken)) = decode(input, Version::V311, max)? else { return Ok(Step::Wait) };
        let Packet::Connect(connect) = packet else { return Err(DecodeError::ReservedType.into()) };
        let (opening, request) = open(&connect, &self.shared, since)?;
        out.request(Asked::Session.ticket(Lane::MAIN), bus::Request::Connect(Box::new(request)));
        self.state = State::Opening { opening: Box::new(opening), has_lanes };
        Ok(Step::Took(taken))
    }

    fn reply(&mut self, asked: Asked, reply: Result<Reply, Reason>, now: Instant, out: &mut Outbox) {
        match &mut self.state {
            State::Opening { opening, has_lanes } => match opening.reply(reply, &self.shared, now, out) {
                Next::Stay => {}
                Next::Connected(mut connected) => {
                    if *has_lanes {
                        connected.rare().lanes = Some(Lanes::default());
                    }
                    self.state = State::Connected(connected);
                }
                Next::Refuse(reason) => self.close(reason, out),
            },
            State::Connected(connected) => {
                if let Err(reason) = connected.reply(asked, reply, out) {
                    self.close(reason, out);
                }
            }
            State::ExpectConnect { .. } | State::Closed => {}
        }
    }

    /// Tells the client what can be told, and ends.
    fn close(&mut self, reason: Reason, out: &mut Outbox) {
        self.tell(ProtocolError { reason, detail: reason.explain() }, out);
        self.state = State::Closed;
        out.close(reason);
    }

    fn tell(&self, why: ProtocolError, out: &mut Outbox) {
        let reference = &self.shared.config.server_reference;
        let lane = out.lane();
        out.switch_lane(Lane::MAIN);
        match &self.state {
            State::Opening { opening, .. } => opening.terms.refuse(out, why, reference),
            State::Connected(connected) => connected.terms().dismiss(out, why, reference),
            State::ExpectConnect { .. } | State::Closed => {}
        }
        out.switch_lane(lane);
    }
}

impl Connection for MqttConnection {
    fn begin(&mut self, now: Instant, _out: &mut Outbox) {
        if let State::ExpectConnect { since, .. } = &mut self.state {
            *since = Some(now);
        }
    }

    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Outbox) -> Result<usize, ProtocolError> {
        let mut taken = 0;
        loop {
            if out.is_full() {
                return Ok(taken);
            }
            let rest = input.get(taken..).unwrap_or_default();
            match self.step(rest, now, out) {
                Ok(Step::Took(length)) => {
                    taken += length;
                    out.count_received();
                }
                Ok(Step::Wait) => return Ok(taken),
                Ok(Step::Last) => {
                    out.count_received();
                    self.state = State::Closed;
                    return Ok(input.len());
                }
                Err(error) => {
                    if matches!(self.state, State::ExpectConnect { .. }) {
                        refuse_connect(rest, error, out);
                    } else {
                        self.tell(error, out);
                    }
                    self.state = State::Closed;
                    return Err(error);
                }
            }
        }
    }

    fn handle(&mut self, event: Event, now: Instant, out: &mut Outbox) {
        match event {
            Event::Reply(ticket, reply) => {
                let Some((asked, lane)) = Asked::of(ticket) else { return };
                let before = out.lane();
                out.switch_lane(lane);
                self.reply(asked, reply, now, out);
                out.switch_lane(before);
            }
            Event::Deliver(delivery) => {
                if let State::Connected(connected) = &mut self.state {
                    connected.deliver(&delivery, now, out);
                }
            }
            Event::Release(id) => {
                if let State::Connected(connected) = &mut self.state {
                    connected.release(id, out);
                }
            }
            Event::Idle => {}
            Event::Close(reason) => self.close(reason, out),
        }
    }

    fn take_burst(&mut self, deliveries: &Deliveries, now: Instant, out: &mut Outbox) {
        if let State::Connected(connected) = &mut self.state {
            connected.deliver_burst(deliveries, now, out);
        }
    }

    fn lane_closed(&mut self, lane: Lane, out: &mut Outbox) {
        if let State::Connected(connected) = &mut self.state
            && let Some(lanes) = connected.lanes()
        {
            lanes.closed(lane, out);
        }
    }

    fn expire(&mut self, now: Instant, out: &mut Outbox) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let reason = match &self.state {
            State::ExpectConnect { .. } | State::Opening { .. } => Reason::HandshakeTimeout,
            State::Connected(_) | State::Closed => Reason::KeepAliveTimeout,
        };
        self.close(reason, out);
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::ExpectConnect { since, .. } => since.map(|since| since + self.shared.limits.handshake),
            State::Opening { opening, .. } => Some(opening.since + self.shared.limits.handshake),
            State::Connected(connected) => connected.deadline(),
            State::Closed => None,
        }
    }

    fn room(&self) -> usize {
        match &self.state {
            State::Connected(_) => usize::MAX,
            State::ExpectConnect { .. } | State::Opening { .. } | State::Closed => 0,
        }
    }
}

/// Says what is wrong with a CONNECT. An MQTT 3 client hears of its version and id; what breaks the format ends
/// the connection without a word [MQTT-3.1.4-1].
fn refuse_connect(input: &[u8], why: ProtocolError, out: &mut Outbox) {
    let Some(version) = version_asked(input) else { return };
    if version == Version::V5 || matches!(why.reason, Reason::UnsupportedVersion | Reason::ClientIdInvalid) {
        Terms::new(version).refuse(out, why, "");
    }
}

/// The version in which to refuse a CONNECT: the nearest that there is.
fn version_asked(input: &[u8]) -> Option<Version> {
    match Level::peek(input)? {
        Level::Known(version, _) => Some(version),
        Level::Unknown(6..=0x7F) => Some(Version::V5),
        Level::Unknown(_) => Some(Version::V311),
    }
}
