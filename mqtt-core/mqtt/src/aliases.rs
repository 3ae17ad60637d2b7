use bus::{Reason, Topic};

/// The topics that a client gave numbers to [MQTT5 3.3.2.3.4].
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    topics: Vec<Option<Topic>>,
    bytes: usize,
}

impl Incoming {
    /// The topic of an alias.
    pub(crate) fn find(&self, alias: u16) -> Option<Topic> {
        self.topics.get(index(alias)).cloned().flatten()
    }

    /// How many bytes the topics have.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives `topic` a number of at most `maximum`; all topics together may have `bytes` bytes.
    pub(crate) fn set(&mut self, alias: u16, topic: Topic, maximum: u16, bytes: usize) -> Result<(), Reason> {
        if alias == 0 || alias > maximum {
            return Err(Reason::TopicAliasInvalid); // [MQTT-3.3.2-9]
        }
        let index = index(alias);
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        let slot = self.topics.get_mut(index).ok_or(Reason::TopicAliasInvalid)?;
        let before = slot.as_ref().map_or(0, |topic| topic.as_str().len());
        let after = self.bytes - before + topic.as_str().len();
        if after > bytes {
            return Err(Reason::QuotaExceeded);
        }
        self.bytes = after;
        *slot = Some(topic);
        Ok(())
    }
}

/// The numbers given to topics that a client receives again and again.
#[derive(Debug)]
pub(crate) struct Outgoing {
    size: u8,
    /// A topic has only one slot it may take, so that it is found without a search. There are none before the
    /// first delivery.
    slots: Box<[Slot]>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    topic: Option<Topic>,
    /// How often it was used, less how often other topics wanted the slot.
    worth: u8,
}

/// How a topic is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// By name alone.
    Name,
    /// By name, with the number that may stand for it from now on.
    NameAndAlias(u16),
    /// By number.
    Alias(u16),
}

impl Outgoing {
    /// A table of `size` numbers, at least 1.
    pub(crate) fn new(size: u8) -> Self {
        Self { size: size.max(1), slots: Box::default() }
    }

    /// How to write `topic` now. Follow with [`Outgoing::wrote`] if it is sent so.
    pub(crate) fn choose(&mut self, topic: &Topic) -> Written {
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); self.size.into()].into();
        }
        let index = self.index(topic);
        let Some(slot) = self.slots.get_mut(index) else { return Written::Name };
        let alias = index as u16 + 1;
        match &slot.topic {
            Some(there) if there == topic => Written::Alias(alias),
            Some(_) if slot.worth > 0 => {
                slot.worth -= 1;
                Written::Name
            }
            _ => Written::NameAndAlias(alias),
        }
    }

    /// Remembers what the client now knows.
    pub(crate) fn wrote(&mut self, topic: &Topic, written: Written) {
        let (Written::Alias(alias) | Written::NameAndAlias(alias)) = written else { return };
        let Some(slot) = self.slots.get_mut(index(alias)) else { return };
        if matches!(written, Written::NameAndAlias(_)) {
            slot.topic = Some(topic.clone());
            slot.worth = 0;
        } else {
            slot.worth = slot.worth.saturating_add(1).min(16);
        }
    }

    fn index(&self, topic: &Topic) -> usize {
        let hash = topic.as_str().bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        (hash ^ hash >> 32) as usize % usize::from(self.size)
    }
}

/// Where an alias of at least 1 is kept.
fn index(alias: u16) -> usize {
    usize::from(alias).wrapping_sub(1)
}
