use std::sync::Arc;
use std::time::Instant;

use bus::{ClientId, Filter, Message, Reason, Topic};
use parking_lot::RwLock;

use crate::access::Client;
use crate::config::Config;
use crate::tree::Tree;

/// The last retained message of each topic [MQTT5 3.3.1.3].
#[derive(Default)]
pub(crate) struct Retained {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    tree: Tree<Option<Kept>>,
    count: usize,
    bytes: usize,
    /// Before this nothing expires; `None` if nothing will.
    soonest: Option<Instant>,
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

    /// The same if something is true of what is kept at that moment; a message that is not retained changes nothing.
    /// Returns whether it was true.
    pub(crate) fn set_if(
        &self,
        message: &Arc<Message>,
        publisher: &Arc<Client>,
        config: &Config,
        is_true: impl FnOnce(Option<&Found>) -> bool,
    ) -> Result<bool, Reason> {
        let mut inner = self.inner.write();
        let kept = inner.tree.find(message.topic.as_str()).and_then(Option::as_ref);
        let found = kept.filter(|kept| !kept.is_over(message.published)).map(|kept| &kept.found);
        let is_true = is_true(found);
        if is_true && message.retain {
            inner.set(message, publisher, config)?;
        }
        Ok(is_true)
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
            let old = inner.tree.find(message.topic.as_str()).cloned().flatten();
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
        let inner = self.inner.read();
        let kept = inner.tree.find(topic.as_str())?.as_ref();
        kept.filter(|kept| !kept.is_over(now)).map(|kept| kept.found.clone())
    }

    /// All that match.
    pub(crate) fn matches(&self, filter: &Filter, now: Instant) -> Vec<Found> {
        let mut found = Vec::new();
        self.inner.read().tree.of_filter(filter.pattern(), &mut |kept: &Option<Kept>| {
            let fresh = kept.as_ref().filter(|kept| !kept.is_over(now));
            found.extend(fresh.map(|kept| kept.found.clone()));
        });
        found
    }

    /// Throws away what has expired.
    pub(crate) fn sweep(&self, now: Instant) {
        if self.inner.read().soonest.is_none_or(|soonest| soonest > now) {
            return; // all would have to be looked at
        }
        let mut inner = self.inner.write();
        let (mut count, mut bytes, mut soonest) = (0, 0, None);
        inner.tree.change_all(&mut |kept| {
            kept.take_if(|kept| kept.is_over(now));
            if let Some(kept) = kept {
                count += 1;
                bytes += kept.found.message.size();
                soonest = earlier(soonest, kept.ends());
            }
        });
        (inner.count, inner.bytes, inner.soonest) = (count, bytes, soonest);
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
            self.remove(&message.topic);
            return Ok(());
        }
        let largest = Some(config.max_retained_payload).filter(|largest| *largest > 0);
        if largest.is_some_and(|largest| message.payload.len() > largest) {
            return Err(Reason::QuotaExceeded);
        }
        let old = self.tree.find(message.topic.as_str()).and_then(Option::as_ref);
        let old = old.map(|old| old.found.message.size());
        let count = self.count + usize::from(old.is_none());
        let bytes = self.bytes - old.unwrap_or(0) + message.size();
        if count > config.max_retained || bytes > config.retained_bytes {
            return Err(Reason::QuotaExceeded);
        }
        let kept = Kept::new(message, publisher, config);
        self.soonest = earlier(self.soonest, kept.ends());
        *self.tree.place(message.topic.as_str()) = Some(kept);
        (self.count, self.bytes) = (count, bytes);
        Ok(())
    }

    /// Makes it as if the topic's message had never changed.
    fn put_back(&mut self, topic: &Topic, old: Option<Kept>) {
        self.remove(topic);
        if let Some(old) = old {
            self.count += 1;
            self.bytes += old.found.message.size();
            self.soonest = earlier(self.soonest, old.ends());
            *self.tree.place(topic.as_str()) = Some(old);
        }
    }

    fn remove(&mut self, topic: &Topic) {
        if let Some(kept) = self.tree.change(topic.as_str(), Option::take).flatten() {
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

    /// From when on it is over.
    fn ends(&self) -> Option<Instant> {
        earlier(self.found.message.expires, self.until)
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
