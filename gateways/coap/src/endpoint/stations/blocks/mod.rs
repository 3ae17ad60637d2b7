//! Block-wise transfer [RFC7959]: whole bodies above, blocks below, in both roles.

mod ask;
mod key;
mod receive;
mod serve;

use std::time::Instant;

use bus::Limits;
use bytes::Bytes;

use crate::{Block, Code, Config, Message, OptionNumber, ReplyTo, Request, Token};
pub(crate) use ask::{Asking, Step};
pub(crate) use key::key;
use receive::{Received, Receiving};
use serve::Serving;
pub(crate) use serve::{aged, fit};

/// The largest block that is no BERT [RFC7959 2.2].
pub(crate) const LARGEST_EXPONENT: u8 = 6;

/// Several blocks of 1,024 bytes in one message, on a stream only [RFC8323 6].
pub(crate) const BERT: u8 = 7;

/// The blocks of one peer's requests and of the answers to them.
#[derive(Debug)]
pub(crate) struct Blocks {
    receiving: Receiving,
    serving: Serving,
    /// The largest body that is assembled once there is a session, and before.
    largest: usize,
    largest_before: usize,
    session: Session,
}

/// Whether whoever is above knows the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    None,
    Opening,
    Open,
}

/// What a request says of blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// What all requests of one block-wise operation have alike.
    pub(crate) key: u64,
    block1: Option<Block>,
    block2: Option<Block>,
    /// Whether the size of the answer's body is asked for.
    wants_size: bool,
    /// Whether the answer may be asked for again without doing anything twice.
    safe: bool,
}

/// What becomes of a request on its way up.
pub(crate) enum Upward {
    /// It is whole.
    Pass(Request),
    /// It is answered here.
    Answer(Request, Message),
    /// The first of several blocks: answered here, and whoever is above may get ready.
    Begin(Request, Message),
    /// It waits for the session.
    Stall,
    /// A part of one that is not whole: nothing is answered to it by itself.
    Settle(Request),
    /// The first part of one that is not whole: whoever is above may get ready.
    Open(Request),
}

/// How much may be put together for one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The bytes of all bodies now, and of one once there is a session.
    pub(crate) now: usize,
    pub(crate) ever: usize,
    /// Whether the session is about to be there.
    pub(crate) may_grow: bool,
    /// How many bodies may be under way.
    pub(crate) transfers: usize,
    /// The size of block that is wanted.
    pub(crate) exponent: u8,
}

impl Noted {
    pub(crate) fn of(request: &Request) -> Self {
        let message = &request.message;
        Self {
            key: key(request),
            block1: message.block1(),
            block2: message.block2(),
            wants_size: message.uint(OptionNumber::SIZE2).is_some(),
            safe: matches!(message.code(), Code::GET | Code::FETCH),
        }
    }

    /// Which block of the answer is asked for.
    fn number(&self) -> u32 {
        self.block2.map_or(0, |block| block.number)
    }
}

impl Blocks {
    pub(crate) fn new(config: &Config, limits: &Limits) -> Self {
        let largest = config.largest_body.min(limits.packet);
        let lifetime = config.transmission.exchange_lifetime(); // [RFC7959 2.5]
        let exponent = exponent_within(config.block).unwrap_or(0);
        Self {
            receiving: Receiving::new(config.transfers, exponent, lifetime),
            serving: Serving::new(config.transfers, exponent, lifetime, config.transmission.ack_timeout * 2),
            largest,
            largest_before: limits.packet_before_connect.min(largest),
            session: Session::None,
        }
    }

    /// Takes a request with what it is a part of.
    pub(crate) fn admit(&mut self, mut request: Request, bert: bool, now: Instant) -> Upward {
        let noted = Noted::of(&request);
        let reserved = |block: Block| block.exponent == BERT && !bert;
        if noted.block1.is_some_and(reserved) || noted.block2.is_some_and(reserved) {
            request.reply_to.passed.blocks = Noted { block1: None, block2: None, ..noted };
            let text = "The block size is a reserved one."; // [RFC7959 2.2]
            return Upward::Answer(request, Message::diagnostic(Code::BAD_REQUEST, text));
        }
        request.reply_to.passed.blocks = noted.clone();
        match noted.block1 {
            Some(block) if block.number > 0 || block.more => self.receive(request, block, now),
            _ if noted.number() > 0 => self.resume(request, &noted, now),
            _ => {
                self.receiving.forget(noted.key);
                Upward::Pass(request)
            }
        }
    }

    fn receive(&mut self, request: Request, block: Block, now: Instant) -> Upward {
        let key = request.reply_to.passed.blocks.key;
        let Bounds { now: largest, may_grow, .. } = self.bounds();
        match self.receiving.receive(key, &request.message, block, (largest, self.largest), now) {
            Received::Continue => Upward::Answer(request, Message::response(Code::CONTINUE)),
            Received::Begin => Upward::Begin(request, Message::response(Code::CONTINUE)),
            Received::TooLarge if may_grow && self.receiving.stall(key, &request) => Upward::Stall,
            Received::TooLarge => Upward::Answer(request, too_large(largest)),
            Received::Refused(code, text) => Upward::Answer(request, Message::diagnostic(code, text)),
            Received::Whole { body, if_none_match } => {
                let mut message = request.message.with_shared_payload(body.into());
                if if_none_match && message.option(OptionNumber::IF_NONE_MATCH).is_none() {
                    message = message.with_option(OptionNumber::IF_NONE_MATCH, "");
                }
                Upward::Pass(Request { message, ..request })
            }
        }
    }

    /// Takes a request for a later block of an answer.
    fn resume(&mut self, mut request: Request, noted: &Noted, now: Instant) -> Upward {
        if let Some(answer) = self.serving.again(noted.key, now) {
            return Upward::Answer(request, answer);
        }
        let repeatable =
            noted.safe && (request.message.code() == Code::GET || !request.message.payload().is_empty());
        if !repeatable {
            // What the request does must not be done twice.
            let text = "The answer is no longer at hand; begin again.";
            return Upward::Answer(request, Message::diagnostic(Code::REQUEST_ENTITY_INCOMPLETE, text));
        }
        request.message = request.message.without(OptionNumber::OBSERVE); // [RFC7959 2.6]
        Upward::Pass(request)
    }

    /// Makes of an answer what goes into one message.
    pub(crate) fn answer(&mut self, to: &ReplyTo, response: Message, room: Room, now: Instant) -> Message {
        let noted = &to.passed.blocks;
        let (provisional, exponent) = (response.code() == Code::CONTINUE, self.receiving.exponent());
        let response = if provisional { response } else { self.serving.cut(noted, response, room, now) };
        match noted.block1 {
            Some(block) => {
                // A smaller size is the one that is wanted [RFC7959 2.3].
                let exponent = if block.exponent == BERT { BERT } else { block.exponent.min(exponent) };
                let more = provisional;
                response.with_uint(OptionNumber::BLOCK1, Block { more, exponent, ..block }.to_uint())
            }
            None => response,
        }
    }

    /// Whether an answer is so much too large for its room that it would take many small blocks, and the request may
    /// be made again without doing anything twice.
    pub(crate) fn may_be_asked_again(&self, to: &ReplyTo, response: &Message, room: Room) -> bool {
        let noted = &to.passed.blocks;
        let wanted = noted.block2.map_or(LARGEST_EXPONENT, |block| block.exponent);
        noted.safe
            && noted.number() == 0
            && response.code().is_success()
            && response.observe().is_none()
            && (response.payload().len() > unit(LARGEST_EXPONENT) && room.left(response) < unit(wanted)
                || !room.holds_a_block(response))
    }

    /// Makes of a notification what goes into one message: the first block, if it is large [RFC7959 2.6].
    pub(crate) fn notification(
        &mut self,
        to: &ReplyTo,
        message: Message,
        room: Room,
        now: Instant,
    ) -> Message {
        let first = |block: Block| Block { number: 0, ..block };
        let noted = &to.passed.blocks;
        let noted = Noted { block2: noted.block2.map(first), wants_size: false, ..noted.clone() };
        self.serving.cut(&noted, message, room, now)
    }

    /// Whether a notification waits for the peer to fetch the rest of it.
    pub(crate) fn is_pushing(&self) -> bool {
        self.serving.is_pushing()
    }

    /// The session is being opened: what is larger than may come before waits.
    pub(crate) fn opening(&mut self) {
        self.session = Session::Opening;
    }

    /// The session is open; gives the requests that waited for it.
    pub(crate) fn opened(&mut self) -> Vec<Request> {
        self.session = Session::Open;
        self.receiving.stalled()
    }

    /// There is no session any more, and nothing of it is told; gives the requests that waited.
    pub(crate) fn closed(&mut self) -> Vec<Request> {
        self.session = Session::None;
        self.serving.clear();
        self.receiving.stalled()
    }

    pub(crate) fn largest(&self) -> usize {
        self.largest
    }

    /// How much may be put together.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            now: if self.session == Session::Open { self.largest } else { self.largest_before },
            ever: self.largest,
            may_grow: self.session == Session::Opening,
            transfers: self.receiving.most(),
            exponent: self.receiving.exponent(),
        }
    }

    /// How many bytes the bodies of requests have.
    pub(crate) fn kept(&self) -> usize {
        self.receiving.kept()
    }

    /// The oldest bodies of requests make room for what is beside them, until all have at most so many bytes.
    pub(crate) fn make_room(&mut self, most: usize, beside: usize) {
        if beside > 0 {
            self.receiving.make_room(0, most.saturating_sub(beside));
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.receiving.deadline(), self.serving.deadline()].into_iter().flatten().min()
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.receiving.expire(now);
        self.serving.expire(now);
    }
}

/// The largest exponent whose block has at most so many bytes.
pub(crate) fn exponent_within(bytes: usize) -> Option<u8> {
    (0..=LARGEST_EXPONENT).rev().find(|exponent| 16 << exponent <= bytes)
}

/// The bytes that a block's number counts.
pub(crate) fn unit(exponent: u8) -> usize {
    16 << exponent.min(LARGEST_EXPONENT)
}

/// Where a block begins.
fn offset(block: Block) -> usize {
    block.number as usize * unit(block.exponent)
}

/// The answer to a body above the limit [RFC7959 2.9.3].
pub(crate) fn too_large(largest: usize) -> Message {
    let size = u32::try_from(largest).unwrap_or(u32::MAX);
    let text = "The body is larger than the limit.";
    Message::diagnostic(Code::REQUEST_ENTITY_TOO_LARGE, text).with_uint(OptionNumber::SIZE1, size)
}

/// What a message may be on its carrier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// The largest message, its token aside.
    pub(crate) bytes: usize,
    /// Whether a body goes in blocks as soon as it is larger than one; else when it does not fit.
    pub(crate) eager: bool,
    /// Whether a message to the peer may have several blocks, and one from it.
    pub(crate) bert: bool,
    pub(crate) takes_bert: bool,
}

impl Room {
    /// The same for a message that has this token.
    pub(crate) fn beside(self, token: &Token) -> Self {
        let (_, extended) = token.length_field();
        Self { bytes: self.bytes.saturating_sub(extended.len() + token.len()), ..self }
    }

    fn fits(self, message: &Message) -> bool {
        // Mostly it is so small that its bytes need not be counted.
        message.size() + HEADER <= self.bytes || message.payload().len() <= self.left(message)
    }

    /// Whether the message fits, in blocks if need be.
    pub(crate) fn holds_a_block(self, message: &Message) -> bool {
        self.fits(message) || serve::fit(message, 0, self).is_some()
    }

    /// How many bytes a payload may have.
    fn left(self, message: &Message) -> usize {
        let head = message.clone().with_shared_payload(Bytes::new()).with_token(Token::default());
        self.bytes.saturating_sub(head.encode().len() + 1)
    }
}

/// Header and payload marker.
const HEADER: usize = 5;
