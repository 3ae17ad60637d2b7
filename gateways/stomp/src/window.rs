use std::collections::{BTreeMap, HashMap};

use bus::{Ack, DeliveryId, Outbox, SubscriptionId};

/// What was sent and waits to be acknowledged: MESSAGE frames, and the deliveries they belong to.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The number of the last MESSAGE; every one has its own, so that a late ACK never hits another message.
    last: u64,
    sent: BTreeMap<u64, Sent>,
    open: HashMap<DeliveryId, Open>,
}

/// One MESSAGE that waits for its ACK or NACK.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) subscription: SubscriptionId,
    /// `None` for a message that may be lost.
    pub(crate) delivery: Option<DeliveryId>,
}

/// A delivery is complete when each of its messages is.
#[derive(Clone, Copy, Debug)]
struct Open {
    awaits: usize,
    outcome: Ack,
}

impl Window {
    /// How many messages wait for an answer.
    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    /// The number for the next MESSAGE.
    pub(crate) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Whether a MESSAGE with this number was ever sent in this connection.
    pub(crate) fn issued(&self, number: u64) -> bool {
        (1..=self.last).contains(&number)
    }

    /// Begins to wait for the answer to a MESSAGE.
    pub(crate) fn wait(&mut self, number: u64, sent: Sent) {
        self.sent.insert(number, sent);
    }

    /// Notes how many answers a delivery awaits, and what it comes to unless a NACK changes that; at once if
    /// none.
    pub(crate) fn open(&mut self, delivery: DeliveryId, awaits: usize, outcome: Ack, out: &mut Outbox) {
        match awaits {
            0 => out.ack(delivery, outcome),
            awaits => drop(self.open.insert(delivery, Open { awaits, outcome })),
        }
    }

    pub(crate) fn get(&self, number: u64) -> Option<Sent> {
        self.sent.get(&number).copied()
    }

    /// Takes the answer to one MESSAGE.
    pub(crate) fn answer(&mut self, number: u64, ack: Ack, out: &mut Outbox) {
        if let Some(Sent { delivery: Some(delivery), .. }) = self.sent.remove(&number) {
            self.settle(delivery, ack, out);
        }
    }

    /// Takes the answer to a MESSAGE and all before it in its subscription.
    pub(crate) fn answer_up_to(
        &mut self,
        number: u64,
        subscription: SubscriptionId,
        ack: Ack,
        out: &mut Outbox,
    ) {
        let mut numbers = self.numbers(..=number, subscription);
        if ack == Ack::Return {
            numbers.reverse(); // each goes to the front of the queue: the oldest last
        }
        for number in numbers {
            self.answer(number, ack, out);
        }
    }

    /// Takes one answer for all that a subscription was sent.
    pub(crate) fn answer_all(&mut self, subscription: SubscriptionId, ack: Ack, out: &mut Outbox) {
        for number in self.numbers(.., subscription) {
            self.answer(number, ack, out);
        }
    }

    /// Notes that one of the answers a delivery awaits has come.
    pub(crate) fn settle(&mut self, delivery: DeliveryId, ack: Ack, out: &mut Outbox) {
        let Some(open) = self.open.get_mut(&delivery) else { return };
        open.awaits = open.awaits.saturating_sub(1);
        if ack != Ack::Complete {
            open.outcome = ack;
        }
        if open.awaits == 0 {
            out.ack(delivery, open.outcome);
            self.open.remove(&delivery);
        }
    }

    fn numbers(&self, range: impl std::ops::RangeBounds<u64>, subscription: SubscriptionId) -> Vec<u64> {
        let of_subscription = self.sent.range(range).filter(|(_, sent)| sent.subscription == subscription);
        of_subscription.map(|(number, _)| *number).collect()
    }
}
