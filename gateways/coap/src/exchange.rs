use std::sync::Arc;

use bus::{ClientId, Secured};
use oscore::SecurityContext;

#[cfg(doc)]
use crate::Endpoint;
use crate::endpoint::{Passed, Protection};
use crate::{Message, Token};

/// What came from the peer, as far as it concerns whoever uses the endpoint.
#[derive(Debug)]
pub enum Incoming {
    /// A request, to be answered with [`Endpoint::respond`] now or later.
    Request(Request),
    /// The first of the blocks that a request comes in. It is answered; the whole request follows if the peer goes
    /// on.
    Begin {
        /// The request without its payload, answered already.
        head: Request,
    },
    /// The answer to our request. If both have the Observe option, notifications follow.
    Response {
        /// What [`Endpoint::request`] returned.
        exchange: ExchangeId,
        /// The answer.
        message: Message,
    },
    /// A further answer to our request with Observe 0. Without the Observe option it is the last.
    Notification {
        /// What [`Endpoint::request`] returned.
        exchange: ExchangeId,
        /// The notification.
        message: Message,
    },
    /// The peer has our request, the answer follows; or it has our notification or late answer.
    Acknowledged {
        /// What was sent.
        exchange: ExchangeId,
    },
    /// The answer to our request cannot be had whole. The exchange is over.
    Failed {
        /// What [`Endpoint::request`] returned.
        exchange: ExchangeId,
        /// Why.
        reason: &'static str,
    },
    /// The peer does not want our message, is alive (after [`Endpoint::ping`]), or answered with a critical
    /// option that is unknown. The exchange is over.
    Reset {
        /// What was sent.
        exchange: ExchangeId,
    },
}

/// A request from the peer.
#[derive(Debug)]
pub struct Request {
    /// What it says.
    pub message: Message,
    /// Where the answer goes.
    pub reply_to: ReplyTo,
}

/// Where the answer to a request goes; small enough to be kept until the broker has spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The token of the request.
    pub token: Token,
    /// Whether the request was confirmable.
    pub confirmable: bool,
    /// The message id on a carrier that has them.
    pub(crate) id: u16,
    /// What tells the request from another with the same message id.
    pub(crate) digest: u64,
    /// How many bytes the request had, where that counts.
    pub(crate) length: usize,
    /// What the stations noted on the way up.
    pub(crate) passed: Passed,
}

impl ReplyTo {
    /// Where the answer to a request goes that has passed no station yet.
    pub(crate) fn new(token: Token, confirmable: bool, id: u16, digest: u64) -> Self {
        Self { token, confirmable, id, digest, length: 0, passed: Passed::default() }
    }

    /// Who has protected the request with OSCORE, and how.
    pub fn security(&self) -> Option<&SecurityContext> {
        self.protection().map(|protection| &**protection.context())
    }

    /// What the request proves of its sender, for [`Credentials`](bus::Credentials).
    pub fn proved(&self) -> Option<Arc<Secured>> {
        let context = self.security()?;
        let owner = context.owner();
        let username = owner.username.clone().unwrap_or_else(|| owner.name.clone());
        Some(Arc::new(Secured {
            version: "OSCORE".into(),
            cipher: context.algorithm().name().into(),
            username: Some(username),
            ..Secured::default()
        }))
    }

    /// Whether the sender may have this client id: one that the security context names is its only one.
    pub fn may_be(&self, client_id: &ClientId) -> bool {
        let own = self.security().and_then(|context| context.owner().client_id.as_deref());
        own.is_none_or(|own| own == client_id.as_str())
    }

    pub(crate) fn protection(&self) -> Option<&Protection> {
        self.passed.protection.as_ref()
    }
}

/// The number of something that we sent and that the peer may answer, acknowledge or reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub(crate) u64);

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Too much waits already; see [`Endpoint::can_send`].
    #[error("too many messages wait for the peer")]
    Full,
    /// It must be protected, and cannot be: see [`Config::oscore`](crate::Config).
    #[error("the message cannot be protected")]
    Unprotected,
    /// It does not fit into a datagram.
    #[error("the message does not fit into a datagram")]
    TooLarge,
}
