//! Echo [RFC9175]: whether a peer is where its datagrams say, and what it may be sent until that is known.

use bus::Chance;

use crate::{Code, Message, OptionNumber, ReplyTo};

/// The challenge of one peer.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    /// What the peer must repeat; drawn when it is first needed.
    value: Option<[u8; 8]>,
    /// Whether it was sent already: a client that comes again without it knows no Echo, and is served slowly.
    sent: bool,
}

impl Echo {
    /// Whether a request shows that the peer hears what it is sent.
    pub(crate) fn is_in(&mut self, request: &Message) -> bool {
        let Some(echoed) = request.option(OptionNumber::ECHO) else { return false };
        let proves = self.value.is_some_and(|value| value == echoed);
        if !proves {
            self.sent = false; // it knows Echo, and has that of an earlier connection
        }
        proves
    }

    /// The answer that asks for the value, in place of one that would be larger than `allowance`; `None` if the
    /// peer was asked in vain.
    pub(crate) fn challenge(&mut self, chance: &mut Chance) -> Option<Message> {
        if std::mem::replace(&mut self.sent, true) {
            return None;
        }
        Some(self.offer(Message::response(Code::UNAUTHORIZED), chance)) // [RFC9175 2.3]
    }

    /// Has another value asked for from now on, or only offered: who need not know Echo is not refused for it.
    pub(crate) fn renew(&mut self, is_asked: bool) {
        *self = Self { value: None, sent: !is_asked };
    }

    /// The same answer with the value, for a client that repeats it with its next request [RFC9175 2.3].
    pub(crate) fn offer(&mut self, answer: Message, chance: &mut Chance) -> Message {
        let value = *self.value.get_or_insert_with(|| chance.next().to_be_bytes());
        answer.with_option(OptionNumber::ECHO, value)
    }
}

/// Whether a whole message, its token included, has at most so many bytes.
pub(crate) fn fits(to: &ReplyTo, message: &Message, allowance: usize) -> bool {
    message.clone().with_token(to.token.clone()).encode().len() <= allowance
}

/// What is left of an answer that must not be larger than `allowance`: without its text if it is an error, else
/// nothing but its code.
pub(crate) fn restrain(to: &ReplyTo, response: Message, allowance: usize) -> Message {
    if fits(to, &response, allowance) {
        return response;
    }
    let bare = Message::response(match response.code().is_success() && !response.payload().is_empty() {
        true => Code::UNAUTHORIZED, // the body is not to be had like that
        false => response.code(),
    });
    let without_text = response.with_payload("");
    match bare.code() == without_text.code() && fits(to, &without_text, allowance) {
        true => without_text,
        false => bare,
    }
}
