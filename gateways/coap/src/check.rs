//! What must be true of a datagram before the packet parser sees it.
//!
//! The parser of `coap-lite` looks at neither version nor code class, takes an empty message with a body and
//! a payload marker without payload, and allocates for every option, however many there are.

use crate::token::token_range;
use crate::{Code, Kind};

/// As many options as the longest topic, the longest query and all others make together.
const MOST_OPTIONS: usize = 400;

const HEADER: usize = 4;
pub(crate) const PAYLOAD_MARKER: u8 = 0xFF;

/// Why a datagram is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Too short for a header, or of another version: to be ignored without an answer [RFC7252 3].
    #[error("is no CoAP version 1")]
    Foreign,
    /// A message format error: a confirmable message is answered with a Reset [RFC7252 4.2].
    #[error("{detail}")]
    Format {
        /// What the header says it is.
        kind: Kind,
        /// Its message id.
        id: u16,
        /// What is wrong.
        detail: &'static str,
    },
}

/// Walks the whole datagram without allocating.
pub(crate) fn check(datagram: &[u8]) -> Result<(), DecodeError> {
    let Some((&[first, code, high, low], rest)) = datagram.split_first_chunk::<HEADER>() else {
        return Err(DecodeError::Foreign);
    };
    if first >> 6 != 1 {
        return Err(DecodeError::Foreign); // [RFC7252 3]: other versions are silently ignored
    }
    let (kind, id) = (Kind::from_bits(first >> 4), u16::from_be_bytes([high, low]));
    let code = Code(code);
    check_rest(kind, code, first & 0x0F, rest).map_err(|detail| DecodeError::Format { kind, id, detail })
}

fn check_rest(kind: Kind, code: Code, token_length: u8, rest: &[u8]) -> Result<(), &'static str> {
    if code == Code::EMPTY {
        let empty = token_length == 0 && rest.is_empty();
        return if empty { Ok(()) } else { Err("is an empty message with something in it") }; // [RFC7252 4.1]
    }
    match kind {
        _ if !code.is_request() && !code.is_response() => Err("has a code of a reserved class"), // [RFC7252 4.2]
        Kind::Acknowledgement if code.is_request() => Err("is an acknowledgement with a request"),
        Kind::Reset => Err("is a reset that is not empty"), // [RFC7252 4.2]
        _ => {
            let (_, end) = token_range(token_length, rest)?;
            check_options(rest.get(end..).unwrap_or_default())
        }
    }
}

/// The numbers and values of a datagram's options, as far as their shape is right; without allocating.
pub(crate) fn options(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let (first, behind) = (datagram.first().map_or(0, |first| first & 0x0F), datagram.get(HEADER..));
    let behind = behind.unwrap_or_default();
    let token_end = token_range(first, behind).map_or(behind.len(), |(_, end)| end);
    let mut rest = behind.get(token_end..).unwrap_or_default();
    let mut number = 0_u16;
    std::iter::from_fn(move || {
        let (delta, value, behind) = next_option(rest).ok()??;
        (number, rest) = (number.checked_add(delta)?, behind);
        Some((number, value))
    })
}

pub(crate) fn check_options(mut rest: &[u8]) -> Result<(), &'static str> {
    let (mut number, mut count) = (0_u16, 0);
    while let Some((delta, _, behind)) = next_option(rest)? {
        number = number.checked_add(delta).ok_or("has an option number above 65,535")?;
        rest = behind;
        count += 1;
        if count > MOST_OPTIONS {
            return Err("has too many options");
        }
    }
    Ok(())
}

/// Reads one option: its delta, its value, and what follows. `None` stands for the end or the payload.
#[expect(clippy::type_complexity, reason = "the parts of one option")]
fn next_option(rest: &[u8]) -> Result<Option<(u16, &[u8], &[u8])>, &'static str> {
    let Some((&head, behind)) = rest.split_first() else { return Ok(None) };
    if head == PAYLOAD_MARKER {
        let empty = behind.is_empty(); // [RFC7252 3]
        return if empty { Err("has a payload marker and no payload") } else { Ok(None) };
    }
    let (delta, behind) = extended(head >> 4, behind)?;
    let (length, behind) = extended(head & 0x0F, behind)?;
    let (value, behind) = behind.split_at_checked(length.into()).ok_or("ends within an option")?;
    Ok(Some((delta, value, behind)))
}

/// Reads an option's delta or length [RFC7252 3.1].
fn extended(nibble: u8, rest: &[u8]) -> Result<(u16, &[u8]), &'static str> {
    match (nibble, rest) {
        (15, _) => Err("has a reserved option delta or length"),
        (14, [high, low, rest @ ..]) => {
            let value = u16::from_be_bytes([*high, *low]).checked_add(269);
            Ok((value.ok_or("has an option delta or length above 65,535")?, rest))
        }
        (13, [byte, rest @ ..]) => Ok((u16::from(*byte) + 13, rest)),
        (13 | 14, _) => Err("ends within an option"),
        (small, rest) => Ok((u16::from(small), rest)),
    }
}
