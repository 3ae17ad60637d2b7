//! The test vectors of RFC 8613, Appendix C.4 to C.8; those of C.1 to C.3 are beside the derivation.

mod common;

use common::*;
use oscore::{Contexts, Message, Parameters};

/// The request of all vectors: `GET coap://localhost/tv1`.
fn get() -> Message {
    Message::new(GET).with(URI_HOST, *b"localhost").with(URI_PATH, *b"tv1")
}

/// Protects the request with Sender Sequence Number 20, and reads it at the other end.
fn check_request(parameters: &Parameters, header: [u8; 4], token: &[u8], expected: &str) {
    let (protected, _) = context(parameters, 20, None).protect_request(get()).unwrap();
    assert_eq!(datagram(header, token, &protected), hex(expected));
    let server = Contexts::new([context(&mirrored(parameters), 0, None)]).unwrap();
    assert_eq!(request(server.open(&protected).unwrap()).0, get());
}

#[test]
fn appendix_c_4_request_with_master_salt() {
    check_request(
        &client(),
        [0x44, 0, 0x5D, 0x1F],
        &[0x00, 0x00, 0x39, 0x74],
        "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e",
    );
}

#[test]
fn appendix_c_5_request_without_master_salt() {
    check_request(
        &Parameters { master_salt: vec![], sender_id: vec![0], ..client() },
        [0x44, 0, 0x71, 0xC3],
        &[0x00, 0x00, 0xB9, 0x32],
        "440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0",
    );
}

#[test]
fn appendix_c_6_request_with_id_context() {
    check_request(
        &Parameters { id_context: Some(hex("37cbf3210017a2d3")), ..client() },
        [0x44, 0, 0x2F, 0x8E],
        &[0xEF, 0x9B, 0xBF, 0x7A],
        "44022f8eef9bbf7a396c6f63616c686f73746b19140837cbf3210017a2d3ff72cd7273fd331ac45cffbe55c3",
    );
}

#[test]
fn appendix_c_7_response_with_the_nonce_of_the_request() {
    let (protected, mut pending) = context(&client(), 20, None).protect_request(get()).unwrap();
    let (_, mut binding) = request(server(None).open(&protected).unwrap());
    let hello = Message { payload: b"Hello World!".to_vec(), ..Message::new(CONTENT) };
    let answer = binding.protect(hello.clone()).unwrap();
    assert_eq!(
        datagram([0x64, 0, 0x5D, 0x1F], &[0x00, 0x00, 0x39, 0x74], &answer),
        hex("64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106")
    );
    assert_eq!(pending.open(answer), Ok(hello));
}

#[test]
fn appendix_c_8_response_with_a_partial_iv() {
    let (protected, mut pending) = context(&client(), 20, None).protect_request(get()).unwrap();
    let (_, mut binding) = request(server(None).open(&protected).unwrap());
    let hello = Message { payload: b"Hello World!".to_vec(), ..Message::new(CONTENT) };
    binding.protect(hello.clone()).unwrap();
    let answer = binding.protect(hello.clone()).unwrap();
    assert_eq!(
        datagram([0x64, 0, 0x5D, 0x1F], &[0x00, 0x00, 0x39, 0x74], &answer),
        hex("64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e")
    );
    assert_eq!(pending.open(answer), Ok(hello));
}
