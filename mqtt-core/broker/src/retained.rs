use std::sync::Arc;
use std::time::Instant;

use bus::{Filter, Message, Reason, Topic};
use parking_lot::RwLock;

use crate::config::Config;
use crate::tree::TopicTree;

/// The last retained message of each topic [MQTT5 3.3.1.3].
#[derive(Default)]
pub(crate) struct Retained {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    tree: TopicTree<Arc<Message>>,
    count: usize,
    bytes: usize,
}

impl Retained {
    /// Keeps the message, or removes its topic's message if the payload is empty [MQTT-3.3.1-6].
    pub(crate) fn set(&self, message: &Arc<Message>, config: &Config) -> Result<(), Reason> {
        let mut inner = self.inner.write();
        if message.payload.is_empty() {
            let removed = inner.tree.remove(&message.topic);
            inner.forget(removed);
            return Ok(());
        }
        let old = inner.tree.find(&message.topic).map(|old| old.size());
        let count = inner.count + usize::from(old.is_none());
        let bytes = inner.bytes - old.unwrap_or(0) + message.size();
        if count > config.max_retained || bytes > config.retained_bytes {
            return Err(Reason::QuotaExceeded);
        }
        inner.tree.insert(&message.topic, message.clone());
        (inner.count, inner.bytes) = (count, bytes);
        Ok(())
    }

    /// The retained message of one topic.
    pub(crate) fn read(&self, topic: &Topic, now: Instant) -> Option<Arc<Message>> {
        self.inner.read().tree.find(topic).filter(|message| !message.is_expired(now)).cloned()
    }

    /// All that match.
    pub(crate) fn matches(&self, filter: &Filter, now: Instant) -> Vec<Arc<Message>> {
        let mut found = Vec::new();
        self.inner.read().tree.matches(filter, &mut |message: &Arc<Message>| {
            if !message.is_expired(now) {
                found.push(message.clone());
            }
        });
        found
    }

    /// Throws away what has expired.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut inner = self.inner.write();
        let (mut count, mut bytes) = (0, 0);
        inner.tree.retain(&mut |message| {
            let keep = !message.is_expired(now);
            count += usize::from(keep);
            bytes += if keep { message.size() } else { 0 };
            keep
        });
        (inner.count, inner.bytes) = (count, bytes);
    }

    /// How many messages there are, and their bytes.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let inner = self.inner.read();
        (inner.count, inner.bytes)
    }
}

impl Inner {
    fn forget(&mut self, removed: Option<Arc<Message>>) {
        if let Some(message) = removed {
            self.count -= 1;
            self.bytes -= message.size();
        }
    }
}
