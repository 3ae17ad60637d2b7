/// What the payload of each message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Stands for one publisher and one topic.
    pub(crate) stream: u32,
    /// The place among the messages of its stream.
    pub(crate) sequence: u32,
    /// When it was due, in nanoseconds from the start of the load; 0 where there is no schedule.
    pub(crate) due: u64,
}

impl Stamp {
    pub(crate) const LENGTH: usize = 16;

    pub(crate) fn encode(self) -> [u8; Self::LENGTH] {
        let number = u128::from(self.stream) << 96 | u128::from(self.sequence) << 64 | u128::from(self.due);
        number.to_be_bytes()
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let number = u128::from_be_bytes(*payload.first_chunk()?);
        Some(Self { stream: (number >> 96) as u32, sequence: (number >> 64) as u32, due: number as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_as_it_was() {
        let stamp = Stamp { stream: 3, sequence: u32::MAX, due: u64::MAX - 1 };
        assert_eq!(Stamp::decode(&stamp.encode()), Some(stamp));
        assert_eq!(Stamp::decode(&[0; 15]), None);
    }
}
