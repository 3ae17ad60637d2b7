use std::time::Duration;

use bus::{ClientId, Protocol, Qos, Reason, Request, SessionExpiry};

use crate::*;

#[test]
fn connect_is_accepted_once_the_broker_has_opened_the_session() {
    let mut bench = bench();
    bench.receive(&connect(CLEAN));
    assert!(bench.sent.is_empty());
    let asked = bench.accept_connect(false);
    assert_eq!(asked.client_id, ClientId::parse("c1"));
    assert!(asked.clean_start && asked.will.is_none());
    assert_eq!(asked.session_expiry, SessionExpiry::AtOnce);
    assert_eq!(asked.keep_alive, Some(Duration::from_secs(60)));
    assert_eq!(asked.receive_maximum, 1);
    assert!(asked.credentials.username.is_none() && asked.credentials.password.is_none());
    assert_eq!(bench.take_sent(), [3, 0x05, 0]);
    assert_eq!(bench.claims.len(), 1);
}

#[test]
fn a_session_that_is_not_clean_outlives_the_connection_as_configured() {
    let mut bench = bench_with(
        Config { session_expiry: Duration::from_secs(7_200), ..Config::default() },
        Limits::default(),
    );
    bench.receive(&connect(0));
    let asked = bench.accept_connect(true);
    assert!(!asked.clean_start);
    assert_eq!(asked.session_expiry, SessionExpiry::After(Duration::from_secs(7_200)));
}

#[test]
fn a_refused_connect_gets_the_nearest_return_code() {
    for (reason, code) in [(Reason::NotAuthorized, 3), (Reason::ServerBusy, 1), (Reason::Banned, 3)] {
        let mut bench = bench();
        bench.receive(&connect(CLEAN));
        let (ticket, _) = bench.request();
        bench.refuse(ticket, reason);
        assert_eq!(bench.take_sent(), [3, 0x05, code], "{reason:?}");
        assert_eq!(bench.closed, Some(reason));
    }
}

#[test]
fn a_client_id_has_1_to_23_characters_unless_configured_otherwise() {
    let connect = |id: &str| [&[id.len() as u8 + 6, 0x04, CLEAN, 1, 0, 60], id.as_bytes()].concat();
    for id in ["", &"x".repeat(24)] {
        let mut bench = bench();
        bench.receive(&connect(id));
        assert_eq!(bench.take_sent(), [3, 0x05, 3], "{id:?}");
        assert_eq!(bench.closed, Some(Reason::ClientIdInvalid));
    }
    let lenient = Config { client_id_length: 100, ..Config::default() };
    for (config, id) in [(Config::default(), "x".repeat(23)), (lenient, "x".repeat(100))] {
        let mut bench = bench_with(config, Limits::default());
        bench.receive(&connect(&id));
        bench.accept_connect(false);
        assert_eq!(bench.take_sent(), [3, 0x05, 0], "{id:?}");
    }
}

#[test]
fn another_protocol_id_is_not_supported() {
    let mut bench = bench();
    bench.receive(&[8, 0x04, CLEAN, 2, 0, 60, b'c', b'1']);
    assert_eq!(bench.take_sent(), [3, 0x05, 3]);
    assert_eq!(bench.closed, Some(Reason::UnsupportedVersion));
}

#[test]
fn disconnect_is_answered_and_the_will_is_not_published() {
    let mut bench = connected();
    bench.receive(&[2, 0x18]);
    assert_eq!(bench.take_sent(), [2, 0x18]);
    let (_, request) = bench.request();
    assert!(matches!(request, Request::Disconnect(leave) if !leave.publish_will));
    assert_eq!(bench.closed, Some(Reason::Disconnected));
    assert!(bench.requests.is_empty());
}

#[test]
fn a_good_bye_that_comes_again_is_answered_without_a_session() {
    let mut bench = bench();
    bench.receive(&[2, 0x18]);
    assert_eq!(bench.take_sent(), [2, 0x18]);
    bench.advance(Duration::from_secs(10));
    assert_eq!(bench.closed, Some(Reason::Disconnected));
}

#[test]
fn two_gateways_cannot_go_on_answering_each_others_disconnect() {
    let mut bench = bench();
    for _ in 0..100 {
        bench.receive(&[2, 0x18]);
    }
    assert_eq!(datagrams(&mut bench).len(), 4);
}

#[test]
fn a_client_that_is_silent_for_one_and_a_half_keep_alives_is_lost() {
    let mut bench = connected();
    bench.advance(Duration::from_secs(80));
    bench.receive(&[2, 0x16]);
    assert_eq!(bench.take_sent(), [2, 0x17], "PINGRESP");
    bench.advance(Duration::from_secs(89));
    assert_eq!(bench.closed, None);
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.closed, Some(Reason::KeepAliveTimeout));
    assert_eq!(bench.take_sent(), [2, 0x18]);
    assert!(bench.requests.is_empty(), "no good-bye, so the will is published");
}

#[test]
fn a_client_without_keep_alive_is_lost_after_a_day() {
    let mut bench = bench();
    bench.receive(&[8, 0x04, CLEAN, 1, 0, 0, b'c', b'1']);
    assert_eq!(bench.accept_connect(false).keep_alive, None);
    bench.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(bench.closed, Some(Reason::KeepAliveTimeout));
}

#[test]
fn a_clean_connect_of_the_same_client_begins_a_new_session() {
    let mut bench = registered("a/b");
    bench.receive(&connect(CLEAN));
    let (_, left) = bench.request();
    assert!(matches!(left, Request::Disconnect(leave) if !leave.publish_will));
    assert!(bench.accept_connect(false).clean_start);
    assert_eq!(bench.take_sent(), [3, 0x05, 0]);
    bench.receive(&[9, 0x0C, 0, 0, 43, 0, 0, b'h', b'i']);
    assert_eq!(bench.take_sent(), [7, 0x0D, 0, 43, 0, 0, 2], "ids of the old session are gone");
}

#[test]
fn a_connect_that_keeps_the_session_is_answered_without_asking_the_broker() {
    let mut bench = bench();
    open(&mut bench, 0);
    bench.receive(&register(1, "a/b"));
    bench.take_sent();
    bench.receive(&connect(0));
    assert_eq!(bench.take_sent(), [3, 0x05, 0]);
    assert!(bench.requests.is_empty());
    bench.receive(&[9, 0x0C, 0, 0, 43, 0, 0, b'h', b'i']);
    assert_eq!(published(&mut bench).1.topic.as_str(), "a/b");
}

#[test]
fn a_client_that_connects_again_is_told_its_topic_ids_again() {
    let mut bench = bench();
    open(&mut bench, 0);
    bench.receive(&register(1, "a/b"));
    bench.deliver(harness::delivery(9, 0, "a/b", "x", Qos::AtLeastOnce, bench.now));
    bench.take_sent();
    bench.receive(&connect(0));
    assert_eq!(
        datagrams(&mut bench),
        [&[3, 0x05, 0][..], &[9, 0x0A, 0, 43, 0, 1, b'a', b'/', b'b']],
        "it may have restarted: REGISTER goes before what it left unanswered"
    );
    bench.receive(&[7, 0x0B, 0, 43, 0, 1, 0]);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0xA0, 0, 43, 0, 9, b'x'], "with DUP");
}

#[test]
fn a_client_that_connects_again_may_begin_its_message_ids_anew() {
    let mut bench = bench();
    open(&mut bench, 0);
    let message = [8, 0x0C, 0x42, b'a', b'b', 0, 1, b'x'];
    bench.receive(&message);
    let (ticket, _) = published(&mut bench);
    take_published(&mut bench, ticket);
    bench.receive(&[4, 0x10, 0, 1]);
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Released { known: true });
    bench.receive(&connect(0));
    bench.receive(&message);
    assert_eq!(published(&mut bench).1.once, Some(1), "no copy of what was before the restart");
}

#[test]
fn another_client_at_the_address_replaces_the_one_that_was_there() {
    let mut bench = connected();
    bench.receive(&[8, 0x04, CLEAN, 1, 0, 60, b'c', b'2']);
    let (_, left) = bench.request();
    assert!(matches!(left, Request::Disconnect(leave) if leave.publish_will), "the first one is lost");
    assert_eq!(bench.accept_connect(false).client_id, ClientId::parse("c2"));
    assert_eq!(bench.take_sent(), [3, 0x05, 0]);
    assert_eq!(bench.claims.len(), 1);
}

#[test]
fn a_connect_that_cannot_be_accepted_leaves_the_session_alone() {
    let mut bench = connected();
    bench.receive(&[6, 0x04, CLEAN, 1, 0, 60]);
    assert_eq!(bench.take_sent(), [3, 0x05, 3]);
    assert_eq!(bench.closed, None);
    bench.receive(&[2, 0x16]);
    assert_eq!(bench.take_sent(), [2, 0x17]);
}

#[test]
fn a_client_that_leaves_before_it_is_connected_has_no_session() {
    let mut bench = bench();
    bench.receive(&connect(CLEAN));
    bench.receive(&[2, 0x18]);
    bench.accept_connect(false);
    assert_eq!(bench.take_sent(), [2, 0x18], "and no CONNACK");
    assert!(matches!(bench.request().1, Request::Disconnect(_)));
}

#[test]
fn searchgw_is_answered_and_nothing_is_kept() {
    let mut bench = bench();
    bench.receive(&[3, 0x01, 0]);
    assert_eq!(bench.take_sent(), [3, 0x02, 1]);
    assert!(bench.closed.is_some());
    let mut bench = connected();
    bench.receive(&[3, 0x01, 0]);
    assert_eq!(bench.take_sent(), [3, 0x02, 1]);
    assert_eq!(bench.closed, None);
}

#[test]
fn a_device_that_believes_it_is_connected_is_told_to_connect() {
    let packets: [&[u8]; 6] = [
        &[8, 0x0C, 0x20, 0, 43, 0, 1, b'x'],
        &[8, 0x12, 0, 0, 1, b'a', b'/', b'b'],
        &[2, 0x16],
        &[4, 0x16, b'c', b'1'],
        &[4, 0x10, 0, 1],
        &[7, 0x0A, 0, 0, 0, 1, b'a'],
    ];
    for packet in packets {
        let mut bench = bench();
        bench.receive(packet);
        assert_eq!(bench.take_sent(), [2, 0x18], "{packet:?}");
        assert_eq!(bench.closed, Some(Reason::NotConnected), "nothing is kept");
    }
}

#[test]
fn stray_acknowledgements_and_garbage_make_no_connection() {
    let protocol = MqttSn::new(config(), Limits::default());
    let strays: [&[u8]; 7] = [
        &[7, 0x0B, 0, 1, 0, 1, 0],
        &[7, 0x0D, 0, 1, 0, 1, 0],
        &[4, 0x0F, 0, 1],
        &[4, 0x0E, 0, 1],
        &[2, 0x17],
        &[3, 0x02, 1],
        &[9, 9, 9],
    ];
    for stray in strays {
        assert!(!protocol.admits(stray), "{stray:?}");
    }
    assert!(protocol.admits(&connect(CLEAN)) && protocol.admits(&[3, 0x01, 0]));
}

#[test]
fn malformed_bytes_end_the_connection_with_disconnect() {
    let mut bench = connected();
    bench.receive(&[5, 0x0C, 0, 0, 1]);
    assert_eq!(bench.closed, Some(Reason::Malformed));
    assert_eq!(bench.take_sent(), [2, 0x18]);
}

#[test]
fn a_datagram_above_the_limit_ends_the_connection() {
    let mut bench = bench_with(config(), Limits { packet: 100, ..Limits::default() });
    open(&mut bench, CLEAN);
    bench.receive(&[0; 101]);
    assert_eq!(bench.closed, Some(Reason::PacketTooLarge));
}

#[test]
fn a_connection_that_is_taken_over_tells_its_device() {
    let mut bench = connected();
    bench.handle(bus::Event::Close(Reason::TakenOver));
    assert_eq!(bench.take_sent(), [2, 0x18]);
}

#[test]
fn a_node_behind_a_forwarder_is_answered_through_it() {
    let mut bench = bench();
    let protocol = MqttSn::new(config(), Limits::default());
    let wrapped = [&[5, 0xFE, 1, 0xAA, 0xBB], &connect(CLEAN)[..]].concat();
    bench.receive(&wrapped);
    bench.accept_connect(false);
    assert_eq!(bench.take_sent(), [5, 0xFE, 0, 0xAA, 0xBB, 3, 0x05, 0]);
    assert!(bench.claims.contains(&protocol.name(&wrapped).unwrap()));
    assert_eq!(protocol.name(&wrapped), protocol.name(&[5, 0xFE, 0, 0xAA, 0xBB, 2, 0x16]));
    bench.receive(&[5, 0xFE, 0, 0xAA, 0xBC, 2, 0x16]);
    assert!(bench.sent.is_empty(), "another node is not this one");
}

#[test]
fn a_client_is_found_by_its_id_when_it_connects_or_wakes_up() {
    let protocol = MqttSn::new(config(), Limits::default());
    let name = protocol.name(&connect(CLEAN));
    assert!(name.is_some());
    assert_eq!(name, protocol.name(&[4, 0x16, b'c', b'1']));
    assert_eq!(protocol.name(&[2, 0x16]), None);
    assert_ne!(name, protocol.name(&[5, 0xFE, 0, b'c', b'1', 2, 0x16]));
}

#[test]
fn a_forwarder_behind_a_forwarder_is_malformed() {
    let mut bench = bench();
    bench.receive(&[&[4, 0xFE, 1, 0xAA, 4, 0xFE, 1, 0xBB][..], &connect(CLEAN)].concat());
    assert_eq!(bench.closed, Some(Reason::Malformed));
    assert!(bench.sent.is_empty() && bench.requests.is_empty() && bench.claims.is_empty());
}
