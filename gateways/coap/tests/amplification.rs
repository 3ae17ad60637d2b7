//! What an address is sent before it has proved that it is the peer's [RFC9175 2.4].

mod common;

use std::sync::Arc;

use bus::{Address, Carrier, Limits, Link, Qos, Transport};
use coap::{Coap, Code, Config, Kind, Message, OptionNumber};
use common::*;
use harness::{Bench, delivery};

/// A peer on UDP, whose address may be forged.
fn stranger() -> Bench {
    far_away(unasked(Config::default()), None)
}

/// A GET of `ps/a`; 10 bytes.
fn get(id: u16) -> Message {
    request(Kind::Confirmable, Code::GET, id, b"t", "ps/a")
}

/// The answer to a GET of a topic that has so many bytes.
fn read(bench: &mut Bench, get: &Message, bytes: usize) -> Message {
    bench.receive(&get.encode());
    let_in(bench);
    found_text(bench, &"x".repeat(bytes));
    let answer = sent(bench);
    let proves = get.option(OptionNumber::ECHO).is_some();
    assert!(answer.encode().len() <= 3 * get.encode().len() || proves || is_proved(bench), "{answer:?}");
    answer
}

/// Asks for something long; only a peer that is known gets it.
fn is_proved(bench: &mut Bench) -> bool {
    bench.receive(&con(Code::GET, 0x7777, b"p", "ps/b"));
    found_text(bench, &"x".repeat(500));
    sent(bench).payload().len() == 500
}

fn echo_of(challenge: &Message) -> Vec<u8> {
    assert_eq!((challenge.code(), challenge.payload().len()), (Code::UNAUTHORIZED, 0));
    challenge.option(OptionNumber::ECHO).expect("an Echo").to_vec()
}

#[test]
fn a_small_answer_needs_no_proof() {
    let mut bench = stranger();
    assert_eq!(read(&mut bench, &get(1), 4).code(), Code::CONTENT);
}

#[test]
fn a_large_body_asks_for_an_echo_first_and_is_sent_with_it() {
    let mut bench = stranger();
    let challenge = read(&mut bench, &get(1), 1_500);
    assert_eq!(challenge.kind(), Kind::Acknowledgement, "never one that is sent again");
    let again = get(2).with_option(OptionNumber::ECHO, echo_of(&challenge));
    let answer = read(&mut bench, &again, 1_500);
    assert_eq!((answer.code(), answer.payload().len()), (Code::CONTENT, 1_024));
    let answer = read(&mut bench, &get(3), 500);
    assert_eq!(answer.payload().len(), 500, "one proof is enough");
}

#[test]
fn an_echo_of_another_connection_proves_nothing_and_brings_a_new_one() {
    let mut bench = stranger();
    let echo = echo_of(&read(&mut bench, &get(1), 1_500));
    let stale = get(2).with_option(OptionNumber::ECHO, b"whatever".to_vec());
    assert_eq!(echo_of(&read(&mut bench, &stale, 1_500)), echo);
}

/// Reads a topic of so many bytes in the blocks that come; the first answer came already.
fn fetch(bench: &mut Bench, first: &Message, whole: usize) {
    let block = first.block2().expect("a block");
    assert_eq!((first.code(), block.more), (Code::CONTENT, true));
    let mut assembled = first.payload().len();
    for number in 1.. {
        let next = coap::Block { number, more: false, exponent: block.exponent };
        let get = long_get(100 + number as u16).with_uint(OptionNumber::BLOCK2, next.to_uint());
        bench.receive(&get.encode());
        let answer = sent(bench);
        assert!(answer.encode().len() <= 3 * get.encode().len());
        assembled += answer.payload().len();
        if answer.block2().is_some_and(|block| !block.more) {
            break;
        }
    }
    assert_eq!(assembled, whole);
}

#[test]
fn a_body_of_a_few_blocks_comes_in_blocks_that_are_small_enough() {
    let mut bench = stranger();
    let first = read(&mut bench, &long_get(1), 100);
    fetch(&mut bench, &first, 100);
}

#[test]
fn a_client_that_knows_no_echo_gets_a_large_body_in_small_blocks_when_it_asks_again() {
    let mut bench = stranger();
    echo_of(&read(&mut bench, &long_get(1), 2_000));
    let first = read(&mut bench, &long_get(2), 2_000);
    fetch(&mut bench, &first, 2_000);
}

#[test]
fn a_small_block_offers_an_echo_that_proves_the_address_with_the_next_request() {
    let mut bench = stranger();
    let get = |id| long_get(id).with_query("u=joe").with_query("nl=0");
    let echo = read(&mut bench, &long_get(1), 200).option(OptionNumber::ECHO).map(<[u8]>::to_vec);
    let echo = echo.or_else(|| read(&mut bench, &get(2), 200).option(OptionNumber::ECHO).map(<[u8]>::to_vec));
    let next = long_get(3).with_option(OptionNumber::ECHO, echo.expect("room for an Echo"));
    assert_eq!(read(&mut bench, &next, 200).payload().len(), 200);
}

/// A GET of `ps/a` with 20 bytes of query.
fn long_get(id: u16) -> Message {
    get(id).with_query("username=a-user-of-it")
}

#[test]
fn an_error_is_told_without_words_if_they_are_too_many() {
    let mut bench = stranger();
    bench.receive(&con(Code::GET, 1, b"t", "x"));
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.payload()), (Code::NOT_FOUND, &b""[..]));
    let unknown = get(2).with_option(OptionNumber(65_001), "x");
    bench.receive(&unknown.encode());
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.payload()), (Code::BAD_OPTION, &b""[..]));
}

#[test]
fn notifications_are_confirmable_until_one_is_acknowledged() {
    let mut bench = stranger();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    bench.deliver(delivery(0, id, "a", "x", Qos::AtMostOnce, bench.now));
    let first = sent(&mut bench);
    assert_eq!(first.kind(), Kind::Confirmable);
    bench.receive(&acknowledgement(first.id()));
    assert!(is_proved(&mut bench));
    bench.deliver(delivery(0, id, "a", &"x".repeat(1_000), Qos::AtMostOnce, bench.now));
    let second = sent(&mut bench);
    assert_eq!((second.kind(), second.payload().len()), (Kind::NonConfirmable, 1_000));
}

#[test]
fn an_observer_that_acknowledges_nothing_is_sent_three_times_what_it_sent_and_no_more() {
    let mut bench = stranger();
    let registration = observe(1, b"t", "ps/a");
    let id = observing(&mut bench, 1, b"t", "ps/a");
    let mut answer = 4 + 1 + 1; // header, token, Observe
    for count in 0..100 {
        if bench.connection.room() > 0 {
            bench.deliver(delivery(0, id, "a", &format!("{count}"), Qos::AtMostOnce, bench.now));
        }
        bench.advance(SECOND);
        answer += std::mem::take(&mut bench.sent).iter().map(|(_, datagram)| datagram.len()).sum::<usize>();
    }
    assert!(answer <= 3 * registration.len(), "{answer} for {}", registration.len());
}

#[test]
fn a_reset_and_guessed_acknowledgements_prove_nothing() {
    let mut bench = stranger();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    for guess in 0..8 {
        bench.receive(&acknowledgement(guess));
    }
    bench.deliver(delivery(0, id, "a", "x", Qos::AtMostOnce, bench.now));
    let first = sent(&mut bench);
    bench.receive(&acknowledgement(first.id()));
    assert!(!is_proved(&mut bench), "somebody guesses");

    let mut bench = stranger();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    bench.deliver(delivery(0, id, "a", "x", Qos::AtMostOnce, bench.now));
    let first = sent(&mut bench);
    bench.receive(&reset(first.id()));
    assert_eq!(unsubscribed(&mut bench), [id]);
    assert!(!is_proved(&mut bench), "it wants nothing");
}

#[test]
fn a_secured_peer_has_proved_its_address_and_nobody_need_where_that_is_configured() {
    let secured = far_away(unasked(Config::default()), Some(Arc::default()));
    let lenient = far_away(unasked(Config { prove_address: false, ..Config::default() }), None);
    for mut bench in [secured, lenient] {
        assert_eq!(read(&mut bench, &get(1), 1_000).payload().len(), 1_000);
    }
    // What is said to come from this machine does.
    let link = Link { carrier: Carrier::Udp, secured: None };
    let local = Coap::new(Config::default(), Limits::default());
    let mut local = Bench::over(&local, Transport::Datagram, link);
    assert_eq!(read(&mut local, &get(1), 1_000).payload().len(), 1_000);
}

/// What went wrong: this refusal was sent beside the account.
#[test]
fn refusals_of_tokens_that_are_too_long_count_among_what_an_address_is_sent() {
    let mut bench = stranger();
    let (mut came, mut went) = (0, 0);
    let token = [b't'; 65];
    let get = request(Kind::NonConfirmable, Code::GET, 0, &token, "a");
    for id in 0..8 {
        let bytes = numbered(get.clone(), Kind::NonConfirmable, id).encode();
        bench.receive(&bytes);
        came += bytes.len();
        went += std::iter::from_fn(|| bench.sent.pop_front()).map(|(_, sent)| sent.len()).sum::<usize>();
    }
    assert!(went > 0);
    // What is left of the account is spent on an answer and its repetitions.
    let read_later = request(Kind::Confirmable, Code::GET, 100, b"t", "ps/a");
    bench.receive(&read_later.encode());
    came += read_later.encode().len();
    accept(&mut bench);
    bench.advance(std::time::Duration::from_secs(10));
    found_text(&mut bench, &"x".repeat(3_000));
    bench.advance(std::time::Duration::from_secs(100));
    went += std::iter::from_fn(|| bench.sent.pop_front()).map(|(_, sent)| sent.len()).sum::<usize>();
    assert!(went <= 3 * came, "{went} bytes for {came}");
}

/// A secured peer whose datagrams come from another address now.
fn moved(bench: &mut Bench) {
    bench.connection.moved(Address::Socket(([198, 51, 100, 9], 9).into()), false);
    assert!(!bench.connection.is_reached());
}

#[test]
fn whoever_has_moved_shows_anew_that_it_is_there() {
    let mut bench = stranger();
    for id in [10, 20] {
        let echo = echo_of(&read(&mut bench, &get(id), 1_500));
        let again = get(id + 1).with_option(OptionNumber::ECHO, echo.clone());
        assert_eq!(read(&mut bench, &again, 1_500).payload().len(), 1_024);
        assert!(bench.connection.is_reached());
        // That of one address is nothing at the next.
        moved(&mut bench);
        bench.receive(&get(id + 2).with_option(OptionNumber::ECHO, echo.clone()).encode());
        found_text(&mut bench, &"x".repeat(1_500));
        assert_ne!(echo_of(&sent(&mut bench)), echo);
        moved(&mut bench);
    }
    // A way from this machine is not forged.
    bench.connection.moved(Address::Socket(([127, 0, 0, 1], 9).into()), false);
    assert!(bench.connection.is_reached());
}

/// The ping among the datagrams that were sent, and the one other.
fn pinged(bench: &mut Bench) -> (u16, Message) {
    let ping = Message::decode(&bench.sent.pop_front().expect("a ping").1).unwrap();
    assert_eq!((ping.kind(), ping.code()), (Kind::Confirmable, Code::EMPTY));
    (ping.id(), sent(bench))
}

#[test]
fn a_secured_peer_that_has_moved_is_pinged_when_there_is_much_for_it() {
    let mut bench = far_away(unasked(Config::default()), Some(Arc::default()));
    assert_eq!(read(&mut bench, &get(1), 1_500).payload().len(), 1_024);
    moved(&mut bench);
    assert_eq!(read(&mut bench, &get(2), 1).payload().len(), 1, "what is small is sent as ever");
    let with_tags = get(3).with_option(OptionNumber::ETAG, [1; 8]).with_option(OptionNumber::ETAG, [2; 8]);
    bench.receive(&with_tags.encode());
    found_text(&mut bench, &"x".repeat(1_500));
    let (id, answer) = pinged(&mut bench);
    // It need not know Echo: it gets the first block, and the others are larger once it has answered.
    assert_eq!((answer.code(), answer.block2().map(|block| block.more)), (Code::CONTENT, Some(true)));
    bench.receive(&reset(id.wrapping_add(9)));
    assert!(!bench.connection.is_reached());
    bench.receive(&reset(id));
    assert!(bench.connection.is_reached());
    bench.receive(&con(Code::GET, 4, b"q", "ps/c"));
    found_text(&mut bench, &"x".repeat(500));
    assert_eq!(sent(&mut bench).payload().len(), 500);
}

#[test]
fn what_was_under_way_when_a_secured_peer_moved_follows_it_once_it_answers() {
    let mut bench = far_away(unasked(Config::default()), Some(Arc::default()));
    let id = observing(&mut bench, 1, b"t", "ps/a");
    let text = "x".repeat(500);
    bench.deliver(delivery(0, id, "a", &text, Qos::AtLeastOnce, bench.now));
    let first = sent(&mut bench);
    moved(&mut bench);
    assert_eq!(read(&mut bench, &get(2), 1).payload().len(), 1);
    bench.advance(3 * SECOND);
    let ping = sent(&mut bench);
    assert_eq!((ping.kind(), ping.code()), (Kind::Confirmable, Code::EMPTY));
    bench.receive(&reset(ping.id()));
    bench.advance(std::time::Duration::ZERO);
    assert_eq!(sent(&mut bench).encode(), first.encode());
}

/// Shows by Echo where the peer is, in a GET with this id and one with the next.
fn show(bench: &mut Bench, id: u16) {
    let echo = echo_of(&read(bench, &get(id), 1_500));
    read(bench, &get(id + 1).with_option(OptionNumber::ECHO, echo), 1_500);
}

/// A device that moved while its answer to the last retransmission was waited for, and showed where it is, was taken to
/// be gone.
#[test]
fn what_was_sent_elsewhere_for_the_last_time_begins_anew_where_the_peer_has_shown_to_be() {
    for secured in [None, Some(Arc::default())] {
        let is_secured = secured.is_some();
        let mut bench = far_away(unasked(Config::default()), secured);
        if !is_secured {
            show(&mut bench, 1);
        }
        let id = observing(&mut bench, 3, b"t", "ps/a");
        let text = "x".repeat(500);
        bench.deliver(delivery(7, id, "a", &text, Qos::AtLeastOnce, bench.now));
        let first = sent(&mut bench).encode();
        bench.advance(48 * SECOND);
        assert_eq!(bench.sent.len(), 4, "it is not sent a fifth time");
        bench.sent.clear();
        moved(&mut bench);
        if is_secured {
            bench.receive(&get(4).encode());
            found_text(&mut bench, &text);
            let ping = pinged(&mut bench).0;
            bench.receive(&reset(ping));
        } else {
            show(&mut bench, 4);
        }
        assert!(bench.connection.is_reached());
        bench.advance(48 * SECOND);
        let again: Vec<_> = bench.sent.drain(..).map(|(_, datagram)| datagram).collect();
        assert!(!again.is_empty() && again.iter().all(|datagram| *datagram == first), "{again:?}");
        assert_eq!((bench.closed, bench.acks.len()), (None, 0));
        bench.receive(&acknowledgement(Message::decode(&first).unwrap().id()));
        assert_eq!(bench.acks.len(), 1);
    }
}

#[test]
fn an_acknowledgement_of_what_was_sent_elsewhere_does_not_show_where_a_peer_is() {
    let mut bench = far_away(unasked(Config::default()), Some(Arc::default()));
    let id = observing(&mut bench, 1, b"t", "ps/a");
    bench.deliver(delivery(0, id, "a", "x", Qos::AtLeastOnce, bench.now));
    let first = sent(&mut bench);
    assert_eq!(first.kind(), Kind::Confirmable);
    moved(&mut bench);
    bench.receive(&acknowledgement(first.id()));
    assert!(!bench.connection.is_reached());
    read(&mut bench, &get(2), 1);
    bench.deliver(delivery(0, id, "a", "y", Qos::AtMostOnce, bench.now));
    let second = sent(&mut bench);
    assert_eq!(second.kind(), Kind::Confirmable);
    let ahead = second.id().wrapping_sub(first.id());
    assert!(ahead > 64, "who heard the first id would guess this one: {ahead} further");
    bench.receive(&acknowledgement(second.id()));
    assert!(bench.connection.is_reached());
}
