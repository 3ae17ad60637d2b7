use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::{Header, Message, OSCORE, Opened, RequestError, SecurityContext};

/// How many contexts are tried for a request that does not say which of them is meant.
const MOST_TRIED: usize = 8;

/// The contexts of a server, found by the kid and kid context of a request.
#[derive(Debug, Default)]
pub struct Contexts {
    by_id: HashMap<Box<[u8]>, Vec<Arc<SecurityContext>>>,
}

/// Why contexts cannot be used beside each other; each names the later one by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextsError {
    /// Both would be meant by the same requests.
    #[error("another context has the same recipient id and id context; give each its own")]
    SameRecipient(usize),
    /// Both would encrypt with the same key.
    #[error(
        "another context has the same master secret, salt, id context and sender id; give each its own sender id"
    )]
    SameSender(usize),
}

impl Contexts {
    /// Contexts that are told apart by their ids.
    pub fn new(contexts: impl IntoIterator<Item = Arc<SecurityContext>>) -> Result<Self, ContextsError> {
        let mut by_id: HashMap<Box<[u8]>, Vec<Arc<SecurityContext>>> = HashMap::new();
        let mut keys = HashSet::new();
        for (place, context) in contexts.into_iter().enumerate() {
            let same = by_id.entry(context.recipient_id().into()).or_default();
            if same.iter().any(|other| other.id_context() == context.id_context()) {
                return Err(ContextsError::SameRecipient(place)); // [RFC8613 3.3]
            }
            if !keys.insert(context.sequence_key()) {
                return Err(ContextsError::SameSender(place)); // [RFC8613 3.3]
            }
            same.push(context);
        }
        Ok(Self { by_id })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether this very context is among them.
    pub(crate) fn has(&self, context: &Arc<SecurityContext>) -> bool {
        let same = self.by_id.get(context.recipient_id());
        same.is_some_and(|same| same.iter().any(|other| Arc::ptr_eq(other, context)))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SecurityContext>> {
        self.by_id.values().flatten()
    }

    /// Reads a protected request [RFC8613 8.2]. Outer blocks must have been put together before.
    pub fn open(&self, request: &Message) -> Result<Opened, RequestError> {
        let mut values = request.values(OSCORE);
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(RequestError::NotDecodable); // [RFC8613 2]
        };
        let header = Header::decode(value).map_err(|_| RequestError::NotDecodable)?;
        let (Some(partial_iv), Some(kid)) = (header.partial_iv, header.kid) else {
            return Err(RequestError::NotDecodable); // [RFC8613 5]
        };
        if request.payload.is_empty() {
            return Err(RequestError::NotDecodable); // [RFC8613 2]
        }
        let mut failure = RequestError::ContextNotFound;
        for context in self.candidates(&kid, header.kid_context.as_deref()) {
            match context.open_request(request, partial_iv) {
                Err(error @ (RequestError::DecryptionFailed | RequestError::Replay)) => failure = error,
                Err(RequestError::ContextNotFound) => {}
                opened => return opened,
            }
        }
        Err(failure)
    }

    fn candidates<'a>(
        &'a self,
        kid: &[u8],
        kid_context: Option<&'a [u8]>,
    ) -> impl Iterator<Item = &'a Arc<SecurityContext>> {
        let same = self.by_id.get(kid).map(Vec::as_slice).unwrap_or_default();
        let named = move |context: &&Arc<SecurityContext>| {
            kid_context.is_none_or(|id| context.id_context() == Some(id)) // [RFC8613 5]
        };
        same.iter().filter(named).take(MOST_TRIED)
    }
}
