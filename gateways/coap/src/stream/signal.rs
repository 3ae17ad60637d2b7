use std::time::Duration;

use crate::option::read_uint;
use crate::{Code, Message, OptionNumber, Token};

/// What is said of the connection itself [RFC8323 5].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// What the sender can do. Only what it names changes.
    Csm(Csm),
    /// Asks for a Pong with the same token; with custody, once everything before it has been worked.
    Ping {
        /// Whether the Custody option is there.
        custody: bool,
    },
    /// Answers a Ping.
    Pong {
        /// Whether everything before the Ping has been worked.
        custody: bool,
    },
    /// The sender wants the connection closed, in order.
    Release(Release),
    /// The sender closes the connection at once.
    Abort(Abort),
}

/// A Capabilities and Settings Message [RFC8323 5.3].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Csm {
    /// The longest message the sender takes, header included.
    pub max_message_size: Option<u32>,
    /// Whether it says that it can transfer bodies in blocks.
    pub block_wise_transfer: bool,
    /// The longest token it takes in requests [RFC8974 2.2.1].
    pub extended_token_length: Option<u32>,
}

/// Why and whither the connection shall be left [RFC8323 5.5].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// Where to connect instead, as the authority of a URI: one of these.
    pub alternative_addresses: Vec<String>,
    /// For how long not to come back.
    pub hold_off: Option<Duration>,
    /// Why, for people.
    pub diagnostic: String,
}

/// Why the connection cannot go on [RFC8323 5.6].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abort {
    /// The option of a CSM that cannot be worked.
    pub bad_csm_option: Option<u16>,
    /// Why, for people.
    pub diagnostic: String,
}

/// What a peer can do, as its CSMs say; the base values before the first one [RFC8323 5.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The longest message it takes, header included.
    pub max_message_size: usize,
    /// Whether it is known that it can transfer bodies in blocks.
    pub block_wise_transfer: bool,
    /// The longest token it takes in requests.
    pub token_length: usize,
}

impl Code {
    /// What a sender can do [RFC8323 5.3].
    pub const CSM: Self = Self::new(7, 1);
    /// Is the peer there [RFC8323 5.4]?
    pub const PING: Self = Self::new(7, 2);
    /// It is.
    pub const PONG: Self = Self::new(7, 3);
    /// Close the connection, in order [RFC8323 5.5].
    pub const RELEASE: Self = Self::new(7, 4);
    /// The connection closes at once [RFC8323 5.6].
    pub const ABORT: Self = Self::new(7, 5);

    /// Whether this is about the connection itself [RFC8323 5.1].
    pub const fn is_signal(self) -> bool {
        self.class() == 7
    }
}

/// The options of CSM.
const MAX_MESSAGE_SIZE: OptionNumber = OptionNumber(2);
const BLOCK_WISE_TRANSFER: OptionNumber = OptionNumber(4);
const EXTENDED_TOKEN_LENGTH: OptionNumber = OptionNumber(6);
/// The option of Ping and Pong.
const CUSTODY: OptionNumber = OptionNumber(2);
/// The options of Release.
const ALTERNATIVE_ADDRESS: OptionNumber = OptionNumber(2);
const HOLD_OFF: OptionNumber = OptionNumber(4);
/// The option of Abort.
const BAD_CSM_OPTION: OptionNumber = OptionNumber(2);

/// How many bytes of a size, a token length, a hold-off and an option number there may be.
const UINT_4: usize = 4;
const UINT_3: usize = 3;
const UINT_2: usize = 2;

/// Up to here a message size says nothing of BERT [RFC8323 5.3.2].
const BASE_MESSAGE_SIZE: usize = 1152;

/// No answer is possible to a peer that takes less.
const SMALLEST_MESSAGE_SIZE: u32 = 64;

/// The token lengths that may be announced [RFC8974 2.2.1].
const TOKEN_LENGTHS: std::ops::RangeInclusive<u32> = 8..=65_804;

impl Signal {
    /// Reads a message of a signalling code. What may not be ignored is an error, and that is what is to be answered.
    pub fn read(message: &Message) -> Result<Self, Abort> {
        let code = message.code();
        let known: &[OptionNumber] = match code {
            Code::CSM => &[MAX_MESSAGE_SIZE, BLOCK_WISE_TRANSFER, EXTENDED_TOKEN_LENGTH],
            Code::PING | Code::PONG => &[CUSTODY],
            Code::RELEASE => &[ALTERNATIVE_ADDRESS, HOLD_OFF],
            Code::ABORT => &[BAD_CSM_OPTION],
            _ => return Err(Abort::because(format!("The signalling code {code} is unknown."))),
        };
        let unknown = |(number, _): &(OptionNumber, &[u8])| number.is_critical() && !known.contains(number);
        if let Some((number, _)) = message.all_options().find(unknown) {
            return Err(Abort {
                bad_csm_option: (code == Code::CSM).then_some(number.0),
                diagnostic: format!("The critical option {} of {code} is unknown.", number.0), // [RFC8323 5.2]
            });
        }
        Ok(match code {
            Code::CSM => Self::Csm(Csm::read(message)?),
            Code::PING => Self::Ping { custody: has_custody(message) },
            Code::PONG => Self::Pong { custody: has_custody(message) },
            Code::RELEASE => Self::Release(Release::read(message)),
            _ => Self::Abort(Abort::read(message)),
        })
    }

    /// The message that says it.
    pub fn write(&self, token: Token) -> Message {
        let message = match self {
            Self::Csm(csm) => csm.write(),
            Self::Ping { custody } => with_custody(Code::PING, *custody),
            Self::Pong { custody } => with_custody(Code::PONG, *custody),
            Self::Release(release) => release.write(),
            Self::Abort(abort) => abort.write(),
        };
        message.with_token(token)
    }
}

impl Csm {
    /// A value that cannot be is the peer's fault: it is told which option has it [RFC8323 5.6].
    fn read(message: &Message) -> Result<Self, Abort> {
        let bad = |number: OptionNumber, why: &str| Abort {
            bad_csm_option: Some(number.0),
            diagnostic: format!("The option {} of the CSM {why}.", number.0),
        };
        let uint = |number, longest| match message.option(number) {
            Some(value) if value.len() > longest => Err(bad(number, "is too long")),
            value => Ok(value.and_then(read_uint)),
        };
        let max_message_size = uint(MAX_MESSAGE_SIZE, UINT_4)?;
        if max_message_size.is_some_and(|size| size < SMALLEST_MESSAGE_SIZE) {
            return Err(bad(MAX_MESSAGE_SIZE, "leaves no room for an answer"));
        }
        let block_wise_transfer = message.option(BLOCK_WISE_TRANSFER);
        if block_wise_transfer.is_some_and(|value| !value.is_empty()) {
            return Err(bad(BLOCK_WISE_TRANSFER, "must be empty"));
        }
        let extended_token_length = uint(EXTENDED_TOKEN_LENGTH, UINT_3)?
            .filter(|length| length >= TOKEN_LENGTHS.start()) // [RFC8974 2.2.1]
            .map(|length| length.min(*TOKEN_LENGTHS.end()));
        let block_wise_transfer = block_wise_transfer.is_some();
        Ok(Self { max_message_size, block_wise_transfer, extended_token_length })
    }

    fn write(self) -> Message {
        let mut message = Message::response(Code::CSM);
        if let Some(size) = self.max_message_size {
            message = message.with_uint(MAX_MESSAGE_SIZE, size);
        }
        if self.block_wise_transfer {
            message = message.with_option(BLOCK_WISE_TRANSFER, "");
        }
        match self.extended_token_length {
            Some(length) => message.with_uint(EXTENDED_TOKEN_LENGTH, length),
            None => message,
        }
    }
}

impl Release {
    /// Its options are elective: what has a wrong form is not there [RFC7252 5.4.3].
    fn read(message: &Message) -> Self {
        let address = |value: &[u8]| {
            let text = std::str::from_utf8(value).ok()?;
            (1..=255).contains(&text.len()).then(|| text.to_owned())
        };
        let hold_off = message.option(HOLD_OFF).filter(|value| value.len() <= UINT_3).and_then(read_uint);
        Self {
            alternative_addresses: message.options(ALTERNATIVE_ADDRESS).filter_map(address).collect(),
            hold_off: hold_off.map(|seconds| Duration::from_secs(seconds.into())),
            diagnostic: diagnostic(message),
        }
    }

    fn write(&self) -> Message {
        let mut message = Message::diagnostic(Code::RELEASE, &self.diagnostic);
        for address in &self.alternative_addresses {
            message = message.with_option(ALTERNATIVE_ADDRESS, address.as_str());
        }
        match self.hold_off {
            Some(hold_off) => message.with_uint(HOLD_OFF, hold_off.as_secs().min(0x00FF_FFFF) as u32),
            None => message,
        }
    }
}

impl Abort {
    /// An Abort with a text only.
    pub fn because(diagnostic: impl Into<String>) -> Self {
        Self { bad_csm_option: None, diagnostic: diagnostic.into() }
    }

    fn read(message: &Message) -> Self {
        let option = message.option(BAD_CSM_OPTION).filter(|value| value.len() <= UINT_2).and_then(read_uint);
        Self { bad_csm_option: option.map(|number| number as u16), diagnostic: diagnostic(message) }
    }

    fn write(&self) -> Message {
        let message = Message::diagnostic(Code::ABORT, &self.diagnostic);
        match self.bad_csm_option {
            Some(number) => message.with_uint(BAD_CSM_OPTION, number.into()),
            None => message,
        }
    }
}

impl Capabilities {
    /// Takes over what a CSM names; the rest stays [RFC8323 5.3].
    pub fn apply(&mut self, csm: &Csm) {
        if let Some(size) = csm.max_message_size {
            self.max_message_size = usize::try_from(size).unwrap_or(usize::MAX);
        }
        self.block_wise_transfer |= csm.block_wise_transfer;
        if let Some(length) = csm.extended_token_length {
            self.token_length = usize::try_from(length).unwrap_or(usize::MAX);
        }
    }

    /// Whether it takes blocks of several times 1,024 bytes [RFC8323 5.3.2].
    pub fn takes_bert(&self) -> bool {
        self.block_wise_transfer && self.max_message_size > BASE_MESSAGE_SIZE
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { max_message_size: BASE_MESSAGE_SIZE, block_wise_transfer: false, token_length: 8 }
    }
}

fn has_custody(message: &Message) -> bool {
    message.option(CUSTODY).is_some_and(<[u8]>::is_empty)
}

fn with_custody(code: Code, custody: bool) -> Message {
    let message = Message::response(code);
    if custody { message.with_option(CUSTODY, "") } else { message }
}

/// What people are told; of a payload that is no text, what can be read of it.
fn diagnostic(message: &Message) -> String {
    String::from_utf8_lossy(message.payload()).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(code: Code, body: &[u8]) -> Result<Signal, Abort> {
        Signal::read(&Message::from_parts(code, Token::default(), body).unwrap())
    }

    fn body(signal: &Signal) -> Vec<u8> {
        signal.write(Token::default()).encode_options_and_payload()
    }

    #[test]
    fn a_csm_says_sizes_in_as_few_bytes_as_they_take() {
        let csm = Csm {
            max_message_size: Some(65_536),
            block_wise_transfer: true,
            extended_token_length: Some(8_192),
        };
        assert_eq!(body(&Signal::Csm(csm)), b"\x23\x01\x00\x00\x20\x22\x20\x00");
        assert_eq!(read(Code::CSM, b"\x23\x01\x00\x00\x20\x22\x20\x00"), Ok(Signal::Csm(csm)));
        assert_eq!(read(Code::CSM, b""), Ok(Signal::Csm(Csm::default())));
    }

    #[test]
    fn what_a_csm_does_not_name_stays_as_it_was() {
        let mut peer = Capabilities::default();
        assert_eq!((peer.max_message_size, peer.block_wise_transfer, peer.token_length), (1152, false, 8));
        for (body, expected) in [
            (&b"\x22\x20\x00"[..], (8_192, false, 8, false)),
            (b"\x40", (8_192, true, 8, true)),
            (b"\x61\x20", (8_192, true, 32, true)),
            (b"\x22\x04\x80", (1_152, true, 32, false)),
            (b"", (1_152, true, 32, false)),
        ] {
            let Ok(Signal::Csm(csm)) = read(Code::CSM, body) else { panic!("no CSM: {body:02x?}") };
            peer.apply(&csm);
            let found =
                (peer.max_message_size, peer.block_wise_transfer, peer.token_length, peer.takes_bert());
            assert_eq!(found, expected, "{body:02x?}");
        }
    }

    #[test]
    fn a_token_length_below_8_is_ignored_and_one_above_65804_is_cut() {
        let length = |body| match read(Code::CSM, body) {
            Ok(Signal::Csm(csm)) => csm.extended_token_length,
            other => panic!("no CSM: {other:?}"),
        };
        assert_eq!(length(b"\x61\x07"), None); // [RFC8974 2.2.1]
        assert_eq!(length(b"\x63\xFF\xFF\xFF"), Some(65_804));
    }

    #[test]
    fn a_csm_that_cannot_be_names_the_option_that_is_wrong() {
        for (body, option) in [
            (&b"\x25\x01\x00\x00\x00\x00"[..], 2),
            (b"\x20", 2),
            (b"\x41x", 4),
            (b"\x64\x01\x00\x00\x00", 6),
            (b"\x10", 1),
            (b"\xD0\xF0", 253),
        ] {
            let abort = read(Code::CSM, body).unwrap_err();
            assert_eq!(abort.bad_csm_option, Some(option), "{body:02x?}: {}", abort.diagnostic);
        }
        assert_eq!(read(Code::CSM, b"\x80"), Ok(Signal::Csm(Csm::default())), "elective and unknown");
    }

    #[test]
    fn an_unknown_critical_option_of_any_signal_is_an_error_and_an_elective_one_is_not() {
        for code in [Code::PING, Code::PONG, Code::RELEASE, Code::ABORT] {
            let abort = read(code, b"\x10").unwrap_err();
            assert_eq!((abort.bad_csm_option, abort.diagnostic.contains("option 1")), (None, true));
            assert!(read(code, b"\x80").is_ok(), "{code}");
        }
        assert!(read(Code(0xE0), b"").is_err() && read(Code(0xE6), b"").is_err());
    }

    #[test]
    fn release_and_abort_are_read_as_they_were_written() {
        let release = Release {
            alternative_addresses: vec!["other.example".to_owned(), "[::1]:5683".to_owned()],
            hold_off: Some(Duration::from_secs(60)),
            diagnostic: "Bye.".to_owned(),
        };
        let expected = b"\x2D\x00other.example\x0A[::1]:5683\x21\x3C\xFFBye.";
        assert_eq!(body(&Signal::Release(release.clone())), expected);
        assert_eq!(read(Code::RELEASE, expected), Ok(Signal::Release(release)));
        let abort = Abort { bad_csm_option: Some(257), diagnostic: "No.".to_owned() };
        assert_eq!(body(&Signal::Abort(abort.clone())), b"\x22\x01\x01\xFFNo.");
        assert_eq!(read(Code::ABORT, b"\x22\x01\x01\xFFNo."), Ok(Signal::Abort(abort)));
    }

    #[test]
    fn a_ping_is_that_of_the_standard() {
        let ping = Signal::Ping { custody: false }.write(Token::new(b"\x42"));
        assert_eq!((ping.code().0, ping.token().as_slice()), (0xE2, &b"\x42"[..])); // [RFC8323 5.7], figure 11
        assert_eq!(body(&Signal::Pong { custody: true }), b"\x20");
        assert_eq!(read(Code::PING, b"\x20"), Ok(Signal::Ping { custody: true }));
        assert_eq!(read(Code::PING, b"\x21x"), Ok(Signal::Ping { custody: false }), "it has a wrong form");
    }

    fn signals() -> impl Strategy<Value = Signal> {
        let text = || "[ -~]{0,40}";
        let csm = (prop::option::of(64_u32..), any::<bool>(), prop::option::of(8_u32..65_805)).prop_map(
            |(max_message_size, block_wise_transfer, extended_token_length)| {
                Signal::Csm(Csm { max_message_size, block_wise_transfer, extended_token_length })
            },
        );
        let release =
            (prop::collection::vec("[a-z:.]{1,255}", 0..4), prop::option::of(0_u64..0x100_0000), text());
        let release = release.prop_map(|(alternative_addresses, hold_off, diagnostic)| {
            let hold_off = hold_off.map(Duration::from_secs);
            Signal::Release(Release { alternative_addresses, hold_off, diagnostic })
        });
        let abort = (any::<Option<u16>>(), text());
        prop_oneof![
            csm,
            any::<bool>().prop_map(|custody| Signal::Ping { custody }),
            any::<bool>().prop_map(|custody| Signal::Pong { custody }),
            release,
            abort
                .prop_map(|(bad_csm_option, diagnostic)| Signal::Abort(Abort { bad_csm_option, diagnostic })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_signalled_is_read_as_it_was_written(signal in signals()) {
            let message = signal.write(Token::new(b"t"));
            let parts = message.encode_options_and_payload();
            let again = Message::from_parts(message.code(), Token::new(b"t"), &parts).unwrap();
            prop_assert_eq!(Signal::read(&again), Ok(signal));
        }

        #[test]
        fn whatever_is_signalled_is_read_or_an_error(detail in 0_u8..32, body in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(message) = Message::from_parts(Code::new(7, detail), Token::default(), &body) {
                let _ = Signal::read(&message);
            }
        }
    }
}
