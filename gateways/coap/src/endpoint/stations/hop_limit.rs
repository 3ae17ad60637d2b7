//! Hop-Limit [RFC8768]: this server forwards nothing, so that it only judges the value.

use crate::option::read_uint;
use crate::{Code, Message, OptionNumber};

/// The answer to a request whose Hop-Limit is not from 1 to 255 [RFC8768 3].
pub(super) fn refusal(request: &Message) -> Option<Message> {
    let limit = read_uint(request.option(OptionNumber::HOP_LIMIT)?);
    let valid = limit.is_some_and(|limit| (1..=255).contains(&limit));
    (!valid).then(|| Message::diagnostic(Code::BAD_REQUEST, "The Hop-Limit is no number from 1 to 255."))
}
