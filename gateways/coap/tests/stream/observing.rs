//! Observing on a stream: nothing is acknowledged, and the peer says when it has enough.

use bus::{Ack, DeliveryId, Event, Qos, Reason, SessionExpiry};
use coap::{Code, Config, Message, Notify, Token};
use harness::delivery;

use crate::common::{observing_on_stream, text, unsubscribed};
use crate::peer::{answer, answers, framed, in_session, open_with};

#[test]
fn notifications_follow_each_other_without_acknowledgement_whatever_their_qos() {
    for notify in [Notify::Qos, Notify::Con, Notify::Non] {
        let mut bench = open_with(Config { notify, confirm_after: 2, ..Config::default() });
        let id = observing_on_stream(&mut bench, b"o");
        for number in 1..=10_u16 {
            bench.deliver(delivery(number, id, "a", "x", Qos::AtLeastOnce, bench.now));
        }
        let told = answers(&mut bench); // [RFC8323 7.2]
        assert_eq!(told.len(), 10);
        assert!(told.iter().all(|one| one.code() == Code::CONTENT && one.token() == Token::new(b"o")));
        let numbers: Vec<_> = told.iter().map(|one| one.observe().unwrap()).collect();
        assert!(numbers.is_sorted(), "a proxy to datagrams may want their order");
        let done: Vec<_> = (1..=10).map(|id| (DeliveryId::new(id).unwrap(), Ack::Complete)).collect();
        assert_eq!(bench.acks, done);
    }
}

#[test]
fn an_observation_ends_by_a_get_with_observe_1_and_its_token() {
    let mut bench = in_session();
    let id = observing_on_stream(&mut bench, b"o");
    let cancel = Message::request(Code::GET).with_path(["ps", "a"]).with_observe(1);
    bench.receive(&framed(coap::Framing::Tcp, b"o", &cancel));
    let (ticket, request) = bench.request();
    let bus::Request::Unsubscribe(wishes) = request else { panic!("{request:?}") };
    assert_eq!(wishes, [bus::Unsubscribe::Id(bus::SubscriptionId(id))]); // [RFC8323 7.4]
    bench.reply(ticket, bus::Reply::Unsubscribed(vec![Ok(())]));
    let (ticket, _) = bench.request();
    bench.reply(ticket, bus::Reply::Read(None));
    assert_eq!(answer(&mut bench).observe(), None);
    bench.deliver(delivery(1, id, "a", "late", Qos::AtLeastOnce, bench.now));
    assert_eq!(bench.take_sent(), b"");
}

#[test]
fn the_session_ends_with_its_connection_and_so_does_all_that_is_observed() {
    let mut bench = open_with(Config::default());
    bench.receive(b"\x61\x01o\x60\x52ps\x01a");
    let connect = bench.accept_connect(false);
    assert_eq!((connect.session_expiry, connect.clean_start), (SessionExpiry::AtOnce, true)); // [RFC8323 7.4]
}

#[test]
fn of_a_notification_that_is_longer_than_the_peer_takes_the_first_block_is_sent() {
    let mut bench = in_session();
    let id = observing_on_stream(&mut bench, b"o");
    bench.deliver(delivery(1, id, "a", &"x".repeat(1200), Qos::AtLeastOnce, bench.now));
    let first = answer(&mut bench);
    assert_eq!((first.payload().len(), first.block2().map(|block| block.more)), (1024, Some(true)));
    assert_eq!(bench.acks, [(DeliveryId::new(1).unwrap(), Ack::Complete)]);
}

#[test]
fn observers_learn_of_the_end_before_the_connection_is_released() {
    let mut bench = in_session();
    observing_on_stream(&mut bench, b"o");
    bench.handle(Event::Close(Reason::ShuttingDown));
    let told = answers(&mut bench);
    let codes: Vec<_> = told.iter().map(Message::code).collect();
    assert_eq!(codes, [Code::SERVICE_UNAVAILABLE, Code::RELEASE]);
    assert_eq!((told[0].token(), text(&told[0])), (Token::new(b"o"), Reason::ShuttingDown.explain()));
    assert!(unsubscribed(&mut bench).is_empty());
}
