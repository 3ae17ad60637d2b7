//! What comes on another lane, or behind the end. Every packet in every state is in `table`.

use bus::{Event, Lane};

use super::*;

const PUBLISH: &[u8] = b"\x32\x06\x00\x01a\x00\x01x";

#[test]
fn a_closed_connection_says_nothing_more() {
    let mut bench = connected(CONNECT_5);
    bench.handle(Event::Close(Reason::Kicked));
    bench.take_sent();
    bench.handle(Event::Deliver(delivery(1, 0, "a", "x", Qos::AtLeastOnce, bench.now)));
    bench.handle(Event::Release(bus::DeliveryId::new(1).unwrap()));
    bench.handle(Event::Reply(Ticket(0), Err(Reason::Internal)));
    assert!(bench.take_sent().is_empty());
}

#[test]
fn an_answer_goes_on_the_lane_of_its_request_and_other_lanes_wait_for_the_session() {
    let mut bench = bench();
    bench.receive_on(Lane(4), PUBLISH);
    assert!(bench.requests.is_empty() && bench.closed.is_none());
    let mut bench = connected(CONNECT_311);
    bench.receive_on(Lane(4), PUBLISH);
    let (ticket, _) = bench.request();
    bench.receive(b"\xC0\x00");
    bench.reply(ticket, Reply::Published { matched: 1 });
    let sent: Vec<_> = bench.sent.drain(..).collect();
    assert_eq!(sent, [(Lane::MAIN, b"\xD0\x00".to_vec()), (Lane(4), b"\x40\x02\x00\x01".to_vec())]);
}
