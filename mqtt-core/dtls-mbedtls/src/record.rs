//! What can be seen of a datagram without keys. [RFC6347 4.1, RFC9146 4]

use dtls::Input;

/// One record of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) content: u8,
    pub(crate) version: [u8; 2],
    pub(crate) epoch: u16,
    /// The connection id, in records of that kind.
    pub(crate) connection: Option<&'a [u8]>,
    /// The sequence number, as it is written.
    pub(crate) sequence: [u8; 6],
    pub(crate) payload: &'a [u8],
    /// All of it, as it came.
    pub(crate) bytes: &'a [u8],
}

/// What a first look at a ClientHello shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello<'a> {
    pub(crate) version: [u8; 2],
    pub(crate) random: &'a [u8; 32],
    pub(crate) cookie: &'a [u8],
}

pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const CONNECTION_ID: u8 = 25;

const CHANGE_CIPHER_SPEC: u8 = 20;
const APPLICATION_DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;

impl<'a> Record<'a> {
    /// Takes the first record off a datagram; `None` if there is none that is whole. What follows it comes second.
    pub(crate) fn split(datagram: &'a [u8], connection_id_length: usize) -> Option<(Self, &'a [u8])> {
        let mut input = Input(datagram);
        let content = input.byte()?;
        let known =
            [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, CONNECTION_ID].contains(&content);
        // DTLS 1.0 is written 254.255 and DTLS 1.2 254.253; a first hello may say either. [RFC6347 4.1]
        let version = input.array()?;
        (known && version.first() == Some(&254)).then_some(())?;
        let epoch = u16::from_be_bytes(input.array()?);
        let sequence = input.array()?;
        let connection = match content {
            CONNECTION_ID if connection_id_length == 0 => return None,
            CONNECTION_ID => Some(input.take(connection_id_length)?),
            _ => None,
        };
        let length = u16::from_be_bytes(input.array()?);
        let payload = input.take(usize::from(length))?;
        let bytes = datagram.get(..datagram.len() - input.0.len())?;
        Some((Self { content, version, epoch, connection, sequence, payload, bytes }, input.0))
    }

    /// The ClientHello in the record, if it begins with one that is whole.
    pub(crate) fn hello(&self) -> Option<Hello<'a>> {
        (self.content == HANDSHAKE && self.epoch == 0).then_some(())?;
        let mut input = Input(self.payload);
        (input.byte()? == CLIENT_HELLO).then_some(())?;
        let length = input.array::<3>()?;
        let _message = input.array::<2>()?;
        // A hello in fragments would have to be kept before its sender is known to be real.
        (input.array::<3>()? == [0; 3] && input.array::<3>()? == length).then_some(())?;
        let version = input.array()?;
        (version.first() == Some(&254)).then_some(())?;
        let random = input.take(32)?.try_into().ok()?;
        let session_length = input.byte()?;
        (session_length <= 32).then_some(())?;
        input.take(usize::from(session_length))?;
        let cookie_length = input.byte()?;
        let cookie = input.take(usize::from(cookie_length))?;
        Some(Hello { version, random, cookie })
    }

    /// The sequence number.
    pub(crate) fn number(&self) -> u64 {
        self.sequence.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Whether it begins with a ClientHello, readable or not.
    pub(crate) fn begins_handshake(&self) -> bool {
        self.content == HANDSHAKE && self.epoch == 0 && self.payload.first() == Some(&CLIENT_HELLO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_its_records() {
        let datagram = [
            &[23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 2, 0xAA, 0xBB][..],
            &[25, 254, 253, 0, 1, 0, 0, 0, 0, 0, 10, 7, 8, 0, 1, 0xCC],
            &[22, 254],
        ]
        .concat();
        let (first, rest) = Record::split(&datagram, 2).unwrap();
        assert_eq!(
            (first.content, first.epoch, first.connection, first.payload),
            (23, 1, None, &[0xAA, 0xBB][..])
        );
        assert_eq!(first.bytes, &datagram[..15]);
        let (second, rest) = Record::split(rest, 2).unwrap();
        assert_eq!((second.content, second.connection, second.payload), (25, Some(&[7, 8][..]), &[0xCC][..]));
        assert_eq!((second.sequence, second.number()), ([0, 0, 0, 0, 0, 10], 10));
        assert_eq!(Record::split(rest, 2), None);
        assert_eq!(Record::split(&datagram[15..], 0), None);
        assert_eq!(Record::split(&[23, 3, 3, 0, 1, 0, 0, 0, 0, 0, 9, 0, 0], 2), None);
    }
}
