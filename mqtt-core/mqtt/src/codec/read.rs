use std::num::NonZeroU16;

use super::DecodeError;

/// What is left of a packet.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable byte integer in as few bytes as it needs [MQTT-1.5.5-1].
    pub(crate) fn variable(&mut self) -> Result<u32, DecodeError> {
        match variable(self.rest)? {
            None => Err(DecodeError::Truncated),
            Some(Variable { minimal: false, .. }) => Err(DecodeError::VariableInteger),
            Some(Variable { value, length, .. }) => {
                self.take(length)?;
                Ok(value)
            }
        }
    }

    pub(crate) fn packet_id(&mut self) -> Result<NonZeroU16, DecodeError> {
        NonZeroU16::new(self.u16()?).ok_or(DecodeError::ZeroPacketId) // [MQTT-2.2.1-3]
    }

    /// Bytes behind their length of two bytes.
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// UTF-8 without surrogates and without U+0000.
    pub(crate) fn string(&mut self) -> Result<&'a str, DecodeError> {
        self.binary().and_then(text)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// Bytes as text, without surrogates and without U+0000.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8)?; // [MQTT-1.5.4-1]
    if bytes.contains(&0) {
        return Err(DecodeError::Nul); // [MQTT-1.5.4-2]
    }
    Ok(text)
}

/// A variable byte integer as it was found.
pub(crate) struct Variable {
    pub(crate) value: u32,
    pub(crate) length: usize,
    pub(crate) minimal: bool,
}

/// Reads a variable byte integer; `None` if it is not complete.
pub(crate) fn variable(input: &[u8]) -> Result<Option<Variable>, DecodeError> {
    let mut value = 0;
    for (index, byte) in input.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let minimal = index == 0 || *byte != 0;
            return Ok(Some(Variable { value, length: index + 1, minimal }));
        }
    }
    if input.len() >= 4 { Err(DecodeError::VariableInteger) } else { Ok(None) }
}
