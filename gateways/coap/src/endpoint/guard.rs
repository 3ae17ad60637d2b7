//! OSCORE [RFC8613] between the carrier and the stations: what comes protected goes up as if it had not been, and what
//! answers it goes down protected.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use bus::ProtocolError;
use oscore::{Binding, Opened, Pending, ProtectError, RequestError, SecurityContext, Shared};

use super::Turn;
use super::carrier::Carrier;
use super::stations::blocks::Room;
use crate::pubsub::is_discovery;
use crate::{Code, ExchangeId, Incoming, Message, OptionNumber, Oscore, ReplyTo, Request, SendError};

const ECHO: OptionNumber = OptionNumber(252);

/// What protection adds to a message at most: the option, an outer Observe, the inner code and the tag.
const OVERHEAD: usize = 40;

/// What AES-CCM with a nonce of 13 bytes encrypts at once, but for the code.
const LONGEST: usize = 65_534;

/// A carrier of messages that may be protected.
#[derive(Debug)]
pub(crate) struct Guard {
    carrier: Carrier,
    contexts: Shared,
    required: bool,
    /// The context of whoever was let in; requests to it are protected with the same.
    peer: Option<Arc<SecurityContext>>,
    /// Whether a request was protected, so that answers must leave room for that.
    protects: bool,
    /// Our protected requests that are unanswered or observe.
    asked: HashMap<ExchangeId, Asked>,
}

#[derive(Debug)]
struct Asked {
    pending: Pending,
    /// The request, as long as the peer may want it again with Echo.
    request: Option<Message>,
}

/// How the answers to a request are protected.
#[derive(Clone, Debug)]
pub(crate) struct Protection {
    context: Arc<SecurityContext>,
    binding: Arc<Mutex<Binding>>,
}

impl Guard {
    pub(crate) fn new(carrier: Carrier, config: &Oscore) -> Self {
        let (contexts, required) = (config.in_force.clone(), config.required);
        Self { carrier, contexts, required, peer: None, protects: false, asked: HashMap::new() }
    }

    pub(crate) fn take(
        &mut self,
        input: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<Option<(usize, Option<Incoming>)>, ProtocolError> {
        let Some((length, incoming)) = self.carrier.take(input, turn)? else { return Ok(None) };
        Ok(Some((length, incoming.and_then(|incoming| self.lift(incoming, turn)))))
    }

    /// Takes what the carrier has read.
    fn lift(&mut self, incoming: Incoming, turn: &mut Turn<'_>) -> Option<Incoming> {
        match incoming {
            Incoming::Request(request) if request.message.option(OptionNumber::OSCORE).is_some() => {
                self.open(request, turn).map(Incoming::Request)
            }
            Incoming::Request(request) if self.is_unwelcome(&request.message) => {
                let text = "Requests to this resource must be protected with OSCORE.";
                let answer = Message::diagnostic(Code::UNAUTHORIZED, text);
                self.carrier.respond(&request.reply_to, within(answer, &request.message), turn);
                None
            }
            Incoming::Response { exchange, message } if self.asked.contains_key(&exchange) => {
                self.answered(exchange, &message, false, turn)
            }
            Incoming::Notification { exchange, message } if self.asked.contains_key(&exchange) => {
                self.answered(exchange, &message, true, turn)
            }
            Incoming::Reset { exchange } => {
                self.asked.remove(&exchange);
                Some(Incoming::Reset { exchange })
            }
            incoming => Some(incoming),
        }
    }

    /// Whether a request must be protected that is not. The address of a peer that protects its requests can be forged,
    /// so that all of them must be.
    fn is_unwelcome(&self, request: &Message) -> bool {
        (self.required || self.peer.is_some()) && !is_discovery(request)
    }

    pub(crate) fn respond(
        &mut self,
        to: &ReplyTo,
        response: Message,
        turn: &mut Turn<'_>,
    ) -> Option<ExchangeId> {
        let Some(protection) = to.protection() else { return self.carrier.respond(to, response, turn) };
        let protected = protection.protect(&response).and_then(|protected| {
            let fits = protected.encode().len() + to.token.len() <= self.carrier.room().bytes;
            if fits { Ok(protected) } else { Err(ProtectError::TooLong) }
        });
        let protected = protected.or_else(|error| match error {
            ProtectError::TooLong => {
                let text = "The answer does not fit into one message.";
                protection.protect(&Message::diagnostic(Code::INTERNAL_SERVER_ERROR, text))
            }
            error => Err(error),
        });
        let protected = protected.unwrap_or_else(|error| match error {
            ProtectError::Revoked => unprotected(RequestError::ContextNotFound),
            _ => unprotected(RequestError::NoPartialIv),
        });
        self.carrier.respond(to, protected, turn)
    }

    pub(crate) fn notify(
        &mut self,
        to: &ReplyTo,
        message: Message,
        confirmable: bool,
        turn: &mut Turn<'_>,
    ) -> Result<ExchangeId, SendError> {
        let message = match to.protection() {
            Some(protection) => protection.protect(&message).map_err(unsent)?,
            None => message,
        };
        self.carrier.notify(to, message, confirmable, turn)
    }

    /// Sends a request that has its token; to a peer that has protected its own it is protected too.
    pub(crate) fn request(
        &mut self,
        exchange: ExchangeId,
        message: Message,
        turn: &mut Turn<'_>,
    ) -> Result<(), SendError> {
        match self.peer.clone() {
            Some(context) => self.ask(exchange, &context, message, true, turn),
            None => self.carrier.request(exchange, message, turn),
        }
    }

    pub(crate) fn forget(&mut self, exchange: ExchangeId) {
        self.asked.remove(&exchange);
        self.carrier.forget(exchange);
    }

    /// How large a message may be before it is protected.
    pub(crate) fn room(&self) -> Room {
        let room = self.carrier.room();
        match self.protects {
            true => Room { bytes: room.bytes.min(LONGEST).saturating_sub(OVERHEAD), ..room },
            false => room,
        }
    }

    /// Whoever has sent a request was let in. Anybody with a key can protect one under the peer's address, so that
    /// nothing less binds the peer to a context.
    pub(crate) fn bind(&mut self, asker: &ReplyTo) {
        self.peer = asker.protection().map(|protection| protection.context().clone());
    }

    /// Reads a protected request; one that cannot be taken is answered here [RFC8613 8.2].
    fn open(&mut self, request: Request, turn: &mut Turn<'_>) -> Option<Request> {
        let Request { message, mut reply_to } = request;
        if is_fragment(&message) {
            // [RFC8613 4.1.3.4.2]: what a proxy has cut up would have to be kept before anything is known of it.
            let text = "Outer blocks are not put together; cut the body before it is protected.";
            let answer = Message::diagnostic(Code::BAD_OPTION, text);
            self.carrier.respond(&reply_to, within(answer, &message), turn);
            return None;
        }
        let answer = match self.contexts.current().open(&plain(&message)) {
            Ok(Opened::Request(inner, binding)) => {
                let opened = restored(&message, inner);
                self.protects = true;
                reply_to.passed.protection = Some(Protection::new(binding));
                let unknown = match self.carrier.q_blocks() {
                    Some(_) => opened.unknown_beside_q_block(),
                    None => opened.unknown_critical_option(),
                };
                let Some(option) = unknown else {
                    return Some(Request { message: opened, reply_to });
                };
                let text = format!("The critical option {} is unknown or has a wrong form.", option.0);
                self.respond(&reply_to, Message::diagnostic(Code::BAD_OPTION, &text), turn); // [RFC7252 5.4.1]
                return None;
            }
            Ok(Opened::Challenge(answer)) => restored(&Message::response(Code::CHANGED), answer),
            Err(error) => within(unprotected(error), &message),
        };
        self.carrier.respond(&reply_to, answer, turn);
        None
    }

    fn ask(
        &mut self,
        exchange: ExchangeId,
        context: &Arc<SecurityContext>,
        message: Message,
        first: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), SendError> {
        let (protected, pending) = context.protect_request(plain(&message)).map_err(unsent)?;
        self.carrier.request(exchange, restored(&message, protected), turn)?;
        if self.asked.len().is_power_of_two() {
            self.asked.retain(|exchange, _| turn.matching.token(*exchange).is_some());
        }
        self.asked.insert(exchange, Asked { pending, request: first.then_some(message) });
        Ok(())
    }

    /// Reads the answer to a protected request [RFC8613 8.4].
    fn answered(
        &mut self,
        exchange: ExchangeId,
        message: &Message,
        further: bool,
        turn: &mut Turn<'_>,
    ) -> Option<Incoming> {
        let asked = self.asked.get_mut(&exchange)?;
        let Ok(answer) = asked.pending.open(plain(message)) else {
            // [RFC8613 8.4.2]: an observation goes on
            return (!further).then(|| self.give_up(exchange, turn));
        };
        let answer = restored(message, answer);
        let (context, request) = (asked.pending.context().clone(), asked.request.take());
        if let (Some(request), Some(echo)) = (request, answer.option(ECHO))
            && answer.code() == Code::UNAUTHORIZED
        {
            // The device has lost its replay window; it wants to see that this request is new [RFC9175 2.3].
            let again = request.with_option(ECHO, echo);
            return match self.ask(exchange, &context, again, false, turn) {
                Ok(()) => None,
                Err(_) => Some(self.give_up(exchange, turn)),
            };
        }
        if answer.unknown_critical_option().is_some() {
            return Some(self.give_up(exchange, turn)); // [RFC7252 5.4.1]
        }
        if answer.observe().is_none() || !answer.code().is_success() {
            self.asked.remove(&exchange);
            turn.matching.forget(exchange);
        }
        Some(match further {
            true => Incoming::Notification { exchange, message: answer },
            false => Incoming::Response { exchange, message: answer },
        })
    }

    fn give_up(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) -> Incoming {
        self.forget(exchange);
        turn.matching.forget(exchange);
        Incoming::Reset { exchange }
    }
}

impl Deref for Guard {
    type Target = Carrier;

    fn deref(&self) -> &Carrier {
        &self.carrier
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut Carrier {
        &mut self.carrier
    }
}

impl Protection {
    fn new(binding: Binding) -> Self {
        Self { context: binding.context().clone(), binding: Arc::new(Mutex::new(binding)) }
    }

    /// The context that the request came with.
    pub(crate) fn context(&self) -> &Arc<SecurityContext> {
        &self.context
    }

    fn protect(&self, message: &Message) -> Result<Message, ProtectError> {
        let mut binding = self.binding.lock().unwrap_or_else(PoisonError::into_inner);
        binding.protect(plain(message)).map(|protected| restored(message, protected))
    }
}

impl PartialEq for Protection {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.binding, &other.binding)
    }
}

impl Eq for Protection {}

/// Whether a proxy has cut up the protected message.
fn is_fragment(message: &Message) -> bool {
    message.all_options().any(|(number, _)| number.is_q_block())
        || message.block1().is_some_and(|block| block.more || block.number > 0)
        || message.block2().is_some_and(|block| block.number > 0)
}

/// The refusal of a request that may be anybody's, without words if it would be more than three times as long
/// [RFC9175 2.4].
fn within(refusal: Message, request: &Message) -> Message {
    let fits = refusal.encode().len() <= 3 * request.encode().len();
    if fits { refusal } else { refusal.with_payload("") }
}

/// The message without what belongs to its carrier.
fn plain(message: &Message) -> oscore::Message {
    oscore::Message {
        code: message.code().0,
        options: message.all_options().map(|(number, value)| (number.0, value.to_vec())).collect(),
        payload: message.payload().to_vec(),
    }
}

/// The message that stands for another, with what belongs to the carrier of that.
fn restored(message: &Message, plain: oscore::Message) -> Message {
    message.replaced(Code(plain.code), plain.options, plain.payload.into())
}

fn unprotected(error: RequestError) -> Message {
    restored(&Message::response(Code::BAD_REQUEST), error.response())
}

fn unsent(error: ProtectError) -> SendError {
    match error {
        ProtectError::TooLong => SendError::TooLarge,
        ProtectError::Nested | ProtectError::ProxyUri | ProtectError::NoPartialIv | ProtectError::Revoked => {
            SendError::Unprotected
        }
    }
}
