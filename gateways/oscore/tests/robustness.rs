//! Whatever comes in, nothing panics, and what was protected is read as it was.

mod common;

use common::*;
use oscore::{Algorithm, Contexts, Header, Message, Parameters};
use proptest::prelude::*;

fn message(code: impl Strategy<Value = u8>) -> impl Strategy<Value = Message> {
    let inner =
        prop_oneof![Just(1_u16), Just(4), Just(6), Just(11), Just(12), Just(14), Just(23), 300..u16::MAX];
    let options = proptest::collection::vec((inner, proptest::collection::vec(any::<u8>(), 0..300)), 0..12);
    (code, options, proptest::collection::vec(any::<u8>(), 0..2_000)).prop_map(
        |(code, mut options, payload)| {
            options.sort_by_key(|(number, _)| *number);
            Message { code, options, payload }
        },
    )
}

fn parameters() -> impl Strategy<Value = Parameters> {
    let bytes = |most| proptest::collection::vec(any::<u8>(), 0..=most);
    let algorithm = proptest::sample::select(Algorithm::ALL.to_vec());
    (
        proptest::collection::vec(any::<u8>(), 16..40),
        bytes(9),
        proptest::option::of(bytes(60)),
        bytes(6),
        bytes(6),
        algorithm,
    )
        .prop_filter("ids differ", |(.., sender, recipient, _)| sender != recipient)
        .prop_map(|(master_secret, master_salt, id_context, sender_id, recipient_id, algorithm)| {
            Parameters { master_secret, master_salt, id_context, sender_id, recipient_id, algorithm }
        })
}

/// What comes out of a message that goes through; the value of Observe is the endpoints' own.
fn expected(message: &Message, observe: Option<&[u8]>) -> Message {
    let mut message = message.clone();
    let had = message.option(OBSERVE).is_some();
    message.options.retain(|(number, _)| *number != OBSERVE);
    if let Some(value) = observe.filter(|_| had) {
        message.options.push((OBSERVE, value.to_vec()));
        message.options.sort_by_key(|(number, _)| *number);
    }
    message
}

proptest! {
    #[test]
    fn requests_and_answers_are_read_as_they_were_written(
        parameters in parameters(),
        original in message(1_u8..32),
        answer in message(prop_oneof![0x40_u8..0x60, 0x80_u8..0xC0]),
        next in 0_u64..1 << 40,
    ) {
        let client = context(&parameters, next, None);
        let server = Contexts::new([context(&mirrored(&parameters), next, None)]).unwrap();
        let mut original = original;
        original.options.retain(|(number, _)| *number != OBSERVE);
        let (protected, mut pending) = client.protect_request(original.clone()).unwrap();
        let (read, mut binding) = request(server.open(&protected).unwrap());
        prop_assert_eq!(read, original);
        let answer = expected(&answer, None);
        let protected = binding.protect(answer.clone()).unwrap();
        prop_assert_eq!(pending.open(protected), Ok(answer));
    }

    #[test]
    fn notifications_are_read_as_they_were_written(answers in proptest::collection::vec(message(0x40_u8..0x60), 1..6)) {
        let (client, server) = pair();
        let (protected, mut pending) = client.protect_request(Message::new(GET).with(OBSERVE, [])).unwrap();
        let (_, mut binding) = request(server.open(&protected).unwrap());
        for (at, answer) in answers.into_iter().enumerate() {
            let answer = expected(&answer, None).with(OBSERVE, [7]);
            let protected = binding.protect(answer.clone()).unwrap();
            prop_assert_eq!(pending.open(protected), Ok(expected(&answer, Some(&[at as u8 + 1]))));
        }
    }

    #[test]
    fn nothing_that_was_changed_is_read(byte in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let (client, server) = pair();
        let (mut protected, _) = client.protect_request(Message::new(GET).with(URI_PATH, *b"t")).unwrap();
        let at = byte.index(protected.payload.len());
        protected.payload[at] ^= 1 << bit;
        prop_assert!(server.open(&protected).is_err());
    }

    #[test]
    fn no_option_value_panics_and_what_is_read_is_written_alike(value in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(header) = Header::decode(&value) {
            prop_assert_eq!(header.encode(), value);
        }
    }

    #[test]
    fn no_message_panics(
        code in any::<u8>(),
        value in proptest::collection::vec(any::<u8>(), 0..20),
        payload in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let (client, server) = pair();
        let message = Message { code, options: vec![(OSCORE, value)], payload };
        prop_assert!(server.open(&message).is_err());
        let (_, mut pending) = client.protect_request(Message::new(GET)).unwrap();
        prop_assert!(pending.open(message).is_err());
    }
}
