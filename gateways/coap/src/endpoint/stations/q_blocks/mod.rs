//! Bodies in Q-Blocks [RFC9177]: as in [`blocks`](super::blocks), but the sender need not wait for each block, and the
//! receiver tells what is missing. Datagrams alone have them.

mod body;
mod missing;
mod receive;
mod send;
mod transfer;

use std::time::Instant;

use bus::Chance;

use super::blocks::{BERT, Blocks, Noted, Room, Upward, too_large};
use crate::{Block, Code, ExchangeId, Message, ReplyTo, Request, Transmission};
use receive::{Received, Receiving};
use send::{Found, Sending, Terms};

/// The Q-Blocks of one peer's requests and of the answers to them; most peers have none.
#[derive(Debug, Default)]
pub(crate) struct QBlocks {
    live: Option<Box<Live>>,
}

#[derive(Debug, Default)]
struct Live {
    receiving: Receiving,
    sending: Sending,
}

/// What a request asks for in Q-Blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The blocks that are asked for; none if all are.
    blocks: Box<[Block]>,
    exponent: u8,
    /// Whether there is a Q-Block2, which its answer has too.
    named: bool,
    /// Whether the body of the request came in such blocks.
    body: bool,
    /// Whether the answer is not one of a resource, and goes as it is.
    cut: bool,
}

/// What goes next to the peer.
pub(crate) struct Due {
    pub(crate) to: ReplyTo,
    pub(crate) message: Message,
    pub(crate) confirmable: bool,
    pub(crate) of: Of,
}

/// What a message belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    /// The body with this key, which comes from the peer; a Reset ends it.
    Body(u64),
    /// Nothing that a Reset ends.
    Nothing,
    /// The body of which it is a block.
    Transfer,
}

/// What it means that an exchange is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was none of a block.
    Foreign,
    /// Nothing to whoever is above.
    Nothing,
    /// That the one is over by which the whole body goes.
    Of(ExchangeId),
}

/// How the peer is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach<'a> {
    /// The parameters of Q-Block, if it is offered there.
    pub(crate) q_blocks: Option<&'a Transmission>,
    pub(crate) room: Room,
    /// Whether the peer may be elsewhere than its datagrams say: it gets no more than a block for each request then.
    pub(crate) is_unproved: bool,
}

impl Reach<'_> {
    /// The same for a message that goes to this request.
    pub(crate) fn beside(self, to: &ReplyTo) -> Self {
        Self { room: self.room.beside(&to.token), ..self }
    }
}

impl Wish {
    /// What a request says, unless it has no such option; an error is what is wrong with it.
    fn of(message: &Message) -> Result<Option<Self>, Message> {
        let Some(first) = message.q_block2().next().or(message.q_block1()) else { return Ok(None) };
        let mixed = message.block1().is_some() || message.block2().is_some();
        if mixed {
            let text = "Blocks and Q-Blocks do not go together."; // [RFC9177 4.1]
            return Err(Message::diagnostic(Code::BAD_OPTION, text));
        }
        let body = message.q_block1().is_some();
        if body && matches!(message.code(), Code::GET | Code::DELETE) {
            return Err(Message::diagnostic(Code::BAD_OPTION, "Such a request has no body.")); // [RFC9177 4.1]
        }
        let blocks: Box<[Block]> = message.q_block2().collect();
        if blocks.iter().copied().chain(message.q_block1()).any(|block| block.exponent == BERT) {
            let text = "The block size is a reserved one."; // [RFC7959 2.2]
            return Err(Message::diagnostic(Code::BAD_REQUEST, text));
        }
        let rising = blocks.windows(2).all(|pair| match pair {
            [one, next] => one.number < next.number && one.exponent == next.exponent,
            _ => true,
        });
        if !rising {
            let text = "Missing blocks are asked for in rising order."; // [RFC9177 4.4]
            return Err(Message::diagnostic(Code::BAD_REQUEST, text));
        }
        let named = !blocks.is_empty();
        // Number 0 with the M bit asks for the entire body [RFC9177 4.4].
        let entire = matches!(blocks[..], [Block { number: 0, more: true, .. }, ..]) || body;
        let blocks = if entire { Box::default() } else { blocks };
        Ok(Some(Self { blocks, exponent: first.exponent, named, body, cut: false }))
    }
}

impl QBlocks {
    /// Whether a request is for [`QBlocks::admit`].
    pub(crate) fn concern(message: &Message, reach: Reach<'_>) -> bool {
        let has_one = message.q_block1().is_some() || message.q_block2().next().is_some();
        reach.q_blocks.is_some() && has_one
    }

    /// The peer observes no more by the request `to`.
    pub(crate) fn cancel(&mut self, to: &ReplyTo, now: Instant) {
        if let Some(live) = &mut self.live {
            live.sending.cancel(to, now);
        }
    }

    /// Takes a request with what it is a part of.
    pub(crate) fn admit(
        &mut self,
        mut request: Request,
        blocks: &Blocks,
        reach: Reach<'_>,
        now: Instant,
    ) -> Upward {
        let (wish, transmission) = match (Wish::of(&request.message), reach.q_blocks) {
            (Ok(Some(wish)), Some(transmission)) => (wish, transmission),
            (Err(answer), _) => return Upward::Answer(request, answer),
            _ => return Upward::Pass(request),
        };
        request.reply_to.passed.blocks = Noted::of(&request);
        let live = self.live.get_or_insert_default();
        match request.message.q_block1() {
            Some(block) => {
                request.reply_to.passed.q_blocks = Some(Box::new(Wish { cut: true, ..wish }));
                live.receive(request, block, blocks, transmission, now)
            }
            None => live.ask(request, wish, &terms(blocks, transmission, reach), now),
        }
    }

    /// A request is answered by its resource, or in place of it.
    pub(crate) fn answered(&mut self, to: &ReplyTo, answer: &Message) {
        let of_body = to.passed.q_blocks.as_ref().is_some_and(|wish| wish.body && !wish.cut);
        if let Some(live) = self.live.as_mut().filter(|_| of_body) {
            live.receiving.answered(to.passed.blocks.key, answer);
        }
    }

    /// Makes the first message of an answer that goes in Q-Blocks; gives the answer back if it does not.
    pub(crate) fn answer(
        &mut self,
        to: &ReplyTo,
        response: Message,
        blocks: &Blocks,
        reach: Reach<'_>,
        chance: &mut Chance,
        now: Instant,
    ) -> Result<Message, Message> {
        let (Some(wish), Some(transmission)) = (&to.passed.q_blocks, reach.q_blocks) else {
            return Err(response);
        };
        if wish.cut {
            return Ok(response);
        }
        let live = self.live.get_or_insert_default();
        let first = live.sending.begin(
            to,
            (response.clone(), None),
            &terms(blocks, transmission, reach),
            chance,
            now,
        );
        first.ok_or(response)
    }

    /// The same of a notification, of which every block is confirmable, or none.
    pub(crate) fn notification(
        &mut self,
        to: &ReplyTo,
        (message, confirmable): (Message, bool),
        blocks: &Blocks,
        reach: Reach<'_>,
        chance: &mut Chance,
        now: Instant,
    ) -> Result<Message, Message> {
        let (Some(_), Some(transmission)) = (&to.passed.q_blocks, reach.q_blocks) else {
            return Err(message);
        };
        let live = self.live.get_or_insert_default();
        let terms = terms(blocks, transmission, reach);
        let first = live.sending.begin(to, (message.clone(), Some(confirmable)), &terms, chance, now);
        first.ok_or(message)
    }

    /// The message that was made last went out as this; an answer may have gone without an exchange of its own.
    pub(crate) fn began(&mut self, exchange: Option<ExchangeId>) {
        if let Some(live) = &mut self.live {
            live.sending.sent(exchange, false);
        }
    }

    /// Gives what goes next; `can_confirm` says that a confirmable message would not wait, and `room` how many bytes a
    /// payload may have.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        transmission: &Transmission,
        can_confirm: bool,
        room: impl Fn(&ReplyTo) -> usize,
    ) -> Option<Due> {
        let live = self.live.as_mut()?;
        let owed = live.receiving.due(now, transmission, room);
        owed.or_else(|| live.sending.due(now, transmission, can_confirm))
    }

    /// What was due went out as this, or could not.
    pub(crate) fn sent(&mut self, of: Of, exchange: Option<ExchangeId>) {
        let Some(live) = &mut self.live else { return };
        match of {
            Of::Body(key) => live.receiving.sent(key, exchange),
            Of::Nothing => {}
            Of::Transfer => live.sending.sent(exchange, exchange.is_none()),
        }
    }

    /// The peer said something.
    pub(crate) fn heard(&mut self) {
        if let Some(live) = &mut self.live {
            live.sending.heard();
        }
    }

    /// Whether the peer is to be asked if it is there.
    pub(crate) fn wants_ping(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.sending.wants_ping())
    }

    /// The peer was asked by this exchange.
    pub(crate) fn pinged(&mut self, exchange: ExchangeId) {
        if let Some(live) = &mut self.live {
            live.sending.pinged(exchange);
        }
    }

    /// The peer has a message of ours.
    pub(crate) fn acknowledged(&mut self, exchange: ExchangeId) -> Outcome {
        self.live.as_mut().map_or(Outcome::Foreign, |live| live.sending.acknowledged(exchange))
    }

    /// The peer does not want a message of ours, or did not acknowledge it.
    pub(crate) fn ended(&mut self, exchange: ExchangeId) -> Outcome {
        let Some(live) = &mut self.live else { return Outcome::Foreign };
        if live.receiving.rejected(exchange) { Outcome::Nothing } else { live.sending.ended(exchange) }
    }

    /// Nobody awaits anything of an exchange any more; gives what is under way for it.
    pub(crate) fn forget(&mut self, exchange: ExchangeId) -> Option<ExchangeId> {
        self.live.as_mut()?.sending.forget(exchange)
    }

    /// There is no session any more, and nothing of it is told.
    pub(crate) fn closed(&mut self) {
        if let Some(live) = &mut self.live {
            live.sending.clear();
            live.receiving.forget_answers();
        }
    }

    /// Whether further notifications wait.
    pub(crate) fn is_pushing(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.sending.is_pushing())
    }

    /// About how many bytes the bodies of requests take.
    pub(crate) fn kept(&self) -> usize {
        self.live.as_ref().map_or(0, |live| live.receiving.kept())
    }

    /// The oldest bodies of requests make room for what is beside them, until all take at most so many bytes.
    pub(crate) fn make_room(&mut self, most: usize, beside: usize) {
        if let Some(live) = self.live.as_mut().filter(|_| beside > 0) {
            live.receiving.make_room(0, most.saturating_sub(beside));
        }
    }

    /// Whether nothing of any body is kept.
    pub(crate) fn is_idle(&self) -> bool {
        self.live.is_none()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let live = self.live.as_ref()?;
        [live.receiving.deadline(), live.sending.deadline()].into_iter().flatten().min()
    }

    pub(crate) fn expire(&mut self, now: Instant, transmission: &Transmission) {
        let Some(live) = &mut self.live else { return };
        live.receiving.expire(now, transmission);
        live.sending.expire(now);
    }

    /// Keeps nothing for a peer that costs nothing.
    pub(crate) fn rest(&mut self) {
        self.live.take_if(|live| live.receiving.is_idle() && live.sending.is_idle());
    }
}

impl Live {
    fn receive(
        &mut self,
        request: Request,
        block: Block,
        blocks: &Blocks,
        transmission: &Transmission,
        now: Instant,
    ) -> Upward {
        self.receiving.expire(now, transmission);
        match self.receiving.receive(&request, block, &blocks.bounds(), transmission, now) {
            Received::More => Upward::Settle(request),
            Received::Begin => Upward::Open(request),
            Received::Whole(message) => {
                let mut reply_to = request.reply_to;
                reply_to.passed.q_blocks.iter_mut().for_each(|wish| wish.cut = false);
                Upward::Pass(Request { message, reply_to })
            }
            Received::Answered(answer) => Upward::Answer(request, answer),
            Received::TooLarge(most) => Upward::Answer(request, too_large(most)),
            Received::Refused(code, text) => Upward::Answer(request, Message::diagnostic(code, text)),
        }
    }

    fn ask(&mut self, mut request: Request, wish: Wish, terms: &Terms<'_>, now: Instant) -> Upward {
        let found = match request.message.observe().is_none() && request.message.payload().is_empty() {
            true => self.sending.ask(&request, &wish, terms, now),
            false => Found::Nothing,
        };
        let bad = |text| Message::diagnostic(Code::BAD_REQUEST, text);
        let is_later = wish.blocks.iter().any(|block| block.number > 0);
        let is_cut = matches!(found, Found::Block(_));
        request.reply_to.passed.q_blocks = Some(Box::new(Wish { cut: is_cut, ..wish }));
        match found {
            Found::Block(block) => Upward::Answer(request, *block),
            Found::GoesOn => Upward::Settle(request),
            Found::Refused(text) => Upward::Answer(request, bad(text)),
            Found::Nothing if is_later && request.message.code() != Code::GET => {
                // What the request does must not be done twice.
                let text = "The answer is no longer at hand; begin again.";
                let answer = Message::diagnostic(Code::REQUEST_ENTITY_INCOMPLETE, text);
                Upward::Answer(request, answer)
            }
            Found::Nothing => Upward::Pass(request),
        }
    }
}

fn terms<'a>(blocks: &Blocks, transmission: &'a Transmission, reach: Reach<'_>) -> Terms<'a> {
    let bounds = blocks.bounds();
    Terms {
        transmission,
        room: reach.room,
        exponent: bounds.exponent,
        transfers: bounds.transfers,
        one_each: reach.is_unproved,
    }
}
