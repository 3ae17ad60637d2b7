use bus::{Reason, Request};

use super::*;

#[test]
fn an_mqtt_311_client_connects() {
    let mut bench = bench();
    bench.receive(CONNECT_311);
    let connect = bench.accept_connect(false);
    assert_eq!(connect.client_id.unwrap().as_str(), "c");
    assert_eq!(connect.keep_alive, Some(Duration::from_secs(10)));
    assert!(connect.clean_start);
    assert_eq!(bench.take_sent(), b"\x20\x02\x00\x00");
}

#[test]
fn tls_and_http_on_the_plain_port_are_named() {
    let cases: [(&[u8], Reason); 4] = [
        (b"\x16\x03\x01\x02\x00", Reason::TlsOnPlainPort),
        (b"GET / HTTP/1.1\r\n", Reason::WrongProtocol),
        (b"CONNECT\n", Reason::WrongProtocol),
        (b"\xC0\x00", Reason::ProtocolViolation),
    ];
    for (bytes, reason) in cases {
        let mut bench = bench();
        bench.receive(bytes);
        assert_eq!(bench.closed, Some(reason));
        assert!(bench.take_sent().is_empty());
    }
}

#[test]
fn what_comes_behind_connect_waits_for_the_reply() {
    let mut bench = bench();
    bench.receive(&[CONNECT_311, b"\xC0\x00\x30\x04\x00\x01ax"].concat());
    bench.accept_connect(true);
    assert_eq!(bench.take_sent(), b"\x20\x02\x01\x00");
    bench.receive(b"");
    assert_eq!(bench.take_sent(), b"\xD0\x00");
    assert!(matches!(bench.request().1, Request::Publish(publish) if publish.topic.as_str() == "a"));
}
