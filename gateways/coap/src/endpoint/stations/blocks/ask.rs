use std::collections::HashMap;

use bytes::Bytes;

use super::{BERT, Room, offset, unit};
use crate::{Block, Code, ExchangeId, Message, OptionNumber, Token};

/// Our requests, whose bodies go in blocks if they are large, and whose answers may come in blocks [RFC7959].
#[derive(Debug)]
pub(crate) struct Asking {
    /// By the exchange of the block that is under way.
    transfers: HashMap<ExchangeId, Box<Transfer>>,
    /// The requests that observe, for the blocks that follow the first one of a notification.
    observing: HashMap<ExchangeId, Message>,
    exponent: u8,
    /// How large an answer may be.
    largest: usize,
}

/// One request of ours and its answer, in as many blocks as they take.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// The exchange as whoever is above knows it.
    exchange: ExchangeId,
    notification: bool,
    /// The request without its payload.
    request: Message,
    body: Bytes,
    /// How much of the body the peer has.
    delivered: usize,
    exponent: u8,
    /// How much of the body goes with one message.
    step: usize,
    /// Whether a message may have several blocks.
    bert: bool,
    /// What has come of the answer's body.
    answer: Vec<u8>,
    tag: Option<Vec<u8>>,
    /// The Observe option of the answer, which only its first block has.
    observe: Option<u32>,
    /// Whether the peer was told its Echo once.
    echoed: bool,
    largest: usize,
}

/// What is to be done after an answer.
#[derive(Debug)]
pub(crate) enum Step {
    /// The next block is to be sent, or asked for.
    Send(Message, Box<Transfer>),
    /// The answer of an exchange is whole.
    Done { exchange: ExchangeId, notification: bool, message: Message },
    /// The blocks do not fit together, or are too many.
    Failed { exchange: ExchangeId, notification: bool, reason: &'static str },
}

impl Asking {
    pub(crate) fn new(exponent: u8, largest: usize) -> Self {
        Self { transfers: HashMap::new(), observing: HashMap::new(), exponent, largest }
    }

    /// The request as it goes out first.
    pub(crate) fn begin(
        &self,
        exchange: ExchangeId,
        request: Message,
        room: Room,
    ) -> (Message, Box<Transfer>) {
        let transfer = self.transfer(exchange, request, room);
        (transfer.block_of_request(0), Box::new(transfer))
    }

    fn transfer(&self, exchange: ExchangeId, request: Message, room: Room) -> Transfer {
        let body = request.clone().into_payload();
        let exponent = if room.bert { BERT } else { self.exponent };
        let left = room.left(&request).saturating_sub(BLOCK_OPTION);
        let step = match exponent {
            _ if !room.eager && body.len() <= left => body.len(),
            BERT => (left - left % unit(BERT)).max(unit(BERT)),
            exponent => unit(exponent),
        };
        Transfer {
            exchange,
            notification: false,
            request: request.with_shared_payload(Bytes::new()),
            body,
            delivered: 0,
            exponent,
            step,
            bert: room.bert,
            answer: Vec::new(),
            tag: None,
            observe: None,
            echoed: false,
            largest: self.largest,
        }
    }

    /// A block of the request is under way as this exchange.
    pub(crate) fn sent(&mut self, under_way: ExchangeId, transfer: Box<Transfer>) {
        self.transfers.insert(under_way, transfer);
    }

    /// The peer has answered; the token is that of the observation that the answer began, if it did.
    pub(crate) fn answered(&mut self, under_way: ExchangeId, answer: Message, observes: bool) -> Step {
        let Some(transfer) = self.transfers.remove(&under_way) else {
            return Step::Done { exchange: under_way, notification: false, message: answer };
        };
        if observes {
            let request = transfer.request.clone().with_shared_payload(transfer.body.clone());
            self.observing.insert(transfer.exchange, request.with_token(Token::default()));
        }
        transfer.proceed(answer)
    }

    /// The peer has notified; `last` says that the observation is over.
    pub(crate) fn notified(
        &mut self,
        exchange: ExchangeId,
        message: Message,
        last: bool,
        room: Room,
    ) -> Step {
        let request = match last {
            true => self.observing.remove(&exchange),
            false => self.observing.get(&exchange).cloned(),
        };
        match request {
            Some(request) if message.block2().is_some() => {
                let transfer = self.transfer(exchange, request, room);
                Box::new(Transfer { notification: true, body: Bytes::new(), ..transfer }).proceed(message)
            }
            _ => Step::Done { exchange, notification: true, message },
        }
    }

    /// The exchange as whoever is above knows it, and whether it is that of a notification's later blocks; what is
    /// under way is over.
    pub(crate) fn end(&mut self, under_way: ExchangeId) -> (ExchangeId, bool) {
        self.observing.remove(&under_way);
        let transfer = self.transfers.remove(&under_way);
        transfer.map_or((under_way, false), |transfer| (transfer.exchange, transfer.notification))
    }

    /// The exchange as whoever is above knows it, unless it is that of a later block.
    pub(crate) fn known(&self, under_way: ExchangeId) -> Option<ExchangeId> {
        match self.transfers.get(&under_way) {
            Some(transfer) if transfer.exchange != under_way => None,
            _ => Some(under_way),
        }
    }

    /// Nobody awaits anything of an exchange any more; gives what is under way for it.
    pub(crate) fn forget(&mut self, exchange: ExchangeId) -> Vec<ExchangeId> {
        self.observing.remove(&exchange);
        self.take(|transfer| transfer.exchange == exchange)
    }

    /// Nobody awaits the rest of an observation's earlier notifications any more; gives what is under way for them.
    pub(crate) fn supersede(&mut self, exchange: ExchangeId) -> Vec<ExchangeId> {
        self.take(|transfer| transfer.notification && transfer.exchange == exchange)
    }

    /// Another request took the place of the one that observes, or ended its observation.
    pub(crate) fn replaced(&mut self, exchange: ExchangeId) {
        self.observing.remove(&exchange);
    }

    fn take(&mut self, gone: impl Fn(&Transfer) -> bool) -> Vec<ExchangeId> {
        let of_it = self.transfers.iter().filter(|(_, transfer)| gone(transfer));
        let mut under_way: Vec<ExchangeId> = of_it.map(|(under_way, _)| *under_way).collect();
        under_way.sort_unstable(); // what happens never hangs on the order of a table
        under_way.iter().for_each(|exchange| drop(self.transfers.remove(exchange)));
        under_way
    }
}

impl Transfer {
    /// The exchange as whoever is above knows it, and whether a notification began this.
    pub(crate) fn exchange(&self) -> (ExchangeId, bool) {
        (self.exchange, self.notification)
    }

    /// Takes an answer.
    fn proceed(mut self: Box<Self>, answer: Message) -> Step {
        if let Some(again) = self.echo(&answer) {
            return Step::Send(again, self);
        }
        if let Some(block) = answer.block1() {
            match self.continue_body(answer.code(), block) {
                Ok(Some(next)) => return Step::Send(next, self),
                Ok(None) => {}
                Err(reason) => return self.failed(reason),
            }
        }
        match answer.block2() {
            Some(block) => self.continue_answer(answer, block),
            None => self.done(answer),
        }
    }

    fn done(&self, message: Message) -> Step {
        Step::Done { exchange: self.exchange, notification: self.notification, message }
    }

    fn failed(&self, reason: &'static str) -> Step {
        Step::Failed { exchange: self.exchange, notification: self.notification, reason }
    }

    /// The request once more, with the Echo that the peer asks for [RFC9175 2.3].
    fn echo(&mut self, answer: &Message) -> Option<Message> {
        let value = answer.option(OptionNumber::ECHO).filter(|_| answer.code() == Code::UNAUTHORIZED)?;
        if std::mem::replace(&mut self.echoed, true) {
            return None;
        }
        self.request = self.request.clone().with_option(OptionNumber::ECHO, value);
        Some(self.block_of_request(self.delivered))
    }

    /// The next block of the body, if the peer wants one.
    fn continue_body(&mut self, code: Code, block: Block) -> Result<Option<Message>, &'static str> {
        let restart = code == Code::REQUEST_ENTITY_TOO_LARGE && self.delivered == 0;
        // [RFC7959 2.9.3]: a smaller size in the answer is the one the peer wants.
        if code != Code::CONTINUE && !(restart && block.exponent < self.exponent) {
            return Ok(None);
        }
        if !restart {
            self.delivered += self.step;
            if self.delivered >= self.body.len() {
                return Err("the peer wants more blocks than there are");
            }
        }
        if block.exponent < self.exponent {
            (self.exponent, self.step) = (block.exponent, unit(block.exponent));
        }
        Ok(Some(self.block_of_request(self.delivered)))
    }

    fn continue_answer(mut self: Box<Self>, answer: Message, block: Block) -> Step {
        let length = answer.payload().len();
        let of_its_size = match block.exponent {
            BERT => self.bert && length > 0 && length.is_multiple_of(unit(BERT)), // [RFC7959 2.2]
            exponent => length == unit(exponent),
        };
        if offset(block) != self.answer.len() || (block.more && !of_its_size) {
            return self.failed("the blocks of the answer do not fit together");
        }
        let tag = answer.option(OptionNumber::ETAG);
        if block.number > 0 && tag != self.tag.as_deref() {
            return self.failed("the answer changed while it was fetched"); // [RFC7959 2.4]
        }
        self.tag = tag.map(Into::into);
        self.observe = self.observe.or(answer.observe());
        self.answer.extend_from_slice(answer.payload());
        if self.answer.len() > self.largest {
            return self.failed("the answer is larger than the limit");
        }
        if !block.more {
            let whole = std::mem::take(&mut self.answer);
            let missing = self.observe.filter(|_| answer.observe().is_none());
            let answer = missing.into_iter().fold(answer, Message::with_observe);
            return self.done(answer.with_payload(whole));
        }
        let number = u32::try_from(self.answer.len() / unit(block.exponent)).unwrap_or(u32::MAX);
        let next = Block { number, more: false, exponent: block.exponent };
        // [RFC7959 3.4]: later blocks are asked for without Observe; the body was sent with the first.
        let request = self.request.clone().without(OptionNumber::OBSERVE).without(OptionNumber::BLOCK2);
        let request = request.with_token(Token::default()).with_uint(OptionNumber::BLOCK2, next.to_uint());
        Step::Send(request, self)
    }

    /// The request with the part of the body that begins at `start`.
    fn block_of_request(&self, start: usize) -> Message {
        let start = start.min(self.body.len());
        let end = self.body.len().min(start + self.step);
        let part = self.body.slice(start..end);
        if start == 0 && end == self.body.len() {
            return self.request.clone().with_shared_payload(part);
        }
        let number = u32::try_from(start / unit(self.exponent)).unwrap_or(u32::MAX);
        let block = Block { number, more: end < self.body.len(), exponent: self.exponent };
        let request =
            if start == 0 { self.request.clone() } else { self.request.clone().with_token(Token::default()) };
        request.with_uint(OptionNumber::BLOCK1, block.to_uint()).with_shared_payload(part)
    }
}

/// The longest Block1.
const BLOCK_OPTION: usize = 5;
