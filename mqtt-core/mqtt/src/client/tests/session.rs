use super::*;

fn kept(version: Version) -> ClientOptions {
    ClientOptions { clean_start: false, ..options(version) }
}

/// The transport is lost, and the server answers the next CONNECT.
fn reconnect(desk: &mut Desk, session_present: bool) -> Vec<u8> {
    desk.client.disconnected();
    desk.connect();
    desk.receive(&[0x20, 2, session_present.into(), 0]).unwrap();
    assert!(matches!(desk.event(), ClientEvent::Connected(_)));
    desk.take_sent()
}

#[test]
fn what_was_not_acknowledged_is_sent_again_in_order() {
    let mut desk = Desk::connected(kept(Version::V311));
    desk.publish("a", "", Qos::AtLeastOnce).unwrap();
    desk.publish("b", "", Qos::ExactlyOnce).unwrap();
    desk.publish("c", "", Qos::ExactlyOnce).unwrap();
    desk.receive(b"\x50\x02\x00\x02").unwrap();
    desk.take_sent();
    let again = [&b"\x62\x02\x00\x02"[..], b"\x3A\x05\x00\x01a\x00\x01", b"\x3C\x05\x00\x01c\x00\x03"];
    assert_eq!(reconnect(&mut desk, true), again.concat());
    desk.receive(b"\x40\x02\x00\x01\x70\x02\x00\x02\x50\x02\x00\x03\x70\x02\x00\x03").unwrap();
    assert_eq!(desk.client.unacknowledged(), 0);
}

#[test]
fn a_server_that_lost_the_session_gets_everything_anew() {
    let mut desk = Desk::connected(kept(Version::V311));
    desk.publish("a", "", Qos::AtLeastOnce).unwrap();
    desk.publish("b", "", Qos::ExactlyOnce).unwrap();
    desk.receive(b"\x50\x02\x00\x02").unwrap();
    desk.take_sent();
    assert_eq!(reconnect(&mut desk, false), b"\x32\x05\x00\x01a\x00\x01", "the server has b");
    assert!(matches!(desk.event(), ClientEvent::Published(id, ReasonCode::SUCCESS) if id.get() == 2));
}

#[test]
fn what_is_published_without_a_connection_waits_for_one() {
    let mut desk = Desk::new(kept(Version::V311));
    desk.publish("a", "", Qos::AtLeastOnce).unwrap();
    assert_eq!(desk.publish("a", "", Qos::AtMostOnce), Err(ClientError::NotConnected));
    assert!(desk.take_sent().is_empty());
    assert_eq!(reconnect(&mut desk, false), b"\x32\x05\x00\x01a\x00\x01");
}

#[test]
fn what_is_kept_is_bounded() {
    let mut desk = Desk::new(ClientOptions { unacknowledged: 1, ..kept(Version::V311) });
    desk.publish("a", "", Qos::AtLeastOnce).unwrap();
    assert_eq!(desk.publish("a", "", Qos::AtLeastOnce), Err(ClientError::Full));
}

#[test]
fn a_message_acknowledged_by_hand_is_acknowledged_in_its_session_only() {
    let mut desk = Desk::connected(ClientOptions { acknowledge_by_hand: true, ..kept(Version::V311) });
    desk.receive(b"\x32\x05\x00\x01a\x00\x05\x34\x05\x00\x01b\x00\x06").unwrap();
    let (first, second) = (desk.message(), desk.message());
    assert!(desk.take_sent().is_empty());
    desk.client.acknowledge(&first, desk.now, &mut desk.sent).unwrap();
    assert_eq!(desk.take_sent(), b"\x40\x02\x00\x05");
    reconnect(&mut desk, true);
    desk.receive(b"\x3C\x05\x00\x01b\x00\x06").unwrap();
    assert!(desk.client.next_event().is_none(), "the message is in hand");
    desk.client.acknowledge(&second, desk.now, &mut desk.sent).unwrap();
    assert_eq!(desk.take_sent(), b"\x50\x02\x00\x06");
    reconnect(&mut desk, false);
    desk.client.acknowledge(&first, desk.now, &mut desk.sent).unwrap();
    assert!(desk.take_sent().is_empty());
}

#[test]
fn a_session_after_a_clean_start_is_an_error() {
    let mut desk = Desk::new(options(Version::V311));
    desk.connect();
    assert!(desk.receive(b"\x20\x02\x01\x00").is_err());
}

#[test]
fn a_challenge_is_answered_and_a_strange_method_refused() {
    let step = |data: &'static str| EnhancedAuthentication { method: "M".into(), data: data.into() };
    let options = ClientOptions { authentication: Some(step("1")), ..options(Version::V5) };
    let mut desk = Desk::new(options);
    assert!(desk.connect().windows(8).any(|bytes| bytes == b"\x15\x00\x01M\x16\x00\x011"));
    desk.receive(b"\xF0\x0A\x18\x08\x15\x00\x01M\x16\x00\x012").unwrap();
    assert!(matches!(desk.event(), ClientEvent::Challenged(challenge) if challenge == step("2")));
    desk.client.authenticate(&step("3"), desk.now, &mut desk.sent).unwrap();
    assert_eq!(desk.take_sent(), b"\xF0\x0A\x18\x08\x15\x00\x01M\x16\x00\x013");
    assert!(desk.receive(b"\xF0\x06\x18\x04\x15\x00\x01X").is_err());
}
