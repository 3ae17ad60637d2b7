use std::sync::{Arc, OnceLock};

use crate::{Delivery, Matched, Message, Qos};

/// Messages that one client published together, on one topic with one guarantee: the sessions that are owed them at most
/// once may be handed all of them as one, and what was encoded for one peer serves the next.
#[derive(Debug)]
pub struct Burst {
    messages: Vec<Arc<Message>>,
    size: usize,
    payload: usize,
    lasts: bool,
    audience: usize,
    encoded: [OnceLock<Encoded>; FORMS],
}

/// A burst that is handed to one session: none of its messages is retained, a duplicate, or expires.
#[derive(Clone, Debug)]
pub struct Deliveries {
    /// The messages.
    pub burst: Arc<Burst>,
    /// The subscriptions that each of them matched.
    pub matched: Matched,
}

#[derive(Debug)]
struct Encoded {
    form: &'static str,
    bytes: Box<[u8]>,
}

/// In how many forms a burst is kept encoded.
const FORMS: usize = 2;

impl Burst {
    /// Messages that are alike in topic and guarantee, for so many sessions.
    pub fn new(messages: Vec<Arc<Message>>, audience: usize) -> Self {
        let size = messages.iter().map(|message| message.size()).sum();
        let payload = messages.iter().map(|message| message.payload.len()).sum();
        let lasts = messages.iter().all(|message| message.expires.is_none() && !message.retain);
        Self { messages, size, payload, lasts, audience, encoded: Default::default() }
    }

    /// The messages, in order.
    pub fn messages(&self) -> &[Arc<Message>] {
        &self.messages
    }

    /// The guarantee with which they were published.
    pub fn qos(&self) -> Qos {
        self.messages.first().map_or(Qos::AtMostOnce, |message| message.qos)
    }

    /// Bytes that topics, payloads and metadata hold.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes of the payloads.
    pub fn payload(&self) -> usize {
        self.payload
    }

    /// Whether none of the messages expires, and none is to be retained.
    pub fn lasts(&self) -> bool {
        self.lasts
    }

    /// The frames of all messages in a form of a protocol's, which has a name of its own: made by `encode` for the first
    /// of many peers. `None` where nobody else would need them.
    pub fn encoded(&self, form: &'static str, encode: impl FnOnce(&mut Vec<u8>)) -> Option<&[u8]> {
        if self.audience < 2 {
            return None;
        }
        let mut encode = Some(encode);
        let mut make = || {
            let mut bytes = Vec::new();
            if let Some(encode) = encode.take() {
                encode(&mut bytes);
            }
            Encoded { form, bytes: bytes.into() }
        };
        let kept = self.encoded.iter().find_map(|slot| {
            let kept = slot.get_or_init(&mut make);
            (kept.form == form).then_some(kept)
        });
        kept.map(|kept| &*kept.bytes)
    }
}

impl Deliveries {
    /// Each by itself.
    pub fn iter(&self) -> impl Iterator<Item = Delivery> {
        self.burst.messages.iter().map(|message| Delivery {
            id: None,
            message: message.clone(),
            matched: self.matched.clone(),
            qos: Qos::AtMostOnce,
            retain: false,
            duplicate: false,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.burst.messages.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.burst.messages.is_empty()
    }
}
