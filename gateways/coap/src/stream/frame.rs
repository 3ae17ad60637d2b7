use std::fmt;

use crate::Code;

/// How messages stand in a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Each begins with its length [RFC8323 3.2].
    Tcp,
    /// Each is one message of a WebSocket, and says nothing of its length [RFC8323 4.2]. In the stream it stands
    /// behind its length, in four bytes.
    WebSocket,
}

/// One message as it stands in a stream; its options are not judged yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub code: Code,
    /// What the answer is found by.
    pub token: &'a [u8],
    /// The options, and behind them the payload.
    pub body: &'a [u8],
}

/// Bytes that are no message, so that nothing behind them can be read either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A longer message than allowed begins.
    #[error("a message of {announced} bytes is longer than the Max-Message-Size of {limit}")]
    TooLarge {
        /// How long it says it is, header included.
        announced: u64,
        /// How long it may be.
        limit: usize,
    },
    /// The reserved token length.
    #[error("the token length 15 is reserved")]
    ReservedTokenLength,
    /// A WebSocket message that says how long it is.
    #[error("the length in a WebSocket message must be 0")]
    LengthInWebSocket,
    /// A WebSocket message that ends within its header or token.
    #[error("the WebSocket message ends before its token does")]
    Short,
}

/// The bytes before a message of a WebSocket.
const PREFIX: usize = 4;

/// The first lengths that take one, two and four further bytes [RFC8323 3.2]; a token's take one and two
/// [RFC8974 2.1].
const ONE: usize = 13;
const TWO: usize = 269;
const FOUR: usize = 65_805;

impl Framing {
    /// Takes one message of at most `limit` bytes off the front of `input`, and tells how many bytes it had; `None`
    /// if more must come.
    ///
    /// Nothing is kept: the next call begins with the same bytes. A message that announces too much is refused
    /// before it has come.
    pub fn decode(self, input: &[u8], limit: usize) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
        match self {
            Self::Tcp => decode_tcp(input, limit),
            Self::WebSocket => decode_web_socket(input, limit),
        }
    }

    /// Appends a message.
    pub fn encode(self, frame: &Frame<'_>, to: &mut Vec<u8>) {
        let (token_nibble, token_length) = shorten(frame.token.len());
        match self {
            Self::Tcp => {
                let (nibble, length) = shorten(frame.body.len());
                to.push(nibble << 4 | token_nibble);
                to.extend(length);
            }
            Self::WebSocket => {
                let length = 2 + token_length.as_ref().len() + frame.token.len() + frame.body.len();
                to.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
                to.push(token_nibble);
            }
        }
        to.push(frame.code.0);
        to.extend(token_length);
        to.extend_from_slice(frame.token);
        to.extend_from_slice(frame.body);
    }

    /// How long a message is, header included and whatever stands before it left out: what a peer's
    /// Max-Message-Size counts [RFC8323 5.3.1].
    pub fn length(self, frame: &Frame<'_>) -> usize {
        let extended = |length| shorten(length).1.as_ref().len();
        let length = match self {
            Self::Tcp => extended(frame.body.len()),
            Self::WebSocket => 0,
        };
        2 + length + extended(frame.token.len()) + frame.token.len() + frame.body.len()
    }
}

fn decode_tcp(input: &[u8], limit: usize) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    let token_nibble = checked_token_nibble(first)?;
    let Some((length, rest)) = lengthen(first >> 4, rest) else { return Ok(None) };
    let before = input.len() - rest.len() + 1;
    // What it has in any case is judged before the token's length is there.
    check_size(before as u64 + length, limit)?;
    let Some((&code, rest)) = rest.split_first() else { return Ok(None) };
    let Some((token_length, rest)) = lengthen(token_nibble, rest) else { return Ok(None) };
    let header = input.len() - rest.len();
    let size = header as u64 + token_length + length;
    check_size(size, limit)?;
    let parts = split(rest, token_length).and_then(|(token, rest)| Some((token, split(rest, length)?)));
    let Some((token, (body, _))) = parts else { return Ok(None) };
    Ok(Some((Frame { code: Code(code), token, body }, header + token.len() + body.len())))
}

fn decode_web_socket(input: &[u8], limit: usize) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some((prefix, rest)) = input.split_first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u64::from(u32::from_be_bytes(*prefix));
    check_size(length, limit)?;
    let Some((message, _)) = split(rest, length) else { return Ok(None) };
    let [first, code, rest @ ..] = message else { return Err(FrameError::Short) };
    if first >> 4 != 0 {
        return Err(FrameError::LengthInWebSocket); // [RFC8323 4.2]
    }
    let token_nibble = checked_token_nibble(*first)?;
    let (token_length, rest) = lengthen(token_nibble, rest).ok_or(FrameError::Short)?;
    let (token, body) = split(rest, token_length).ok_or(FrameError::Short)?;
    Ok(Some((Frame { code: Code(*code), token, body }, PREFIX + message.len())))
}

fn checked_token_nibble(first: u8) -> Result<u8, FrameError> {
    match first & 0x0F {
        15 => Err(FrameError::ReservedTokenLength), // [RFC8974 2.1]
        nibble => Ok(nibble),
    }
}

fn check_size(announced: u64, limit: usize) -> Result<(), FrameError> {
    if announced > limit as u64 { Err(FrameError::TooLarge { announced, limit }) } else { Ok(()) }
}

fn split(bytes: &[u8], length: u64) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(usize::try_from(length).ok()?)
}

/// Reads the rest of a length whose first four bits these are.
fn lengthen(nibble: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    match (nibble, rest) {
        (13, [byte, rest @ ..]) => Some((u64::from(*byte) + ONE as u64, rest)),
        (14, [high, low, rest @ ..]) => {
            Some((u64::from(u16::from_be_bytes([*high, *low])) + TWO as u64, rest))
        }
        (15, [a, b, c, d, rest @ ..]) => {
            Some((u64::from(u32::from_be_bytes([*a, *b, *c, *d])) + FOUR as u64, rest))
        }
        (13..=15, _) => None,
        (small, rest) => Some((u64::from(small), rest)),
    }
}

/// Writes a length in as few bytes as it takes: its first four bits, and what follows.
fn shorten(length: usize) -> (u8, Extended) {
    let extended = |bytes: [u8; 4], used| Extended { bytes, used };
    let (bytes, nibble, used) = match length {
        0..ONE => return (length as u8, extended([0; 4], 0)),
        ONE..TWO => (length - ONE, 13, 1),
        TWO..FOUR => (length - TWO, 14, 2),
        _ => (length - FOUR, 15, 4),
    };
    let mut bytes = u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    bytes.rotate_right(used); // those that are used stand first
    (nibble, extended(bytes, used))
}

/// Up to four bytes.
struct Extended {
    bytes: [u8; 4],
    used: usize,
}

impl AsRef<[u8]> for Extended {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }
}

impl IntoIterator for Extended {
    type Item = u8;
    type IntoIter = std::iter::Take<std::array::IntoIter<u8, 4>>;

    fn into_iter(self) -> Self::IntoIter {
        self.bytes.into_iter().take(self.used)
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:02x?} {:02x?}", self.code, self.token, self.body)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn read(framing: Framing, bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
        framing.decode(bytes, LIMIT)
    }

    fn written(framing: Framing, frame: &Frame<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        framing.encode(frame, &mut bytes);
        bytes
    }

    #[test]
    fn a_message_of_a_code_and_a_token_has_three_bytes() {
        let valid = Frame { code: Code::VALID, token: b"\x7f", body: b"" };
        assert_eq!(written(Framing::Tcp, &valid), b"\x01\x43\x7f"); // [RFC8323 3.2], figure 5
        assert_eq!(read(Framing::Tcp, b"\x01\x43\x7f\x00"), Ok(Some((valid, 3))));
        assert_eq!(written(Framing::WebSocket, &valid), b"\0\0\0\x03\x01\x43\x7f");
        assert_eq!(read(Framing::WebSocket, b"\0\0\0\x03\x01\x43\x7f\x00"), Ok(Some((valid, 7))));
    }

    #[test]
    fn lengths_are_written_in_as_few_bytes_as_they_take() {
        let cases: [(usize, &[u8]); 7] = [
            (12, b"\xC0\x45"),
            (13, b"\xD0\x00\x45"),
            (268, b"\xD0\xFF\x45"),
            (269, b"\xE0\x00\x00\x45"),
            (65_804, b"\xE0\xFF\xFF\x45"),
            (65_805, b"\xF0\x00\x00\x00\x00\x45"),
            (65_805 + 256, b"\xF0\x00\x00\x01\x00\x45"),
        ];
        for (length, head) in cases {
            let body = vec![0x55; length];
            let frame = Frame { code: Code::CONTENT, token: b"", body: &body };
            let bytes = written(Framing::Tcp, &frame);
            assert_eq!(bytes[..head.len()], *head, "{length}");
            assert_eq!(bytes.len(), head.len() + length);
            assert_eq!(Framing::Tcp.length(&frame), bytes.len());
            assert_eq!(read(Framing::Tcp, &bytes), Ok(Some((frame, bytes.len()))));
        }
    }

    #[test]
    fn a_long_token_stands_behind_its_own_length() {
        let cases: [(usize, &[u8]); 4] = [
            (12, b"\x0C\x01"),
            (13, b"\x0D\x01\x00"),
            (269, b"\x0E\x01\x00\x00"),
            (65_804, b"\x0E\x01\xFF\xFF"),
        ];
        for (length, head) in cases {
            let token = vec![0xAA; length];
            let frame = Frame { code: Code::GET, token: &token, body: b"" };
            for (framing, before) in [(Framing::Tcp, 0), (Framing::WebSocket, PREFIX)] {
                let bytes = written(framing, &frame);
                assert_eq!(bytes[before..before + head.len()], *head, "{length}"); // [RFC8974 2.1]
                assert_eq!(framing.length(&frame) + before, bytes.len());
                assert_eq!(read(framing, &bytes), Ok(Some((frame, bytes.len()))));
            }
        }
        assert_eq!(read(Framing::Tcp, b"\x0F"), Err(FrameError::ReservedTokenLength));
        assert_eq!(read(Framing::WebSocket, b"\0\0\0\x02\x0F\x01"), Err(FrameError::ReservedTokenLength));
    }

    #[test]
    fn what_announces_too_much_is_refused_before_it_has_come() {
        let too_large = |announced, limit| Err(FrameError::TooLarge { announced, limit });
        assert_eq!(
            Framing::Tcp.decode(b"\xF0\xFF\xFF\xFF\xFF", 1152),
            too_large((1 << 32) - 1 + 65_811, 1152)
        );
        assert_eq!(Framing::Tcp.decode(b"\xE0\x04", 1152), Ok(None));
        assert_eq!(Framing::Tcp.decode(b"\xE0\x03\x6F", 1152), Ok(None), "1,152 bytes");
        assert_eq!(Framing::Tcp.decode(b"\xE0\x03\x70", 1152), too_large(1153, 1152));
        assert_eq!(Framing::Tcp.decode(b"\xE1\x03\x6F\x45", 1152), too_large(1153, 1152), "with its token");
        assert_eq!(Framing::Tcp.decode(b"\x0E\x01\xFF\xFF", 1152), too_large(65_808, 1152));
        assert_eq!(Framing::WebSocket.decode(b"\0\0\x04\x81", 1152), too_large(1153, 1152));
        assert_eq!(Framing::WebSocket.decode(b"\0\0\x04\x80", 1152), Ok(None));
    }

    #[test]
    fn a_web_socket_message_is_whole_and_says_no_length() {
        assert_eq!(read(Framing::WebSocket, b"\0\0\0\x03\x10\x01\x00"), Err(FrameError::LengthInWebSocket));
        assert_eq!(read(Framing::WebSocket, b"\0\0\0\x00"), Err(FrameError::Short));
        assert_eq!(read(Framing::WebSocket, b"\0\0\0\x01\x00"), Err(FrameError::Short));
        assert_eq!(read(Framing::WebSocket, b"\0\0\0\x03\x02\x01\xAA"), Err(FrameError::Short));
        assert_eq!(read(Framing::WebSocket, b"\0\0\0\x02\x0E\x01"), Err(FrameError::Short));
    }

    fn framing() -> impl Strategy<Value = Framing> {
        prop_oneof![Just(Framing::Tcp), Just(Framing::WebSocket)]
    }

    /// Lengths around those where the form changes.
    fn length(most: usize) -> impl Strategy<Value = usize> {
        let near = |at: usize| (at.saturating_sub(3)..at + 3).prop_map(move |length| length.min(most));
        prop_oneof![0..=most, near(13), near(269), near(65_805), near(most)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_every_beginning_of_it_awaits_more(
            framing in framing(), code: u8, token in length(65_804), body in length(70_000), cut: prop::sample::Index,
        ) {
            let (token, body) = (vec![0x11; token], vec![0x22; body]);
            let frame = Frame { code: Code(code), token: &token, body: &body };
            let bytes = written(framing, &frame);
            prop_assert_eq!(read(framing, &bytes), Ok(Some((frame, bytes.len()))));
            let beginning = &bytes[..cut.index(bytes.len())];
            prop_assert_eq!(read(framing, beginning), Ok(None));
        }

        #[test]
        fn whatever_comes_is_a_message_an_error_or_too_little(
            framing in framing(), bytes in prop::collection::vec(any::<u8>(), 0..600), limit in 0_usize..600,
        ) {
            if let Ok(Some((frame, taken))) = framing.decode(&bytes, limit) {
                prop_assert!(taken <= bytes.len() && framing.length(&frame) <= limit);
                let again = written(framing, &frame);
                prop_assert_eq!(&again, &bytes[..taken], "there is one form only");
            }
        }
    }
}
