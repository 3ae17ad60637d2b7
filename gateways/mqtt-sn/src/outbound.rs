use std::collections::VecDeque;
use std::time::Instant;

use bus::{Ack, Delivery, DeliveryId, Qos, Reason};

use crate::reach::Place;
use crate::topics::TopicIds;
use crate::turn::{Shared, Turn};
use crate::{Packet, Publish, PublishQos, ReturnCode, TopicId};

/// What goes to the client, one acknowledged message at a time [6.10].
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    waiting: VecDeque<Item>,
    current: Option<Exchange>,
    next_msg_id: u16,
}

/// A retry that is one too many.
pub(crate) struct Exhausted;

#[derive(Debug)]
enum Item {
    Deliver(Delivery),
    Release(DeliveryId),
}

/// A message that awaits its answer.
#[derive(Debug)]
struct Exchange {
    awaited: Awaited,
    /// Where alone it is known what is answered, if it was not sent anywhere before.
    place: Option<Place>,
    sent: Instant,
    retries: u8,
    /// Whether the client said that it cannot take it now.
    congested: bool,
    /// Whether the topic was registered again for this delivery.
    registered_again: bool,
}

/// What the client is to answer.
#[derive(Debug)]
enum Awaited {
    RegAck { msg_id: u16, topic_id: u16, delivery: Delivery },
    Ack { topic: TopicId, delivery: Delivery },
    PubComp { id: DeliveryId },
}

/// How many deliveries are taken at once; those behind one of QoS 1 or 2 wait here.
const ROOM: usize = 16;

impl Outbound {
    pub(crate) fn room(&self) -> usize {
        if self.is_empty() { ROOM } else { 0 }
    }

    /// Whether nothing waits, neither to be sent nor for an answer.
    pub(crate) fn is_empty(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    pub(crate) fn deliver(&mut self, delivery: Delivery) {
        self.waiting.push_back(Item::Deliver(delivery));
    }

    /// What an earlier connection left to be released goes first.
    pub(crate) fn release(&mut self, id: DeliveryId) {
        let releases = self.waiting.iter().take_while(|item| matches!(item, Item::Release(_))).count();
        self.waiting.insert(releases, Item::Release(id));
    }

    /// Sends what can be sent. While it is not known whether the client hears it where it has moved, that is what it
    /// answers.
    pub(crate) fn send(&mut self, topics: &mut TopicIds, client_id: &str, turn: &mut Turn<'_>) {
        while self.current.is_none() {
            match self.waiting.pop_front() {
                None => break,
                Some(Item::Release(id)) => self.begin(Awaited::PubComp { id }, false, false, turn),
                Some(Item::Deliver(delivery)) => {
                    let topic = topic_id(&delivery, topics, client_id, turn.shared);
                    match topic {
                        Some(TopicId::Normal(_)) if !turn.reach.is_known() => {
                            self.start(delivery, None, false, topics, turn);
                        }
                        Some(_) if delivery.id.is_none() && !turn.reach.is_known() => {
                            return self.waiting.push_front(Item::Deliver(delivery));
                        }
                        topic => self.start(delivery, topic, false, topics, turn),
                    }
                }
            }
        }
    }

    /// Sends once more what awaits its answer: the client came back to hear it. A topic id that it no longer
    /// knows is registered first, and so is any while it is not known whether the client hears it.
    pub(crate) fn resume(&mut self, topics: &mut TopicIds, turn: &mut Turn<'_>) {
        match self.current.take() {
            Some(Exchange { awaited: Awaited::Ack { topic: TopicId::Normal(_), delivery }, .. })
                if topics.known(&delivery.message.topic).is_none() || !turn.reach.is_known() =>
            {
                let delivery = Delivery { duplicate: true, ..delivery };
                self.start(delivery, None, false, topics, turn);
            }
            Some(exchange) => {
                exchange.awaited.send(true, turn);
                self.current = Some(Exchange { retries: 0, sent: turn.now, ..exchange });
            }
            None => {}
        }
    }

    /// The client has answered what asks whether it hears. A topic id that it knows need not be registered for that.
    pub(crate) fn hear(&mut self, topics: &mut TopicIds, turn: &mut Turn<'_>) {
        let known = |awaited: &Awaited| match awaited {
            Awaited::RegAck { delivery, .. } => topics.known(&delivery.message.topic).is_some(),
            _ => false,
        };
        if turn.reach.is_known()
            && let Some(exchange) = self.current.take_if(|exchange| known(&exchange.awaited))
            && let Awaited::RegAck { topic_id, delivery, .. } = exchange.awaited
        {
            self.start(delivery, Some(TopicId::Normal(topic_id)), false, topics, turn);
        }
    }

    /// When what was sent is sent again.
    pub(crate) fn deadline(&self, shared: &Shared) -> Option<Instant> {
        self.current.as_ref().map(|exchange| exchange.sent + shared.config.retry)
    }

    /// Sends again what was not answered in time [6.13].
    pub(crate) fn retry(&mut self, turn: &mut Turn<'_>) -> Result<(), Exhausted> {
        let Some(exchange) = &mut self.current else { return Ok(()) };
        if exchange.sent + turn.shared.config.retry > turn.now {
            return Ok(());
        }
        if exchange.retries < turn.shared.config.retries {
            exchange.retries += 1;
            exchange.sent = turn.now;
            exchange.awaited.send(true, turn);
            return Ok(());
        }
        if !exchange.congested {
            return Err(Exhausted);
        }
        self.reject(Reason::QuotaExceeded, turn);
        Ok(())
    }

    /// The MsgId tells which registration it answers; a client that refuses need not repeat the topic id.
    pub(crate) fn reg_ack(
        &mut self,
        msg_id: u16,
        code: ReturnCode,
        topics: &mut TopicIds,
        turn: &mut Turn<'_>,
    ) {
        let matching =
            |awaited: &Awaited| matches!(awaited, Awaited::RegAck { msg_id: id, .. } if *id == msg_id);
        let Some(mut exchange) = self.current.take_if(|exchange| matching(&exchange.awaited)) else { return };
        turn.reach.answered_from(exchange.place);
        match (code, exchange.awaited) {
            (ReturnCode::Congestion, awaited) => {
                exchange.congested = true; // sent again when the retry is due
                self.current = Some(Exchange { awaited, ..exchange });
            }
            (code, Awaited::RegAck { topic_id, delivery, .. })
                if code == ReturnCode::Accepted || topics.known(&delivery.message.topic).is_some() =>
            {
                topics.confirm(topic_id);
                let again = exchange.registered_again;
                self.start(delivery, Some(TopicId::Normal(topic_id)), again, topics, turn);
            }
            (_, awaited) => {
                if let Awaited::RegAck { topic_id, .. } = awaited {
                    topics.forget(topic_id);
                }
                ack(awaited.delivery_id(), Ack::Reject(Reason::TopicInvalid), turn);
            }
        }
    }

    pub(crate) fn pub_ack(
        &mut self,
        topic_id: u16,
        msg_id: u16,
        code: ReturnCode,
        topics: &mut TopicIds,
        turn: &mut Turn<'_>,
    ) {
        let matching = |awaited: &Awaited| match awaited {
            // A client that refuses may do so at QoS 2, too [5.4.13].
            Awaited::Ack { delivery, .. } => {
                delivery.id.is_some_and(|id| id.get() == msg_id)
                    && (delivery.qos == Qos::AtLeastOnce || code != ReturnCode::Accepted)
            }
            _ => false,
        };
        let Some(mut exchange) = self.current.take_if(|exchange| matching(&exchange.awaited)) else {
            if code == ReturnCode::InvalidTopicId && msg_id == 0 {
                topics.forget(topic_id); // a message of QoS 0 was lost; the next one registers
            }
            return;
        };
        turn.reach.answered_from(exchange.place);
        match (code, exchange.awaited) {
            (ReturnCode::Accepted, awaited) => ack(awaited.delivery_id(), Ack::Complete, turn),
            (ReturnCode::InvalidTopicId, Awaited::Ack { topic, delivery }) if !exchange.registered_again => {
                if let TopicId::Normal(id) = topic {
                    topics.forget(id);
                }
                self.start(delivery, None, true, topics, turn);
            }
            (ReturnCode::InvalidTopicId, awaited) => {
                ack(awaited.delivery_id(), Ack::Reject(Reason::TopicAliasInvalid), turn);
            }
            (ReturnCode::Congestion, awaited) => {
                exchange.congested = true;
                self.current = Some(Exchange { awaited, ..exchange });
            }
            (ReturnCode::NotSupported | ReturnCode::Reserved(_), awaited) => {
                ack(awaited.delivery_id(), Ack::Reject(Reason::UnsupportedFeature), turn);
            }
        }
    }

    /// Answers even what is not known, so that the client can finish.
    pub(crate) fn pub_rec(&mut self, msg_id: u16, turn: &mut Turn<'_>) {
        let received = self.current.as_ref().and_then(|exchange| match &exchange.awaited {
            Awaited::Ack { delivery, .. } if delivery.qos == Qos::ExactlyOnce => {
                Some((delivery.id.filter(|id| id.get() == msg_id)?, exchange.place))
            }
            _ => None,
        });
        match received {
            None => turn.send(&Packet::PubRel { msg_id }),
            Some((id, place)) => {
                turn.reach.answered_from(place);
                turn.out.ack(id, Ack::Received);
                self.begin(Awaited::PubComp { id }, false, false, turn);
            }
        }
    }

    pub(crate) fn pub_comp(&mut self, msg_id: u16, turn: &mut Turn<'_>) {
        let matching = |awaited: &Awaited| matches!(awaited, Awaited::PubComp { id } if id.get() == msg_id);
        if let Some(exchange) = self.current.take_if(|exchange| matching(&exchange.awaited)) {
            ack(exchange.awaited.delivery_id(), Ack::Complete, turn);
        }
    }

    /// Sends a delivery under its topic id, or registers the topic first.
    fn start(
        &mut self,
        delivery: Delivery,
        topic: Option<TopicId>,
        registered_again: bool,
        topics: &mut TopicIds,
        turn: &mut Turn<'_>,
    ) {
        let name = delivery.message.topic.as_str();
        let register = Packet::Register { topic_id: 0, msg_id: 0, topic: name };
        let publish = publish(&delivery, topic.unwrap_or(TopicId::Normal(0)), delivery.duplicate);
        if !turn.fits(&publish) || topic.is_none() && !turn.fits(&register) {
            return ack(delivery.id, Ack::Reject(Reason::PacketTooLarge), turn);
        }
        match topic {
            Some(_) if delivery.id.is_none() => turn.send(&publish),
            Some(topic) => {
                let dup = delivery.duplicate;
                self.begin(Awaited::Ack { topic, delivery }, dup, registered_again, turn);
            }
            None => match topics.tell(&delivery.message.topic) {
                None => ack(delivery.id, Ack::Reject(Reason::QuotaExceeded), turn),
                Some(topic_id) => {
                    self.next_msg_id = self.next_msg_id.checked_add(1).unwrap_or(1);
                    let msg_id = self.next_msg_id;
                    let awaited = Awaited::RegAck { msg_id, topic_id, delivery };
                    self.begin(awaited, false, registered_again, turn);
                }
            },
        }
    }

    fn begin(&mut self, awaited: Awaited, dup: bool, registered_again: bool, turn: &mut Turn<'_>) {
        awaited.send(dup, turn);
        let (sent, retries) = (turn.now, 0);
        let place = (!dup && !matches!(awaited, Awaited::PubComp { .. })).then(|| turn.reach.place());
        self.current = Some(Exchange { awaited, place, sent, retries, congested: false, registered_again });
    }

    fn reject(&mut self, reason: Reason, turn: &mut Turn<'_>) {
        if let Some(exchange) = self.current.take() {
            ack(exchange.awaited.delivery_id(), Ack::Reject(reason), turn);
        }
    }
}

impl Awaited {
    fn send(&self, dup: bool, turn: &mut Turn<'_>) {
        match self {
            Self::RegAck { msg_id, topic_id, delivery } => turn.send(&Packet::Register {
                topic_id: *topic_id,
                msg_id: *msg_id,
                topic: delivery.message.topic.as_str(),
            }),
            Self::Ack { topic, delivery } => turn.send(&publish(delivery, *topic, dup)),
            Self::PubComp { id } => turn.send(&Packet::PubRel { msg_id: id.get() }),
        }
    }

    fn delivery_id(&self) -> Option<DeliveryId> {
        match self {
            Self::RegAck { delivery, .. } | Self::Ack { delivery, .. } => delivery.id,
            Self::PubComp { id } => Some(*id),
        }
    }
}

fn publish(delivery: &Delivery, topic: TopicId, dup: bool) -> Packet<'_> {
    Packet::Publish(Publish {
        dup,
        qos: PublishQos::Session(delivery.qos),
        retain: delivery.retain,
        topic,
        msg_id: delivery.id.map_or(0, DeliveryId::get),
        data: &delivery.message.payload,
    })
}

fn ack(id: Option<DeliveryId>, ack: Ack, turn: &mut Turn<'_>) {
    match (id, ack) {
        (_, Ack::Reject(reason)) => turn.out.reject(id, reason),
        (Some(id), ack) => turn.out.ack(id, ack),
        (None, _) => {}
    }
}

/// How the client knows the topic: as it subscribed, else by a registered id, else by a name of two octets.
fn topic_id(delivery: &Delivery, topics: &TopicIds, client_id: &str, shared: &Shared) -> Option<TopicId> {
    let topic = &delivery.message.topic;
    let predefined = delivery.matched.as_slice().iter().find_map(|id| {
        let id = crate::subscribing::predefined_id(*id)?;
        (shared.predefined.find(client_id, id)? == topic).then_some(TopicId::Predefined(id))
    });
    let short = || <[u8; 2]>::try_from(topic.as_str().as_bytes()).ok().map(TopicId::Short);
    predefined.or_else(|| topics.known(topic).map(TopicId::Normal)).or_else(short)
}
