use std::time::Instant;

use bus::{Disconnect, Event, ProtocolError, Reason, Reply, Request, Ticket};
use bytes::Bytes;

use crate::config::Config;
use crate::connectionless::Connectionless;
use crate::opening::{self, Opening};
use crate::protocol::asks;
use crate::refusal::return_code;
use crate::session::Session;
use crate::turn::{Shared, Turn, client_name};
use crate::{Connect, Packet, PublishQos, ReturnCode, WillTopic};

/// What a connection awaits.
#[derive(Debug)]
pub(crate) enum State {
    /// There is no session.
    Stranger(Stranger),
    AwaitWillTopic(Box<Opening>),
    AwaitWillMessage(Box<Opening>),
    /// The broker is asked for the session.
    AwaitConnected(Box<Opening>),
    Connected(Box<Session>),
    /// There is a session for QoS -1 only.
    Connectionless(Connectionless),
    Closed,
}

/// A peer without a session. It is kept only if it says good-bye, so that two gateways cannot go on for ever
/// answering each other's DISCONNECT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stranger {
    until: Option<Instant>,
    answers: u8,
}

/// A good-bye: the session ends or stays as agreed, and there is no will.
const LEAVE: Disconnect = Disconnect { publish_will: false, session_expiry: None };

impl State {
    pub(crate) fn new(config: &Config) -> Self {
        Self::Stranger(Stranger { until: None, answers: config.retries })
    }

    pub(crate) fn deadline(&self, shared: &Shared) -> Option<Instant> {
        match self {
            Self::Stranger(stranger) => stranger.until,
            Self::AwaitWillTopic(opening) | Self::AwaitWillMessage(opening) => {
                Some(opening.asked + shared.limits.handshake)
            }
            Self::Connected(session) => Some(session.deadline(shared)),
            Self::Connectionless(device) => Some(device.deadline(shared)),
            Self::AwaitConnected(_) | Self::Closed => None,
        }
    }

    /// Handles a packet; after an error the peer is told and the connection ends.
    pub(crate) fn receive(
        self,
        packet: Packet<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Self, (Self, ProtocolError)> {
        let stays = !matches!(self, Self::Stranger(_) | Self::Closed);
        if let (Packet::SearchGw { .. }, true) = (packet, stays) {
            turn.send_gateway_info();
            return Ok(self);
        }
        match self {
            Self::Stranger(stranger) => Ok(stranger.receive(packet, turn)),
            Self::AwaitWillTopic(opening) => match packet {
                Packet::WillTopic(topic) => Ok(take_will_topic(opening, topic, turn)),
                Packet::WillMsg(_) => Ok(Self::AwaitWillTopic(opening)),
                packet => handshake(opening, packet, Self::AwaitWillTopic, turn),
            },
            Self::AwaitWillMessage(opening) => match packet {
                Packet::WillMsg(message) => Ok(take_will_message(opening, message, turn)),
                Packet::WillTopic(topic) => Ok(take_will_topic(opening, topic, turn)), // sent again
                packet => handshake(opening, packet, Self::AwaitWillMessage, turn),
            },
            Self::AwaitConnected(mut opening) => {
                // Whatever else comes now is sent again, or is QoS 0.
                if let Packet::Disconnect { .. } = packet {
                    turn.send_disconnect();
                    opening.leaving = true;
                }
                Ok(Self::AwaitConnected(opening))
            }
            Self::Connected(mut session) => match packet {
                Packet::Connect(connect) => Ok(connect_again(session, &connect, turn)),
                Packet::Disconnect { duration: None | Some(0) } => {
                    turn.send_disconnect();
                    turn.out.request(Ticket::NONE, Request::Disconnect(LEAVE));
                    Ok(close(Reason::Disconnected, turn))
                }
                packet => match session.receive(&packet, turn) {
                    Ok(()) => Ok(Self::Connected(session)),
                    Err(error) => Err((Self::Connected(session), error)),
                },
            },
            Self::Connectionless(mut device) => match packet {
                Packet::Publish(publish) if publish.qos == PublishQos::MinusOne => {
                    device.publish(&publish, turn);
                    Ok(Self::Connectionless(device))
                }
                Packet::Connect(connect) if device.open => {
                    Ok(match Opening::new(&connect, turn.shared, turn.now) {
                        Ok(opening) => open(Opening { leave: Some(LEAVE), ..opening }, turn),
                        Err(reason) => refuse_connect(reason, turn),
                    })
                }
                packet => {
                    // A CONNECT that comes before the broker answered is sent again.
                    if asks(&packet) && !matches!(packet, Packet::Connect(_)) {
                        turn.send_disconnect();
                    }
                    Ok(Self::Connectionless(device))
                }
            },
            Self::Closed => Ok(Self::Closed),
        }
    }

    pub(crate) fn handle(self, event: Event, turn: &mut Turn<'_>) -> Self {
        match (self, event) {
            (Self::AwaitConnected(opening), Event::Reply(ticket, reply)) if ticket == opening.ticket => {
                connected(opening, reply, turn)
            }
            (Self::Connected(mut session), event) => {
                match event {
                    Event::Reply(ticket, reply) => session.reply(ticket, reply, turn),
                    Event::Deliver(delivery) => session.deliver(delivery, turn),
                    Event::Release(id) => session.release_delivery(id, turn),
                    Event::Idle => session.idle(turn),
                    Event::Close(_) => {
                        turn.send_disconnect();
                        return Self::Closed;
                    }
                }
                Self::Connected(session)
            }
            (Self::Connectionless(mut device), Event::Reply(ticket, reply)) => {
                match device.reply(ticket, reply, turn) {
                    Ok(()) => Self::Connectionless(device),
                    Err(reason) => close(reason, turn),
                }
            }
            (Self::AwaitWillTopic(mut opening), Event::Reply(ticket, reply)) => {
                reply_to_former(&mut opening, ticket, reply, turn);
                Self::AwaitWillTopic(opening)
            }
            (Self::AwaitWillMessage(mut opening), Event::Reply(ticket, reply)) => {
                reply_to_former(&mut opening, ticket, reply, turn);
                Self::AwaitWillMessage(opening)
            }
            (
                Self::AwaitWillTopic(_) | Self::AwaitWillMessage(_) | Self::AwaitConnected(_),
                Event::Close(reason),
            ) => {
                turn.send(&Packet::ConnAck(return_code(reason)));
                Self::Closed
            }
            (_, Event::Close(_)) => Self::Closed,
            (state, Event::Reply(..) | Event::Deliver(_) | Event::Release(_) | Event::Idle) => state,
        }
    }

    pub(crate) fn expire(self, turn: &mut Turn<'_>) -> Self {
        match self {
            Self::Stranger(Stranger { until: Some(until), .. }) if turn.now >= until => {
                close(Reason::Disconnected, turn)
            }
            Self::AwaitWillTopic(opening) | Self::AwaitWillMessage(opening)
                if turn.now >= opening.asked + turn.shared.limits.handshake =>
            {
                match opening.former {
                    Some(session) => carry_on(session, turn),
                    None => close(Reason::HandshakeTimeout, turn),
                }
            }
            Self::Connected(mut session) => match session.expire(turn) {
                Ok(()) => Self::Connected(session),
                Err(reason) => {
                    turn.send_disconnect();
                    close(reason, turn)
                }
            },
            Self::Connectionless(device) if turn.now >= device.deadline(turn.shared) => {
                turn.out.request(Ticket::NONE, Request::Disconnect(LEAVE));
                close(Reason::IdleTimeout, turn)
            }
            state => state,
        }
    }
}

impl Stranger {
    fn receive(mut self, packet: Packet<'_>, turn: &mut Turn<'_>) -> State {
        match packet {
            Packet::Connect(connect) => match Opening::new(&connect, turn.shared, turn.now) {
                Ok(opening) => open(opening, turn),
                Err(reason) => refuse_connect(reason, turn),
            },
            Packet::Publish(publish) if publish.qos == PublishQos::MinusOne => {
                if !turn.shared.config.qos_minus_one {
                    return close(Reason::UnsupportedFeature, turn);
                }
                let Some(mut device) = Connectionless::new(turn) else {
                    return close(Reason::ClientIdInvalid, turn);
                };
                device.publish(&publish, turn);
                State::Connectionless(device)
            }
            Packet::SearchGw { .. } => {
                turn.send_gateway_info();
                self.stay_or_close(Reason::Disconnected, turn)
            }
            Packet::Disconnect { .. } => {
                if self.answers > 0 {
                    turn.send_disconnect();
                    self.answers -= 1;
                    self.until = Some(turn.now + turn.shared.config.retry);
                }
                State::Stranger(self)
            }
            packet => {
                // Who believes it is connected must learn that it is not, and connect.
                if asks(&packet) {
                    turn.send_disconnect();
                }
                self.stay_or_close(Reason::NotConnected, turn)
            }
        }
    }

    fn stay_or_close(self, reason: Reason, turn: &mut Turn<'_>) -> State {
        match self.until {
            Some(_) => State::Stranger(self),
            None => close(reason, turn),
        }
    }
}

/// The client did not begin anew after all: it has its session still.
fn carry_on(mut session: Box<Session>, turn: &mut Turn<'_>) -> State {
    turn.out.claim(client_name(session.client_id.as_str()));
    session.carry_on(turn);
    State::Connected(session)
}

fn reply_to_former(opening: &mut Opening, ticket: Ticket, reply: Result<Reply, Reason>, turn: &mut Turn<'_>) {
    if let Some(session) = &mut opening.former {
        session.reply(ticket, reply, turn);
    }
}

/// What may come during the will handshake beside its answers: the client begins again, leaves, or shows that it
/// never left its session.
fn handshake(
    mut opening: Box<Opening>,
    packet: Packet<'_>,
    stay: fn(Box<Opening>) -> State,
    turn: &mut Turn<'_>,
) -> Result<State, (State, ProtocolError)> {
    match packet {
        Packet::Connect(connect) => {
            let Opening { client_id, former, keeps_topics, leave, .. } = *opening;
            Ok(match Opening::new(&connect, turn.shared, turn.now) {
                Err(reason) => refuse_connect(reason, turn),
                Ok(again) => {
                    let former = former.filter(|_| again.client_id == client_id);
                    let keeps_topics = keeps_topics && !again.clean_session;
                    open(Opening { former, keeps_topics, leave, ..again }, turn)
                }
            })
        }
        Packet::Disconnect { duration } if opening.former.is_none() || matches!(duration, None | Some(0)) => {
            turn.send_disconnect();
            if opening.leave.is_some() {
                turn.out.request(Ticket::NONE, Request::Disconnect(LEAVE));
            }
            Ok(close(Reason::Disconnected, turn))
        }
        Packet::Publish(publish) if publish.qos == PublishQos::MinusOne => Ok(stay(opening)),
        packet if asks(&packet) => match opening.former.take() {
            Some(session) => carry_on(session, turn).receive(packet, turn),
            None => {
                let error = ProtocolError::violation("the will was asked for, and something else came");
                Err((stay(opening), error))
            }
        },
        _ => Ok(stay(opening)), // what is left of an earlier connection
    }
}

fn refuse_connect(reason: Reason, turn: &mut Turn<'_>) -> State {
    turn.send(&Packet::ConnAck(return_code(reason)));
    close(reason, turn)
}

/// A CONNECT on a connection that has a session: of a client that woke up, began anew, or was replaced by
/// another at its address.
fn connect_again(mut session: Box<Session>, connect: &Connect<'_>, turn: &mut Turn<'_>) -> State {
    let mut opening = match Opening::new(connect, turn.shared, turn.now) {
        Ok(opening) => opening,
        Err(reason) => {
            turn.send(&Packet::ConnAck(return_code(reason)));
            return State::Connected(session);
        }
    };
    let same = opening.client_id == session.client_id;
    let keeps = same && !opening.clean_session && !session.clean_session; // [6.3]
    let wakes = same && session.sleeps(); // it signals no more than that, whatever its flags [6.14]
    if wakes || keeps && !opening.wants_will {
        session.connect_again(&opening, turn);
        return State::Connected(session);
    }
    turn.out.disclaim(client_name(session.client_id.as_str()));
    opening.leave = Some(Disconnect { publish_will: !same, session_expiry: None });
    opening.keeps_topics = keeps;
    opening.former = same.then_some(session);
    open(opening, turn)
}

fn open(opening: Opening, turn: &mut Turn<'_>) -> State {
    let mut opening = Box::new(opening);
    if opening.wants_will {
        turn.send(&Packet::WillTopicReq);
        return State::AwaitWillTopic(opening);
    }
    opening.request(turn);
    State::AwaitConnected(opening)
}

fn take_will_topic(mut opening: Box<Opening>, topic: Option<WillTopic<'_>>, turn: &mut Turn<'_>) -> State {
    let Some(topic) = topic else {
        opening.will = None; // an empty WILLTOPIC: there is no will [5.4.7]
        opening.request(turn);
        return State::AwaitConnected(opening);
    };
    match opening::will(&topic, &turn.shared.limits) {
        Ok(will) => {
            opening.will = Some(will);
            opening.asked = turn.now;
            turn.send(&Packet::WillMsgReq);
            State::AwaitWillMessage(opening)
        }
        Err(reason) => refuse_connect(reason, turn),
    }
}

fn take_will_message(mut opening: Box<Opening>, message: &[u8], turn: &mut Turn<'_>) -> State {
    if let Some(will) = &mut opening.will {
        will.publish.payload = Bytes::copy_from_slice(message);
    }
    opening.request(turn);
    State::AwaitConnected(opening)
}

fn connected(opening: Box<Opening>, reply: Result<Reply, Reason>, turn: &mut Turn<'_>) -> State {
    let reason = match reply {
        Ok(Reply::Connected(_)) if opening.leaving => {
            turn.out.request(Ticket::NONE, Request::Disconnect(LEAVE));
            return close(Reason::Disconnected, turn);
        }
        Ok(Reply::Connected(_)) => {
            turn.out.claim(client_name(opening.client_id.as_str()));
            turn.send(&Packet::ConnAck(ReturnCode::Accepted));
            return State::Connected(Box::new(Session::new(*opening, turn)));
        }
        Ok(_) => Reason::BadAuthenticationMethod, // MQTT-SN 1.2 has nothing to answer a challenge with
        Err(reason) => reason,
    };
    refuse_connect(reason, turn)
}

fn close(reason: Reason, turn: &mut Turn<'_>) -> State {
    turn.out.close(reason);
    State::Closed
}
