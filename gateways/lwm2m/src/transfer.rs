//! One request to a device and its answer, in as many blocks as they take [RFC7959].

use coap::{Block, Code, Message, OptionNumber};

/// The blocks of a body start with 1,024 bytes; the device may ask for smaller ones.
const LARGEST_EXPONENT: u8 = 6;

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// The request without its payload.
    request: Message,
    body: Vec<u8>,
    /// How much of the body the device has.
    delivered: usize,
    exponent: u8,
    /// What has come of the answer's body.
    answer: Vec<u8>,
    /// The Observe option of the answer, which only its first block has.
    observe: Option<u32>,
    /// How much an answer may have.
    most: usize,
}

/// What is to be done after an answer.
#[derive(Debug)]
pub(crate) enum Step {
    /// The next block is to be sent, or asked for.
    Send(Message),
    /// The answer is whole.
    Done(Message),
    /// The blocks do not fit together, or are too many.
    Failed(&'static str),
}

impl Transfer {
    /// Begins with a request whose answer has at most `most` bytes.
    pub(crate) fn new(request: Message, most: usize) -> Self {
        let body = request.payload().to_vec();
        let request = request.with_payload("");
        Self {
            request,
            body,
            delivered: 0,
            exponent: LARGEST_EXPONENT,
            answer: Vec::new(),
            observe: None,
            most,
        }
    }

    /// The first message.
    pub(crate) fn first(&self) -> Message {
        self.request_block(0)
    }

    /// Takes an answer.
    pub(crate) fn proceed(&mut self, answer: Message) -> Step {
        if let Some(block) = answer.block1() {
            match self.continue_body(answer.code(), block) {
                Ok(Some(next)) => return Step::Send(next),
                Ok(None) => {}
                Err(reason) => return Step::Failed(reason),
            }
        }
        match answer.block2() {
            Some(block) => self.continue_answer(answer, block),
            None => Step::Done(answer),
        }
    }

    /// The next block of the body, if the device wants one.
    fn continue_body(&mut self, code: Code, block: Block) -> Result<Option<Message>, &'static str> {
        let restart = code == Code::REQUEST_ENTITY_TOO_LARGE && self.delivered == 0;
        if code != Code::CONTINUE && !restart {
            return Ok(None);
        }
        // [RFC7959 2.9.3]: a smaller size in the answer is the one the device wants.
        if restart && block.exponent >= self.exponent {
            return Ok(None);
        }
        let sent = self.exponent;
        self.exponent = self.exponent.min(block.exponent);
        if !restart {
            self.delivered += 16 << sent;
            if self.delivered >= self.body.len() {
                return Err("the device wants more blocks than there are");
            }
        }
        Ok(Some(self.request_block(self.delivered)))
    }

    fn continue_answer(&mut self, answer: Message, block: Block) -> Step {
        let Some(size) = block.size() else {
            return Step::Failed("the device names a block size that is none");
        };
        if block.number as usize * size != self.answer.len() || (block.more && answer.payload().len() != size)
        {
            return Step::Failed("the blocks of the answer do not fit together");
        }
        self.observe = self.observe.or(answer.observe());
        self.answer.extend_from_slice(answer.payload());
        if self.answer.len() > self.most {
            return Step::Failed("the answer is larger than the limit");
        }
        if !block.more {
            let whole = std::mem::take(&mut self.answer);
            let missing = self.observe.filter(|_| answer.observe().is_none());
            let answer = missing.into_iter().fold(answer, Message::with_observe);
            return Step::Done(answer.with_payload(whole));
        }
        let next = Block { number: block.number + 1, more: false, exponent: block.exponent };
        // [RFC7959 3.4]: later blocks are asked for without Observe; the body was sent with the first.
        let request = without_observe(&self.request).with_uint(OptionNumber::BLOCK2, next.to_uint());
        Step::Send(request)
    }

    /// The request with the part of the body that begins at `start`.
    fn request_block(&self, start: usize) -> Message {
        let size = 16 << self.exponent;
        let rest = self.body.get(start..).unwrap_or_default();
        if start == 0 && rest.len() <= size {
            return self.request.clone().with_payload(rest);
        }
        let part = rest.get(..size).unwrap_or(rest);
        let number = u32::try_from(start / size).unwrap_or(u32::MAX);
        let block = Block { number, more: rest.len() > size, exponent: self.exponent };
        self.request.clone().with_uint(OptionNumber::BLOCK1, block.to_uint()).with_payload(part)
    }
}

/// The same GET without its Observe option.
fn without_observe(request: &Message) -> Message {
    let keep =
        [OptionNumber::URI_PATH, OptionNumber::URI_QUERY, OptionNumber::CONTENT_FORMAT, OptionNumber::ACCEPT];
    let message = Message::request(request.code());
    keep.into_iter().fold(message, |message, number| {
        request.options(number).fold(message, |message, value| message.with_option(number, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u32, more: bool, exponent: u8) -> u32 {
        Block { number, more, exponent }.to_uint()
    }

    fn sent(step: Step) -> Message {
        match step {
            Step::Send(message) => message,
            other => panic!("expected another request, found {other:?}"),
        }
    }

    #[test]
    fn a_large_body_goes_in_blocks_of_the_size_the_device_wants() {
        let request = Message::request(Code::PUT).with_path(["5", "0", "0"]).with_payload(vec![7; 1_500]);
        let mut transfer = Transfer::new(request, 100);
        let first = transfer.first();
        assert_eq!(
            (first.block1().map(Block::to_uint), first.payload().len()),
            (Some(block(0, true, 6)), 1_024)
        );
        let smaller = Message::response(Code::CONTINUE).with_uint(OptionNumber::BLOCK1, block(0, true, 5));
        let second = sent(transfer.proceed(smaller));
        assert_eq!(
            (second.block1().map(Block::to_uint), second.payload().len()),
            (Some(block(2, false, 5)), 476)
        );
        let done = Message::response(Code::CHANGED).with_uint(OptionNumber::BLOCK1, block(2, false, 5));
        assert!(matches!(transfer.proceed(done), Step::Done(answer) if answer.code() == Code::CHANGED));
    }

    #[test]
    fn a_device_that_finds_the_first_block_too_large_gets_it_again_smaller() {
        let request = Message::request(Code::PUT).with_payload(vec![7; 100]);
        let mut transfer = Transfer::new(request, 100);
        assert_eq!(transfer.first().block1(), None);
        let refused = || {
            Message::response(Code::REQUEST_ENTITY_TOO_LARGE)
                .with_uint(OptionNumber::BLOCK1, block(0, false, 2))
        };
        let again = sent(transfer.proceed(refused()));
        assert_eq!(
            (again.block1().map(Block::to_uint), again.payload().len()),
            (Some(block(0, true, 2)), 64)
        );
        assert!(matches!(transfer.proceed(refused()), Step::Done(_)), "it is not asked for ever");
    }

    #[test]
    fn a_large_answer_is_asked_for_block_by_block() {
        let request = Message::request(Code::GET).with_path(["3"]).with_observe(0);
        let mut transfer = Transfer::new(request, 100);
        let part = |number, more| {
            let payload = if more { vec![number as u8; 32] } else { vec![9; 5] };
            Message::response(Code::CONTENT)
                .with_uint(OptionNumber::BLOCK2, block(number, more, 1))
                .with_payload(payload)
        };
        let next = sent(transfer.proceed(part(0, true)));
        assert_eq!((next.block2().map(Block::to_uint), next.observe()), (Some(block(1, false, 1)), None));
        assert_eq!(next.uri_path(), ["3"]);
        sent(transfer.proceed(part(1, true)));
        let Step::Done(answer) = transfer.proceed(part(2, false)) else {
            panic!("expected the whole answer")
        };
        assert_eq!(answer.payload().len(), 69);
        assert!(matches!(transfer.proceed(part(4, true)), Step::Failed(_)), "a block is missing");
    }

    #[test]
    fn an_answer_that_never_ends_is_given_up() {
        let mut transfer = Transfer::new(Message::request(Code::GET), 100);
        let part = |number| {
            Message::response(Code::CONTENT)
                .with_uint(OptionNumber::BLOCK2, block(number, true, 2))
                .with_payload(vec![0; 64])
        };
        sent(transfer.proceed(part(0)));
        assert!(matches!(transfer.proceed(part(1)), Step::Failed(_)));
    }
}
