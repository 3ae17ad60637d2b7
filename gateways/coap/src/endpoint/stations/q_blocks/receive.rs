use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::time::Instant;

use super::super::blocks::{Bounds, unit};
use super::body::{Added, Body, Owed, total};
use super::missing::incomplete;
use super::{Due, Of};
use crate::transmission::MAX_LATENCY;
use crate::{Block, Code, ExchangeId, Message, OptionNumber, ReplyTo, Request, Transmission};

/// The bodies of requests that come in blocks of any order [RFC9177 4.3]; the one that was added to last stands last.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    bodies: Vec<Body>,
    /// Those that have come whole, since a block of them may come once more.
    finished: VecDeque<Finished>,
}

#[derive(Debug)]
struct Finished {
    key: u64,
    size: usize,
    exponent: u8,
    /// What tells each of its first blocks from another.
    digests: Box<[u64]>,
    came: Instant,
    answered: bool,
    /// The answer, if it may be given again.
    answer: Option<Message>,
    until: Instant,
}

/// For each body that may be under way so many are remembered when they have come.
const FINISHED_PER_TRANSFER: usize = 16;

/// Of so many blocks it is known whether another differs.
const DIGESTS: usize = 64;

/// A longer answer is not kept to be given twice.
const LONGEST_ANSWER: usize = 256;

/// The most bytes a list of missing blocks has: with its options it fits a message of 1,152 bytes [RFC7252 4.6].
const LONGEST_LIST: usize = 1_024;

/// What a block of a request comes to.
pub(super) enum Received {
    /// More are to come; the peer may be owed something.
    More,
    /// It is the first that has come, and more are to.
    Begin,
    /// The body has come; this is the request.
    Whole(Message),
    /// The body came before, and this was the answer.
    Answered(Message),
    TooLarge(usize),
    Refused(Code, &'static str),
}

impl Receiving {
    /// Takes a block; all bodies together have at most `bounds.now` bytes, and so has each `bounds.ever` once there is
    /// a session.
    pub(super) fn receive(
        &mut self,
        request: &Request,
        block: Block,
        bounds: &Bounds,
        transmission: &Transmission,
        now: Instant,
    ) -> Received {
        let (message, key) = (&request.message, request.reply_to.passed.blocks.key);
        let tagged = message.option(OptionNumber::REQUEST_TAG).is_some();
        let size = message.uint(OptionNumber::SIZE1).map(|size| size as usize);
        let Some(size) = size.filter(|_| tagged) else {
            let text = "A Q-Block1 goes with a Request-Tag and a Size1."; // [RFC9177 4.3]
            return Received::Refused(Code::BAD_REQUEST, text);
        };
        if size > bounds.ever {
            return Received::TooLarge(bounds.ever);
        }
        if !fits(block, message.payload().len(), size) {
            let text = "Number, size and M bit of the block do not fit the Size1."; // [RFC9177 4.6]
            return Received::Refused(Code::BAD_REQUEST, text);
        }
        let times = (now, now + transmission.non_partial_timeout);
        if let Some(again) = self.finished(key, size, (block, message), times) {
            return again;
        }
        let at = self.bodies.iter().position(|body| body.key == key);
        let (mut body, is_new) = match at.map(|at| self.bodies.remove(at)) {
            Some(body) => (body, false),
            None => {
                let head = message.clone().with_payload("");
                (Body::new(key, head, size, block, request.reply_to.clone(), now), true)
            }
        };
        let received = take(&mut body, request, (block, size), bounds, transmission, now);
        match received {
            Received::TooLarge(_) => {}
            _ if body.is_whole() => {
                self.remember(&body, bounds.transfers, times);
                return Received::Whole(body.into_message(message.token()));
            }
            _ => {
                self.bodies.push(body);
                if self.bodies.len() > bounds.transfers {
                    self.bodies.remove(0);
                }
                self.make_room(1, bounds.now);
            }
        }
        match received {
            Received::More if is_new => Received::Begin,
            received => received,
        }
    }

    /// What a block comes to whose body has come whole before: its sender has not heard the answer, or it was long on its
    /// way.
    fn finished(
        &mut self,
        key: u64,
        size: usize,
        (block, message): (Block, &Message),
        (now, until): (Instant, Instant),
    ) -> Option<Received> {
        let at = self.finished.iter().position(|finished| finished.key == key)?;
        let mut finished = self.finished.remove(at)?;
        if finished.size != size || finished.is_another(block, message.payload(), now) {
            return None; // a device that was restarted may use a Request-Tag again
        }
        finished.until = until;
        // Of the others none was answered either, and what follows may be of another body.
        let answer = finished.answer.clone().filter(|_| !block.more);
        self.finished.push_back(finished);
        Some(answer.map_or(Received::More, Received::Answered))
    }

    fn remember(&mut self, body: &Body, transfers: usize, (came, until): (Instant, Instant)) {
        let digests = body.blocks().take(DIGESTS).map(digest).collect();
        let (key, size, exponent) = (body.key, body.size, body.exponent);
        let finished = Finished { key, size, exponent, digests, came, answered: false, answer: None, until };
        self.finished.push_back(finished);
        while self.finished.len() > transfers.saturating_mul(FINISHED_PER_TRANSFER) {
            self.finished.pop_front();
        }
    }

    /// The request of a body is answered.
    pub(super) fn answered(&mut self, key: u64, answer: &Message) {
        if !answer.code().is_success() {
            self.finished.retain(|finished| finished.key != key); // it may be tried again
            return;
        }
        let short = answer.payload().len() <= LONGEST_ANSWER && answer.observe().is_none();
        if let Some(finished) = self.finished.iter_mut().find(|finished| finished.key == key) {
            (finished.answered, finished.answer) = (true, short.then(|| answer.clone()));
        }
    }

    /// No answer that was given is given again.
    pub(super) fn forget_answers(&mut self) {
        self.finished.iter_mut().for_each(|finished| finished.answer = None);
    }

    /// Says what a peer is owed; `room` tells how many bytes a payload to it may have.
    pub(super) fn due(
        &mut self,
        now: Instant,
        transmission: &Transmission,
        room: impl Fn(&ReplyTo) -> usize,
    ) -> Option<Due> {
        let body = self
            .bodies
            .iter_mut()
            .find(|body| body.owes.is_some() || body.ask_at.is_some_and(|due| due <= now))?;
        let set = transmission.payloads();
        let to = body.last.clone();
        let list = |body: &Body, end: u32| {
            let missing = body.missing(end, set as usize);
            incomplete(&missing, LONGEST_LIST.min(room(&to)))
        };
        let message = match body.owes.take() {
            Some(Owed::Continue(number)) => {
                let block = Block { number, more: true, exponent: body.exponent };
                let message = Message::response(Code::CONTINUE);
                let message = message.with_uint(OptionNumber::Q_BLOCK1, block.to_uint());
                return Some(Due { to, message, confirmable: false, of: Of::Nothing });
            }
            Some(Owed::Missing(end)) => list(body, end),
            None => {
                // What should have come: the rest of the latest set, or the next one [RFC9177 7.2].
                let end = (body.highest.max(body.next()) / set + 1).saturating_mul(set);
                body.asked += 1;
                let message = list(body, end);
                let wait = transmission.receive_timeout() * (1 << body.asked.min(16));
                let wait = wait.max(transmission.probing_wait(message.size())); // [RFC9177 7.2]
                body.ask_at = Some(now + wait);
                message
            }
        };
        Some(Due { to, message, confirmable: false, of: Of::Body(body.key) })
    }

    /// A list of missing blocks went out as this.
    pub(super) fn sent(&mut self, key: u64, exchange: Option<ExchangeId>) {
        if let Some(body) = self.bodies.iter_mut().find(|body| body.key == key) {
            body.question = exchange;
        }
    }

    /// The peer knows nothing of a body that it was told of [RFC9177 4.3]; `false` if that was something else.
    pub(super) fn rejected(&mut self, exchange: ExchangeId) -> bool {
        let before = self.bodies.len();
        self.bodies.retain(|body| body.question != Some(exchange));
        self.bodies.len() < before
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let bodies = self.bodies.iter().flat_map(|body| [Some(body.until), body.ask_at]).flatten();
        bodies.chain(self.finished.front().map(|finished| finished.until)).min()
    }

    pub(super) fn expire(&mut self, now: Instant, transmission: &Transmission) {
        let in_vain =
            |body: &Body| body.asked >= transmission.repeats() && body.ask_at.is_some_and(|due| due <= now);
        self.bodies.retain(|body| body.until > now && !in_vain(body)); // [RFC9177 7.2]
        while self.finished.pop_front_if(|finished| finished.until <= now).is_some() {}
    }

    pub(super) fn is_idle(&self) -> bool {
        self.bodies.is_empty() && self.finished.is_empty()
    }

    /// About how many bytes all bodies take.
    pub(super) fn kept(&self) -> usize {
        self.bodies.iter().map(Body::kept).sum()
    }

    /// The oldest make room until all take at most so many bytes, or so few are left.
    pub(super) fn make_room(&mut self, few: usize, most: usize) {
        while self.bodies.len() > few && self.kept() > most {
            self.bodies.remove(0);
        }
    }
}

impl Finished {
    /// Whether a block is of another body with the same tag and size: it differs, or the first of several comes once more
    /// behind the answer and so late that it was not on its way.
    fn is_another(&self, block: Block, payload: &[u8], now: Instant) -> bool {
        let known = usize::try_from(block.number).ok().and_then(|number| self.digests.get(number));
        let begins = block.number == 0 && block.more && self.answered && now >= self.came + MAX_LATENCY;
        begins || block.exponent != self.exponent || known.is_some_and(|known| *known != digest(payload))
    }
}

/// Puts a block into its body.
fn take(
    body: &mut Body,
    request: &Request,
    (block, size): (Block, usize),
    bounds: &Bounds,
    transmission: &Transmission,
    now: Instant,
) -> Received {
    let (message, set) = (&request.message, transmission.payloads());
    if (body.size, body.exponent) != (size, block.exponent) {
        let text = "All blocks of a body have the same size and the same Size1."; // [RFC9177 4.3, 4.6]
        return Received::Refused(Code::BAD_REQUEST, text);
    }
    if body.head.observe() != message.observe() {
        return Received::Refused(Code::BAD_REQUEST, "All blocks of a body have the same Observe."); // [RFC9177 4.5]
    }
    if body.length() + message.payload().len() > bounds.now {
        // It is asked for again, when there may be a session.
        return if bounds.may_grow { Received::More } else { Received::TooLarge(bounds.now) };
    }
    let (before, highest) = (body.next(), body.highest);
    let head = message.clone().with_payload("");
    let added = body.add(head, block.number, message.clone().into_payload(), bounds.now);
    body.last = request.reply_to.clone();
    if added == Added::Lost {
        return Received::More;
    }
    let (next, is_non) = (body.next(), !request.reply_to.confirmable);
    if added == Added::New {
        body.until = now + transmission.non_partial_timeout;
        (body.asked, body.ask_at) = (0, is_non.then(|| now + transmission.receive_timeout()));
    }
    let ends_a_set = (block.number + 1).is_multiple_of(set) && block.number < next;
    body.owes = match added {
        _ if !is_non => None, // [RFC9177 4.3]: neither 2.31 nor a list, where each block is acknowledged
        Added::New if next / set > before / set => Some(Owed::Continue(next / set * set - 1)),
        Added::Again if ends_a_set => Some(Owed::Continue(block.number)),
        // The first of a set shows that the one before it is over [RFC9177 7.2].
        Added::New if block.number / set > highest / set && next < block.number / set * set => {
            Some(Owed::Missing(block.number / set * set))
        }
        _ => None,
    };
    Received::More
}

/// Whether a block with so many bytes may belong to a body of this size.
fn fits(block: Block, length: usize, size: usize) -> bool {
    let (last, unit) = (total(size, block.exponent) - 1, unit(block.exponent));
    match block.number {
        number if number > last => false,
        number if number < last => block.more && length == unit,
        number => !block.more && length == size - number as usize * unit,
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
