use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{OptionNumber, Request};

/// What tells one block-wise operation of a peer from another: method and options, but those that differ from
/// block to block and those that do not belong to the request proper [RFC9175 3.3]. Request-Tag belongs to it, and the
/// security context.
pub(crate) fn key(request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Some(context) = request.reply_to.security() {
        (context.recipient_id(), context.id_context()).hash(&mut hasher);
    }
    let message = &request.message;
    hasher.write_u8(message.code().0);
    for (number, value) in message.all_options().filter(|(number, _)| counts(*number)) {
        hasher.write_u16(number.0);
        hasher.write_usize(value.len());
        hasher.write(value);
    }
    hasher.finish()
}

fn counts(number: OptionNumber) -> bool {
    let varies = [
        OptionNumber::BLOCK1,
        OptionNumber::BLOCK2,
        OptionNumber::Q_BLOCK1,
        OptionNumber::Q_BLOCK2,
        OptionNumber::OBSERVE,
        OptionNumber::ETAG,
        OptionNumber::IF_MATCH,
        OptionNumber::IF_NONE_MATCH,
        OptionNumber::HOP_LIMIT,
        OptionNumber::NO_RESPONSE,
    ];
    !varies.contains(&number) && !number.is_no_cache_key()
}
