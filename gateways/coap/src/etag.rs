use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use bus::{ContentFormat, Message as Published, UserProperty};

use crate::{Message, OptionNumber};

/// The user property that carries an ETag over the bus, in hexadecimal.
const PROPERTY: &str = "coap-etag";

/// What tells one representation of a resource from another: 1 to 8 bytes [RFC7252 5.10.6].
///
/// The answers and notifications of a topic carry the one that [`ETag::of`] finds, and in Q-Blocks one that is made of the
/// payload; conditional requests compare with both.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ETag {
    bytes: [u8; 8],
    length: u8,
}

impl ETag {
    /// Takes an option's value; `None` unless it has 1 to 8 bytes.
    pub fn new(value: &[u8]) -> Option<Self> {
        let mut bytes = [0; 8];
        bytes.get_mut(..value.len()).filter(|_| !value.is_empty())?.copy_from_slice(value);
        Some(Self { bytes, length: value.len() as u8 })
    }

    /// The tag of a message: its publisher's, or else one made of its payload and format.
    pub fn of(published: &Published) -> Self {
        let given = published
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.user_properties.iter().find(|(name, _)| &**name == PROPERTY));
        let given = given.and_then(|(_, value)| Self::from_hex(value));
        given.unwrap_or_else(|| Self::made_of(crate::content::format(published), &published.payload))
    }

    /// Whether it tells a message from others: it is the one of [`ETag::of`], or the one that its payload has in Q-Blocks.
    pub(crate) fn is_of(self, published: &Published) -> bool {
        self == Self::of(published)
            || self == Self::made_of(crate::content::format(published), &published.payload)
    }

    /// The tag of what nobody has tagged: 4 bytes made of the payload and its format.
    pub(crate) fn made_of(format: Option<ContentFormat>, payload: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(payload);
        hasher.write_u32(format.map_or(u32::MAX, |format| format.0.into()));
        let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
        Self { bytes: [a, b, c, d, 0, 0, 0, 0], length: 4 }
    }

    /// The tag that a publish gives to its payload: exactly one ETag option.
    pub(crate) fn given(request: &Message) -> Option<Self> {
        let mut tags = request.options(OptionNumber::ETAG);
        tags.next().filter(|_| tags.next().is_none()).and_then(Self::new)
    }

    /// The tags that a client says it has.
    pub(crate) fn all(request: &Message) -> Vec<Self> {
        request.options(OptionNumber::ETAG).filter_map(Self::new).collect()
    }

    /// How the tag crosses the bus.
    pub(crate) fn to_property(self) -> UserProperty {
        (PROPERTY.into(), format!("{self}").into())
    }

    /// The option's value.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    fn from_hex(text: &str) -> Option<Self> {
        if !text.len().is_multiple_of(2)
            || text.len() > 16
            || !text.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return None;
        }
        let number = u64::from_str_radix(text, 16).ok()?;
        let length = text.len() / 2;
        Self::new(number.to_be_bytes().get(8 - length..)?)
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_one_to_eight_bytes_and_crosses_the_bus_in_hexadecimal() {
        for value in [&[0][..], &[0, 0xA1], &[0xFF; 8]] {
            let tag = ETag::new(value).unwrap();
            assert_eq!((tag.as_slice(), ETag::from_hex(&tag.to_property().1)), (value, Some(tag)));
        }
        assert_eq!((ETag::new(&[]), ETag::new(&[1; 9])), (None, None));
        for bad in ["", "a", "+1", "zz", "00112233445566778899"] {
            assert_eq!(ETag::from_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_same_bytes_in_another_format_have_another_tag() {
        let json = ETag::made_of(Some(ContentFormat::JSON), b"1");
        assert_eq!(json, ETag::made_of(Some(ContentFormat::JSON), b"1"));
        assert_ne!(json, ETag::made_of(None, b"1"));
        assert_ne!(json, ETag::made_of(Some(ContentFormat::JSON), b"2"));
    }
}
