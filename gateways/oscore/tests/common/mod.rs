//! Two endpoints that share a context.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its part of it")]

use std::sync::{Arc, Mutex};

use oscore::{
    Algorithm, Contexts, Message, Opened, Owner, Parameters, SecurityContext, SequenceKey, SequenceStore,
    Start,
};

pub const GET: u8 = 0x01;
pub const PUT: u8 = 0x03;
pub const CONTENT: u8 = 0x45;
pub const CHANGED: u8 = 0x44;

pub const URI_HOST: u16 = 3;
pub const OBSERVE: u16 = 6;
pub const OSCORE: u16 = 9;
pub const URI_PATH: u16 = 11;
pub const MAX_AGE: u16 = 14;
pub const ECHO: u16 = 252;

/// What was reserved, the latest last; refuses when told so.
#[derive(Default)]
pub struct Stored {
    pub bounds: Mutex<Vec<u64>>,
    pub broken: Mutex<bool>,
}

impl SequenceStore for Stored {
    fn reserve(&self, _: SequenceKey, bound: u64) -> bool {
        self.bounds.lock().unwrap().push(bound);
        !*self.broken.lock().unwrap()
    }
}

/// Bytes written as hexadecimal digits; spaces do not count.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// The client of Appendix C.1.
pub fn client() -> Parameters {
    Parameters {
        master_secret: hex("0102030405060708090a0b0c0d0e0f10"),
        master_salt: hex("9e7ca92223786340"),
        id_context: None,
        sender_id: vec![],
        recipient_id: vec![1],
        algorithm: Algorithm::default(),
    }
}

/// What the other endpoint has.
pub fn mirrored(parameters: &Parameters) -> Parameters {
    Parameters {
        sender_id: parameters.recipient_id.clone(),
        recipient_id: parameters.sender_id.clone(),
        ..parameters.clone()
    }
}

pub fn context(parameters: &Parameters, next: u64, echo: Option<[u8; 8]>) -> Arc<SecurityContext> {
    context_on(parameters, next, echo, Arc::new(Stored::default()))
}

pub fn context_on(
    parameters: &Parameters,
    next: u64,
    echo: Option<[u8; 8]>,
    store: Arc<Stored>,
) -> Arc<SecurityContext> {
    let start = Start { next, reserved: next, echo };
    Arc::new(SecurityContext::derive(parameters, Owner::default(), start, store).unwrap())
}

/// A client, and a server that knows it alone; both fresh.
pub fn pair() -> (Arc<SecurityContext>, Contexts) {
    (context(&client(), 0, None), server(None))
}

pub fn server(echo: Option<[u8; 8]>) -> Contexts {
    Contexts::new([context(&mirrored(&client()), 0, echo)]).unwrap()
}

/// The request that was read.
pub fn request(opened: Opened) -> (Message, oscore::Binding) {
    match opened {
        Opened::Request(message, binding) => (message, binding),
        Opened::Challenge(message) => panic!("challenged with {message:?}"),
    }
}

pub fn challenge(opened: Opened) -> Message {
    match opened {
        Opened::Challenge(message) => message,
        Opened::Request(message, _) => panic!("read {message:?}"),
    }
}

/// Puts a message into a datagram with this header and token.
pub fn datagram(header: [u8; 4], token: &[u8], message: &Message) -> Vec<u8> {
    let [first, _, high, low] = header;
    let mut bytes = vec![first, message.code, high, low];
    bytes.extend(token);
    let mut before = 0;
    for (number, value) in &message.options {
        assert!(number - before < 13 && value.len() < 13);
        bytes.push(((number - before) as u8) << 4 | value.len() as u8);
        bytes.extend(value);
        before = *number;
    }
    if !message.payload.is_empty() {
        bytes.push(0xFF);
        bytes.extend(&message.payload);
    }
    bytes
}
