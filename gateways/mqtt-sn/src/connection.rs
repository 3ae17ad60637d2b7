use std::sync::Arc;
use std::time::Instant;

use bus::{Address, Connection, Event, Outbox, Peer, ProtocolError, Reason};

use crate::reach::Reach;
use crate::state::State;
use crate::turn::{Node, Shared, Turn};
use crate::{DecodeError, Packet, decode};

/// One device, or one wireless node behind a forwarder.
#[derive(Debug)]
pub(crate) struct MqttSnConnection {
    shared: Arc<Shared>,
    peer: Peer,
    /// Known from the first datagram on.
    node: Option<Node>,
    tickets: u64,
    state: State,
    reach: Reach,
}

impl MqttSnConnection {
    pub(crate) fn new(shared: Arc<Shared>, peer: Peer) -> Self {
        let state = State::new(&shared.config);
        Self { shared, peer, node: None, tickets: 0, state, reach: Reach::default() }
    }

    /// Runs one step of the state machine.
    fn turn<T>(
        &mut self,
        now: Instant,
        out: &mut Outbox,
        step: impl FnOnce(State, &mut Turn<'_>) -> (State, T),
    ) -> T {
        let none = Node::default();
        let mut turn = Turn {
            shared: &self.shared,
            peer: &self.peer,
            node: self.node.as_ref().unwrap_or(&none),
            tickets: &mut self.tickets,
            reach: &mut self.reach,
            now,
            out,
        };
        let state = std::mem::replace(&mut self.state, State::Closed);
        let (state, result) = step(state, &mut turn);
        self.state = state;
        result
    }

    /// Asks a device that has moved whether it hears what is sent there. [5.4.20]
    fn look_for_it(&mut self, pings: bool, now: Instant, out: &mut Outbox) {
        let listens = matches!(&self.state, State::Connected(session) if session.listens());
        if listens && self.reach.asks(pings, self.shared.config.retries.max(1)) {
            self.turn(now, out, |state, turn| {
                turn.send(&Packet::PingReq { client_id: None });
                (state, ())
            });
        }
    }

    /// Takes the node of the first datagram; whether this one comes from the same.
    fn is_from_here(&mut self, node: Node, out: &mut Outbox) -> bool {
        match &self.node {
            Some(known) => *known == node,
            None => {
                if let Some(name) = node.name() {
                    out.claim(name);
                }
                self.node = Some(node);
                true
            }
        }
    }

    /// Ends the connection over something the peer sent, telling a device that believes it is connected.
    fn fail(&mut self, error: ProtocolError, now: Instant, out: &mut Outbox) -> ProtocolError {
        self.turn(now, out, |state, turn| {
            if !matches!(state, State::Stranger(_) | State::Connectionless(_) | State::Closed) {
                turn.send_disconnect();
            }
            (State::Closed, error)
        })
    }
}

impl Connection for MqttSnConnection {
    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Outbox) -> Result<usize, ProtocolError> {
        let limits = &self.shared.limits;
        let limit = match self.state {
            State::Connected(_) => limits.packet,
            _ => limits.packet.min(limits.packet_before_connect),
        };
        if input.len() > limit {
            let error = ProtocolError { reason: Reason::PacketTooLarge, detail: "the datagram is too large" };
            return Err(self.fail(error, now, out));
        }
        let (node, packet) = match unwrap(input) {
            Ok(unwrapped) => unwrapped,
            Err(error) => return Err(self.fail(malformed(error), now, out)),
        };
        if !self.is_from_here(node, out) {
            return Ok(input.len());
        }
        match packet {
            Packet::PingResp => self.reach.ponged(),
            Packet::Connect(_) => self.reach.begin_anew(),
            _ => {}
        }
        let result = self.turn(now, out, |state, turn| match state.receive(packet, turn) {
            Ok(state) => (state, Ok(())),
            Err((state, error)) => (state, Err(error)),
        });
        self.look_for_it(matches!(packet, Packet::PingReq { .. }), now, out);
        result.map(|()| input.len()).map_err(|error| self.fail(error, now, out))
    }

    fn moved(&mut self, address: Address, is_reached: bool) {
        self.peer.address = address;
        // Where nothing is secured nobody waits for the answer.
        self.reach.moved(is_reached || self.peer.link.secured.is_none());
    }

    fn is_reached(&self) -> bool {
        self.reach.is_known()
    }

    fn handle(&mut self, event: Event, now: Instant, out: &mut Outbox) {
        let is_reply = matches!(event, Event::Reply(..));
        self.turn(now, out, |state, turn| (state.handle(event, turn), ()));
        // A session may have begun.
        if is_reply && !self.reach.was_asked() {
            self.look_for_it(false, now, out);
        }
    }

    fn expire(&mut self, now: Instant, out: &mut Outbox) {
        self.turn(now, out, |state, turn| (state.expire(turn), ()));
    }

    fn deadline(&self) -> Option<Instant> {
        self.state.deadline(&self.shared)
    }

    fn room(&self) -> usize {
        match &self.state {
            // One message is enough to see whether the device hears it; more would be lost if it does not.
            State::Connected(session) if !self.reach.is_known() => session.room().min(1),
            State::Connected(session) => session.room(),
            _ => 0,
        }
    }

    fn wants_idle(&self) -> bool {
        matches!(&self.state, State::Connected(session) if session.wants_idle())
    }
}

/// The message, and the node that sent it through a forwarder.
fn unwrap(datagram: &[u8]) -> Result<(Node, Packet<'_>), DecodeError> {
    match decode(datagram)? {
        Packet::Encapsulated { node, message, .. } => match decode(message)? {
            Packet::Encapsulated { .. } => Err(DecodeError::Type(0xFE)), // one forwarder, not two
            packet => Ok((Node(Some(node.into())), packet)),
        },
        packet => Ok((Node::default(), packet)),
    }
}

fn malformed(error: DecodeError) -> ProtocolError {
    ProtocolError::malformed(match error {
        DecodeError::Truncated => "the message is cut short",
        DecodeError::Length => "the length field does not fit",
        DecodeError::Trailing => "there are octets behind the last field",
        DecodeError::Type(_) => "the message type is unknown",
        DecodeError::NotUtf8 => "a name is not UTF-8",
        DecodeError::WillQos => "a will has QoS -1",
    })
}
