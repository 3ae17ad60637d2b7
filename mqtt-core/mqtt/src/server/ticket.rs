use bus::{Lane, Ticket};

use crate::codec::PacketId;

/// What a reply is for. All of it is in the ticket, so that no table of open requests is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A CONNECT or an AUTH.
    Session,
    PublishOnce(PacketId),
    PublishTwice(PacketId),
    Release(PacketId),
    Subscribe(PacketId),
    Unsubscribe(PacketId),
}

impl Asked {
    /// The ticket of a request that came on `lane`, where the answer goes too.
    pub(super) fn ticket(self, lane: Lane) -> Ticket {
        let (kind, id) = match self {
            Self::Session => (0u64, 0),
            Self::PublishOnce(id) => (1, id.get()),
            Self::PublishTwice(id) => (2, id.get()),
            Self::Release(id) => (3, id.get()),
            Self::Subscribe(id) => (4, id.get()),
            Self::Unsubscribe(id) => (5, id.get()),
        };
        Ticket(kind << 48 | u64::from(lane.0) << 16 | u64::from(id))
    }

    /// What the ticket says; `None` for [`Ticket::NONE`] and what this connection never made.
    pub(super) fn of(ticket: Ticket) -> Option<(Self, Lane)> {
        let lane = Lane((ticket.0 >> 16) as u32);
        let id = PacketId::new(ticket.0 as u16);
        let asked = match (ticket.0 >> 48, id) {
            (0, _) => Self::Session,
            (1, Some(id)) => Self::PublishOnce(id),
            (2, Some(id)) => Self::PublishTwice(id),
            (3, Some(id)) => Self::Release(id),
            (4, Some(id)) => Self::Subscribe(id),
            (5, Some(id)) => Self::Unsubscribe(id),
            _ => return None,
        };
        Some((asked, lane))
    }
}
