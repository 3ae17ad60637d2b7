use std::fmt;
use std::sync::Arc;

/// What a client chose to find the answers to its request by: usually up to 8 bytes, up to 65,804 where extended
/// tokens are taken [RFC8974 2.1].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(Bytes);

/// A token of up to 8 bytes costs no allocation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Bytes {
    Short { bytes: [u8; Token::SHORT], length: u8 },
    Long(Arc<[u8]>),
}

impl Token {
    /// As long as a token is for those who know RFC 7252 alone.
    pub(crate) const SHORT: usize = 8;

    /// As many bytes as an extended token length can say [RFC8974 2.1].
    pub const LONGEST: usize = 65_804;

    /// Takes the first 65,804 bytes.
    pub fn new(token: &[u8]) -> Self {
        let token = token.get(..Self::LONGEST).unwrap_or(token);
        let mut bytes = [0; Self::SHORT];
        match bytes.get_mut(..token.len()) {
            Some(start) => {
                start.copy_from_slice(token);
                Self(Bytes::Short { bytes, length: token.len() as u8 })
            }
            None => Self(Bytes::Long(token.into())),
        }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short { bytes, length } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Bytes::Long(bytes) => bytes,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// What stands in the TKL field, and the extended length behind the header [RFC8974 2.1].
    pub(crate) fn length_field(&self) -> (u8, Vec<u8>) {
        match self.len() {
            length @ 0..13 => (length as u8, Vec::new()),
            length @ 13..269 => (13, vec![(length - 13) as u8]),
            length => (14, ((length - 269) as u16).to_be_bytes().to_vec()),
        }
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where the token lies behind a header whose TKL field is `field`: its start and its end [RFC8974 2.1].
pub(crate) fn token_range(field: u8, behind: &[u8]) -> Result<(usize, usize), &'static str> {
    let (start, length) = match (field, behind) {
        (0..13, _) => (0, usize::from(field)),
        (13, [length, ..]) => (1, usize::from(*length) + 13),
        (14, [high, low, ..]) => (2, usize::from(u16::from_be_bytes([*high, *low])) + 269),
        (13 | 14, _) => return Err("ends within the length of its token"),
        _ => return Err("has a reserved token length"),
    };
    let end = start + length;
    if end > behind.len() { Err("ends within its token") } else { Ok((start, end)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_any_length_is_found_where_its_length_says() {
        for length in [0, 8, 9, 12, 13, 268, 269, 65_804] {
            let token = Token::new(&vec![7; length]);
            let (field, extended) = token.length_field();
            let behind = [&extended, token.as_slice(), b"rest"].concat();
            let (start, end) = token_range(field, &behind).unwrap();
            assert_eq!((&behind[start..end], &behind[end..]), (token.as_slice(), &b"rest"[..]));
        }
        assert!(token_range(15, &[0; 100]).is_err());
        assert!(token_range(13, &[]).is_err() && token_range(13, &[0; 13]).is_err());
    }
}
