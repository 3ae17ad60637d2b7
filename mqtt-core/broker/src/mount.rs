//! What a client's topics mean: what the rewriter makes of them, below the client's mountpoint.
//!
//! The prefixes `$share/{group}/`, `$queue/`, `$exclusive/` and `$delayed/{seconds}/` stay where they are, around what
//! is rewritten and mounted. `$SYS` is the same for all clients.

use std::sync::Arc;

use bus::{Delivery, Event, Filter, Message, Metadata, Publish, Reason, Topic, Unsubscribe, Will};

use crate::access::{Client, Rewriter};
use crate::announce::{is_below_system, is_system};
use crate::broker::{Broker, Shared};

impl Broker {
    /// On which topic a message comes out that the client publishes on this one.
    pub fn meant_topic(&self, client: &Client, topic: &Topic) -> Result<Topic, Reason> {
        let topic = self.0.published_topic(client, topic)?;
        let (_, bare) = split_delay(topic.as_str());
        Topic::parse(bare).map_err(|_| Reason::TopicInvalid)
    }

    /// The filter that is meant where the client subscribes this one.
    pub fn meant_filter(&self, client: &Client, filter: Filter) -> Result<Filter, Reason> {
        let filter = crate::session::check_filter(filter, &self.0.config)?;
        self.0.meant_filter(client, filter)
    }
}

impl Shared {
    /// Whether the client's topics may mean something else than they say.
    pub(crate) fn translates(&self, client: &Client) -> bool {
        client.identity.mountpoint.is_some() || self.rewriter().is_some()
    }

    /// Makes a publish what the client means by it.
    pub(crate) fn interpret(&self, client: &Client, publish: &mut Publish) -> Result<(), Reason> {
        if !self.translates(client) {
            return Ok(());
        }
        publish.topic = self.published_topic(client, &publish.topic)?;
        let response = publish.metadata.as_mut().and_then(|metadata| metadata.response_topic.as_mut());
        if let Some((prefix, topic)) = client.identity.mountpoint.as_deref().zip(response) {
            *topic = mounted(prefix, topic)?; // the answer shall reach the client's own subscription
        }
        Ok(())
    }

    /// What the client leaves as its will.
    pub(crate) fn meant_will(&self, client: &Client, will: Will) -> Result<Will, Reason> {
        let mut will = will;
        self.interpret(client, &mut will.publish)?;
        Ok(will)
    }

    /// The filter that the client means.
    pub(crate) fn meant_filter(&self, client: &Client, filter: Filter) -> Result<Filter, Reason> {
        if !self.translates(client) {
            return Ok(filter);
        }
        let rewritten = self.rewriter().and_then(|hook| hook.subscribe(client, &filter));
        let filter = rewritten.unwrap_or(filter);
        match client.identity.mountpoint.as_deref() {
            Some(prefix) if !is_below_system(filter.pattern()) => {
                let pattern = [prefix, filter.pattern()].concat();
                filter.with_pattern(&pattern).map_err(|_| Reason::FilterInvalid)
            }
            _ => Ok(filter),
        }
    }

    /// Which subscription the client means.
    pub(crate) fn meant_end(&self, client: &Client, which: Unsubscribe) -> Result<Unsubscribe, Reason> {
        match which {
            Unsubscribe::Filter(filter) if self.translates(client) => {
                let whole = match self.config.property_filters {
                    true => filter.clone().split_condition().unwrap_or(filter),
                    false => filter,
                };
                self.meant_filter(client, whole).map(Unsubscribe::Filter)
            }
            Unsubscribe::Filter(filter) => Ok(Unsubscribe::Filter(filter)),
            by_id @ Unsubscribe::Id(_) => Ok(by_id),
        }
    }

    /// The topic that the client means to read, as a subscription to it alone would.
    pub(crate) fn read_topic(&self, client: &Client, topic: Topic) -> Result<Topic, Reason> {
        if !self.translates(client) {
            return Ok(topic);
        }
        let rewriter = self.hooks.rewriter.as_ref();
        let rewritten =
            rewriter.and_then(|hook| hook.subscribe(client, &Filter::exactly(&topic))?.as_topic());
        let topic = rewritten.unwrap_or(topic);
        client.identity.mountpoint.as_deref().map_or(Ok(topic.clone()), |prefix| mounted(prefix, &topic))
    }

    fn published_topic(&self, client: &Client, topic: &Topic) -> Result<Topic, Reason> {
        let (delay, bare) = split_delay(topic.as_str());
        let invalid = |_| Reason::TopicInvalid;
        let bare = if delay.is_empty() { topic.clone() } else { Topic::parse(bare).map_err(invalid)? };
        let rewritten = self.rewriter().and_then(|hook| hook.publish(client, &bare)).unwrap_or(bare);
        // The rewriter may have asked for a delay itself.
        let (more, bare) = split_delay(rewritten.as_str());
        let prefix = client.identity.mountpoint.as_deref().filter(|_| !is_below_system(bare));
        match prefix {
            None if delay.is_empty() => Ok(rewritten),
            _ => Topic::parse(&[delay, more, prefix.unwrap_or_default(), bare].concat()).map_err(invalid),
        }
    }

    fn rewriter(&self) -> Option<&Arc<dyn Rewriter>> {
        self.hooks.rewriter.as_ref().filter(|hook| hook.is_active())
    }
}

/// What a mountpoint may be: the beginning of a topic, of whole levels. A name that found its way into it with a
/// wildcard or a leading `$` would reach into what is others'.
pub(crate) fn check_mountpoint(prefix: Option<Arc<str>>) -> Result<Option<Arc<str>>, Reason> {
    let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty()) else { return Ok(None) };
    if prefix.starts_with('$') || Topic::parse(&prefix).is_err() {
        return Err(Reason::NotAuthorized);
    }
    Ok(Some(if prefix.ends_with('/') { prefix } else { [&*prefix, "/"].concat().into() }))
}

/// Whether a client with this mountpoint can be told of a message on the topic: one from outside its mountpoint has no
/// name for it, and one that would look like the server's is not the server's.
pub(crate) fn is_visible(prefix: &str, topic: &Topic) -> bool {
    match topic.as_str().strip_prefix(prefix) {
        Some(rest) => !rest.is_empty() && !is_below_system(rest),
        None => is_system(topic),
    }
}

/// Takes the mountpoint off what is handed to the client.
pub(crate) fn unmount(prefix: &str, events: &mut [Event]) {
    for event in events {
        if let Event::Deliver(Delivery { message, .. }) = event {
            *message = unmounted(prefix, message);
        }
    }
}

/// The message as the client knows it. Where an answer is awaited it is told only if it has a name for that.
pub(crate) fn unmounted(prefix: &str, message: &Arc<Message>) -> Arc<Message> {
    let metadata = message.metadata.as_ref().map(|metadata| {
        let response = metadata.response_topic.as_ref().and_then(|topic| known(prefix, topic));
        Box::new(Metadata { response_topic: response, ..(**metadata).clone() })
    });
    Arc::new(Message {
        topic: known(prefix, &message.topic).unwrap_or_else(|| message.topic.clone()),
        metadata,
        payload: message.payload.clone(),
        qos: message.qos,
        retain: message.retain,
        published: message.published,
        expires: message.expires,
        origin: message.origin.clone(),
    })
}

/// What the client calls a topic.
fn known(prefix: &str, topic: &Topic) -> Option<Topic> {
    if !is_visible(prefix, topic) {
        return None;
    }
    match topic.as_str().strip_prefix(prefix) {
        Some(rest) => Topic::parse(rest).ok(),
        None => Some(topic.clone()),
    }
}

fn mounted(prefix: &str, topic: &Topic) -> Result<Topic, Reason> {
    if is_system(topic) {
        return Ok(topic.clone());
    }
    Topic::parse(&[prefix, topic.as_str()].concat()).map_err(|_| Reason::TopicInvalid)
}

/// `$delayed/{seconds}/`, and what stands behind it.
fn split_delay(topic: &str) -> (&str, &str) {
    let Some(rest) = topic.strip_prefix("$delayed/") else { return ("", topic) };
    let bare = rest.split_once('/').map_or("", |(_, bare)| bare);
    topic.split_at(topic.len() - bare.len())
}
