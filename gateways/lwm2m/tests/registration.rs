//! Registration, update, deregistration, and what a peer is without them.

mod common;

use std::time::Duration;

use bus::{Ack, DeliveryId, PeerName, Protocol, Qos, Reason, Reply, Request, SessionExpiry, Ticket};
use coap::{Block, Code, Kind, Message, OptionNumber};
use common::*;
use harness::delivery;
use lwm2m::{Config, Lwm2m};
use serde_json::json;

#[test]
fn a_device_registers_and_is_told_where_its_registration_is() {
    let mut bench = bench();
    // CON POST, id 1, token 0x07, Uri-Path "rd", Content-Format 40, Uri-Query "ep=dev" "lt=60" "lwm2m=1.0" "b=U"
    bench.receive(
        b"\x41\x02\x00\x01\x07\xB2rd\x11\x28\x36ep=dev\x05lt=60\x09lwm2m=1.0\x03b=U\xFF</1/0>,</3/0>",
    );
    let connect = bench.accept_connect(false);
    assert_eq!(connect.client_id.unwrap().as_str(), "dev");
    assert_eq!((connect.clean_start, connect.receive_maximum, connect.protocol), (false, 1, "LwM2M 1.0"));
    assert_eq!(connect.session_expiry, SessionExpiry::After(86_400 * SECOND));
    assert_eq!((connect.credentials.username, connect.credentials.password), (None, None));
    assert!(bench.sent.is_empty(), "nothing is promised before the commands are subscribed to");
    assert_eq!(grant(&mut bench), "lwm2m/dev/dn/#");
    let (_, answer) = bench.sent.pop_front().unwrap();
    assert_eq!(answer[..8], *b"\x61\x41\x00\x01\x07\x82rd", "ACK 2.01, Location-Path \"rd\"");
    let created = Message::decode(&answer).unwrap();
    assert_eq!(created.location_path()[1].len(), 16);
    let (ticket, topic, event) = published(&mut bench);
    assert_eq!((ticket, topic.as_str()), (Ticket::NONE, "lwm2m/dev/up/resp"));
    let expected = json!({"msgType": "register", "data": {"ep": "dev", "lt": 60, "lwm2m": "1.0", "b": "U",
        "alternatePath": "/", "objectList": ["/1/0", "/3/0"]}});
    assert_eq!(event, expected);
    assert_eq!(bench.claims, [PeerName(created.location_path().join("/").into())]);
    assert_eq!(bench.connection.room(), 1);
}

#[test]
fn a_repeated_registration_message_is_answered_from_the_cache() {
    let mut bench = bench();
    let request = register(1, "ep=dev&lwm2m=1.0", "</3/0>");
    bench.receive(&request);
    bench.accept_connect(false);
    grant(&mut bench);
    let first = bench.take_sent();
    bench.requests.clear();
    bench.receive(&request);
    assert_eq!(bench.take_sent(), first);
    assert!(bench.requests.is_empty());
}

#[test]
fn user_name_and_password_come_from_the_query() {
    let mut bench = bench();
    bench.receive(&register(1, "ep=dev&lwm2m=1.1&imei=12&password=pw", "</3/0>"));
    let connect = bench.accept_connect(false);
    assert_eq!(connect.credentials.username.as_deref(), Some("12"));
    assert_eq!(connect.credentials.password.as_deref(), Some(&b"pw"[..]));
}

/// A device without a password was refused wherever there were users, whatever anonymous clients might do.
#[test]
fn a_device_that_shows_nothing_is_anonymous_and_a_password_is_that_of_its_name() {
    let cases = [
        ("", None, None),
        ("&p=pw", Some("dev"), Some("pw")),
        ("&username=joe", Some("joe"), None),
        ("&u=joe&p=pw", Some("joe"), Some("pw")),
    ];
    for (query, username, password) in cases {
        let mut bench = bench();
        bench.receive(&register(1, &format!("ep=dev&lwm2m=1.1{query}"), "</3/0>"));
        let credentials = bench.accept_connect(false).credentials;
        assert_eq!(credentials.username.as_deref(), username, "{query}");
        assert_eq!(credentials.password.as_deref(), password.map(str::as_bytes), "{query}");
    }
}

#[test]
fn an_endpoint_name_stays_within_its_level_of_the_topics() {
    for name in ["a/b", "../x", "+", "a#", "a\0b", "$SYS", "$share", ""] {
        let mut bench = bench();
        bench.receive(&register(1, &format!("ep={name}&lwm2m=1.0"), "</3/0>"));
        assert_eq!(sent(&mut bench).code(), Code::BAD_REQUEST, "{name:?}");
        assert!(bench.requests.is_empty());
    }
    let mut bench = bench();
    bench.receive(&register(1, "ep=..&lwm2m=1.0", "</3/0>"));
    bench.accept_connect(false);
    assert_eq!(grant(&mut bench), "lwm2m/../dn/#", "a level like any other");
}

#[test]
fn a_registration_that_has_ended_cannot_be_updated() {
    let mut bench = bench();
    let location = registered(&mut bench);
    bench.advance(300 * SECOND);
    assert_eq!(bench.closed, Some(Reason::IdleTimeout));
    // What comes after that is heard by a new connection.
    let mut bench = common::bench();
    bench.receive(&con(Code::POST, 2, &format!("{location}?lt=400")).encode());
    assert_eq!(sent(&mut bench).code(), Code::NOT_FOUND);
    assert!(bench.requests.is_empty());
}

/// What the broker had from a peer when it registered was refused, done all the same, and done again when it was repeated.
#[test]
fn what_the_broker_was_asked_is_answered_before_the_peer_registers() {
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 1, "ps/a?c=dev1").with_payload("x").encode());
    bench.accept_connect(false);
    let (ticket, request) = bench.request();
    assert!(matches!(request, Request::Publish(_)), "{request:?}");
    bench.receive(&register(2, "ep=dev&lwm2m=1.0", "</3/0>"));
    let answer = sent(&mut bench);
    assert_eq!((answer.id(), answer.code()), (2, Code::SERVICE_UNAVAILABLE));
    let leaves = |(_, request): &(Ticket, Request)| matches!(request, Request::Disconnect(_));
    assert!(!bench.requests.iter().any(leaves), "{:?}", bench.requests);
    bench.requests.clear();
    bench.reply(ticket, Reply::Published { matched: 1 });
    let answer = sent(&mut bench);
    assert_eq!((answer.id(), answer.code()), (1, Code::CHANGED));
    bench.receive(&register(3, "ep=dev&lwm2m=1.0", "</3/0>"));
    assert!(matches!(bench.request(), (Ticket::NONE, Request::Disconnect(_))));
    assert_eq!(bench.accept_connect(false).client_id.unwrap().as_str(), "dev");
}

/// A device that restarted in the middle of a command got it again from the old registration, and no other for a
/// minute and a half.
#[test]
fn registering_again_takes_back_what_was_on_its_way() {
    let mut bench = bench();
    registered(&mut bench);
    command(&mut bench, 5, json!({"msgType": "execute", "data": {"path": "/3/0/4"}}));
    sent(&mut bench);
    registered_with(&mut bench, "ep=dev&lt=3000&lwm2m=1.0&b=U");
    bench.advance(Duration::ZERO);
    assert_eq!(bench.connection.room(), 1, "the next command need not wait");
    bench.advance(120 * SECOND);
    assert!(bench.sent.is_empty(), "it is not sent again");
}

#[test]
fn what_a_device_observed_is_unsubscribed_when_it_registers_again() {
    let mut bench = bench();
    registered(&mut bench);
    bench.receive(&con(Code::GET, 2, "ps/#").with_observe(0).encode());
    let (ticket, request) = bench.request();
    let Request::Subscribe(wishes) = request else { panic!("{request:?}") };
    bench.reply(ticket, Reply::Subscribed(vec![Ok(Qos::AtLeastOnce)]));
    bench.receive(&register(3, "ep=dev&lwm2m=1.0", "</3/0>"));
    let (_, request) = bench.request();
    assert!(matches!(request, Request::Unsubscribe(left) if left == [bus::Unsubscribe::Id(wishes[0].id)]));
    assert!(matches!(bench.request(), (Ticket::NONE, Request::Disconnect(_))));
}

#[test]
fn a_device_that_may_not_register_is_told_so_and_can_try_again() {
    let cases = [(Reason::BadCredentials, Code::UNAUTHORIZED), (Reason::NotAuthorized, Code::FORBIDDEN)];
    for (reason, code) in cases {
        let mut bench = bench();
        bench.receive(&register(1, "ep=dev&lwm2m=1.0", "</3/0>"));
        let (ticket, _) = bench.request();
        bench.refuse(ticket, reason);
        assert_eq!(sent(&mut bench).code(), code);
        assert!(bench.requests.is_empty() && bench.claims.is_empty());
        registered_with(&mut bench, "ep=dev&lwm2m=1.0&lt=61");
    }
}

#[test]
fn a_device_whose_commands_may_not_be_subscribed_to_is_refused() {
    let mut bench = bench();
    bench.receive(&register(1, "ep=dev&lwm2m=1.0", "</3/0>"));
    bench.accept_connect(false);
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Subscribed(vec![Err(Reason::NotAuthorized)]));
    assert_eq!(sent(&mut bench).code(), Code::FORBIDDEN);
    let (_, request) = bench.request();
    assert!(
        matches!(request, Request::Disconnect(farewell) if farewell.session_expiry == Some(SessionExpiry::AtOnce))
    );
    assert_eq!((bench.connection.room() > 0, bench.claims.len()), (true, 0), "it is a CoAP peer again");
}

#[test]
fn what_is_asked_of_the_registration_resources_in_each_state() {
    let requests = [
        (Code::POST, "rd"),
        (Code::POST, "rd/x"),
        (Code::POST, "rd/{own}"),
        (Code::POST, "rd/{own}/x"),
        (Code::DELETE, "rd"),
        (Code::DELETE, "rd/x"),
        (Code::GET, "rd"),
        (Code::PUT, "rd/{own}"),
        (Code::POST, "dp"),
        (Code::POST, "bs"),
        (Code::GET, "bspack"),
        (Code::GET, "nothing"),
    ];
    // A POST on rd without a name is 4.00 where a registration can begin at all.
    let unregistered = "4.00 4.04 4.04 4.04 4.05 4.04 4.05 4.05 4.04 4.04 4.04 4.04";
    let registering = "5.03 4.04 4.04 4.04 4.05 4.04 4.05 4.05 4.04 4.04 4.04 4.04";
    let registered_codes = "4.00 4.04 2.04 4.04 4.05 4.04 4.05 4.05 4.04 4.04 4.04 4.04";
    for (state, expected) in [(0, unregistered), (1, registering), (2, registering), (3, registered_codes)] {
        let codes: Vec<String> = requests
            .iter()
            .map(|(method, path)| {
                let mut bench = bench();
                let own = match state {
                    3 => registered(&mut bench).replace("rd/", ""),
                    _ => "0".to_owned(),
                };
                if state == 1 || state == 2 {
                    bench.receive(&register(1, "ep=dev&lwm2m=1.0", "</3/0>"));
                }
                if state == 2 {
                    bench.accept_connect(false);
                }
                bench.receive(&con(*method, 9, &path.replace("{own}", &own)).encode());
                sent(&mut bench).code().to_string()
            })
            .collect();
        assert_eq!(codes.join(" "), expected, "in state {state}");
    }
}

#[test]
fn an_update_is_told_and_prolongs_the_registration() {
    let mut bench = bench();
    let location = registered(&mut bench);
    bench.advance(299 * SECOND);
    bench.receive(&con(Code::POST, 2, &format!("{location}?lt=400")).encode());
    assert_eq!(sent(&mut bench).code(), Code::CHANGED);
    let (_, topic, event) = published(&mut bench);
    assert_eq!(
        (topic.as_str(), &event["msgType"], &event["data"]["lt"]),
        ("lwm2m/dev/up/update", &json!("update"), &json!(400))
    );
    bench.advance(399 * SECOND);
    assert_eq!(bench.closed, None);
    bench.advance(SECOND);
    assert_eq!(bench.closed, Some(Reason::IdleTimeout));
}

#[test]
fn a_registration_that_is_not_updated_ends_and_its_session_waits() {
    let mut bench = bench();
    registered(&mut bench);
    bench.advance(300 * SECOND);
    let (_, topic, event) = published(&mut bench);
    assert_eq!(topic, "lwm2m/dev/up/resp");
    assert_eq!(
        (&event["msgType"], &event["data"]["reason"]),
        (&json!("deregister"), &json!("lifetime_expired"))
    );
    let (_, request) = bench.request();
    assert!(matches!(request, Request::Disconnect(farewell) if farewell.session_expiry.is_none()));
    assert_eq!(bench.closed, Some(Reason::IdleTimeout));
    assert!(bench.claims.is_empty());
}

#[test]
fn a_device_that_deregisters_leaves_nothing_behind_and_may_register_again() {
    let mut bench = bench();
    let location = registered(&mut bench);
    bench.receive(&con(Code::DELETE, 2, &location).encode());
    assert_eq!(sent(&mut bench).code(), Code::DELETED);
    let (_, _, event) = published(&mut bench);
    assert_eq!((&event["msgType"], &event["data"]["reason"]), (&json!("deregister"), &json!("deregistered")));
    let (_, request) = bench.request();
    assert!(
        matches!(request, Request::Disconnect(farewell) if farewell.session_expiry == Some(SessionExpiry::AtOnce))
    );
    assert!(bench.claims.is_empty());
    bench.receive(&con(Code::POST, 3, &location).encode());
    assert_eq!(sent(&mut bench).code(), Code::NOT_FOUND);
    let again = registered_with(&mut bench, "ep=dev&lwm2m=1.0");
    assert_ne!(again, location);
}

#[test]
fn registering_again_replaces_the_registration() {
    let mut bench = bench();
    let first = registered(&mut bench);
    let second = registered_with(&mut bench, "ep=dev&lt=100&lwm2m=1.0&b=U");
    assert_ne!(first, second);
    assert_eq!(bench.claims, [PeerName(second.clone().into())]);
    bench.receive(&con(Code::POST, 7, &first).encode());
    assert_eq!(sent(&mut bench).code(), Code::NOT_FOUND);
    bench.receive(&register(8, "ep=other&lwm2m=1.0", "</3/0>"));
    let (_, topic, event) = published(&mut bench);
    assert_eq!((topic.as_str(), &event["data"]["reason"]), ("lwm2m/dev/up/resp", &json!("replaced")));
    assert!(matches!(bench.request(), (Ticket::NONE, Request::Disconnect(_))));
    assert_eq!(bench.accept_connect(false).client_id.unwrap().as_str(), "other");
}

/// A device on UDP, whose address may be forged.
fn stranger() -> harness::Bench {
    let protocol = Lwm2m::new(Config::default(), coap::Config::default(), Default::default());
    let link = bus::Link { carrier: bus::Carrier::Udp, secured: None };
    let address = ([203, 0, 113, 7], 5_683).into();
    harness::Bench::with_peer_at(address, &protocol, bus::Transport::Datagram, link)
}

#[test]
fn another_device_at_an_address_that_may_be_forged_shows_that_it_is_there_first() {
    let mut bench = stranger();
    let location = registered(&mut bench);
    let other = |id| Message::decode(&register(id, "ep=other&lwm2m=1.0", "</3/0>")).unwrap();
    bench.receive(&other(8).encode());
    let challenge = sent(&mut bench);
    assert_eq!((challenge.code(), bench.requests.len()), (Code::UNAUTHORIZED, 0));
    bench.receive(&con(Code::POST, 9, &location).encode());
    assert_eq!(sent(&mut bench).code(), Code::CHANGED, "the registration is there as before");
    let echo = challenge.option(coap::OptionNumber::ECHO).expect("an Echo").to_vec();
    bench.requests.clear();
    bench.receive(&other(10).with_option(coap::OptionNumber::ECHO, echo).encode());
    let (_, topic, event) = published(&mut bench);
    assert_eq!((topic.as_str(), &event["data"]["reason"]), ("lwm2m/dev/up/resp", &json!("replaced")));

    let mut bench = stranger();
    let first = registered(&mut bench);
    assert_ne!(
        registered_with(&mut bench, "ep=dev&lwm2m=1.0"),
        first,
        "the same device begins anew without it"
    );
}

/// One forged datagram with the name of a device, and no or another password, ended its registration.
#[test]
fn a_registration_is_not_replaced_by_what_shows_less_than_it_did() {
    let mut bench = stranger();
    let location = registered_with(&mut bench, "ep=dev&lt=300&lwm2m=1.0&p=secret");
    let forged = |id, shown| register(id, &format!("ep=dev&lt=300&lwm2m=1.0{shown}"), "</3/0>");
    for (id, shown) in [(8, "&p=wrong"), (9, ""), (10, "&u=joe&p=secret")] {
        bench.receive(&forged(id, shown));
        let challenge = sent(&mut bench);
        assert_eq!((challenge.code(), bench.requests.len()), (Code::UNAUTHORIZED, 0), "{shown}");
    }
    bench.receive(&con(Code::POST, 11, &location).encode());
    assert_eq!(sent(&mut bench).code(), Code::CHANGED, "the registration is there as before");
    bench.requests.clear();
    let again = registered_with(&mut bench, "ep=dev&lt=400&lwm2m=1.0&p=secret");
    assert_ne!(again, location, "the device itself begins anew without an Echo");
}

#[test]
fn a_datagram_that_names_its_registration_finds_it_from_any_address() {
    let protocol = Lwm2m::new(Config::default(), coap::Config::default(), Default::default());
    let name = |message: Message| protocol.name(&message.encode()).map(|name| name.0);
    assert_eq!(name(con(Code::POST, 1, "rd/00ff?lt=5")).as_deref(), Some(&b"rd/00ff"[..]));
    assert_eq!(name(con(Code::DELETE, 1, "rd/00ff")).as_deref(), Some(&b"rd/00ff"[..]));
    assert_eq!(name(con(Code::POST, 1, "rd")), None);
    assert_eq!(name(con(Code::POST, 1, "ps/rd/x")), None);
    assert_eq!(protocol.name(b"\x40\x02"), None);
    assert!(protocol.admits(&con(Code::POST, 1, "rd/x").encode()));
    assert!(!protocol.admits(b"\x60\x00\x00\x01"));
}

#[test]
fn a_peer_that_never_registers_is_a_coap_client() {
    let mut bench = bench();
    bench.receive(&con(Code::GET, 1, ".well-known/core").encode());
    let links = sent(&mut bench);
    let links = std::str::from_utf8(links.payload()).unwrap();
    assert!(links.ends_with(",</rd>;rt=\"oma.lwm2m\""), "{links}");
    assert_eq!(links.matches("core.rd\"").count(), 1, "the resource directory is not LwM2M's: {links}");
    bench.receive(&con(Code::PUT, 2, "ps/a").with_payload("x").encode());
    assert_eq!(bench.accept_connect(false).protocol, "CoAP");
    assert!(matches!(bench.request(), (_, Request::Publish(_))));
    bench.advance(600 * SECOND);
    assert_eq!(bench.closed, Some(Reason::IdleTimeout));
}

#[test]
fn a_registered_device_uses_topics_with_its_own_session() {
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 2, "ps/a").with_payload("x").encode());
    bench.accept_connect(false);
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Published { matched: 0 });
    sent(&mut bench);
    // The session it had as a CoAP client is left.
    bench.receive(&register(3, "ep=dev&lwm2m=1.0", "</3/0>"));
    assert!(matches!(bench.request(), (Ticket::NONE, Request::Disconnect(_))));
    assert_eq!(bench.accept_connect(false).client_id.unwrap().as_str(), "dev");
    grant(&mut bench);
    sent(&mut bench);
    published(&mut bench);
    bench.receive(&con(Code::PUT, 4, "ps/a").with_payload("y").encode());
    let (_, request) = bench.request();
    assert!(matches!(request, Request::Publish(publish) if publish.topic.as_str() == "a"));
    bench.advance(600 * SECOND);
    assert_eq!(bench.closed, None, "it is registered for longer than a CoAP client may be silent");
}

#[test]
fn a_device_in_queue_mode_gets_its_commands_when_it_is_heard() {
    let mut bench = bench();
    let location = registered_with(&mut bench, "ep=dev&lt=3000&lwm2m=1.0&b=UQ");
    assert_eq!(bench.connection.room(), 1);
    bench.advance(93 * SECOND);
    assert_eq!(bench.connection.room(), 0, "it sleeps");
    bench.receive(&con(Code::POST, 2, &location).encode());
    sent(&mut bench);
    published(&mut bench);
    assert_eq!(bench.connection.room(), 1);
    command(&mut bench, 5, json!({"reqID": 1, "msgType": "read", "data": {"path": "/3/0/9"}}));
    let request = sent(&mut bench);
    answer(&mut bench, &request, tlv(b"\xC1\x09\x64"));
    assert_eq!(answered(&mut bench)["data"]["content"][0]["value"], 100);
    bench.advance(93 * SECOND);
    assert_eq!(bench.connection.room(), 0);
}

/// A device that asked whether the server was there, or repeated its update, was taken to be asleep.
#[test]
fn a_device_in_queue_mode_is_awake_whatever_it_says() {
    let mut bench = bench();
    let location = registered_with(&mut bench, "ep=dev&lt=3000&lwm2m=1.0&b=UQ");
    let update = con(Code::POST, 2, &location).encode();
    bench.receive(&update);
    published(&mut bench);
    bench.take_sent();
    for (said, answer) in
        [(&b"\x40\x00\x77\x77"[..], &b"\x70\x00\x77\x77"[..]), (&update, b"\x61\x44\x00\x02T")]
    {
        bench.advance(93 * SECOND);
        assert_eq!(bench.connection.room(), 0, "it sleeps");
        bench.receive(said);
        assert_eq!((bench.take_sent(), bench.connection.room()), (answer.to_vec(), 1));
    }
    assert!(bench.requests.is_empty(), "the update is told once");
}

#[test]
fn a_command_that_finds_the_device_asleep_waits_once_more_and_then_is_given_up() {
    let mut bench = bench();
    let location = registered_with(&mut bench, "ep=dev&lt=3000&lwm2m=1.1&Q");
    let read = json!({"reqID": 1, "msgType": "read", "data": {"path": "/3/0/9"}});
    command(&mut bench, 5, read.clone());
    bench.advance(120 * SECOND);
    assert_eq!(bench.acks, [(DeliveryId::new(5).unwrap(), Ack::Return)]);
    assert_eq!((bench.connection.room(), bench.requests.len()), (0, 0));
    bench.take_sent();
    bench.receive(&con(Code::POST, 2, &location).encode());
    published(&mut bench);
    let mut again = delivery(6, COMMANDS, "lwm2m/dev/dn", &read.to_string(), Qos::AtLeastOnce, bench.now);
    again.duplicate = true;
    bench.deliver(again);
    bench.advance(120 * SECOND);
    let json = answered(&mut bench);
    let expected = json!({"reqID": 1, "msgType": "coap_timeout",
        "data": {"reqPath": "/3/0/9", "code": "5.04", "codeMsg": "gateway_timeout"}});
    assert_eq!(json, expected);
    assert_eq!(bench.acks[1], (DeliveryId::new(6).unwrap(), Ack::Complete));
}

#[test]
fn a_connection_that_is_closed_forgets_its_device() {
    let mut bench = bench();
    registered(&mut bench);
    bench.handle(bus::Event::Close(Reason::TakenOver));
    assert_eq!(bench.closed, Some(Reason::TakenOver));
    assert!(bench.requests.is_empty(), "whoever took the session over is registered");
    let mut bench = common::bench();
    bench.receive(&register(1, "ep=dev&lwm2m=1.0", "</3/0>"));
    bench.handle(bus::Event::Close(Reason::ShuttingDown));
    assert_eq!(sent(&mut bench).code(), Code::SERVICE_UNAVAILABLE);
}

#[test]
fn a_registration_that_is_not_confirmable_is_answered_in_kind() {
    let mut bench = bench();
    let message = Message::decode(&register(1, "ep=dev&lwm2m=1.0", "</3/0>")).unwrap();
    bench.receive(&numbered(message, Kind::NonConfirmable, 1).encode());
    bench.accept_connect(false);
    grant(&mut bench);
    let created = sent(&mut bench);
    assert_eq!((created.kind(), created.code()), (Kind::NonConfirmable, Code::CREATED));
}

#[test]
fn a_long_list_of_objects_comes_in_blocks() {
    let mut bench = bench();
    let block = |number, more| Block { number, more, exponent: 0 }.to_uint();
    let part = |id, number, more, text: &str| {
        let message = Message::decode(&register(id, "ep=dev&lwm2m=1.0", text)).unwrap();
        message.with_uint(OptionNumber::BLOCK1, block(number, more)).encode()
    };
    bench.receive(&part(1, 0, true, "</1/0>,</3/0>,</"));
    let go_on = sent(&mut bench);
    assert_eq!((go_on.code(), go_on.uint(OptionNumber::BLOCK1)), (Code::CONTINUE, Some(block(0, true))));
    bench.receive(&part(2, 2, false, "4/0>"));
    assert_eq!(sent(&mut bench).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    bench.receive(&part(3, 1, false, "3303/0>"));
    bench.accept_connect(false);
    grant(&mut bench);
    let created = sent(&mut bench);
    assert_eq!((created.code(), created.uint(OptionNumber::BLOCK1)), (Code::CREATED, Some(block(1, false))));
    assert_eq!(published(&mut bench).2["data"]["objectList"], json!(["/1/0", "/3/0", "/3303/0"]));
}

#[test]
fn blocks_without_end_are_refused_at_the_limit() {
    let mut bench = bench();
    let mut codes = Vec::new();
    for number in 0..70 {
        let message =
            Message::decode(&register(number as u16, "ep=dev&lwm2m=1.0", &"x".repeat(1_024))).unwrap();
        let block = Block { number, more: true, exponent: 6 };
        bench.receive(&message.with_uint(OptionNumber::BLOCK1, block.to_uint()).encode());
        codes.push(sent(&mut bench).code());
    }
    assert!(codes[..64].iter().all(|code| *code == Code::CONTINUE));
    assert_eq!(codes[64], Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(codes[65], Code::REQUEST_ENTITY_INCOMPLETE);
}

#[test]
fn a_request_for_a_proxy_or_on_a_condition_is_refused() {
    for (option, code) in
        [(OptionNumber::PROXY_URI, Code::PROXYING_NOT_SUPPORTED), (OptionNumber::IF_MATCH, Code::BAD_OPTION)]
    {
        let mut bench = bench();
        let message = Message::decode(&register(1, "ep=dev&lwm2m=1.0", "</3/0>")).unwrap();
        bench.receive(&message.with_option(option, "x").encode());
        assert_eq!(sent(&mut bench).code(), code);
    }
}
