use std::num::NonZeroU16;
use std::sync::Arc;

use crate::{Message, Qos, Reason, SubscriptionId};

/// One message to one session.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Unique among the session's unacknowledged deliveries; `None` at most once.
    pub id: Option<DeliveryId>,
    /// The message.
    pub message: Arc<Message>,
    /// The subscriptions it matched, at least one.
    pub matched: Matched,
    /// The guarantee of this hop.
    pub qos: Qos,
    /// Whether it comes from the retained store, or the subscription keeps the publisher's flag.
    pub retain: bool,
    /// Whether it may have been sent before.
    pub duplicate: bool,
}

/// The session's number of an unacknowledged delivery (MQTT's packet id, STOMP's `ack`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub NonZeroU16);

/// The ids of the subscriptions a delivery matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// The usual case.
    One(SubscriptionId),
    /// Overlapping subscriptions.
    Many(Arc<[SubscriptionId]>),
}

/// What the peer said of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The peer has it, and will ask for release (PUBREC). The delivery will not come again, but
    /// [`Event::Release`](crate::Event::Release) does after a reconnect.
    Received,
    /// The delivery is done.
    Complete,
    /// It failed: the peer says so (MQTT 5 reason codes from 0x80, a device's error), or its protocol cannot carry
    /// it. It is done, and counted.
    Reject(Reason),
    /// The peer may have missed it, or what it said of it was lost: the same comes again under the same id, and to this
    /// connection.
    Resend,
    /// The peer gives it back: deliver it again, to another member if it came through a share group.
    Return,
}

impl DeliveryId {
    /// The id with this number, unless it is 0.
    pub fn new(id: u16) -> Option<Self> {
        NonZeroU16::new(id).map(Self)
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl Matched {
    /// The ids, in no particular order.
    pub fn as_slice(&self) -> &[SubscriptionId] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

impl From<Vec<SubscriptionId>> for Matched {
    fn from(ids: Vec<SubscriptionId>) -> Self {
        match ids.as_slice() {
            [id] => Self::One(*id),
            _ => Self::Many(ids.into()),
        }
    }
}
