//! No-Response [RFC7967]: answers that the peer does not want.

use crate::{Code, Message, OptionNumber};

/// The classes of answers that a request's sender does not want, as the option's bits.
pub(super) fn unwanted(request: &Message) -> u8 {
    request.uint(OptionNumber::NO_RESPONSE).map_or(0, |bits| bits as u8)
}

/// Whether an answer is not to be sent. The blocks of a request would not go on without 2.31.
pub(super) fn suppresses(unwanted: u8, code: Code) -> bool {
    code != Code::CONTINUE && (1..=8).contains(&code.class()) && unwanted & 1 << (code.class() - 1) != 0
}
