//! MQTT frames by hand: what is measured must not depend on our own codec.

use crate::stamp::Stamp;

/// The version a load speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V311,
    V5,
}

/// The first byte of the packets a load meets.
pub(crate) mod kind {
    pub(crate) const CONNECT: u8 = 0x10;
    pub(crate) const CONNACK: u8 = 0x20;
    pub(crate) const PUBLISH: u8 = 0x30;
    pub(crate) const PUBACK: u8 = 0x40;
    pub(crate) const PUBREC: u8 = 0x50;
    pub(crate) const PUBREL: u8 = 0x62;
    pub(crate) const PUBCOMP: u8 = 0x70;
    pub(crate) const SUBSCRIBE: u8 = 0x82;
    pub(crate) const SUBACK: u8 = 0x90;
}

/// A session that ends with its connection and has no keep alive.
pub(crate) fn connect(client_id: &str, version: Version) -> Vec<u8> {
    let level = if version == Version::V5 { 5 } else { 4 };
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, 0];
    if version == Version::V5 {
        body.push(0);
    }
    string(&mut body, client_id);
    frame(kind::CONNECT, &body)
}

pub(crate) fn subscribe(
    id: u16,
    filters: impl Iterator<Item = String>,
    qos: u8,
    version: Version,
) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    for filter in filters {
        string(&mut body, &filter);
        body.push(qos);
    }
    frame(kind::SUBSCRIBE, &body)
}

/// A frame of its first byte and what follows its length.
fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    let mut rest = body.len();
    while rest >= 128 {
        frame.push(rest as u8 | 128);
        rest >>= 7;
    }
    frame.push(rest as u8);
    frame.extend_from_slice(body);
    frame
}

fn string(body: &mut Vec<u8>, text: &str) {
    body.extend((text.len() as u16).to_be_bytes());
    body.extend(text.as_bytes());
}

/// PUBLISH frames for one write. They are built once; topics, packet ids and stamps are put in for each write.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    length: usize,
    topic: usize,
    id: Option<usize>,
    stamp: usize,
}

impl Batch {
    /// `topic` stands for all topics of its length.
    pub(crate) fn new(
        count: usize,
        topic: &str,
        payload: usize,
        qos: u8,
        retain: bool,
        version: Version,
    ) -> Self {
        assert!(payload >= Stamp::LENGTH, "a payload has room for a stamp");
        let mut body = Vec::new();
        string(&mut body, topic);
        let id = (qos > 0).then_some(body.len());
        if qos > 0 {
            body.extend([0, 0]);
        }
        if version == Version::V5 {
            body.push(0);
        }
        let stamp = body.len();
        body.resize(stamp + payload, b'x');
        let one = frame(kind::PUBLISH | qos << 1 | u8::from(retain), &body);
        let head = one.len() - body.len();
        Self {
            bytes: one.repeat(count),
            length: one.len(),
            topic: head + 2,
            id: id.map(|id| head + id),
            stamp: head + stamp,
        }
    }

    /// Where the topic of a message is written.
    pub(crate) fn topic(&mut self, index: usize, length: usize) -> &mut [u8] {
        let at = index * self.length + self.topic;
        &mut self.bytes[at..at + length]
    }

    pub(crate) fn set_id(&mut self, index: usize, id: u16) {
        if let Some(at) = self.id {
            let at = index * self.length + at;
            self.bytes[at..at + 2].copy_from_slice(&id.to_be_bytes());
        }
    }

    pub(crate) fn set_stamp(&mut self, index: usize, stamp: Stamp) {
        let at = index * self.length + self.stamp;
        self.bytes[at..at + Stamp::LENGTH].copy_from_slice(&stamp.encode());
    }

    /// The first frames.
    pub(crate) fn bytes(&self, count: usize) -> &[u8] {
        &self.bytes[..count * self.length]
    }
}

/// Cuts the frames off that are complete, hands each one's first byte and body over, and returns how much they took.
pub(crate) fn cut(
    input: &[u8],
    mut take: impl FnMut(u8, &[u8]) -> Result<(), String>,
) -> Result<usize, String> {
    let mut at = 0;
    loop {
        let rest = &input[at..];
        let Some((head, length)) = head(rest)? else { return Ok(at) };
        if rest.len() < head + length {
            return Ok(at);
        }
        take(rest[0], &rest[head..head + length])?;
        at += head + length;
    }
}

/// How long the head of a frame is, and what follows it; `None` while it is incomplete.
pub(crate) fn head(input: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let mut length = 0;
    for (index, &byte) in input.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 127) << (7 * index);
        if byte < 128 {
            return Ok(Some((index + 2, length)));
        }
    }
    if input.len() >= 5 { Err("a frame's length has more than 4 bytes".to_owned()) } else { Ok(None) }
}

/// What matters of a PUBLISH that was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) id: [u8; 2],
    pub(crate) payload: &'a [u8],
}

impl<'a> Publish<'a> {
    pub(crate) fn parse(first: u8, body: &'a [u8], version: Version) -> Option<Self> {
        let topic = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
        let mut rest = body.get(2 + topic..)?;
        let mut id = [0, 0];
        if first & 6 != 0 {
            id = [*rest.first()?, *rest.get(1)?];
            rest = &rest[2..];
        }
        if version == Version::V5 {
            // The length of the properties is written like that of a frame.
            let mut length = 0;
            let mut taken = 0;
            loop {
                let byte = *rest.get(taken)?;
                length |= usize::from(byte & 127) << (7 * taken);
                taken += 1;
                if byte < 128 {
                    break;
                }
                if taken == 4 {
                    return None;
                }
            }
            rest = rest.get(taken + length..)?;
        }
        Some(Self { id, payload: rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_connects_and_subscribes_in_both_versions() {
        assert_eq!(connect("c1", Version::V311), b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02c1");
        assert_eq!(connect("c1", Version::V5), b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x02c1");
        let filters = || ["a".to_owned(), "b/+".to_owned()].into_iter();
        assert_eq!(
            subscribe(7, filters(), 1, Version::V311),
            b"\x82\x0c\x00\x07\x00\x01a\x01\x00\x03b/+\x01"
        );
        assert_eq!(
            subscribe(7, filters(), 1, Version::V5),
            b"\x82\x0d\x00\x07\x00\x00\x01a\x01\x00\x03b/+\x01"
        );
    }

    #[test]
    fn each_message_of_a_write_has_its_topic_its_id_and_its_stamp() {
        let mut batch = Batch::new(2, "t/0", 17, 1, false, Version::V5);
        for (index, name) in [b"t/1", b"t/2"].into_iter().enumerate() {
            batch.topic(index, 3).copy_from_slice(name);
            batch.set_id(index, 0x0101 + index as u16);
            batch.set_stamp(index, Stamp { stream: index as u32, sequence: 9, due: 10 });
        }
        let mut seen = Vec::new();
        let taken = cut(batch.bytes(2), |first, body| {
            assert_eq!(first, 0x32);
            let publish = Publish::parse(first, body, Version::V5).unwrap();
            assert_eq!(publish.payload.len(), 17);
            seen.push((body[2..5].to_vec(), publish.id, Stamp::decode(publish.payload).unwrap().stream));
            Ok(())
        });
        assert_eq!(taken, Ok(batch.bytes(2).len()));
        assert_eq!(seen, [(b"t/1".to_vec(), [1, 1], 0), (b"t/2".to_vec(), [1, 2], 1)]);
    }

    #[test]
    fn properties_are_passed_over() {
        let body = b"\x00\x01t\x03\x01\x02\x03payload";
        let publish = Publish::parse(0x30, body, Version::V5).unwrap();
        assert_eq!(publish, Publish { id: [0, 0], payload: b"payload" });
    }

    #[test]
    fn an_unfinished_frame_stays() {
        let frames = b"\x30\x03\x00\x01t\x30\x80\x01";
        let mut count = 0;
        assert_eq!(
            cut(frames, |_, _| {
                count += 1;
                Ok(())
            }),
            Ok(5)
        );
        assert_eq!(count, 1);
        assert!(cut(b"\x30\xff\xff\xff\xff\x01", |_, _| Ok(())).is_err());
    }
}
