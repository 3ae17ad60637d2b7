//! Both ends of a security context, and messages that are protected with it.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its part of it")]

use std::sync::Arc;

use coap::{Code, Config, Message, OptionNumber, Oscore};
use harness::Bench;
use oscore::{
    Algorithm, Contexts, Owner, Parameters, Pending, SecurityContext, SequenceKey, SequenceStore, Start,
};

use crate::common::*;

pub const ECHO: OptionNumber = OptionNumber(252);

/// Keeps nothing: no test outlives its process.
struct Forgetful;

impl SequenceStore for Forgetful {
    fn reserve(&self, _: SequenceKey, _: u64) -> bool {
        true
    }
}

pub fn derive(parameters: &Parameters, owner: &Owner, echo: Option<[u8; 8]>) -> Arc<SecurityContext> {
    let start = Start { next: 0, reserved: 1 << 30, echo };
    Arc::new(SecurityContext::derive(parameters, owner.clone(), start, Arc::new(Forgetful)).unwrap())
}

pub fn parameters(device: u8) -> Parameters {
    Parameters {
        master_secret: (1..=16).collect(),
        sender_id: vec![0x80 | device],
        recipient_id: vec![device],
        algorithm: Algorithm::default(),
        ..Parameters::default()
    }
}

/// The device's side of a context.
pub fn device(number: u8) -> Arc<SecurityContext> {
    device_with(number, None)
}

pub fn device_with(number: u8, echo: Option<[u8; 8]>) -> Arc<SecurityContext> {
    let server = parameters(number);
    let mirrored = Parameters {
        sender_id: server.recipient_id.clone(),
        recipient_id: server.sender_id.clone(),
        ..server
    };
    derive(&mirrored, &Owner::default(), echo)
}

pub fn owner(name: &str, client_id: Option<&str>) -> Owner {
    Owner { name: name.into(), client_id: client_id.map(Into::into), username: None }
}

/// A server that knows device 1, called `sensor` with that client id, and device 2, called `other`.
pub fn server(required: bool, echo: Option<[u8; 8]>) -> (Bench, oscore::Shared) {
    let config = config(required, echo);
    let in_force = config.oscore.in_force.clone();
    (bench_with(config), in_force)
}

pub fn config(required: bool, echo: Option<[u8; 8]>) -> Config {
    let oscore = Oscore { required, ..Oscore::default() };
    let contexts = [
        derive(&parameters(1), &owner("sensor", Some("sensor")), echo),
        derive(&parameters(2), &owner("other", None), echo),
    ];
    oscore.in_force.replace(Contexts::new(contexts).unwrap());
    unasked(Config { oscore, ..Config::default() })
}

/// The message with what protects it in place of it.
pub fn swap(message: &Message, plain: oscore::Message) -> Message {
    let (kind, id, token) = (message.kind(), message.id(), message.token());
    let rewritten = Message::request(Code(plain.code)).with_token(token).with_payload(plain.payload);
    let options = plain.options.into_iter();
    let rewritten =
        options.fold(rewritten, |message, (number, value)| message.with_option(OptionNumber(number), value));
    numbered(rewritten, kind, id)
}

/// All that the tests use.
pub fn plain(message: &Message) -> oscore::Message {
    let numbers = [4, 6, 8, 9, 11, 12, 14, 15, 19, 23, 27, 28, 31, 60, 252, 292, 65_001].map(OptionNumber);
    let each = |number: OptionNumber| message.options(number).map(move |value| (number.0, value.to_vec()));
    oscore::Message {
        code: message.code().0,
        options: numbers.into_iter().flat_map(each).collect(),
        payload: message.payload().to_vec(),
    }
}

pub fn protect(context: &Arc<SecurityContext>, message: Message) -> (Vec<u8>, Pending) {
    let (protected, pending) = context.protect_request(plain(&message)).unwrap();
    (swap(&message, protected).encode(), pending)
}

pub fn open(pending: &mut Pending, message: &Message) -> Message {
    swap(message, pending.open(plain(message)).unwrap())
}

/// The one answer, which must be protected.
pub fn opened(bench: &mut Bench, pending: &mut Pending) -> Message {
    let answer = sent(bench);
    assert!(answer.option(OptionNumber::OSCORE).is_some(), "{answer:?}");
    open(pending, &answer)
}
