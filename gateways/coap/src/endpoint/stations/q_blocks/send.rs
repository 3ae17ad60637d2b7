use std::time::Instant;

use bus::Chance;

use super::super::blocks::{LARGEST_EXPONENT, Room, fit};
use super::missing::expand;
use super::transfer::{Sent, Transfer};
use super::{Due, Of, Outcome, Wish};
use crate::{Block, Code, ETag, ExchangeId, Message, OptionNumber, ReplyTo, Request, Transmission};

/// The answers and notifications that go in blocks [RFC9177 4.4], the newest last.
#[derive(Debug, Default)]
pub(super) struct Sending {
    transfers: Vec<Transfer>,
    /// The transfer of which a block was just made, and whether it is to be acknowledged by itself.
    current: Option<(usize, bool)>,
    /// Until then the peer, which says nothing, is sent no further notification in blocks.
    probing: Option<Instant>,
    ping: Ping,
}

/// The question whether a peer is there that has said nothing to a whole body.
#[derive(Debug, Default, PartialEq, Eq)]
enum Ping {
    #[default]
    None,
    Wanted,
    Sent(ExchangeId),
}

/// How a body is to be sent.
pub(super) struct Terms<'a> {
    pub(super) transmission: &'a Transmission,
    pub(super) room: Room,
    /// The largest block, and the most bodies.
    pub(super) exponent: u8,
    pub(super) transfers: usize,
    /// The peer may be elsewhere than its datagrams say: it gets no block but one for each request.
    pub(super) one_each: bool,
}

/// What becomes of a request for some blocks.
pub(super) enum Found {
    /// The body is not at hand.
    Nothing,
    /// The answer.
    Block(Box<Message>),
    /// Nothing is answered: the body goes on.
    GoesOn,
    Refused(&'static str),
}

/// The option numbers so many blocks [RFC7959 2.2].
const MOST_BLOCKS: usize = 1 << 20;

impl Sending {
    /// Begins to send the body of an answer, or of a notification that is confirmable or not; gives its first message.
    /// `None` if it does not go in blocks.
    pub(super) fn begin(
        &mut self,
        to: &ReplyTo,
        (whole, notified): (Message, Option<bool>),
        terms: &Terms<'_>,
        chance: &mut Chance,
        now: Instant,
    ) -> Option<Message> {
        let wish = to.passed.q_blocks.as_deref()?;
        let length = whole.payload().len();
        if !whole.code().is_success() || length == 0 {
            return None;
        }
        let size = u32::try_from(length).unwrap_or(u32::MAX);
        // A publisher may give one tag to two bodies; every block has one that does not, and the size [RFC9177 4.4, 4.6].
        let tag = ETag::made_of(whole.content_format(), whole.payload());
        let whole = whole.tagged(tag).without(OptionNumber::SIZE2).with_uint(OptionNumber::SIZE2, size);
        let wanted = wish.exponent.min(terms.exponent).min(LARGEST_EXPONENT);
        let fitting = fit(&whole, wanted, terms.room);
        let Some((exponent, unit)) = fitting.filter(|(_, unit)| length.div_ceil(*unit) <= MOST_BLOCKS) else {
            let is_answer = notified.is_none() && !terms.one_each;
            return is_answer.then(|| Message::response(Code::REQUEST_ENTITY_TOO_LARGE)); // [RFC9177 4.4]
        };
        if length <= unit && !wish.named {
            return None;
        }
        let (key, set) = (to.passed.blocks.key, terms.transmission.payloads());
        let asked = Some(&wish.blocks[..]).filter(|blocks| notified.is_none() && !blocks.is_empty());
        let observes = whole.observe().is_some();
        let times = (terms.transmission.pause(chance.fraction()), terms.transmission.non_partial_timeout);
        let mut transfer = Transfer::new(key, whole, exponent, to.clone(), times, now);
        (transfer.notification, transfer.confirmable) =
            (notified.is_some(), notified.unwrap_or(to.confirmable));
        if length <= unit {
            transfer.stream();
            return transfer.next(set, now).map(|sent| sent.message);
        }
        let Some(asked) = asked.filter(|_| !observes) else {
            transfer.stream();
            let at = self.place(transfer, terms.transfers, now);
            let first = self.first_of(at, set, now);
            // What must be acknowledged before more goes shows where the peer is. Without the M bit the first block
            // alone was asked for [RFC9177 4.4].
            let one = terms.one_each && notified != Some(true) || asked.is_some();
            if let Some(transfer) = self.transfers.get_mut(at).filter(|_| one) {
                transfer.halt();
            }
            return first;
        };
        let mut numbers = expand(asked, transfer.total(), set);
        if numbers.is_empty() {
            numbers.push(0); // it shows that there is another body now [RFC9177 4.4]
        }
        let at = self.find(|known| known.is_like(&transfer));
        let at = at.unwrap_or_else(|| self.place(transfer, terms.transfers, now));
        self.want(at, numbers, to, terms, now)
    }

    /// Takes a request for blocks of a body [RFC9177 4.4].
    pub(super) fn ask(&mut self, request: &Request, wish: &Wish, terms: &Terms<'_>, now: Instant) -> Found {
        let (key, set) = (request.reply_to.passed.blocks.key, terms.transmission.payloads());
        let is_of_it = |transfer: &Transfer| transfer.key == key && !transfer.is_abandoned();
        let Some(at) = self.find(is_of_it).filter(|_| !wish.blocks.is_empty()) else { return Found::Nothing };
        if let [Block { number, more: true, .. }] = wish.blocks[..]
            && number.is_multiple_of(set)
            && !terms.one_each
        {
            let at = self.find(|transfer| is_of_it(transfer) && transfer.is_at(number)).unwrap_or(at);
            if let Some(transfer) = self.transfers.get_mut(at) {
                transfer.go_on(number, set, now);
            }
            return Found::GoesOn;
        }
        let Some(transfer) = self.transfers.get(at) else { return Found::Nothing };
        let first_alone = matches!(wish.blocks[..], [Block { number: 0, .. }]);
        if first_alone && request.message.code() == Code::GET && !transfer.notification {
            return Found::Nothing; // it may be one that wants to know what there is now
        }
        if wish.blocks.iter().any(|block| block.exponent != transfer.exponent()) {
            return Found::Refused("The blocks of the body have another size.");
        }
        let numbers = expand(&wish.blocks, transfer.total(), set);
        if numbers.is_empty() {
            return Found::Refused("The body has no such block.");
        }
        if request.reply_to.passed.suppresses(transfer.code()) {
            return Found::GoesOn;
        }
        let block = self.want(at, numbers, &request.reply_to, terms, now);
        block.map_or(Found::Nothing, |block| Found::Block(Box::new(block)))
    }

    fn want(
        &mut self,
        at: usize,
        mut numbers: Vec<u32>,
        to: &ReplyTo,
        terms: &Terms<'_>,
        now: Instant,
    ) -> Option<Message> {
        let (transfer, set) = (self.transfers.get_mut(at)?, terms.transmission.payloads());
        numbers.truncate(if terms.one_each { 1 } else { numbers.len() });
        transfer.want(numbers, to, set);
        let Sent { message, confirmable, .. } = transfer.next_wanted(now)?;
        self.current = Some((at, confirmable));
        Some(message)
    }

    fn find(&self, which: impl Fn(&Transfer) -> bool) -> Option<usize> {
        self.transfers.iter().rposition(which)
    }

    /// Puts a body among the others, in place of an older one of the same resource or observation.
    fn place(&mut self, transfer: Transfer, most: usize, now: Instant) -> usize {
        self.retire(|old| old.is_replaced_by(&transfer), now);
        while self.transfers.len() >= most.max(1) {
            let Some(oldest) = self.transfers.iter().position(|old| !old.is_awaited()) else { break };
            self.transfers.remove(oldest);
        }
        self.transfers.push(transfer);
        self.transfers.len() - 1
    }

    /// Sends nothing more of these.
    fn retire(&mut self, which: impl Fn(&Transfer) -> bool, now: Instant) {
        self.transfers.retain(|transfer| transfer.is_awaited() || !which(transfer));
        self.transfers.iter_mut().filter(|transfer| which(transfer)).for_each(|old| old.abandon(now));
    }

    fn first_of(&mut self, at: usize, set: u32, now: Instant) -> Option<Message> {
        let Sent { message, confirmable, .. } = self.transfers.get_mut(at)?.next(set, now)?;
        self.current = Some((at, confirmable));
        Some(message)
    }

    /// Gives what goes next; `can_confirm` says that a confirmable message would not wait.
    pub(super) fn due(
        &mut self,
        now: Instant,
        transmission: &Transmission,
        can_confirm: bool,
    ) -> Option<Due> {
        let set = transmission.payloads();
        for (at, transfer) in self.transfers.iter_mut().enumerate() {
            if transfer.is_confirmable_now() && !can_confirm {
                transfer.wake(now); // it goes on when it can
                continue;
            }
            let Some(Sent { to, message, confirmable }) = transfer.next(set, now) else { continue };
            if transfer.notification && !confirmable && transfer.is_done() && !transfer.heard {
                // [RFC9177 7.2]: unless it says something.
                self.probing = Some(now + transmission.probing_wait(transfer.length()));
                self.ping = Ping::Wanted;
            }
            self.current = Some((at, confirmable));
            return Some(Due { to, message, confirmable, of: Of::Transfer });
        }
        None
    }

    /// The latest message went out as this; `gone` says that it could not.
    pub(super) fn sent(&mut self, exchange: Option<ExchangeId>, gone: bool) {
        let Some((at, confirmable)) = self.current.take() else { return };
        if gone {
            self.transfers.remove(at);
        } else if let Some(transfer) = self.transfers.get_mut(at) {
            transfer.sent(exchange, confirmable);
        }
    }

    /// The peer said something.
    pub(super) fn heard(&mut self) {
        self.probing = None;
        if self.ping == Ping::Wanted {
            self.ping = Ping::None;
        }
        self.transfers.iter_mut().for_each(|transfer| transfer.heard = true);
    }

    pub(super) fn wants_ping(&self) -> bool {
        self.ping == Ping::Wanted
    }

    pub(super) fn pinged(&mut self, exchange: ExchangeId) {
        self.ping = Ping::Sent(exchange);
    }

    /// The peer has a message.
    pub(super) fn acknowledged(&mut self, exchange: ExchangeId) -> Outcome {
        let Some(transfer) = self.transfers.iter_mut().find(|transfer| transfer.waits_for(exchange)) else {
            return Outcome::Foreign;
        };
        transfer.go_ahead();
        match transfer.first().filter(|_| transfer.is_done()) {
            Some(first) => Outcome::Of(first),
            None => Outcome::Nothing,
        }
    }

    /// The peer does not want a message, or did not acknowledge it: nothing more of that body goes.
    pub(super) fn ended(&mut self, exchange: ExchangeId) -> Outcome {
        if self.ping == Ping::Sent(exchange) {
            self.ping = Ping::None;
            return Outcome::Nothing;
        }
        match self.transfers.iter().position(|transfer| transfer.is(exchange)) {
            Some(at) => self.transfers.remove(at).first().map_or(Outcome::Nothing, Outcome::Of),
            None => Outcome::Foreign,
        }
    }

    /// Nobody awaits anything of an exchange any more; gives what is under way for it.
    pub(super) fn forget(&mut self, exchange: ExchangeId) -> Option<ExchangeId> {
        let at = self.transfers.iter().position(|transfer| transfer.first() == Some(exchange))?;
        self.transfers.remove(at).in_flight()
    }

    /// The peer observes no more by the request `to`.
    pub(super) fn cancel(&mut self, to: &ReplyTo, now: Instant) {
        self.retire(|transfer| transfer.goes_to(to), now);
    }

    pub(super) fn is_pushing(&self) -> bool {
        let pushes = |transfer: &Transfer| transfer.notification && !transfer.is_done();
        self.probing.is_some() || self.transfers.iter().any(pushes)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.transfers.iter().filter_map(Transfer::deadline).chain(self.probing).min()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.probing.take_if(|until| *until <= now);
        self.transfers.retain(|transfer| !transfer.is_over(now));
    }

    pub(super) fn is_idle(&self) -> bool {
        self.transfers.is_empty() && self.probing.is_none() && self.ping == Ping::None
    }
}
