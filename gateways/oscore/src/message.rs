/// As many options as a message may have.
const MOST_OPTIONS: usize = 400;

const PAYLOAD_MARKER: u8 = 0xFF;

/// What OSCORE works on: a CoAP message without what belongs to its carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Method or response code: `0x45` for 2.05.
    pub code: u8,
    /// Numbers and values. Those of one number keep their order; otherwise any order does.
    pub options: Vec<(u16, Vec<u8>)>,
    /// The payload, empty if there is none.
    pub payload: Vec<u8>,
}

/// What is wrong with what was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MessageError(pub &'static str);

impl Message {
    /// A message without options and payload.
    pub fn new(code: u8) -> Self {
        Self { code, ..Self::default() }
    }

    /// The same with one more option.
    pub fn with(mut self, number: u16, value: impl Into<Vec<u8>>) -> Self {
        self.options.push((number, value.into()));
        self
    }

    /// The value of the first option with this number.
    pub fn option(&self, number: u16) -> Option<&[u8]> {
        self.values(number).next()
    }

    /// Whether it is a request: a method.
    pub fn is_request(&self) -> bool {
        self.code != 0 && self.code >> 5 == 0
    }

    /// Whether it is an answer, good or bad.
    pub fn is_response(&self) -> bool {
        matches!(self.code >> 5, 2 | 4 | 5)
    }

    /// Whether it is a good answer.
    pub fn is_success(&self) -> bool {
        self.code >> 5 == 2
    }

    pub(crate) fn values(&self, number: u16) -> impl Iterator<Item = &[u8]> {
        self.options.iter().filter(move |(own, _)| *own == number).map(|(_, value)| value.as_slice())
    }

    pub(crate) fn remove(&mut self, number: u16) {
        self.options.retain(|(own, _)| *own != number);
    }

    /// Writes code, options and payload as they are encrypted [RFC8613 5.3].
    pub(crate) fn to_plaintext(&self) -> Vec<u8> {
        let mut options: Vec<&(u16, Vec<u8>)> = self.options.iter().collect();
        options.sort_by_key(|(number, _)| *number);
        let mut plaintext = vec![self.code];
        let mut before = 0;
        for (number, value) in options {
            write_option(number - before, value, &mut plaintext);
            before = *number;
        }
        if !self.payload.is_empty() {
            plaintext.push(PAYLOAD_MARKER);
            plaintext.extend_from_slice(&self.payload);
        }
        plaintext
    }

    /// Reads what was encrypted.
    pub(crate) fn from_plaintext(plaintext: &[u8]) -> Result<Self, MessageError> {
        let (&code, mut rest) = plaintext.split_first().ok_or(MessageError("is empty"))?;
        let mut message = Self::new(code);
        let mut number = 0_u16;
        while let Some((&head, behind)) = rest.split_first() {
            if head == PAYLOAD_MARKER {
                if behind.is_empty() {
                    return Err(MessageError("has a payload marker and no payload")); // [RFC7252 3]
                }
                message.payload = behind.to_vec();
                break;
            }
            let (delta, behind) = read_extended(head >> 4, behind)?;
            let (length, behind) = read_extended(head & 0x0F, behind)?;
            let (value, behind) =
                behind.split_at_checked(length.into()).ok_or(MessageError("ends within an option"))?;
            number = number.checked_add(delta).ok_or(MessageError("has an option number above 65,535"))?;
            if message.options.len() >= MOST_OPTIONS {
                return Err(MessageError("has too many options"));
            }
            message.options.push((number, value.to_vec()));
            rest = behind;
        }
        Ok(message)
    }
}

/// Writes one option [RFC7252 3.1]. A value of more than 65,804 bytes has no place in an option and is cut.
fn write_option(delta: u16, value: &[u8], to: &mut Vec<u8>) {
    let value = value.get(..65_804).unwrap_or(value);
    let (delta, delta_behind) = extended(delta.into());
    let (length, length_behind) = extended(value.len());
    to.push(delta << 4 | length);
    to.extend(delta_behind);
    to.extend(length_behind);
    to.extend_from_slice(value);
}

fn extended(value: usize) -> (u8, Vec<u8>) {
    match value {
        0..13 => (value as u8, Vec::new()),
        13..269 => (13, vec![(value - 13) as u8]),
        _ => (14, ((value - 269) as u16).to_be_bytes().to_vec()),
    }
}

/// Reads an option's delta or length [RFC7252 3.1].
fn read_extended(nibble: u8, rest: &[u8]) -> Result<(u16, &[u8]), MessageError> {
    match (nibble, rest) {
        (15, _) => Err(MessageError("has a reserved option delta or length")),
        (14, [high, low, rest @ ..]) => {
            let value = u16::from_be_bytes([*high, *low]).checked_add(269);
            Ok((value.ok_or(MessageError("has an option delta or length above 65,535"))?, rest))
        }
        (13, [byte, rest @ ..]) => Ok((u16::from(*byte) + 13, rest)),
        (13 | 14, _) => Err(MessageError("ends within an option")),
        (small, rest) => Ok((u16::from(small), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_written_in_order_as_differences() {
        let message = Message::new(0x01).with(292, [1]).with(11, *b"tv1").with(11, *b"x").with(6, []);
        let plaintext = message.to_plaintext();
        assert_eq!(plaintext, b"\x01\x60\x53tv1\x01x\xE1\x00\x0C\x01");
        let read = Message::from_plaintext(&plaintext).unwrap();
        assert_eq!(read.options.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [6, 11, 11, 292]);
        assert_eq!(read.to_plaintext(), plaintext);
    }

    #[test]
    fn what_is_cut_off_or_reserved_is_no_plaintext() {
        for bytes in [&[][..], &[1, 0xFF], &[1, 0xF0], &[1, 0xB5, 1], &[1, 0xD0], &[1, 0xE0, 0xFF, 0xFF]] {
            assert!(Message::from_plaintext(bytes).is_err(), "{bytes:?}");
        }
        let many = [&[1][..], &[0; 401]].concat();
        assert_eq!(Message::from_plaintext(&many), Err(MessageError("has too many options")));
        assert!(Message::from_plaintext(&many[..401]).is_ok());
    }

    #[test]
    fn long_values_survive() {
        for length in [12, 13, 268, 269, 65_000] {
            let message = Message { payload: vec![1], ..Message::new(0x45).with(60_000, vec![7; length]) };
            assert_eq!(Message::from_plaintext(&message.to_plaintext()), Ok(message));
        }
    }
}
