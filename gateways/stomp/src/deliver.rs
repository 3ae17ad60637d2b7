use std::time::Instant;

use bus::{Ack, Delivery, Outbox, ProtocolError, Reason, Request, SubscriptionId, Unsubscribe};

use crate::connection::{State, StompConnection};
use crate::error::error;
use crate::message::{MessageHead, MessageId};
use crate::subscription::{AckMode, Subscription};
use crate::window::Sent;
use crate::{Frame, Version};

impl StompConnection {
    /// Sends one MESSAGE for each subscription that the delivery matched.
    pub(crate) fn deliver(&mut self, delivery: Delivery, now: Instant, out: &mut Outbox) {
        if !matches!(self.state, State::Connected) {
            return; // it stays the session's
        }
        if !MessageHead::carries_destination(self.version, &delivery) {
            return self.give_up(&delivery, Ack::Reject(Reason::TopicInvalid), out);
        }
        if delivery.matched.as_slice().len() > self.grants.config.overlap.max(1) {
            let detail = "more subscriptions match one message than stomp.overlap allows";
            return self.refuse(Reason::QuotaExceeded, detail, None, now, out);
        }
        let mut awaits = 0;
        let mut outcome = Ack::Complete;
        for id in delivery.matched.as_slice() {
            match self.subscriptions.get(*id) {
                Some(Subscription { ends: Some(_), shared: true, .. }) => outcome = Ack::Return,
                Some(Subscription { ends: Some(_), .. }) => {}
                // an older one is still held until the reply to SUBSCRIBE: order is kept
                Some(_) if self.holds(*id) => awaits += self.hold(*id, &delivery),
                Some(_) => awaits += usize::from(self.send_message(*id, &delivery, now, out)),
                None if self.resubscribe_by.is_some() => awaits += self.hold(*id, &delivery),
                None => self.end_stale(*id, out),
            }
        }
        if let Some(id) = delivery.id {
            self.window.open(id, awaits, outcome, out);
        }
    }

    /// Sends what was held for a subscription that a resumed client has made again, or drops it if the client
    /// has ended it since.
    pub(crate) fn release_held(&mut self, id: SubscriptionId, now: Instant, out: &mut Outbox) {
        let (ready, held) = std::mem::take(&mut self.held).into_iter().partition(|(of, _)| *of == id);
        self.held = held;
        let ended_share = self.subscriptions.get(id).is_some_and(|one| one.shared && one.ends.is_some());
        let ack = if ended_share { Ack::Return } else { Ack::Complete };
        for (id, delivery) in ready {
            let awaits = self.send_message(id, &delivery, now, out);
            if let (false, Some(delivery)) = (awaits, delivery.id) {
                self.window.settle(delivery, ack, out);
            }
        }
    }

    /// Ends the old subscriptions that a resumed client did not make again in time, as far as anything came for
    /// them, and drops what came.
    pub(crate) fn drop_held(&mut self, out: &mut Outbox) {
        self.resubscribe_by = None;
        let mut stale = Vec::new();
        let (renewed, lost): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(id, _)| self.subscriptions.get(*id).is_some());
        self.held = renewed; // the reply to their SUBSCRIBE is on its way
        for (id, delivery) in lost {
            if !stale.contains(&id) {
                stale.push(id);
                self.end_stale(id, out);
            }
            if let Some(delivery) = delivery.id {
                self.window.settle(delivery, Ack::Complete, out);
            }
        }
    }

    /// Answers for the client what it leaves unacknowledged as it unsubscribes: another member of the share
    /// group gets it; nobody else waits for it.
    pub(crate) fn release_subscription(&mut self, id: SubscriptionId, out: &mut Outbox) {
        let shared = self.subscriptions.get(id).is_some_and(|subscription| subscription.shared);
        let ack = if shared { Ack::Return } else { Ack::Complete };
        self.window.answer_all(id, ack, out);
    }

    fn holds(&self, id: SubscriptionId) -> bool {
        self.held.iter().any(|(of, _)| *of == id)
    }

    /// Keeps a delivery for a subscription, which makes one answer to await.
    fn hold(&mut self, id: SubscriptionId, delivery: &Delivery) -> usize {
        self.held.push((id, delivery.clone()));
        1
    }

    /// The number of the message that an ACK or NACK names.
    pub(crate) fn message_number(&self, frame: &Frame) -> Result<u64, ProtocolError> {
        let header = match self.version {
            Version::V1_2 => "id",
            Version::V1_0 | Version::V1_1 => "message-id",
        };
        let text = frame.header(header).ok_or(ProtocolError::violation("the message is not named"))?;
        let number = MessageId::parse(text)
            .filter(|id| id.salt == self.salt && self.window.issued(id.number))
            .map(|id| id.number)
            .ok_or(error(Reason::PacketIdUnknown, "no message with this id was sent in this connection"))?;
        if self.version == Version::V1_2 {
            return Ok(number);
        }
        let subscription = frame.header("subscription");
        if subscription.is_none() && self.version == Version::V1_1 {
            return Err(ProtocolError::violation("the subscription is not named")); // [STOMP1.1 ACK]
        }
        let sent_to = self.window.get(number).and_then(|sent| self.subscriptions.get(sent.subscription));
        if let (Some(named), Some(sent_to)) = (subscription, sent_to)
            && sent_to.name.id().is_some_and(|id| id != named)
        {
            return Err(error(Reason::PacketIdUnknown, "the message was sent to another subscription"));
        }
        Ok(number)
    }

    /// Sends a MESSAGE; tells whether it waits for an answer.
    fn send_message(
        &mut self,
        id: SubscriptionId,
        delivery: &Delivery,
        now: Instant,
        out: &mut Outbox,
    ) -> bool {
        let number = self.window.next();
        let Some(subscription) = self.subscriptions.get(id).filter(|one| one.ends.is_none()) else {
            return false;
        };
        let acknowledged = subscription.ack != AckMode::Auto;
        let head = MessageHead {
            version: self.version,
            subscription: subscription.name.id(),
            message_id: MessageId { salt: self.salt, number },
            acknowledged,
            delivery,
        };
        out.write_with_payload(&delivery.message.payload, |buffer| head.write(now, buffer));
        out.finish(&[0]);
        self.heartbeat.sent(now);
        if acknowledged {
            self.window.wait(number, Sent { subscription: id, delivery: delivery.id });
        }
        acknowledged
    }

    fn end_stale(&mut self, id: SubscriptionId, out: &mut Outbox) {
        self.ask_nothing(Request::Unsubscribe(vec![Unsubscribe::Id(id)]), out);
    }

    fn give_up(&mut self, delivery: &Delivery, ack: Ack, out: &mut Outbox) {
        match (delivery.id, ack) {
            (id, Ack::Reject(reason)) => out.reject(id, reason),
            (Some(id), ack) => out.ack(id, ack),
            (None, _) => {}
        }
    }
}
