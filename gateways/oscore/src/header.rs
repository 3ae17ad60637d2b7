use std::fmt;

const PARTIAL_IV_LENGTH: u8 = 0b0000_0111;
const KID: u8 = 0b0000_1000;
const KID_CONTEXT: u8 = 0b0001_0000;
const RESERVED: u8 = 0b1110_0000;

/// The value of the OSCORE option: what the compressed COSE object says of itself [RFC8613 6.1].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The number of the message, by which its nonce is unique.
    pub partial_iv: Option<PartialIv>,
    /// The ID Context.
    pub kid_context: Option<Vec<u8>>,
    /// The Sender ID of who encrypted.
    pub kid: Option<Vec<u8>>,
}

/// A Sender Sequence Number, below 2^40.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartialIv(u64);

/// What is wrong with the value of an OSCORE option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A flag bit that means nothing yet.
    #[error("has a reserved flag bit")]
    ReservedFlag,
    /// A Partial IV of 6 or 7 bytes.
    #[error("has a Partial IV longer than 5 bytes")]
    PartialIvTooLong,
    /// A Partial IV with leading zeros.
    #[error("has a Partial IV with leading zeros")]
    PartialIvPadded,
    /// It ends before what its flags announce.
    #[error("ends too early")]
    Truncated,
    /// It goes on behind what its flags announce.
    #[error("has bytes that no flag announces")]
    Superfluous,
    /// All flags are zero, where the value has to be empty.
    #[error("has flags of zero in place of an empty value")]
    ZeroFlags,
}

impl PartialIv {
    /// The largest.
    pub const MAX: Self = Self((1 << 40) - 1);

    /// Takes a number below 2^40.
    pub fn new(number: u64) -> Option<Self> {
        (number <= Self::MAX.0).then_some(Self(number))
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The bytes without leading zeros; one zero for 0 [RFC8613 5].
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let zeros = (self.0.leading_zeros() / 8).min(7) as usize;
        self.0.to_be_bytes().into_iter().skip(zeros).collect()
    }

    /// The bytes with all leading zeros [RFC8613 5.2].
    pub(crate) fn padded(self) -> [u8; 5] {
        let [_, _, _, padded @ ..] = self.0.to_be_bytes();
        padded
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() > 1 && bytes.first() == Some(&0) {
            return Err(HeaderError::PartialIvPadded); // [RFC8613 5]
        }
        Ok(Self(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))))
    }
}

impl fmt::Debug for PartialIv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Header {
    /// Reads the option's value.
    pub fn decode(value: &[u8]) -> Result<Self, HeaderError> {
        let Some((&flags, rest)) = value.split_first() else { return Ok(Self::default()) };
        if flags & RESERVED != 0 {
            return Err(HeaderError::ReservedFlag); // [RFC8613 6.1]
        }
        if flags == 0 {
            return Err(HeaderError::ZeroFlags); // [RFC8613 2]
        }
        let length = flags & PARTIAL_IV_LENGTH;
        if length > 5 {
            return Err(HeaderError::PartialIvTooLong); // [RFC8613 6.1]
        }
        let (partial_iv, mut rest) = rest.split_at_checked(length.into()).ok_or(HeaderError::Truncated)?;
        let partial_iv = (length > 0).then(|| PartialIv::from_bytes(partial_iv)).transpose()?;
        let mut kid_context = None;
        if flags & KID_CONTEXT != 0 {
            let (&length, behind) = rest.split_first().ok_or(HeaderError::Truncated)?;
            let (value, behind) = behind.split_at_checked(length.into()).ok_or(HeaderError::Truncated)?;
            (kid_context, rest) = (Some(value.to_vec()), behind);
        }
        let kid = (flags & KID != 0).then(|| rest.to_vec());
        if kid.is_none() && !rest.is_empty() {
            return Err(HeaderError::Superfluous);
        }
        Ok(Self { partial_iv, kid_context, kid })
    }

    /// Writes the option's value. A kid context of more than 255 bytes cannot be written and is left out.
    pub fn encode(&self) -> Vec<u8> {
        let partial_iv = self.partial_iv.map(PartialIv::to_bytes).unwrap_or_default();
        let kid_context = self.kid_context.as_deref().and_then(|id| Some((u8::try_from(id.len()).ok()?, id)));
        let mut flags = partial_iv.len() as u8;
        flags |= if self.kid.is_some() { KID } else { 0 };
        flags |= if kid_context.is_some() { KID_CONTEXT } else { 0 };
        if flags == 0 {
            return Vec::new(); // [RFC8613 2]
        }
        let mut value = vec![flags];
        value.extend(partial_iv);
        if let Some((length, id)) = kid_context {
            value.push(length);
            value.extend(id);
        }
        value.extend(self.kid.as_deref().unwrap_or_default()); // [RFC8613 6.1]: the kid is last
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(partial_iv: Option<u64>, kid_context: Option<&[u8]>, kid: Option<&[u8]>) -> Header {
        Header {
            partial_iv: partial_iv.map(PartialIv),
            kid_context: kid_context.map(<[u8]>::to_vec),
            kid: kid.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn the_examples_of_the_standard_are_read_and_written() {
        let examples: [(&[u8], Header); 5] = [
            (&[0x09, 0x05, 0x25], header(Some(5), None, Some(&[0x25]))),
            (&[0x09, 0x00], header(Some(0), None, Some(&[]))),
            (b"\x19\x05\x05\x44\x61\x6c\x65\x6b", header(Some(5), Some(b"Dalek"), Some(&[]))),
            (&[], header(None, None, None)),
            (&[0x01, 0x07], header(Some(7), None, None)),
        ];
        for (bytes, header) in examples {
            assert_eq!(Header::decode(bytes).as_ref(), Ok(&header));
            assert_eq!(header.encode(), bytes);
        }
    }

    #[test]
    fn a_partial_iv_has_no_leading_zeros_but_for_zero_itself() {
        assert_eq!(PartialIv(0).to_bytes(), [0]);
        assert_eq!(PartialIv(0x0100).to_bytes(), [1, 0]);
        assert_eq!(PartialIv::MAX.to_bytes(), [0xFF; 5]);
        assert_eq!(PartialIv::new(1 << 40), None);
        assert_eq!(Header::decode(&[0x0A, 0x00, 0x05]), Err(HeaderError::PartialIvPadded));
    }

    #[test]
    fn a_reserved_bit_a_reserved_length_and_what_is_cut_off_are_malformed() {
        for bit in [0x20, 0x40, 0x80] {
            assert_eq!(Header::decode(&[0x09 | bit, 0x05]), Err(HeaderError::ReservedFlag));
        }
        for length in [6, 7] {
            assert_eq!(
                Header::decode(&[0x08 | length, 1, 1, 1, 1, 1, 1, 1]),
                Err(HeaderError::PartialIvTooLong)
            );
        }
        assert_eq!(Header::decode(&[0x00]), Err(HeaderError::ZeroFlags));
        assert_eq!(Header::decode(&[0x02, 0x05]), Err(HeaderError::Truncated));
        assert_eq!(Header::decode(&[0x19, 0x05]), Err(HeaderError::Truncated));
        assert_eq!(Header::decode(&[0x19, 0x05, 0x03, 1, 2]), Err(HeaderError::Truncated));
        assert_eq!(Header::decode(&[0x01, 0x05, 0x25]), Err(HeaderError::Superfluous));
    }
}
