use super::Version;
use super::read::{Variable, variable};

/// A PUBLISH at most once, without flags and properties, on a topic that is known: most of a busy publisher's are.
pub(crate) struct Repeat<'a> {
    /// All bytes of the packet.
    pub(crate) length: usize,
    pub(crate) payload: &'a [u8],
    /// What follows it.
    pub(crate) rest: &'a [u8],
}

/// Its first byte.
const PLAIN_PUBLISH: u8 = 0x30;

impl<'a> Repeat<'a> {
    /// The first packet of `input`, if it is whole and such a one.
    #[inline]
    pub(crate) fn find(input: &'a [u8], version: Version, topic: &str) -> Option<Self> {
        let behind = input.strip_prefix(&[PLAIN_PUBLISH])?;
        let Variable { value, length, minimal } = variable(behind).ok()??;
        let (body, rest) = behind.get(length..)?.split_at_checked(value as usize)?;
        let (named, body) = body.split_first_chunk()?;
        if !minimal || usize::from(u16::from_be_bytes(*named)) != topic.len() {
            return None;
        }
        let payload = body.strip_prefix(topic.as_bytes())?;
        let payload = if version == Version::V5 { payload.strip_prefix(&[0])? } else { payload };
        Some(Self { length: input.len() - rest.len(), payload, rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(input: &[u8], version: Version) -> Option<(usize, &[u8])> {
        Repeat::find(input, version, "a/b").map(|repeat| (repeat.length, repeat.payload))
    }

    #[test]
    fn a_publish_that_says_the_same_but_for_its_payload_is_found() {
        assert_eq!(found(b"\x30\x07\x00\x03a/bhi\x30", Version::V311), Some((9, &b"hi"[..])));
        assert_eq!(found(b"\x30\x05\x00\x03a/b", Version::V31), Some((7, &b""[..])));
        assert_eq!(found(b"\x30\x08\x00\x03a/b\x00hi", Version::V5), Some((10, &b"hi"[..])));
    }

    #[test]
    fn whatever_else_there_is_to_look_at_is_left() {
        for (input, version) in [
            (&b""[..], Version::V311),
            (b"\x30", Version::V311),
            (b"\x31\x07\x00\x03a/bhi", Version::V311), // retained
            (b"\x38\x07\x00\x03a/bhi", Version::V311), // a duplicate
            (b"\x32\x07\x00\x03a/b\x00\x01", Version::V311), // at least once
            (b"\x30\x07\x00\x03a/ch", Version::V311),  // not whole
            (b"\x30\x07\x00\x03a/chi", Version::V311), // another topic
            (b"\x30\x06\x00\x02a/hi", Version::V311),  // a shorter one
            (b"\x30\x04\x00\x03a/bhi", Version::V311), // a topic that ends behind the packet
            (b"\x30\x87\x00\x00\x03a/bhi", Version::V311), // a longer length than needed
            (b"\x30\x80\x80\x80\x80\x01", Version::V311), // no length at all
            (b"\x30\x0A\x00\x03a/b\x02\x01\x01hi", Version::V5), // a property
            (b"\x30\x05\x00\x03a/b", Version::V5),     // nothing where properties would be
        ] {
            assert_eq!(found(input, version), None, "{input:02X?}");
        }
    }
}
