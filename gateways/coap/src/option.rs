/// The number of an option [RFC7252 12.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OptionNumber(pub u16);

#[expect(missing_docs, reason = "the names are those of the registry")]
impl OptionNumber {
    pub const IF_MATCH: Self = Self(1);
    pub const URI_HOST: Self = Self(3);
    pub const ETAG: Self = Self(4);
    pub const IF_NONE_MATCH: Self = Self(5);
    pub const OBSERVE: Self = Self(6);
    pub const URI_PORT: Self = Self(7);
    pub const LOCATION_PATH: Self = Self(8);
    pub const OSCORE: Self = Self(9);
    pub const URI_PATH: Self = Self(11);
    pub const CONTENT_FORMAT: Self = Self(12);
    pub const MAX_AGE: Self = Self(14);
    pub const URI_QUERY: Self = Self(15);
    pub const HOP_LIMIT: Self = Self(16);
    pub const ACCEPT: Self = Self(17);
    pub const Q_BLOCK1: Self = Self(19);
    pub const LOCATION_QUERY: Self = Self(20);
    pub const BLOCK2: Self = Self(23);
    pub const BLOCK1: Self = Self(27);
    pub const SIZE2: Self = Self(28);
    pub const Q_BLOCK2: Self = Self(31);
    pub const PROXY_URI: Self = Self(35);
    pub const PROXY_SCHEME: Self = Self(39);
    pub const SIZE1: Self = Self(60);
    pub const ECHO: Self = Self(252);
    pub const NO_RESPONSE: Self = Self(258);
    pub const REQUEST_TAG: Self = Self(292);
}

/// What a known option may look like.
struct Definition {
    number: u16,
    repeatable: bool,
    text: bool,
    shortest: usize,
    longest: usize,
}

const fn define(number: u16, repeatable: bool, text: bool, shortest: usize, longest: usize) -> Definition {
    Definition { number, repeatable, text, shortest, longest }
}

/// The options this crate knows.
const KNOWN: [Definition; 26] = [
    define(1, true, false, 0, 8),      // If-Match
    define(3, false, true, 1, 255),    // Uri-Host
    define(4, true, false, 1, 8),      // ETag
    define(5, false, false, 0, 0),     // If-None-Match
    define(6, false, false, 0, 3),     // Observe
    define(7, false, false, 0, 2),     // Uri-Port
    define(8, true, true, 0, 255),     // Location-Path
    define(9, false, false, 0, 255),   // OSCORE
    define(11, true, true, 0, 255),    // Uri-Path
    define(12, false, false, 0, 2),    // Content-Format
    define(14, false, false, 0, 4),    // Max-Age
    define(15, true, true, 0, 255),    // Uri-Query
    define(16, false, false, 1, 1),    // Hop-Limit
    define(17, false, false, 0, 2),    // Accept
    define(19, false, false, 0, 3),    // Q-Block1
    define(20, true, true, 0, 255),    // Location-Query
    define(23, false, false, 0, 3),    // Block2
    define(27, false, false, 0, 3),    // Block1
    define(28, false, false, 0, 4),    // Size2
    define(31, true, false, 0, 3),     // Q-Block2
    define(35, false, true, 1, 1_034), // Proxy-Uri
    define(39, false, true, 1, 255),   // Proxy-Scheme
    define(60, false, false, 0, 4),    // Size1
    define(252, false, false, 1, 40),  // Echo
    define(258, false, false, 0, 1),   // No-Response
    define(292, true, false, 0, 8),    // Request-Tag
];

impl OptionNumber {
    /// Whether a message with this option must be rejected by whoever does not know it [RFC7252 5.4.6].
    pub const fn is_critical(self) -> bool {
        self.0 & 1 == 1
    }

    /// Whether it belongs to a transfer in Q-Blocks [RFC9177].
    pub(crate) fn is_q_block(self) -> bool {
        matches!(self, Self::Q_BLOCK1 | Self::Q_BLOCK2)
    }

    /// Whether requests that differ in it alone are the same to a cache [RFC7252 5.4.2].
    pub(crate) const fn is_no_cache_key(self) -> bool {
        self.0 & 0x1E == 0x1C
    }

    /// Whether an option of this number may have `value`, standing behind `before` others of the same
    /// number. One that may not counts as unknown [RFC7252 5.4.3], [RFC7252 5.4.5].
    pub(crate) fn permits(self, value: &[u8], before: usize) -> bool {
        KNOWN.iter().find(|known| known.number == self.0).is_some_and(|known| {
            (known.shortest..=known.longest).contains(&value.len())
                && (known.repeatable || before == 0)
                && (!known.text || std::str::from_utf8(value).is_ok())
        })
    }
}

/// One block of a larger body, as the options Block1 and Block2 say it [RFC7959 2.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which block, from 0.
    pub number: u32,
    /// Whether more follow.
    pub more: bool,
    /// The size as a power of two: 0 for 16 bytes to 6 for 1,024; 7 is reserved.
    pub exponent: u8,
}

impl Block {
    /// The number of bytes in a block, unless the exponent is the reserved one.
    pub fn size(self) -> Option<usize> {
        (self.exponent < 7).then(|| 16 << self.exponent)
    }

    /// Reads the option's number.
    pub fn from_uint(value: u32) -> Self {
        Self { number: value >> 4, more: value & 8 != 0, exponent: (value & 7) as u8 }
    }

    /// Writes the option's number.
    pub fn to_uint(self) -> u32 {
        self.number << 4 | u32::from(self.more) << 3 | u32::from(self.exponent & 7)
    }
}

/// Reads an option of format uint; leading zeros are allowed [RFC7252 3.2].
pub(crate) fn read_uint(value: &[u8]) -> Option<u32> {
    (value.len() <= 4).then(|| value.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// Writes an option of format uint in as few bytes as it takes [RFC7252 3.2].
pub(crate) fn write_uint(number: u32) -> Vec<u8> {
    number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_leading_zeros() {
        assert_eq!(write_uint(0), b"");
        assert_eq!(write_uint(60), [60]);
        assert_eq!(write_uint(0x01_0000), [1, 0, 0]);
        assert_eq!(read_uint(&[0, 0, 60]), Some(60));
        assert_eq!(read_uint(&[0; 5]), None);
    }

    #[test]
    fn an_option_that_is_unknown_too_long_repeated_or_no_text_is_not_permitted() {
        assert!(OptionNumber::URI_PATH.permits(b"ps", 3));
        assert!(!OptionNumber::URI_PATH.permits(&[b'a'; 256], 0));
        assert!(!OptionNumber::URI_PATH.permits(b"\xFF", 0));
        assert!(!OptionNumber::ACCEPT.permits(b"", 1));
        assert!(!OptionNumber(65_001).permits(b"", 0));
        assert!(OptionNumber(65_001).is_critical() && !OptionNumber::OBSERVE.is_critical());
    }

    #[test]
    fn a_block_is_read_as_it_was_written() {
        let block = Block { number: 5, more: true, exponent: 6 };
        assert_eq!((block.to_uint(), Block::from_uint(0x5E), block.size()), (0x5E, block, Some(1_024)));
        assert_eq!(Block::from_uint(7).size(), None);
    }
}
