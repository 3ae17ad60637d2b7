use super::load::Window;
use crate::frame::{Publish, kind};
use crate::histogram::Histogram;
use crate::scenario::Scenario;
use crate::sequence::Sequence;
use crate::stamp::Stamp;

/// Where the deliveries of one subscriber are counted.
pub(super) struct Inbox<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) subscriber: u32,
    pub(super) windows: &'a mut [Window],
    pub(super) sequence: &'a mut Sequence,
    pub(super) received: &'a mut u64,
    pub(super) latency: Option<(u64, &'a mut Histogram)>,
}

impl Inbox<'_> {
    /// Takes one frame; what is answered goes behind the other answers.
    pub(super) fn take(&mut self, first: u8, body: &[u8], answers: &mut Vec<u8>) -> Result<(), String> {
        if first & 0xf0 != kind::PUBLISH {
            return match (first, body) {
                (kind::PUBREL, &[high, low, ..]) => {
                    answers.extend([kind::PUBCOMP, 2, high, low]);
                    Ok(())
                }
                _ => Err(format!("a subscriber got {first:02x} {body:02x?}")),
            };
        }
        let Scenario { shape, qos, version, .. } = *self.scenario;
        let publish = Publish::parse(first, body, version).ok_or("a subscriber got a malformed PUBLISH")?;
        let [high, low] = publish.id;
        if first >> 1 & 3 != qos {
            return Err(format!("what was published at QoS {qos} came with {first:02x}"));
        }
        match qos {
            0 => {}
            1 => answers.extend([kind::PUBACK, 2, high, low]),
            _ => answers.extend([kind::PUBREC, 2, high, low]),
        }
        let stamp = Stamp::decode(publish.payload).ok_or("a subscriber got a payload that is too short")?;
        let (many, at) = (shape.received(), stamp.stream.wrapping_sub(shape.first(self.subscriber)));
        let place = if at < many { (self.subscriber * many + at) as usize } else { usize::MAX };
        self.sequence.take(place, stamp.stream, stamp.sequence);
        *self.received += 1;
        let window = stamp.stream as usize % self.windows.len();
        self.windows[window].received += 1;
        if let Some((now, latency)) = &mut self.latency {
            latency.add(now.saturating_sub(stamp.due));
        }
        Ok(())
    }
}

/// What a publisher is answered: how many messages that finishes, and what is answered to it.
pub(super) fn acknowledged(first: u8, body: &[u8], answers: &mut Vec<u8>) -> Result<u32, String> {
    match (first, body) {
        // A third byte is the reason of MQTT 5.
        (_, &[_, _, reason, ..]) if reason >= 0x80 => Err(format!("a message is refused with {reason:#04x}")),
        (kind::PUBREC, &[high, low, ..]) => {
            answers.extend([kind::PUBREL, 2, high, low]);
            Ok(0)
        }
        (kind::PUBACK | kind::PUBCOMP, _) => Ok(1),
        _ => Err(format!("a publisher got {first:02x} {body:02x?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_releases_what_is_received_and_counts_what_is_complete() {
        let mut answers = Vec::new();
        assert_eq!(acknowledged(kind::PUBREC, &[1, 2], &mut answers), Ok(0));
        assert_eq!(answers, [0x62, 2, 1, 2]);
        assert_eq!(acknowledged(kind::PUBCOMP, &[1, 2], &mut answers), Ok(1));
        assert_eq!(acknowledged(kind::PUBACK, &[1, 2, 0x10], &mut answers), Ok(1));
        assert_eq!(answers.len(), 4);
    }

    #[test]
    fn a_refused_message_is_an_error() {
        assert!(acknowledged(kind::PUBACK, &[1, 2, 0x97], &mut Vec::new()).is_err());
        assert!(acknowledged(kind::SUBACK, &[1, 2, 0], &mut Vec::new()).is_err());
    }
}
