use std::collections::HashMap;
use std::time::{Duration, Instant};

use bus::{ClientId, Delivery, DeliveryId, ProtocolError, Qos, Reason, Reply, Request, Ticket, Will};
use bytes::Bytes;

use crate::connectionless::unregistered_topic;
use crate::finished::Finished;
use crate::opening::{self, Opening};
use crate::outbound::{Exhausted, Outbound};
use crate::refusal::return_code;
use crate::subscribing::{self, Subscribing};
use crate::topics::TopicIds;
use crate::turn::{Shared, Turn};
use crate::{Packet, Publish, PublishQos, ReturnCode, Subscribe, TopicId, Unsubscribe, WillTopic};

/// A client that is connected, awake or not.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client_id: ClientId,
    pub(crate) clean_session: bool,
    pub(crate) topics: TopicIds,
    keep_alive: u16,
    sleep: SleepState,
    seen: Instant,
    /// What may be changed in part: neither part can be asked for again.
    will: Option<Will>,
    pending: HashMap<Ticket, Pending>,
    finished: Finished,
    outbound: Outbound,
}

/// Whether the client listens [6.14].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SleepState {
    /// It does.
    Active,
    /// Not until PINGREQ or CONNECT; seconds.
    Asleep(u16),
    /// Until PINGRESP; seconds of the sleep it goes back to.
    Awake(u16),
}

/// A request that awaits the broker's answer.
#[derive(Debug)]
enum Pending {
    Publish { topic_id: u16, msg_id: u16, qos: Qos },
    Release { msg_id: u16 },
    Subscribe(Subscribing),
    Unsubscribe { msg_id: u16 },
    WillTopic(Option<Will>),
    WillMessage(Option<Will>),
}

impl Session {
    /// The session that the broker has opened.
    pub(crate) fn new(opening: Opening, turn: &Turn<'_>) -> Self {
        let limits = &turn.shared.limits;
        Self {
            client_id: opening.client_id,
            clean_session: opening.clean_session,
            topics: opening.topics.unwrap_or_else(|| TopicIds::new(limits, turn.peer.seed)),
            keep_alive: opening.keep_alive,
            sleep: SleepState::Active,
            seen: turn.now,
            will: opening.will,
            pending: HashMap::new(),
            finished: Finished::default(),
            outbound: Outbound::default(),
        }
    }

    /// Handles what a connected client sends, but for CONNECT, SEARCHGW and a DISCONNECT without duration.
    pub(crate) fn receive(&mut self, packet: &Packet<'_>, turn: &mut Turn<'_>) -> Result<(), ProtocolError> {
        self.seen = turn.now;
        match packet {
            Packet::Publish(publish) => self.publish(publish, turn),
            Packet::PubRel { msg_id } => self.release(*msg_id, turn),
            Packet::PubAck { topic_id, msg_id, code } => {
                self.outbound.pub_ack(*topic_id, *msg_id, *code, &mut self.topics, turn);
            }
            Packet::PubRec { msg_id } => self.outbound.pub_rec(*msg_id, turn),
            Packet::PubComp { msg_id } => self.outbound.pub_comp(*msg_id, turn),
            Packet::Register { msg_id, topic, .. } => self.register(*msg_id, topic, turn),
            Packet::RegAck { msg_id, code, .. } => {
                self.outbound.reg_ack(*msg_id, *code, &mut self.topics, turn);
            }
            Packet::Subscribe(subscribe) => self.subscribe(subscribe, turn),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe, turn),
            Packet::PingReq { client_id } => self.ping(*client_id, turn),
            Packet::Disconnect { duration } => self.fall_asleep(duration.unwrap_or_default(), turn),
            Packet::WillTopicUpd(topic) => self.change_will_topic(topic.as_ref(), turn),
            Packet::WillMsgUpd(message) => self.change_will_message(message, turn),
            // Of a handshake that is over, of other gateways, or in answer to nothing.
            Packet::WillTopic(_) | Packet::WillMsg(_) | Packet::Advertise { .. } | Packet::GwInfo { .. } => {}
            Packet::PingResp => self.outbound.hear(&mut self.topics, turn),
            Packet::SearchGw { .. }
            | Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::WillTopicReq
            | Packet::WillMsgReq
            | Packet::SubAck { .. }
            | Packet::UnsubAck { .. }
            | Packet::WillTopicResp(_)
            | Packet::WillMsgResp(_)
            | Packet::Encapsulated { .. } => {
                return Err(ProtocolError::violation("a client sent what only a gateway sends"));
            }
        }
        self.send(turn);
        Ok(())
    }

    /// Takes a CONNECT of the same client that changes nothing but the keep alive: it woke up, or the CONNACK
    /// was lost.
    pub(crate) fn connect_again(&mut self, opening: &Opening, turn: &mut Turn<'_>) {
        if opening.clean_session || !self.sleeps() {
            // It may have restarted: it is told its topic ids again [6.5], and MsgIds begin anew.
            self.topics.tell_again();
            self.finished = Finished::default();
        }
        self.keep_alive = opening.keep_alive;
        self.seen = turn.now;
        self.sleep = SleepState::Active;
        turn.send(&Packet::ConnAck(ReturnCode::Accepted));
        self.outbound.resume(&mut self.topics, turn);
        self.send(turn);
    }

    /// Goes on after a CONNECT that was not meant: what may have got lost meanwhile is sent again.
    pub(crate) fn carry_on(&mut self, turn: &mut Turn<'_>) {
        if self.listens() {
            self.outbound.resume(&mut self.topics, turn);
        }
    }

    pub(crate) fn deliver(&mut self, delivery: Delivery, turn: &mut Turn<'_>) {
        self.outbound.deliver(delivery);
        self.send(turn);
    }

    pub(crate) fn release_delivery(&mut self, id: DeliveryId, turn: &mut Turn<'_>) {
        self.outbound.release(id);
        self.send(turn);
    }

    /// Whether it is asleep, or awake only to hear what waits for it.
    pub(crate) fn sleeps(&self) -> bool {
        self.sleep != SleepState::Active
    }

    /// Whether it hears what is sent now.
    pub(crate) fn listens(&self) -> bool {
        !matches!(self.sleep, SleepState::Asleep(_))
    }

    pub(crate) fn room(&self) -> usize {
        match self.sleep {
            SleepState::Active | SleepState::Awake(_) => self.outbound.room(),
            SleepState::Asleep(_) => 0,
        }
    }

    pub(crate) fn wants_idle(&self) -> bool {
        matches!(self.sleep, SleepState::Awake(_)) && self.outbound.is_empty()
    }

    /// Nothing waits for the client any more: it may go back to sleep [6.14].
    pub(crate) fn idle(&mut self, turn: &mut Turn<'_>) {
        if let SleepState::Awake(duration) = self.sleep
            && self.outbound.is_empty()
        {
            turn.send(&Packet::PingResp);
            self.sleep = SleepState::Asleep(duration);
        }
    }

    pub(crate) fn deadline(&self, shared: &Shared) -> Instant {
        let lost = self.lost_at(shared);
        match self.sleep {
            SleepState::Asleep(_) => lost,
            SleepState::Active | SleepState::Awake(_) => {
                self.outbound.deadline(shared).map_or(lost, |retry| lost.min(retry))
            }
        }
    }

    /// An error is why the client counts as lost.
    pub(crate) fn expire(&mut self, turn: &mut Turn<'_>) -> Result<(), Reason> {
        if turn.now >= self.lost_at(turn.shared) {
            return Err(Reason::KeepAliveTimeout);
        }
        match (self.sleep, self.outbound.deadline(turn.shared).map(|_| ())) {
            (SleepState::Asleep(_), _) | (_, None) => return Ok(()),
            (SleepState::Active, _) => {
                self.outbound.retry(turn).map_err(|Exhausted| Reason::NotAcknowledged)?;
            }
            (SleepState::Awake(duration), _) => {
                if let Err(Exhausted) = self.outbound.retry(turn) {
                    self.sleep = SleepState::Asleep(duration); // it has gone back without PINGRESP
                }
            }
        }
        self.send(turn);
        Ok(())
    }

    pub(crate) fn reply(&mut self, ticket: Ticket, reply: Result<Reply, Reason>, turn: &mut Turn<'_>) {
        let Some(pending) = self.pending.remove(&ticket) else { return };
        match pending {
            Pending::Publish { topic_id, msg_id, qos } => match (reply, qos) {
                (Err(reason), _) => refuse_publish(topic_id, msg_id, reason, turn),
                (Ok(_), Qos::ExactlyOnce) => turn.send(&Packet::PubRec { msg_id }),
                (Ok(_), _) => turn.send(&Packet::PubAck { topic_id, msg_id, code: ReturnCode::Accepted }),
            },
            Pending::Release { msg_id } => {
                if reply.is_ok() {
                    turn.send(&Packet::PubComp { msg_id });
                }
            }
            Pending::Subscribe(subscribing) => {
                let result = reply.and_then(|reply| match reply {
                    Reply::Subscribed(results) => results.into_iter().next().unwrap_or(Err(Reason::Internal)),
                    _ => Err(Reason::Internal),
                });
                subscribing.answer(result, &mut self.topics, turn);
            }
            Pending::Unsubscribe { msg_id } => {
                let result = reply.and_then(|reply| match reply {
                    Reply::Unsubscribed(results) => results.into_iter().next().unwrap_or(Ok(())),
                    _ => Err(Reason::Internal),
                });
                // UNSUBACK cannot refuse: without it the client asks again.
                if let Ok(()) | Err(Reason::NoSubscription) = result {
                    turn.send(&Packet::UnsubAck { msg_id });
                }
            }
            Pending::WillTopic(will) => turn.send(&Packet::WillTopicResp(self.will_set(will, &reply))),
            Pending::WillMessage(will) => turn.send(&Packet::WillMsgResp(self.will_set(will, &reply))),
        }
    }

    fn publish(&mut self, publish: &Publish<'_>, turn: &mut Turn<'_>) {
        let (topic_id, msg_id) = (publish.topic.field(), publish.msg_id);
        let topic = match publish.topic {
            TopicId::Normal(id) => self.topics.topic(id).cloned().ok_or(Reason::TopicAliasInvalid),
            TopicId::Reserved(_) => Err(Reason::UnsupportedFeature),
            TopicId::Predefined(_) | TopicId::Short(_) => {
                unregistered_topic(publish.topic, self.client_id.as_str(), turn.shared)
                    .ok_or(Reason::TopicAliasInvalid)
            }
        };
        let (qos, wants_answer) = match publish.qos {
            PublishQos::MinusOne => (Qos::AtMostOnce, false),
            PublishQos::Session(qos) => (qos, qos != Qos::AtMostOnce),
        };
        let topic = match topic {
            Ok(topic) => topic,
            Err(_) if publish.qos == PublishQos::MinusOne => return,
            Err(reason) => return refuse_publish(topic_id, msg_id, reason, turn),
        };
        let mut request = bus::Publish::new(topic, Bytes::copy_from_slice(publish.data), qos);
        request.retain = publish.retain;
        if !wants_answer {
            return turn.out.request(Ticket::NONE, Request::Publish(request));
        }
        if msg_id == 0 {
            return refuse_publish(topic_id, msg_id, Reason::ProtocolViolation, turn); // [5.3.7]
        }
        if self.is_full(turn.shared) {
            return refuse_publish(topic_id, msg_id, Reason::QuotaExceeded, turn);
        }
        let awaits =
            |pending: &Pending| matches!(pending, Pending::Publish { msg_id: id, .. } if *id == msg_id);
        if publish.dup && self.pending.values().any(awaits) {
            return; // its answer is on the way
        }
        if qos == Qos::ExactlyOnce {
            if self.finished.has(msg_id, &request, turn.shared.config.retry, turn.now) {
                return turn.send(&Packet::PubRec { msg_id });
            }
            self.finished.begin(msg_id, &request);
            request.once = Some(msg_id);
        }
        let ticket = turn.request(Request::Publish(request));
        self.pending.insert(ticket, Pending::Publish { topic_id, msg_id, qos });
    }

    fn release(&mut self, msg_id: u16, turn: &mut Turn<'_>) {
        self.finished.release(msg_id, turn.now);
        if !self.is_full(turn.shared) {
            let ticket = turn.request(Request::Release(msg_id));
            self.pending.insert(ticket, Pending::Release { msg_id });
        }
    }

    fn register(&mut self, msg_id: u16, topic: &str, turn: &mut Turn<'_>) {
        let id = opening::topic_name(topic, &turn.shared.limits)
            .and_then(|topic| self.topics.ask(&topic).ok_or(Reason::QuotaExceeded));
        match id {
            Ok(topic_id) => turn.send_registration(topic_id, msg_id, ReturnCode::Accepted),
            Err(reason) => turn.send_registration(0, msg_id, return_code(reason)),
        }
    }

    fn subscribe(&mut self, subscribe: &Subscribe<'_>, turn: &mut Turn<'_>) {
        let same =
            |pending: &Pending| matches!(pending, Pending::Subscribe(s) if s.msg_id == subscribe.msg_id);
        if self.pending.values().any(same) {
            return; // its answer is on the way
        }
        let request = match self.is_full(turn.shared) {
            true => Err(Reason::QuotaExceeded),
            false => Subscribing::new(subscribe, self.client_id.as_str(), turn.shared),
        };
        // Without an id for its topic, nothing could ever be sent for it.
        let request = request.and_then(|(subscribing, request)| {
            let fits = subscribing.registers().is_none_or(|topic| self.topics.has_room_for(topic));
            fits.then_some((subscribing, request)).ok_or(Reason::QuotaExceeded)
        });
        match request {
            Err(reason) => subscribing::refuse(subscribe.msg_id, reason, turn),
            Ok((subscribing, request)) => {
                let ticket = turn.request(request);
                self.pending.insert(ticket, Pending::Subscribe(subscribing));
            }
        }
    }

    fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>, turn: &mut Turn<'_>) {
        let msg_id = unsubscribe.msg_id;
        match subscribing::unsubscribed(unsubscribe, self.client_id.as_str(), turn.shared) {
            Err(_) => turn.send(&Packet::UnsubAck { msg_id }), // there is no such subscription
            Ok(_) if self.is_full(turn.shared) => {}
            Ok(filter) => {
                let ticket = turn.request(Request::Unsubscribe(vec![bus::Unsubscribe::Filter(filter)]));
                self.pending.insert(ticket, Pending::Unsubscribe { msg_id });
            }
        }
    }

    fn ping(&mut self, client_id: Option<&str>, turn: &mut Turn<'_>) {
        if client_id.is_some_and(|client_id| client_id != self.client_id.as_str()) {
            return turn.send_disconnect(); // who wakes up there has no session here
        }
        match self.sleep {
            SleepState::Active => turn.send(&Packet::PingResp),
            SleepState::Asleep(duration) | SleepState::Awake(duration) => {
                self.sleep = SleepState::Awake(duration);
                self.outbound.resume(&mut self.topics, turn);
            }
        }
    }

    fn fall_asleep(&mut self, duration: u16, turn: &mut Turn<'_>) {
        self.sleep = SleepState::Asleep(duration);
        turn.send_disconnect();
    }

    /// Keeps the message; an empty WILLTOPICUPD removes the will [6.4].
    fn change_will_topic(&mut self, given: Option<&WillTopic<'_>>, turn: &mut Turn<'_>) {
        if self.changes_will() {
            return;
        }
        let will = match given.map(|given| opening::will(given, &turn.shared.limits)) {
            None => None,
            Some(Err(reason)) => return turn.send(&Packet::WillTopicResp(return_code(reason))),
            Some(Ok(mut will)) => {
                if let Some(old) = &self.will {
                    will.publish.payload = old.publish.payload.clone();
                }
                Some(will)
            }
        };
        if self.is_full(turn.shared) {
            return turn.send(&Packet::WillTopicResp(ReturnCode::Congestion));
        }
        let ticket = turn.request(Request::SetWill(will.clone().map(Box::new)));
        self.pending.insert(ticket, Pending::WillTopic(will));
    }

    fn change_will_message(&mut self, message: &[u8], turn: &mut Turn<'_>) {
        if self.changes_will() {
            return;
        }
        let Some(mut will) = self.will.clone() else {
            return turn.send(&Packet::WillMsgResp(ReturnCode::NotSupported)); // there is no topic for it
        };
        if self.is_full(turn.shared) {
            return turn.send(&Packet::WillMsgResp(ReturnCode::Congestion));
        }
        will.publish.payload = Bytes::copy_from_slice(message);
        let ticket = turn.request(Request::SetWill(Some(Box::new(will.clone()))));
        self.pending.insert(ticket, Pending::WillMessage(Some(will)));
    }

    /// Whether a change of the will awaits its answer. What comes meanwhile is the same again, or comes again: it
    /// could not tell what to build on.
    fn changes_will(&self) -> bool {
        let changes = |pending: &Pending| matches!(pending, Pending::WillTopic(_) | Pending::WillMessage(_));
        self.pending.values().any(changes)
    }

    fn will_set(&mut self, will: Option<Will>, reply: &Result<Reply, Reason>) -> ReturnCode {
        match reply {
            Ok(_) => {
                self.will = will;
                ReturnCode::Accepted
            }
            Err(reason) => return_code(*reason),
        }
    }

    /// Sends what waits, unless the client sleeps.
    fn send(&mut self, turn: &mut Turn<'_>) {
        if self.listens() {
            self.outbound.send(&mut self.topics, self.client_id.as_str(), turn);
        }
    }

    fn is_full(&self, shared: &Shared) -> bool {
        self.pending.len() >= shared.limits.outstanding
    }

    /// One and a half times the silence that the client announced.
    fn lost_at(&self, shared: &Shared) -> Instant {
        let announced = match self.sleep {
            SleepState::Active if self.keep_alive == 0 => {
                return self.seen + shared.config.without_keep_alive;
            }
            SleepState::Active => self.keep_alive,
            SleepState::Asleep(duration) | SleepState::Awake(duration) => duration,
        };
        self.seen + Duration::from_millis(u64::from(announced) * 1_500)
    }
}

fn refuse_publish(topic_id: u16, msg_id: u16, reason: Reason, turn: &mut Turn<'_>) {
    turn.send(&Packet::PubAck { topic_id, msg_id, code: return_code(reason) });
}
