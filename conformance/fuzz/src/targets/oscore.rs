use std::sync::Arc;

use oscore::{
    Algorithm, Contexts, Header, Message, OSCORE, Opened, Owner, Parameters, SecurityContext, SequenceKey,
    SequenceStore, Start,
};

use crate::Target;
use crate::target::owned;

pub(crate) const TARGETS: [Target; 4] = [
    Target { name: "oscore_header", run: header, seeds: header_seeds },
    Target { name: "oscore_file", run: file, seeds: file_seeds },
    Target { name: "oscore_requests", run: requests, seeds: message_seeds },
    Target { name: "oscore_answers", run: answers, seeds: message_seeds },
];

/// Whatever can be read is written so that it reads the same.
fn header(input: &[u8]) {
    let Ok(header) = Header::decode(input) else { return };
    assert_eq!(Header::decode(&header.encode()), Ok(header));
}

fn header_seeds() -> Vec<Vec<u8>> {
    owned(&[
        b"".as_slice(),
        b"\x09\x14",
        b"\x19\x14\x08\x37\xcb\xf3\x21\x00\x17\xa2\xd3",
        b"\x01\x01",
        b"\x08",
        b"\x0D\x01\x02\x03\x04\x05kid",
        b"\x10\x00",
        b"\x20",
        b"\x07\0\0\0\0\0\0\0",
    ])
}

fn file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match oscore::parse(text) {
        Ok(entries) => assert!(entries.len() <= text.len()),
        Err(error) => assert!(error.line >= 1 && !error.message.is_empty()),
    }
}

fn file_seeds() -> Vec<Vec<u8>> {
    owned(&[
        "[[context]]\nmaster_secret = \"0102030405060708090a0b0c0d0e0f10\"\nsender_id = \"01\"\nrecipient_id = \"\"\n",
        "[[context]]\nname = \"a\"\nmaster_secret = \"00\"\nmaster_salt = \"9e\"\nsender_id = \"\"\n\
         recipient_id = \"02\"\nid_context = \"37\"\nalgorithm = \"AES-CCM-16-64-128\"\nclient_id = \"c\"\n",
    ])
}

/// A protected request, as the input changes it: it is read as it was written, or not at all.
fn requests(input: &[u8]) {
    let Some((kept, rest)) = input.split_first() else { return };
    let (client, server) = endpoints();
    let original = message(rest, 0x02);
    let Ok((protected, _)) = client.protect_request(original.clone()) else { return };
    // Even inputs leave it alone but for what goes along unprotected.
    let sent = if kept % 2 == 0 { protected.clone() } else { changed(protected.clone(), rest) };
    let touched = sent.payload != protected.payload || sent.option(OSCORE) != protected.option(OSCORE);
    match server.open(&sent) {
        Ok(Opened::Request(..)) => assert!(!touched, "what was changed must not be read"),
        Ok(Opened::Challenge(_)) => panic!("nothing was lost"),
        Err(error) => assert!(touched, "{original:?}: {error:?}"),
    }
}

/// The same for the answer.
fn answers(input: &[u8]) {
    let Some((kept, rest)) = input.split_first() else { return };
    let (client, server) = endpoints();
    let Ok((protected, mut pending)) = client.protect_request(Message::new(0x01)) else { return };
    let Ok(Opened::Request(_, mut binding)) = server.open(&protected) else {
        panic!("an untouched request is read")
    };
    let Ok(protected) = binding.protect(message(rest, 0x45)) else { return };
    let sent = if kept % 2 == 0 { protected.clone() } else { changed(protected.clone(), rest) };
    let touched = sent.payload != protected.payload || sent.option(OSCORE) != protected.option(OSCORE);
    if pending.open(sent).is_ok() {
        assert!(!touched, "what was changed must not be read");
    }
}

/// Numbers, lengths and values of options, and the rest as payload.
fn message(mut input: &[u8], code: u8) -> Message {
    const NUMBERS: [u16; 12] = [1, 3, 4, 6, 7, 11, 12, 15, 23, 27, 35, 252];
    let mut message = Message::new(code);
    while let [number, length, rest @ ..] = input
        && *number != 0xFF
        && message.options.len() < 20
    {
        let (value, rest) = rest.split_at(usize::from(length % 32).min(rest.len()));
        message = message.with(NUMBERS[usize::from(*number) % NUMBERS.len()], value);
        input = rest;
    }
    message.payload = input.to_vec();
    message
}

/// Some bytes of the ciphertext and of the option are others.
fn changed(mut message: Message, input: &[u8]) -> Message {
    for [at, bits] in input.as_chunks::<2>().0.iter().take(4) {
        let option = message.options.iter_mut().find(|(number, _)| *number == OSCORE);
        let bytes = match option {
            Some((_, value)) if at % 4 == 0 => value,
            _ => &mut message.payload,
        };
        if !bytes.is_empty() {
            let length = bytes.len();
            bytes[usize::from(*at) % length] ^= bits;
        }
    }
    message
}

fn message_seeds() -> Vec<Vec<u8>> {
    owned(&[
        b"\0\x05\x02ps\x05\x01a\xFFpayload".as_slice(),
        b"\0\x03\0\x05\x02ps\x08\x01\x06\xFF",
        b"\x01\x05\x02ps\xFFchange me",
        b"\x01\0\x01\x04\x10\xFF",
    ])
}

fn endpoints() -> (Arc<SecurityContext>, Contexts) {
    let client = Parameters {
        master_secret: (1..=16).collect(),
        master_salt: Vec::new(),
        id_context: None,
        sender_id: vec![7],
        recipient_id: vec![1],
        algorithm: Algorithm::default(),
    };
    let server = Parameters { sender_id: vec![1], recipient_id: vec![7], ..client.clone() };
    let derive = |parameters: &Parameters| {
        let start = Start { next: 0, reserved: 0, echo: None };
        let context = SecurityContext::derive(parameters, Owner::default(), start, Arc::new(Forgetful));
        Arc::new(context.expect("the parameters are right"))
    };
    let contexts = Contexts::new([derive(&server)]).expect("one context alone");
    (derive(&client), contexts)
}

/// A store that keeps nothing: every run begins anew.
struct Forgetful;

impl SequenceStore for Forgetful {
    fn reserve(&self, _: SequenceKey, _: u64) -> bool {
        true
    }
}
