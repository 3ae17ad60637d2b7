use std::sync::Arc;
use std::time::Instant;

use bus::{ClientId, Filter, Message, Reason, Topic};
use parking_lot::RwLock;

use crate::access::Client;
use crate::config::Config;
use crate::tree::TopicTree;

/// The last retained message of each topic [MQTT5 3.3.1.3].
#[derive(Default)]
pub(crate) struct Retained {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    tree: TopicTree<Kept>,
    count: usize,
    bytes: usize,
}

#[derive(Clone)]
struct Kept {
    found: Found,
    /// When it is thrown away, if the publisher did not say.
    until: Option<Instant>,
}

/// A retained message, and who published it where that is to be known.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) message: Arc<Message>,
    pub(crate) publisher: Option<Arc<Client>>,
}

impl Retained {
    /// Keeps the message, or removes its topic's message if the payload is empty [MQTT-3.3.1-6].
    pub(crate) fn set(
        &self,
        message: &Arc<Message>,
        publisher: &Arc<Client>,
        config: &Config,
    ) -> Result<(), Reason> {
        self.inner.write().set(message, publisher, config)
    }

    /// The same for several in order, or for none of them.
    pub(crate) fn set_all<'a>(
        &self,
        messages: impl Iterator<Item = &'a Arc<Message>>,
        publisher: &Arc<Client>,
        config: &Config,
    ) -> Result<(), Reason> {
        let mut inner = self.inner.write();
        let mut before = Vec::new();
        for message in messages {
            let old = inner.tree.find(&message.topic).cloned();
            if let Err(reason) = inner.set(message, publisher, config) {
                before.into_iter().rev().for_each(|(topic, old)| inner.put_back(topic, old));
                return Err(reason);
            }
            before.push((&message.topic, old));
        }
        Ok(())
    }

    /// The retained message of one topic.
    pub(crate) fn read(&self, topic: &Topic, now: Instant) -> Option<Found> {
        self.inner.read().tree.find(topic).filter(|kept| !kept.is_over(now)).map(|kept| kept.found.clone())
    }

    /// All that match.
    pub(crate) fn matches(&self, filter: &Filter, now: Instant) -> Vec<Found> {
        let mut found = Vec::new();
        self.inner.read().tree.matches(filter, &mut |kept: &Kept| {
            if !kept.is_over(now) {
                found.push(kept.found.clone());
            }
        });
        found
    }

    /// Throws away what has expired.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut inner = self.inner.write();
        let (mut count, mut bytes) = (0, 0);
        inner.tree.retain(&mut |kept| {
            let keep = !kept.is_over(now);
            count += usize::from(keep);
            bytes += if keep { kept.found.message.size() } else { 0 };
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
    fn set(
        &mut self,
        message: &Arc<Message>,
        publisher: &Arc<Client>,
        config: &Config,
    ) -> Result<(), Reason> {
        if message.payload.is_empty() {
            let removed = self.tree.remove(&message.topic);
            self.forget(removed);
            return Ok(());
        }
        let largest = Some(config.max_retained_payload).filter(|largest| *largest > 0);
        if largest.is_some_and(|largest| message.payload.len() > largest) {
            return Err(Reason::QuotaExceeded);
        }
        let old = self.tree.find(&message.topic).map(|old| old.found.message.size());
        let count = self.count + usize::from(old.is_none());
        let bytes = self.bytes - old.unwrap_or(0) + message.size();
        if count > config.max_retained || bytes > config.retained_bytes {
            return Err(Reason::QuotaExceeded);
        }
        self.tree.insert(&message.topic, Kept::new(message, publisher, config));
        (self.count, self.bytes) = (count, bytes);
        Ok(())
    }

    /// Makes it as if the topic's message had never changed.
    fn put_back(&mut self, topic: &Topic, old: Option<Kept>) {
        let removed = self.tree.remove(topic);
        self.forget(removed);
        if let Some(old) = old {
            self.count += 1;
            self.bytes += old.found.message.size();
            self.tree.insert(topic, old);
        }
    }

    fn forget(&mut self, removed: Option<Kept>) {
        if let Some(kept) = removed {
            self.count -= 1;
            self.bytes -= kept.found.message.size();
        }
    }
}

impl Kept {
    /// What the server itself says stays.
    fn new(message: &Arc<Message>, publisher: &Arc<Client>, config: &Config) -> Self {
        let by_server = message.origin == ClientId::server();
        let limit =
            Some(config.retained_expiry).filter(|limit| !limit.is_zero() && message.expires.is_none());
        let limit = limit.filter(|_| !by_server);
        let until = limit.and_then(|limit| message.published.checked_add(limit));
        let publisher = (config.check_retained_source && !by_server).then(|| publisher.clone());
        Self { found: Found { message: message.clone(), publisher }, until }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.found.message.is_expired(now) || self.until.is_some_and(|until| until <= now)
    }
}
