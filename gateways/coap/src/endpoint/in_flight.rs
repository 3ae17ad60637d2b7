//! A confirmable message of ours that is not acknowledged, and when it is sent again [RFC7252 4.2].

use std::time::{Duration, Instant};

use bus::Chance;

use crate::{ExchangeId, Token, Transmission};

/// A confirmable message.
#[derive(Debug)]
pub(crate) struct Confirmable {
    pub(crate) exchange: ExchangeId,
    pub(crate) id: u16,
    /// The token, if it is a request.
    pub(crate) request: Option<Token>,
    pub(crate) datagram: Vec<u8>,
}

/// One that was sent.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) message: Confirmable,
    retransmissions: u32,
    timeout: Duration,
    /// When it was last sent.
    sent: Instant,
    pub(crate) due: Instant,
    /// Nobody wants it to arrive any more.
    pub(crate) forgotten: bool,
    /// Whether it has not been sent to where the peer is, since that has moved or had to show itself first.
    pub(crate) missed: bool,
}

impl InFlight {
    /// A message that is sent for the first time.
    pub(crate) fn new(
        message: Confirmable,
        transmission: &Transmission,
        chance: &mut Chance,
        now: Instant,
    ) -> Self {
        let timeout = transmission.first_timeout(chance.fraction());
        let (sent, due) = (now, now + timeout);
        Self { message, retransmissions: 0, timeout, sent, due, forgotten: false, missed: false }
    }

    /// It need not arrive any more: the next turn of the clock makes way for what waits behind it.
    pub(crate) fn forget(&mut self) {
        (self.forgotten, self.due) = (true, self.sent);
    }

    /// Whether it is sent again now, that it is due. What has not been sent to where the peer is begins anew once it is
    /// known to be there.
    pub(crate) fn goes_again(
        &mut self,
        is_there: bool,
        transmission: &Transmission,
        chance: &mut Chance,
        now: Instant,
    ) -> bool {
        if self.missed && is_there {
            let timeout = transmission.first_timeout(chance.fraction());
            (self.missed, self.retransmissions, self.timeout) = (false, 0, timeout);
        } else if self.retransmissions < transmission.retransmissions() {
            self.retransmissions += 1;
            self.timeout *= 2; // [RFC7252 4.2]
        } else {
            return false;
        }
        (self.sent, self.due) = (now, now + self.timeout);
        true
    }
}
