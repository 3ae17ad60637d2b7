use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::class::{ECHO, OBSERVE, PROXY_URI, is_outer};
use crate::keys::Keys;
use crate::sequence::{Sequence, SequenceKey};
use crate::window::Window;
use crate::{
    Header, Message, OSCORE, ParameterError, Parameters, PartialIv, Pending, RequestError, SequenceStore,
};

const POST: u8 = 0x02;
const FETCH: u8 = 0x05;
const CHANGED: u8 = 0x44;
const CONTENT: u8 = 0x45;
const UNAUTHORIZED: u8 = 0x81;

/// A kid context that is longer is not sent: the option has room for 255 bytes in all.
const LONGEST_KID_CONTEXT: usize = 240;

/// What two endpoints share, and what they have used up of it [RFC8613 3.1]. Both roles use the same.
pub struct SecurityContext {
    keys: Keys,
    owner: Owner,
    sequence: Mutex<Sequence>,
    received: Mutex<Received>,
    store: Arc<dyn SequenceStore>,
    revoked: AtomicBool,
}

/// Who the other endpoint is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// What people call the context.
    pub name: Arc<str>,
    /// The client id that goes with it.
    pub client_id: Option<Arc<str>>,
    /// The user name that goes with it.
    pub username: Option<Arc<str>>,
}

/// Where a context begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The first Sender Sequence Number that was never used.
    pub next: u64,
    /// Numbers below this one are stored as used already.
    pub reserved: u64,
    /// What a peer must echo before its requests are taken, since the replay window was lost with an earlier process;
    /// drawn by chance, another one each time. `None` for a context that nobody has used before [RFC8613 B.1.2].
    pub echo: Option<[u8; 8]>,
}

/// What was received of the other endpoint's requests.
#[derive(Debug)]
enum Received {
    Known(Window),
    /// Nobody knows any more; a request with this Echo is new.
    Lost([u8; 8]),
}

/// What binds answers to the request [RFC8613 7.1].
#[derive(Debug)]
pub struct Binding {
    context: Arc<SecurityContext>,
    partial_iv: PartialIv,
    /// Whether the nonce of the request has served for an answer.
    answered: bool,
}

/// What a request turned out to be.
#[derive(Debug)]
pub enum Opened {
    /// A request that is the other endpoint's and new.
    Request(Message, Binding),
    /// One that may be old: what must be answered, protected already, so that its sender shows that it is there.
    Challenge(Message),
}

/// Why a message cannot be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtectError {
    /// It has the OSCORE option already [RFC8613 4.1.3.7].
    #[error("the message is protected already")]
    Nested,
    /// It has Proxy-Uri, which whoever asks must have taken apart before [RFC8613 4.1.3.3].
    #[error("the message has Proxy-Uri; give the parts of the URI")]
    ProxyUri,
    /// The context has no number left, or it cannot be stored that it is used.
    #[error("there is no number left that was never used")]
    NoPartialIv,
    /// It is longer than the algorithm takes.
    #[error("the message is too long for the algorithm")]
    TooLong,
    /// The context is in force no longer.
    #[error("the context was taken away")]
    Revoked,
}

impl SecurityContext {
    /// Derives a context.
    pub fn derive(
        parameters: &Parameters,
        owner: Owner,
        start: Start,
        store: Arc<dyn SequenceStore>,
    ) -> Result<Self, ParameterError> {
        let received = match start.echo {
            Some(echo) => Received::Lost(echo),
            None => Received::Known(Window::default()),
        };
        Ok(Self {
            keys: parameters.derive()?,
            owner,
            sequence: Mutex::new(Sequence::new(start.next, start.reserved)),
            received: Mutex::new(received),
            store,
            revoked: AtomicBool::new(false),
        })
    }

    /// Who the other endpoint is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// What encrypts.
    pub fn algorithm(&self) -> crate::Algorithm {
        self.keys.algorithm
    }

    /// The name of the other endpoint in its requests.
    pub fn recipient_id(&self) -> &[u8] {
        &self.keys.recipient_id
    }

    /// What distinguishes it from contexts with the same ids.
    pub fn id_context(&self) -> Option<&[u8]> {
        self.keys.id_context.as_deref()
    }

    /// What its Sender Sequence Numbers are stored under.
    pub fn sequence_key(&self) -> SequenceKey {
        self.keys.sequence_key()
    }

    /// Takes the context out of force: nothing is protected or read with it any more.
    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    /// Whether it was taken out of force.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// Protects a request to the other endpoint [RFC8613 8.1].
    pub fn protect_request(self: &Arc<Self>, request: Message) -> Result<(Message, Pending), ProtectError> {
        let observe = request.option(OBSERVE).map(<[u8]>::to_vec);
        let (inner, mut outer) = split(request)?;
        outer.code = if observe.is_some() { FETCH } else { POST }; // [RFC8613 4.2], [RFC8613 4.1.3.5]
        if let Some(value) = &observe {
            outer.options.push((OBSERVE, value.clone())); // [RFC8613 4.1.3.5.1]
        }
        let partial_iv = self.take()?;
        let kid = &self.keys.sender_id;
        let nonce = self.keys.nonce(kid, partial_iv);
        let kid_context = self.id_context().filter(|id| id.len() <= LONGEST_KID_CONTEXT);
        let header = Header {
            partial_iv: Some(partial_iv), // [RFC8613 5]
            kid_context: kid_context.map(<[u8]>::to_vec),
            kid: Some(kid.to_vec()),
        };
        let protected = self.seal(&inner, outer, &header, &nonce, &self.keys.aad(kid, partial_iv))?;
        let registers = observe.is_some_and(|value| value.iter().all(|byte| *byte == 0));
        Ok((protected, Pending::new(self.clone(), partial_iv, registers)))
    }

    /// Reads a request that says it is of this context [RFC8613 8.2].
    pub(crate) fn open_request(
        self: &Arc<Self>,
        request: &Message,
        partial_iv: PartialIv,
    ) -> Result<Opened, RequestError> {
        if self.is_revoked() || self.locked_sequence().is_exhausted() {
            return Err(RequestError::ContextNotFound); // [RFC8613 7.2.1]
        }
        if let Received::Known(window) = &*self.locked_received()
            && !window.admits(partial_iv.number())
        {
            return Err(RequestError::Replay); // [RFC8613 7.4]
        }
        let kid = &self.keys.recipient_id;
        let (nonce, aad) = (self.keys.nonce(kid, partial_iv), self.keys.aad(kid, partial_iv));
        let opened = self.keys.algorithm.open(&self.keys.recipient_key, &nonce, &aad, &request.payload);
        let plaintext = opened.ok_or(RequestError::DecryptionFailed)?;
        let mut inner = Message::from_plaintext(&plaintext)
            .ok()
            .filter(|inner| inner.is_request() && !inner.options.iter().any(|(number, _)| is_outer(*number)))
            .ok_or(RequestError::NotDecodable);
        match &mut *self.locked_received() {
            Received::Known(window) => {
                if !window.accept(partial_iv.number()) {
                    return Err(RequestError::Replay); // another thread has read the same meanwhile
                }
            }
            received => {
                let Received::Lost(echo) = *received else { return Err(RequestError::Replay) };
                let fresh = inner.as_ref().is_ok_and(|inner| inner.option(ECHO) == Some(&echo));
                if !fresh {
                    return self.challenge(echo, partial_iv).map(Opened::Challenge);
                }
                *received = Received::Known(Window::from(partial_iv.number())); // [RFC8613 B.1.2]
                inner.iter_mut().for_each(|inner| inner.remove(ECHO)); // it has served
            }
        }
        let binding = Binding { context: self.clone(), partial_iv, answered: false };
        Ok(Opened::Request(join(inner?, request), binding))
    }

    /// The answer to a request that may be old: 4.01 with what must come back, and nothing else [RFC8613 B.1.2].
    fn challenge(&self, echo: [u8; 8], request: PartialIv) -> Result<Message, RequestError> {
        let own = self.take().map_err(|_| RequestError::NoPartialIv)?;
        let aad = self.keys.aad(&self.keys.recipient_id, request);
        let header = Header { partial_iv: Some(own), ..Header::default() };
        let nonce = self.keys.nonce(&self.keys.sender_id, own);
        let inner = Message::new(UNAUTHORIZED).with(ECHO, echo);
        self.seal(&inner, Message::new(CHANGED), &header, &nonce, &aad).map_err(|_| RequestError::NoPartialIv)
    }

    /// Reads the answer to the request with this Partial IV; returns it with its own, if it has one [RFC8613 8.4].
    pub(crate) fn open_response(
        &self,
        response: &Message,
        request: PartialIv,
    ) -> Option<(Message, Option<PartialIv>)> {
        let header = Header::decode(response.option(OSCORE)?).ok()?;
        let nonce = match header.partial_iv {
            Some(own) => self.keys.nonce(&self.keys.recipient_id, own),
            None => self.keys.nonce(&self.keys.sender_id, request),
        };
        let aad = self.keys.aad(&self.keys.sender_id, request);
        let key = &self.keys.recipient_key;
        let plaintext = self.keys.algorithm.open(key, &nonce, &aad, &response.payload)?;
        let inner = Message::from_plaintext(&plaintext).ok()?;
        let whole = inner.is_response() && !inner.options.iter().any(|(number, _)| is_outer(*number));
        (whole && !self.is_revoked()).then(|| (join(inner, response), header.partial_iv))
    }

    fn seal(
        &self,
        inner: &Message,
        mut outer: Message,
        header: &Header,
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Message, ProtectError> {
        let key = &self.keys.sender_key;
        let sealed = self.keys.algorithm.seal(key, nonce, aad, &inner.to_plaintext());
        outer.payload = sealed.ok_or(ProtectError::TooLong)?;
        outer.options.push((OSCORE, header.encode()));
        outer.options.sort_by_key(|(number, _)| *number);
        Ok(outer)
    }

    /// A Partial IV that was never used [RFC8613 7.2].
    fn take(&self) -> Result<PartialIv, ProtectError> {
        if self.is_revoked() {
            return Err(ProtectError::Revoked);
        }
        let mut sequence = self.locked_sequence();
        sequence.take(self.keys.sequence_key(), &*self.store).ok_or(ProtectError::NoPartialIv)
    }

    fn locked_sequence(&self) -> MutexGuard<'_, Sequence> {
        self.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locked_received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Binding {
    /// The context that the request came with.
    pub fn context(&self) -> &Arc<SecurityContext> {
        &self.context
    }

    /// Protects an answer or notification [RFC8613 8.3]. An answer uses the nonce of the request, every further one a new
    /// Partial IV [RFC8613 8.3.1], and the first of an observation too: clients put in order what all has one.
    pub fn protect(&mut self, response: Message) -> Result<Message, ProtectError> {
        let context = &self.context;
        if context.is_revoked() {
            return Err(ProtectError::Revoked);
        }
        if context.locked_sequence().is_exhausted() {
            return Err(ProtectError::NoPartialIv); // [RFC8613 7.2.1]
        }
        let observe = response.option(OBSERVE).map(<[u8]>::to_vec).filter(|_| response.is_success());
        let (mut inner, mut outer) = split(response)?;
        inner.remove(OBSERVE);
        outer.code = CHANGED; // [RFC8613 4.2]
        if let Some(value) = observe {
            inner.options.push((OBSERVE, Vec::new())); // [RFC8613 4.1.3.5.2]
            outer.options.push((OBSERVE, value));
            outer.code = CONTENT; // [RFC8613 4.1.3.5]
        }
        let keys = &context.keys;
        let own = if self.answered || outer.option(OBSERVE).is_some() { Some(context.take()?) } else { None };
        let nonce = match own {
            Some(own) => keys.nonce(&keys.sender_id, own),
            None => keys.nonce(&keys.recipient_id, self.partial_iv),
        };
        let header = Header { partial_iv: own, ..Header::default() }; // [RFC8613 8.3]
        let aad = keys.aad(&keys.recipient_id, self.partial_iv); // [RFC8613 7.1]
        let protected = context.seal(&inner, outer, &header, &nonce, &aad)?;
        self.answered = true;
        Ok(protected)
    }
}

/// Parts a message into what is encrypted and what proxies may see [RFC8613 4.1].
fn split(message: Message) -> Result<(Message, Message), ProtectError> {
    if message.option(OSCORE).is_some() {
        return Err(ProtectError::Nested); // [RFC8613 4.1.3.7]
    }
    if message.option(PROXY_URI).is_some() {
        return Err(ProtectError::ProxyUri); // [RFC8613 4.1.3.3]
    }
    let (outer, inner) = message.options.into_iter().partition(|(number, _)| is_outer(*number));
    let inner = Message { code: message.code, options: inner, payload: message.payload };
    Ok((inner, Message { options: outer, ..Message::default() }))
}

/// Puts what was encrypted and what proxies may see together again; all other outer options are discarded
/// [RFC8613 8.2].
fn join(mut inner: Message, outer: &Message) -> Message {
    let visible = |(number, _): &&(u16, Vec<u8>)| is_outer(*number) && *number != OSCORE;
    inner.options.extend(outer.options.iter().filter(visible).cloned());
    inner.options.sort_by_key(|(number, _)| *number);
    inner
}

impl fmt::Debug for SecurityContext {
    /// Leaves out the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityContext").field("owner", &self.owner).finish_non_exhaustive()
    }
}
