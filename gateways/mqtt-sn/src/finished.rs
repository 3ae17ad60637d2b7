use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use bus::Publish;

/// The client's last messages of QoS 2: a copy that the network held back until after PUBREL would be a new
/// message to the broker, which forgets the id with its release.
///
/// Only a copy counts, so that a client may use an id again at once for another message.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    last: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    msg_id: u16,
    /// Of topic and payload.
    digest: u64,
    /// When it was last seen to be finished.
    released: Option<Instant>,
}

/// How many messages are remembered.
const LAST: usize = 8;

impl Finished {
    /// Whether this is a copy of a message that was finished less than `span` ago.
    pub(crate) fn has(&self, msg_id: u16, publish: &Publish, span: Duration, now: Instant) -> bool {
        let digest = digest(publish);
        self.last.iter().any(|entry| {
            let finished = entry.released.is_some_and(|released| now < released + span);
            entry.msg_id == msg_id && entry.digest == digest && finished
        })
    }

    /// Remembers a message that is under way.
    pub(crate) fn begin(&mut self, msg_id: u16, publish: &Publish) {
        self.last.retain(|entry| entry.msg_id != msg_id);
        if self.last.len() >= LAST {
            self.last.pop_front();
        }
        self.last.push_back(Entry { msg_id, digest: digest(publish), released: None });
    }

    pub(crate) fn release(&mut self, msg_id: u16, now: Instant) {
        if let Some(entry) = self.last.iter_mut().find(|entry| entry.msg_id == msg_id) {
            entry.released.get_or_insert(now);
        }
    }
}

fn digest(publish: &Publish) -> u64 {
    let mut hasher = DefaultHasher::new();
    (publish.topic.as_str(), &publish.payload[..]).hash(&mut hasher);
    hasher.finish()
}
