//! Where a device's commands come from, and where all that it says goes.

use bus::{Filter, Outbox, Publish, Request, Ticket, Topic};
use bytes::Bytes;

use crate::Shared;

/// The topics of one device.
#[derive(Debug)]
pub(crate) struct DeviceTopics {
    pub(crate) command: Filter,
    pub(super) response: Topic,
    pub(super) notify: Topic,
    pub(super) register: Topic,
    pub(super) update: Topic,
    pub(super) deregister: Topic,
}

impl DeviceTopics {
    pub(super) fn of(endpoint: &str, shared: &Shared) -> Option<Self> {
        let topics = &shared.config.topics;
        let topic = |name: &str| Topic::parse(&topics.of(endpoint, name)).ok();
        Some(Self {
            command: Filter::parse(&topics.of(endpoint, &topics.command)).ok()?,
            response: topic(&topics.response)?,
            notify: topic(&topics.notify)?,
            register: topic(&topics.register)?,
            update: topic(&topics.update)?,
            deregister: topic(&topics.deregister)?,
        })
    }
}

/// Publishes JSON.
pub(super) fn publish(topic: &Topic, payload: Bytes, ticket: Ticket, out: &mut Outbox) {
    out.request(ticket, Request::Publish(publication(topic, payload)));
}

/// JSON that is published.
pub(super) fn publication(topic: &Topic, payload: Bytes) -> Publish {
    coap::json_publication(topic, payload, None)
}
