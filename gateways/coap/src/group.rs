use std::time::Instant;

use bus::{Limits, Outbox, Transport};

use crate::pubsub::answer_in_group;
use crate::{Code, Config, Endpoint, Incoming, Kind, Link, Message, OptionNumber};

/// The answer to a datagram that was sent to a multicast group, if it deserves one [RFC7252 8].
///
/// Only discovery is answered, and only if the query selects something: the errors and resets of many members would
/// flood whoever asks. With No-Response the asker says itself which classes of answers it wants, errors too
/// [RFC7967 2.1]. Nothing is larger than three times the request; the rest is had from the server itself.
pub fn answer_group(
    links: &[Link],
    config: &Config,
    limits: &Limits,
    datagram: &[u8],
    chance: u64,
    now: Instant,
) -> Option<Vec<u8>> {
    let is_request = |message: &Message| {
        let in_q_blocks = message.all_options().any(|(number, _)| number.is_q_block()); // [RFC9177 4.8]
        message.kind() == Kind::NonConfirmable && message.code().is_request() && !in_q_blocks
    };
    let message = Message::decode(datagram).ok().filter(is_request)?; // [RFC7252 8.1]
    let says_which = message.option(OptionNumber::NO_RESPONSE).is_some();
    // Nothing is put together of the blocks that a group is sent.
    let is_wanted = |code: Code| code == Code::CONTENT || says_which && code != Code::CONTINUE;
    let mut endpoint = Endpoint::of_stranger(chance, config, limits);
    let mut out = Outbox::new(Transport::Datagram);
    if let Some(Incoming::Request(request)) = endpoint.receive(datagram, now, &mut out) {
        let answer = answer_in_group(links, &request.message);
        let selects = answer.code() != Code::CONTENT || !answer.payload().is_empty();
        if selects || says_which {
            endpoint.respond(&request.reply_to, answer, now, &mut out);
        }
    }
    let answer = out.chunks().next().map(|chunk| chunk.bytes.to_vec())?;
    let said = Message::decode(&answer).ok()?;
    (said.code().is_response() && is_wanted(said.code())).then_some(answer)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs a time to begin with")]
mod tests {
    use super::*;
    use crate::{OptionNumber, Token};

    fn ask(change: impl FnOnce(Message) -> Message) -> Option<Message> {
        let request = Message::request(Code::GET).non_confirmable().with_token(Token::new(b"group"));
        let datagram = change(request).encode();
        let links =
            [Link::new("/ps").with("rt", "core.ps"), Link::new("/rd").with("title", &"x".repeat(100))];
        let answer =
            answer_group(&links, &Config::default(), &Limits::default(), &datagram, 7, Instant::now())?;
        assert!(answer.len() <= 3 * datagram.len());
        Some(Message::decode(&answer).unwrap())
    }

    fn core(message: Message) -> Message {
        message.with_path([".well-known", "core"])
    }

    #[test]
    fn discovery_by_a_group_is_answered_with_what_the_query_selects() {
        let answer = ask(|message| core(message).with_query("rt=core.ps")).unwrap();
        assert_eq!((answer.kind(), answer.code()), (Kind::NonConfirmable, Code::CONTENT));
        assert_eq!((answer.token(), answer.payload()), (Token::new(b"group"), &b"</ps>;rt=\"core.ps\""[..]));
    }

    #[test]
    fn a_group_gets_no_error_and_no_reset_nor_what_selects_nothing() {
        let cases: [fn(Message) -> Message; 9] = [
            |message| core(message).with_query("rt=nothing"),
            |message| message.with_path(["ps", "a"]),
            |message| core(message).with_option(OptionNumber(65_001), "x"),
            |message| core(message).with_option(OptionNumber::PROXY_URI, "coap://x"),
            |message| core(message).with_accept(bus::ContentFormat::CBOR),
            |message| core(message).with_uint(OptionNumber::NO_RESPONSE, 2),
            |message| core(message).with_uint(OptionNumber::HOP_LIMIT, 0),
            |message| core(message).with_uint(OptionNumber::Q_BLOCK1, 0),
            |message| core(message).with_uint(OptionNumber::Q_BLOCK2, 0x0E),
        ];
        for case in cases {
            assert_eq!(ask(case), None);
        }
        for kind in [b"\x40", b"\x60", b"\x70"] {
            let datagram = [&kind[..], b"\x01\x00\x01\xBB.well-known\x04core"].concat();
            let (links, config) = ([Link::new("/ps")], Config::default());
            let now = Instant::now();
            assert_eq!(answer_group(&links, &config, &Limits::default(), &datagram, 7, now), None);
        }
    }

    #[test]
    fn who_says_which_answers_of_a_group_it_wants_gets_them_and_no_others() {
        type Change = fn(Message) -> Message;
        let cases: [(Change, u32, Option<Code>); 9] = [
            (|message| core(message).with_query("rt=core.ps"), 0, Some(Code::CONTENT)),
            (|message| core(message).with_query("rt=nothing"), 0, Some(Code::CONTENT)),
            (|message| core(message).with_query("rt=core.ps"), 2, None),
            (|message| core(message).with_accept(bus::ContentFormat::CBOR), 2, Some(Code::NOT_ACCEPTABLE)),
            (|message| message.with_path(["nothing"]), 2, Some(Code::NOT_FOUND)),
            (|message| message.with_path(["ps", "a"]), 2, Some(Code::NOT_FOUND)),
            (|message| core(message).with_uint(OptionNumber::HOP_LIMIT, 0), 2, Some(Code::BAD_REQUEST)),
            (|message| message.with_path(["nothing"]), 26, None),
            (|message| core(message).with_option(OptionNumber(65_001), "x"), 0, None), // a Reset is no answer
        ];
        for (at, (change, unwanted, expected)) in cases.into_iter().enumerate() {
            let answer = ask(|message| change(message).with_uint(OptionNumber::NO_RESPONSE, unwanted));
            assert_eq!(answer.map(|answer| answer.code()), expected, "case {at}");
        }
    }

    #[test]
    fn what_is_too_large_for_a_group_is_cut_to_its_first_block() {
        let answer = ask(core).unwrap();
        let block = answer.block2().expect("a block");
        assert_eq!((block.number, block.more), (0, true)); // [RFC7959 2.8]
    }
}
