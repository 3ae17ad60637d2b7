//! What went wrong in other people's CoAP servers, each by the name it goes by, and what happens here.

mod common;

use bus::{ContentFormat, Limits, Qos, Reason, Request, Transport};
use coap::{Coap, Code, Config, Kind, Message, OptionNumber};
use common::*;
use harness::Bench;

/// A confirmable GET with the message id 0x0007 and no token; the options follow.
const GET: &[u8] = b"\x40\x01\x00\x07";

const RESET: &[u8] = b"\x70\x00\x00\x07";

/// Sends it to a peer that is new each time; returns all that was sent back.
fn answer(datagram: &[u8]) -> Vec<u8> {
    let mut bench = bench();
    bench.receive(datagram);
    assert!(bench.requests.is_empty() && bench.closed.is_none(), "{datagram:02x?}");
    bench.take_sent()
}

/// mbed-coap read the extension of an option delta or length behind the end of the datagram.
#[test]
fn cve_2020_12883_an_option_without_its_extension_is_a_format_error() {
    let cut: [&[u8]; 9] = [
        b"\xD0",
        b"\xE0",
        b"\xE0\x01",
        b"\x0D",
        b"\x0E",
        b"\x0E\x01",
        b"\xDD\x00",
        b"\xEE\x00\x00",
        b"\xED\x00\x01",
    ];
    for options in cut {
        assert_eq!(answer(&[GET, options].concat()), RESET, "{options:02x?}");
        assert_eq!(answer(&[b"\x50\x01\x00\x07", options].concat()), b"", "{options:02x?}");
    }
}

/// In mbed-coap a sum of deltas above 65,535 came round to an option that had been there before.
#[test]
fn cve_2020_12887_an_option_number_never_comes_round() {
    // Uri-Path "ps", then option 65,535, then a delta of 11 that would lead to Uri-Path again.
    let to_the_last = b"\xB2ps\xE0\xFE\xE7";
    assert_eq!(answer(&[GET, to_the_last, b"\xB1a"].concat()), RESET);
    assert_eq!(answer(&[GET, to_the_last, b"\x10"].concat()), RESET);
    // A single delta of 65,804.
    assert_eq!(answer(&[GET, b"\xE0\xFF\xFF"].concat()), RESET);
    // A length of 65,804.
    assert_eq!(answer(&[GET, b"\x0E\xFF\xFF", &[0; 300]].concat()), RESET);
    // The last number alone is fine. It is odd, so that who does not know it must refuse.
    let sent = answer(&[GET, to_the_last].concat());
    assert_eq!(Message::decode(&sent).unwrap().code(), Code::BAD_OPTION);
}

/// Wakaama and libcoap believed the length of an option and the length of a token.
#[test]
fn cve_2021_41040_an_option_and_a_token_end_within_the_datagram() {
    for claimed in 1..=12_u8 {
        let short = vec![b'a'; usize::from(claimed) - 1];
        assert_eq!(answer(&[GET, &[0xB0 | claimed], &short].concat()), RESET);
    }
    assert_eq!(answer(&[GET, b"\xBD\xF2", &[b'a'; 254]].concat()), RESET);
    assert_eq!(answer(&[GET, b"\xBE\x00\x00", &[b'a'; 268]].concat()), RESET);
    for length in 1..=8_u8 {
        let token = vec![b't'; usize::from(length) - 1];
        assert_eq!(answer(&[&[0x40 | length, 0x01, 0x00, 0x07], &token[..]].concat()), RESET);
    }
    for datagram in [&b""[..], b"\x40", b"\x40\x01", b"\x40\x01\x00"] {
        assert_eq!(answer(datagram), b"", "what has no header is ignored");
    }
}

/// RIOT read the extended length of a token behind the four bytes that it had looked at.
#[test]
fn ghsa_p9hp_2jxm_6rqp_an_extended_token_length_is_not_read_behind_the_header() {
    let cases: [&[u8]; 7] = [
        b"\x4D\x01\x00\x07",
        b"\x4E\x01\x00\x07",
        b"\x4E\x01\x00\x07\x00",
        b"\x4F\x01\x00\x07",
        b"\x4D\x01\x00\x07\xFFtoken",
        b"\x4E\x01\x00\x07\xFF\xFFtoken",
        b"\x4E\x01\x00\x07\x00\x00token",
    ];
    for datagram in cases {
        assert_eq!(answer(datagram), RESET, "{datagram:02x?}");
    }
}

/// RIOT wrote the answer of discovery, and before it the token of the request, into 112 bytes.
#[test]
fn cve_2026_27703_discovery_answers_whatever_the_length_of_token_and_options() {
    for (length, id) in [1, 13, 64, 65, 112, 113, 269, 1_000, 65_000].into_iter().zip(1..) {
        let token = vec![b't'; length];
        let text = "x".repeat(length.min(255));
        let request = request(Kind::Confirmable, Code::GET, id, &token, ".well-known/core");
        let request = request.with_option(OptionNumber::URI_HOST, text.as_str()).with_query(&text);
        let sent = answer(&request.with_option(OptionNumber(65_000), vec![7; length.min(500)]).encode());
        let message = Message::decode(&sent).unwrap();
        assert_eq!((message.id(), message.token().as_slice()), (id, &token[..]));
        assert!(message.code().is_response());
    }
}

/// RIOT noted each option in a table of fixed size.
#[test]
fn riot_10753_a_datagram_full_of_options_is_no_message() {
    // Each zero is an option 0 without a value, which nobody has given a meaning.
    for (count, is_message) in [(42, true), (400, true), (401, false), (10_000, false), (60_000, false)] {
        let sent = answer(&[GET, &vec![0; count][..]].concat());
        assert_eq!(sent != RESET, is_message, "{count} options: {sent:02x?}");
    }
}

/// microcoap wrote options into its buffer without looking how long they are.
#[test]
fn microcoap_48_what_is_written_can_be_read_whatever_the_lengths() {
    for length in [0, 1, 12, 13, 14, 268, 269, 270, 1_034, 65_000] {
        for number in [2, 12, 14, 16, 270, 282, 284, 2_000, 65_000] {
            let value = vec![7; length];
            let message = Message::request(Code::PUT).with_option(OptionNumber(number), value.clone());
            let read = Message::decode(&message.with_payload("x").encode()).unwrap();
            assert_eq!(read.option(OptionNumber(number)), Some(&value[..]), "{number}, {length}");
            assert_eq!(read.payload(), b"x");
        }
    }
}

/// EMQX let `ps/{topic}` of its CoAP gateway be used without authentication (17507), Vert.x the frames of STOMP.
#[test]
fn emqx_17507_nothing_is_done_for_a_peer_whose_session_was_refused() {
    let uris =
        ["ps/a", "ps/a/b?qos=1&retain=true", "ps/+", "ps/a?c=dev&u=u&p=p", "mqtt/connection?c=dev", "x"];
    let methods = [Code::GET, Code::POST, Code::PUT, Code::DELETE, Code::FETCH, Code::PATCH, Code::IPATCH];
    let mut bench = bench();
    let mut id = 0;
    for (uri, method) in uris.iter().flat_map(|uri| methods.map(|method| (uri, method))) {
        for kind in [Kind::Confirmable, Kind::NonConfirmable] {
            for observe in [None, Some(0), Some(1)] {
                id += 1;
                let plain = request(kind, method, id, &id.to_be_bytes(), uri).with_payload("x");
                let message = observe.map_or(plain.clone(), |value| plain.with_observe(value));
                bench.receive(&message.encode());
                while let Some((ticket, asked)) = bench.requests.pop_front() {
                    assert!(matches!(asked, Request::Connect(_)), "{method} {uri} leads to {asked:?}");
                    bench.refuse(ticket, Reason::BadCredentials);
                }
                bench.advance(SECOND);
                let sent: Vec<_> = bench.sent.drain(..).collect();
                for (_, datagram) in &sent {
                    let code = Message::decode(datagram).unwrap().code();
                    assert!(code >= Code::BAD_REQUEST || code == Code::EMPTY, "{method} {uri} is {code}");
                }
            }
        }
    }
}

/// The Observe numbers, tokens and names of peers nobody knows must not fill the memory: mosquitto CVE-2023-28366
/// and others kept what nobody answered for.
#[test]
fn what_a_peer_without_a_session_makes_the_server_keep_is_bounded() {
    let limits = Limits::default();
    let coap = Coap::new(Config::default(), limits.clone());
    let mut bench = Bench::new(&coap, Transport::Datagram);
    let mut answered = 0;
    for id in 0..u16::MAX {
        // Observations, reads, publishes and beginnings of bodies, each of another topic and with another token.
        let uri = format!("ps/{id}");
        match id % 4 {
            0 => bench.receive(&observe(id, &id.to_be_bytes(), &uri)),
            1 => bench.receive(&con(Code::GET, id, &id.to_be_bytes(), &uri)),
            2 => {
                let token = [&[7; 62][..], &id.to_be_bytes()].concat();
                let put = request(Kind::Confirmable, Code::PUT, id, &token, &uri);
                let put = put.with_uint(OptionNumber::BLOCK1, 0x0E).with_payload(vec![0; 1_024]);
                bench.receive(&put.encode());
            }
            _ => {
                let put = request(Kind::NonConfirmable, Code::PUT, id, &id.to_be_bytes(), &uri);
                bench.receive(&put.with_payload(vec![0; 1_000]).encode());
            }
        }
        answered += bench.sent.drain(..).count();
    }
    assert_eq!(bench.requests.len(), 1, "one session is asked for, and nothing else");
    assert!(answered > 0, "what there is no room for is refused");
    let (ticket, _) = bench.request();
    bench.refuse(ticket, Reason::BadCredentials);
    let refused = bench.sent.drain(..).count();
    assert!(refused <= limits.outstanding, "{refused} requests waited for the session");
    assert!(bench.requests.is_empty());
}

/// IoTivity sent many times what it had got to any address that a request named as its source.
#[test]
fn cve_2019_9750_what_a_forged_address_brings_upon_its_owner_is_three_times_what_was_sent() {
    let mut bench = far_away(Config::default(), None);
    let uris = [
        ".well-known/core",
        "ps/a",
        "ps/+",
        "ps/a?qos=1",
        "pubsub",
        "rd-lookup/res",
        "x",
        "mqtt/connection?c=dev",
    ];
    let methods = [Code::GET, Code::POST, Code::PUT, Code::DELETE, Code::FETCH, Code::IPATCH, Code(0x1F)];
    let retained = harness::message("a", &"x".repeat(10_000), Qos::AtLeastOnce, bench.now);
    let (mut id, mut received, mut sent, mut subscription) = (0, 0, 0, None);
    for round in 0..60_u16 {
        for (uri, method) in uris.iter().flat_map(|uri| methods.map(|method| (uri, method))) {
            id += 1;
            let kind = if id % 2 == 0 { Kind::Confirmable } else { Kind::NonConfirmable };
            let plain = request(kind, method, id, b"", uri);
            let message = if round % 3 == 0 { plain.with_observe(0) } else { plain };
            let datagram = message.encode();
            received += datagram.len();
            bench.receive(&datagram);
            subscription = serve(&mut bench, Some(&retained)).or(subscription);
            if let Some(id) = subscription.filter(|_| bench.connection.room() > 0) {
                bench.deliver(harness::delivery(0, id, "a", &"x".repeat(500), Qos::AtMostOnce, bench.now));
            }
            sent += bench.sent.drain(..).map(|(_, datagram)| datagram.len()).sum::<usize>();
            assert!(sent <= 3 * received, "{sent} bytes for {received}, the last for {method} {uri}");
        }
        bench.advance(SECOND);
        sent += bench.sent.drain(..).map(|(_, datagram)| datagram.len()).sum::<usize>();
        assert!(sent <= 3 * received, "{sent} bytes for {received} after {round} s");
    }
    assert!(sent > 0);
}

/// libcoap read behind the end of a configuration of OSCORE that stopped too early.
#[test]
fn cve_2023_35862_a_file_of_contexts_that_stops_anywhere_is_read_or_refused() {
    let file = "[[context]]\nname = \"a\"\nmaster_secret = \"0102030405060708090a0b0c0d0e0f10\"\n\
                master_salt = \"9e7c\"\nsender_id = \"01\"\nrecipient_id = \"\"\nid_context = \"37\"\n\
                algorithm = \"AES-CCM-16-64-128\"\nclient_id = \"c\"\n";
    assert_eq!(oscore::parse(file).unwrap().len(), 1);
    for end in 0..file.len() {
        if let Err(error) = oscore::parse(&file[..end]) {
            assert!((1..=9).contains(&error.line) && !error.message.is_empty(), "{end}: {error:?}");
        }
    }
}

/// Readers that call themselves for each level of what they read run out of stack.
#[test]
fn what_nests_as_deep_as_a_datagram_is_long_is_refused() {
    let openings: [&[u8]; 5] = [b"\x9F", b"\xBF\x00", b"\x81", b"\xA1\x00", b"\xC1"];
    for (id, opening) in (1..).zip(openings) {
        for (method, uri) in [(Code::POST, "pubsub"), (Code::FETCH, "pubsub")] {
            let mut payload = b"\xA1\x00".to_vec();
            payload.extend(opening.repeat(60_000 / opening.len()));
            let mut bench = bench();
            let message =
                request(Kind::Confirmable, method, id, b"t", uri).with_content_format(ContentFormat(606));
            bench.receive(&message.with_payload(payload).encode());
            while let Some((ticket, asked)) = bench.requests.pop_front() {
                assert!(matches!(asked, Request::Connect(_)), "{method} {opening:02x?} leads to {asked:?}");
                bench.requests.push_front((ticket, asked));
                accept(&mut bench);
            }
            let answer = sent(&mut bench);
            assert!(answer.code() >= Code::BAD_REQUEST, "{method} {opening:02x?} is {}", answer.code());
        }
    }
}
