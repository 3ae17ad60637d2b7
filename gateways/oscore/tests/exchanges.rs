//! Requests, answers and notifications between two endpoints.

mod common;

use std::sync::Arc;

use common::*;
use oscore::{
    Contexts, ContextsError, Message, Parameters, ProtectError, RESERVED_AHEAD, RequestError, ResponseError,
};

const POST: u8 = 0x02;
const FETCH: u8 = 0x05;
const UNAUTHORIZED: u8 = 0x81;
const ETAG: u16 = 4;
const PROXY_URI: u16 = 35;
const NO_RESPONSE: u16 = 258;

fn get() -> Message {
    Message::new(GET).with(URI_PATH, *b"ps").with(URI_PATH, *b"t")
}

fn content(payload: &[u8]) -> Message {
    Message { payload: payload.to_vec(), ..Message::new(CONTENT) }
}

fn numbers(message: &Message) -> Vec<u16> {
    message.options.iter().map(|(number, _)| *number).collect()
}

#[test]
fn what_belongs_inside_is_inside_and_what_is_for_proxies_stays_outside() {
    let (client, server) = pair();
    let original =
        get().with(URI_HOST, *b"h").with(7, [1]).with(16, [9]).with(NO_RESPONSE, [26]).with(60_001, [1]);
    let (protected, _) = client.protect_request(original.clone()).unwrap();
    assert_eq!((protected.code, numbers(&protected)), (POST, vec![URI_HOST, 7, OSCORE]));
    let (read, _) = request(server.open(&protected).unwrap());
    assert_eq!(numbers(&read), [URI_HOST, 7, URI_PATH, URI_PATH, 16, NO_RESPONSE, 60_001]);
    assert_eq!(read.code, GET);
}

#[test]
fn what_belongs_inside_and_was_put_outside_is_discarded() {
    let (client, server) = pair();
    let (mut protected, mut pending) = client.protect_request(get()).unwrap();
    protected.code = PUT;
    for number in [1, OBSERVE, MAX_AGE, NO_RESPONSE, ECHO, 65_001] {
        protected = protected.with(number, [1]);
    }
    let (read, mut binding) = request(server.open(&protected).unwrap());
    assert_eq!(read, get());
    let answer = binding.protect(content(b"x")).unwrap().with(ETAG, [1]).with(MAX_AGE, [9]);
    assert_eq!(pending.open(answer), Ok(content(b"x")));
}

#[test]
fn a_request_is_read_once() {
    let (client, server) = pair();
    let (protected, _) = client.protect_request(get()).unwrap();
    server.open(&protected).unwrap();
    let error = server.open(&protected).unwrap_err();
    assert_eq!(error, RequestError::Replay);
    let answer = error.response();
    assert_eq!((answer.code, answer.payload.as_slice()), (UNAUTHORIZED, &b"Replay detected"[..]));
    assert_eq!(answer.option(MAX_AGE), Some(&[][..]));
}

#[test]
fn requests_may_overtake_each_other() {
    let (client, server) = pair();
    let all: Vec<Message> = (0..40).map(|_| client.protect_request(get()).unwrap().0).collect();
    for protected in all.iter().rev() {
        server.open(protected).unwrap();
    }
    for protected in &all {
        assert_eq!(server.open(protected).unwrap_err(), RequestError::Replay);
    }
}

#[test]
fn a_request_that_was_changed_or_is_of_another_key_is_refused_and_may_still_come() {
    let (client, server) = pair();
    let (protected, _) = client.protect_request(get()).unwrap();
    let mut changed = protected.clone();
    changed.payload[0] ^= 1;
    let error = server.open(&changed).unwrap_err();
    assert_eq!((error, error.response().code), (RequestError::DecryptionFailed, 0x80));
    assert_eq!(error.response().payload, b"Decryption failed");
    assert!(server.open(&protected).is_ok());
}

#[test]
fn a_request_of_nobody_known_is_refused() {
    let (_, server) = pair();
    let stranger = context(&Parameters { sender_id: vec![7], ..client() }, 0, None);
    let error = server.open(&stranger.protect_request(get()).unwrap().0).unwrap_err();
    assert_eq!((error, error.response().code), (RequestError::ContextNotFound, UNAUTHORIZED));
    assert_eq!(error.response().payload, b"Security context not found");
}

#[test]
fn what_is_no_cose_object_is_refused() {
    let (client, server) = pair();
    let (protected, _) = client.protect_request(get()).unwrap();
    let with_value = |value: &[u8]| {
        let mut changed = protected.clone();
        changed.options = vec![(OSCORE, value.to_vec())];
        changed
    };
    let no_payload = Message { payload: vec![], ..protected.clone() };
    let cases = [
        with_value(&[]),           // neither Partial IV nor kid
        with_value(&[0x01, 0x00]), // no kid
        with_value(&[0x08]),       // no Partial IV
        with_value(&[0x00]),       // flags of zero
        with_value(&[0x29, 0x00]), // a reserved bit
        with_value(&[0x0E, 0, 0]), // a reserved length
        protected.clone().with(OSCORE, [0x09, 0x00]),
        no_payload,
        Message { options: vec![], ..protected.clone() },
    ];
    for message in cases {
        let error = server.open(&message).unwrap_err();
        assert_eq!((error, error.response().code), (RequestError::NotDecodable, 0x82), "{message:?}");
        assert_eq!(error.response().payload, b"Failed to decode COSE");
    }
}

#[test]
fn a_protected_message_is_not_protected_again() {
    let (client, server) = pair();
    let nested = get().with(OSCORE, [0x09, 0x00]);
    assert_eq!(client.protect_request(nested.clone()).unwrap_err(), ProtectError::Nested);
    assert_eq!(
        client.protect_request(get().with(PROXY_URI, *b"coap://h/p")).unwrap_err(),
        ProtectError::ProxyUri
    );
    let (_, mut binding) = request(server.open(&client.protect_request(get()).unwrap().0).unwrap());
    assert_eq!(binding.protect(nested).unwrap_err(), ProtectError::Nested);
}

#[test]
fn an_answer_is_bound_to_its_request() {
    let (client, server) = pair();
    let (first, mut first_pending) = client.protect_request(get()).unwrap();
    let (second, mut second_pending) = client.protect_request(get()).unwrap();
    let (_, mut binding) = request(server.open(&first).unwrap());
    request(server.open(&second).unwrap());
    let answer = binding.protect(content(b"first")).unwrap();
    assert_eq!((answer.code, answer.option(OSCORE)), (CHANGED, Some(&[][..])));
    assert_eq!(second_pending.open(answer.clone()), Err(ResponseError::NotVerified));
    assert_eq!(first_pending.open(answer.clone()), Ok(content(b"first")));
    assert_eq!(first_pending.open(answer), Err(ResponseError::Old));
}

#[test]
fn an_answer_without_protection_is_believed_only_if_it_is_an_error() {
    let (client, _) = pair();
    let (_, mut pending) = client.protect_request(get()).unwrap();
    assert_eq!(pending.open(content(b"forged")), Err(ResponseError::Unprotected));
    let error = RequestError::ContextNotFound.response();
    assert_eq!(pending.open(error.clone()), Ok(error));
}

#[test]
fn an_observation_has_observe_on_both_sides_and_each_notification_a_new_partial_iv() {
    let (client, server) = pair();
    let (protected, mut pending) = client.protect_request(get().with(OBSERVE, [])).unwrap();
    assert_eq!((protected.code, protected.option(OBSERVE)), (FETCH, Some(&[][..])));
    let (read, mut binding) = request(server.open(&protected).unwrap());
    assert_eq!(read.option(OBSERVE), Some(&[][..]));
    let notifications: Vec<Message> =
        (0..4_u8).map(|at| binding.protect(content(&[at]).with(OBSERVE, [100 + at])).unwrap()).collect();
    for (at, notification) in notifications.iter().enumerate() {
        assert_eq!((notification.code, notification.option(OBSERVE)), (CONTENT, Some(&[100 + at as u8][..])));
    }
    let values: Vec<&[u8]> = notifications.iter().map(|message| message.option(OSCORE).unwrap()).collect();
    assert_eq!(values, [[0x01, 0], [0x01, 1], [0x01, 2], [0x01, 3]]);
    assert_eq!(pending.open(notifications[0].clone()), Ok(content(&[0]).with(OBSERVE, [1])));
    assert_eq!(pending.open(notifications[0].clone()), Err(ResponseError::Old));
    assert_eq!(pending.open(notifications[2].clone()), Ok(content(&[2]).with(OBSERVE, [2])));
    for old in [1, 2] {
        assert_eq!(pending.open(notifications[old].clone()), Err(ResponseError::Old));
    }
    assert_eq!(pending.open(notifications[3].clone()), Ok(content(&[3]).with(OBSERVE, [3])));
}

#[test]
fn an_error_ends_an_observation_with_a_new_partial_iv_and_without_observe() {
    let (client, server) = pair();
    let (protected, mut pending) = client.protect_request(get().with(OBSERVE, [])).unwrap();
    let (_, mut binding) = request(server.open(&protected).unwrap());
    binding.protect(content(b"0").with(OBSERVE, [1])).unwrap();
    let end = binding.protect(Message::new(0x84).with(OBSERVE, [2])).unwrap();
    assert_eq!((end.code, end.option(OBSERVE), end.option(OSCORE)), (CHANGED, None, Some(&[0x01, 1][..])));
    assert_eq!(pending.open(end), Ok(Message::new(0x84)));
}

#[test]
fn a_notification_that_nobody_asked_for_is_not_taken() {
    let (client, server) = pair();
    for request_ in [get(), get().with(OBSERVE, [1])] {
        let (protected, mut pending) = client.protect_request(request_).unwrap();
        let (_, mut binding) = request(server.open(&protected).unwrap());
        let answer = binding.protect(content(b"0").with(OBSERVE, [1])).unwrap();
        assert_eq!(pending.open(answer), Err(ResponseError::NotAskedFor));
    }
}

/// After a restart nobody knows what was received before, so that an old request could be taken for a new one.
#[test]
fn after_a_restart_a_request_is_read_only_if_its_sender_shows_that_it_is_there() {
    let echo = *b"restart1";
    let client = context(&client(), 0, None);
    let server = server(Some(echo));
    let (old, mut pending) = client.protect_request(get()).unwrap();
    for own in [0, 1] {
        let answer = challenge(server.open(&old).unwrap());
        assert_eq!((answer.code, answer.option(OSCORE)), (CHANGED, Some(&[0x01, own][..])));
        assert_eq!(answer.option(ECHO), None);
        if own == 0 {
            assert_eq!(pending.open(answer), Ok(Message::new(UNAUTHORIZED).with(ECHO, echo)));
        }
    }
    let (wrong, _) = client.protect_request(get().with(ECHO, *b"another1")).unwrap();
    challenge(server.open(&wrong).unwrap());
    let (meanwhile, _) = client.protect_request(get()).unwrap();
    let (fresh, _) = client.protect_request(get().with(ECHO, echo)).unwrap();
    assert_eq!(request(server.open(&fresh).unwrap()).0, get());
    for before in [&old, &wrong, &meanwhile, &fresh] {
        assert_eq!(server.open(before).unwrap_err(), RequestError::Replay);
    }
    request(server.open(&client.protect_request(get()).unwrap().0).unwrap());
}

#[test]
fn after_a_restart_numbers_go_on_above_what_was_stored() {
    let store = Arc::new(Stored::default());
    let first = context_on(&client(), 0, None, store.clone());
    first.protect_request(get()).unwrap();
    assert_eq!(*store.bounds.lock().unwrap(), [RESERVED_AHEAD]);
    let bound = *store.bounds.lock().unwrap().last().unwrap();
    let second = context_on(&client(), bound, None, store.clone());
    let (protected, _) = second.protect_request(get()).unwrap();
    assert_eq!(protected.option(OSCORE), Some(&[0x0A, 0x04, 0x00][..]));
    *store.broken.lock().unwrap() = true;
    let third = context_on(&client(), 2 * bound, None, store);
    assert_eq!(third.protect_request(get()).unwrap_err(), ProtectError::NoPartialIv);
}

#[test]
fn a_context_without_numbers_is_used_no_more() {
    let last = (1 << 40) - 1;
    let store = Arc::new(Stored::default());
    let server_context = context_on(&mirrored(&client()), last, None, store);
    let server = Contexts::new([server_context]).unwrap();
    let client = context(&client(), 0, None);
    let (protected, _) = client.protect_request(get().with(OBSERVE, [])).unwrap();
    let (_, mut binding) = request(server.open(&protected).unwrap());
    binding.protect(content(b"0")).unwrap();
    binding.protect(content(b"1")).unwrap();
    assert_eq!(binding.protect(content(b"2")).unwrap_err(), ProtectError::NoPartialIv);
    let (next, _) = client.protect_request(get()).unwrap();
    assert_eq!(server.open(&next).unwrap_err(), RequestError::ContextNotFound);
}

#[test]
fn the_id_context_of_a_request_selects_the_context() {
    let with = |id: Option<&[u8]>| Parameters { id_context: id.map(<[u8]>::to_vec), ..client() };
    let all = [None, Some(&b""[..]), Some(b"a"), Some(b"b")];
    let server = Contexts::new(all.map(|id| context(&mirrored(&with(id)), 0, None))).unwrap();
    for id in all {
        let (protected, _) = context(&with(id), 0, None).protect_request(get()).unwrap();
        let (_, binding) = request(server.open(&protected).unwrap());
        assert_eq!(binding.context().id_context(), id);
    }
    let mut unnamed = context(&with(Some(b"b")), 1, None).protect_request(get()).unwrap().0;
    unnamed.options = vec![(OSCORE, vec![0x09, 0x01])];
    let (_, binding) = request(server.open(&unnamed).unwrap());
    assert_eq!(binding.context().id_context(), Some(&b"b"[..]));
    unnamed.options = vec![(OSCORE, b"\x19\x01\x01c".to_vec())];
    assert_eq!(server.open(&unnamed).unwrap_err(), RequestError::ContextNotFound);
}

#[test]
fn contexts_that_cannot_be_told_apart_are_refused() {
    let server = mirrored(&client());
    let same = Contexts::new([context(&server, 0, None), context(&server, 0, None)]);
    assert_eq!(same.unwrap_err(), ContextsError::SameRecipient(1));
    let other = Parameters { recipient_id: vec![9], ..server.clone() };
    let same = Contexts::new([context(&server, 0, None), context(&other, 0, None)]);
    assert_eq!(same.unwrap_err(), ContextsError::SameSender(1));
}

#[test]
fn a_context_that_was_taken_away_protects_and_reads_nothing() {
    let (client, server) = pair();
    let (protected, _) = client.protect_request(get()).unwrap();
    let (_, mut binding) = request(server.open(&protected).unwrap());
    binding.context().revoke();
    assert_eq!(binding.protect(content(b"x")).unwrap_err(), ProtectError::Revoked);
    let (next, _) = client.protect_request(get()).unwrap();
    assert_eq!(server.open(&next).unwrap_err(), RequestError::ContextNotFound);
}

#[test]
fn both_endpoints_may_ask() {
    let (client, server) = pair();
    let (protected, _) = client.protect_request(get()).unwrap();
    let (_, binding) = request(server.open(&protected).unwrap());
    let device = Contexts::new([client]).unwrap();
    let (command, mut pending) =
        binding.context().protect_request(Message::new(PUT).with(URI_PATH, *b"led")).unwrap();
    assert_eq!(command.option(OSCORE), Some(&[0x09, 0x00, 0x01][..]));
    let (read, mut answering) = request(device.open(&command).unwrap());
    assert_eq!(read.option(URI_PATH), Some(&b"led"[..]));
    assert_eq!(pending.open(answering.protect(Message::new(CHANGED)).unwrap()), Ok(Message::new(CHANGED)));
}
