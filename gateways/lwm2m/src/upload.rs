//! A request whose body comes in blocks: the object list of a large device [RFC7959 2.5].

use coap::{Block, Code, Message, OptionNumber};

/// The blocks that have come of one request.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    /// The path and query, which all blocks have alike.
    of: Vec<String>,
    body: Vec<u8>,
}

/// What becomes of a block.
#[derive(Debug)]
pub(crate) enum Received {
    /// The request is whole.
    Whole(Message),
    /// The answer asks for more, or refuses.
    Answer(Message),
}

impl Upload {
    /// Takes a request; what has no blocks is whole. A body has at most `most` bytes.
    pub(crate) fn receive(&mut self, message: Message, most: usize) -> Received {
        let block = message.block1().filter(|block| block.more || block.number > 0);
        let Some(block) = block else { return Received::Whole(message) };
        let refuse = |code, text| Received::Answer(Message::diagnostic(code, text));
        let Some(size) = block.size() else {
            return refuse(Code::BAD_REQUEST, "The block size is none.");
        };
        let of = parts(&message);
        if block.number == 0 {
            *self = Self { of, body: Vec::new() };
        } else if self.of != of || self.body.len() != block.number as usize * size {
            return refuse(Code::REQUEST_ENTITY_INCOMPLETE, "A block is missing; begin with the first."); // [RFC7959 2.9.2]
        }
        if block.more && message.payload().len() != size {
            return refuse(Code::BAD_REQUEST, "The block does not have its size.");
        }
        if self.body.len() + message.payload().len() > most {
            *self = Self::default();
            return refuse(Code::REQUEST_ENTITY_TOO_LARGE, "The body is larger than the limit.");
        }
        self.body.extend_from_slice(message.payload());
        if block.more {
            return Received::Answer(acknowledged(Message::response(Code::CONTINUE), Some(block)));
        }
        let Self { body, .. } = std::mem::take(self);
        Received::Whole(message.with_payload(body))
    }
}

/// The answer with the block it answers.
pub(crate) fn acknowledged(answer: Message, block: Option<Block>) -> Message {
    match block {
        Some(block) => answer.with_uint(OptionNumber::BLOCK1, block.to_uint()),
        None => answer,
    }
}

fn parts(message: &Message) -> Vec<String> {
    let queries = message.queries().map(|(name, value)| format!("{name}={value}"));
    message.uri_path().into_iter().map(str::to_owned).chain(queries).collect()
}
