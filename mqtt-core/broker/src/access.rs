//! What decides: who a client is, what it may do, and what becomes of what it sends.
//!
//! Each trait answers at once where it can. The broker asks inside `connect`, `publish`, `subscribe` and
//! `read`, and again for wills and resumed subscriptions; nothing else leads to a session.

use std::num::NonZeroU64;
use std::sync::Arc;

use bus::{
    Address, ClientId, Credentials, EnhancedAuthentication, Filter, Peer, Publish, Qos, Reason, Subscription,
    Topic, UserProperty,
};

use crate::Answer;

/// Tells who a client is.
pub trait Authenticator: Send + Sync + 'static {
    /// Judges an attempt to connect. Any error inside must end in [`Authentication::Refuse`].
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication>;

    /// Whether a peer at this address may say anything at all: asked before its first byte is read.
    fn admits(&self, _address: Address) -> bool {
        true
    }

    /// Whether a client that was let in would still be: asked when rights are reconsidered. One whose user is gone,
    /// or that is banned, is closed, and its session ends.
    fn still_valid(&self, _client: &Client) -> bool {
        true
    }

    /// Whether what a client proved itself with is still good, as far as it is still valid: asked at the same time. One
    /// that would have to show something else now is closed, and its session goes on.
    fn still_proved(&self, _client: &Client) -> bool {
        true
    }
}

/// An enhanced authentication under way: waits for the client's next step.
pub trait Exchange: Send + 'static {
    /// Judges the client's next step.
    fn proceed(self: Box<Self>, step: EnhancedAuthentication) -> Answer<Authentication>;
}

/// Tells what a client may do.
pub trait Authorizer: Send + Sync + 'static {
    /// Judges one access. Any error inside must end in [`Permission::Deny`].
    fn authorize(&self, client: &Client, access: Access<'_>) -> Answer<Permission>;

    /// A number that changes whenever an earlier answer may no longer hold; until then the broker may reuse it.
    fn epoch(&self) -> u64 {
        0
    }
}

/// Changes or stops what a client publishes or subscribes to, after it was authorized. It is given what the client
/// means: rewritten, and with its mountpoint.
///
/// A message on `$delayed/{seconds}/{topic}` is given when it comes, on the topic behind the delay, and not again when
/// it is due; a will when it is published. A retained publish without a payload and of no guarantee may be one that only
/// might be made: a connection asks whether it may before it does what depends on it.
pub trait Interceptor: Send + Sync + 'static {
    /// Returns what shall be published instead, or why nothing shall.
    fn publish(&self, _client: &Client, publish: Publish) -> Answer<Result<Publish, Reason>> {
        Answer::Now(Ok(publish))
    }

    /// Returns what shall be subscribed instead, or why nothing shall.
    fn subscribe(
        &self,
        _client: &Client,
        subscription: Subscription,
    ) -> Answer<Result<Subscription, Reason>> {
        Answer::Now(Ok(subscription))
    }
}

/// Changes what topics and filters clients mean, before anything else looks at them: access rules see what it
/// returns.
pub trait Rewriter: Send + Sync + 'static {
    /// Whether it changes anything now; it is not asked otherwise.
    fn is_active(&self) -> bool {
        true
    }

    /// The topic that is published to instead; `None` leaves it. It is given without `$delayed/{seconds}/`, and without
    /// the client's mountpoint.
    fn publish(&self, client: &Client, topic: &Topic) -> Option<Topic>;

    /// The filter that is subscribed, unsubscribed or read instead; `None` leaves it. It is given without the client's
    /// mountpoint.
    fn subscribe(&self, client: &Client, filter: &Filter) -> Option<Filter>;
}

/// The kinds of hook, as the broker holds them.
#[derive(Clone)]
pub struct Hooks {
    /// Who a client is.
    pub authenticator: Arc<dyn Authenticator>,
    /// What a client may do.
    pub authorizer: Arc<dyn Authorizer>,
    /// What topics it means.
    pub rewriter: Option<Arc<dyn Rewriter>>,
    /// What becomes of what it sends, asked in order.
    pub interceptors: Vec<Arc<dyn Interceptor>>,
}

/// An attempt to connect.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The id the client chose, if it did.
    pub client_id: Option<ClientId>,
    /// What it shows.
    pub credentials: Credentials,
    /// What else it says of itself (MQTT 5 user properties).
    pub user_properties: Arc<[UserProperty]>,
    /// Where it comes from.
    pub peer: Arc<Peer>,
    /// The protocol and version it speaks: `MQTT 5`.
    pub protocol: &'static str,
}

/// The judgement of an attempt.
pub enum Authentication {
    /// The client is who it says.
    Accept(Identity),
    /// The client shall take another step.
    Challenge(EnhancedAuthentication, Box<dyn Exchange>),
    /// The client is not let in.
    Refuse(Reason),
}

/// Who a client turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user name that access rules see; an anonymous client has none.
    pub username: Option<Arc<str>>,
    /// Whether access rules do not apply.
    pub superuser: bool,
    /// A number that stands for what the client proved itself with, and tells nothing of it; none if it proved nothing.
    pub proof: Option<NonZeroU64>,
    /// What completes an enhanced authentication for the client.
    pub completion: Option<Box<EnhancedAuthentication>>,
    /// The client id that goes with the identity, whatever the client asked for.
    pub client_id: Option<Box<ClientId>>,
    /// What is known of the client beside its name: `tenant` → `acme`. Rules and mountpoints may use it.
    pub attributes: Option<Arc<Attributes>>,
    /// What stands before every topic of the client, without its knowing: `acme/`.
    pub mountpoint: Option<Arc<str>>,
}

/// Names and values.
pub type Attributes = std::collections::BTreeMap<Box<str>, Box<str>>;

/// A client that was let in.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// Who it is.
    pub identity: Identity,
    /// Where it comes from.
    pub peer: Arc<Peer>,
    /// The protocol and version it speaks: `MQTT 5`.
    pub protocol: &'static str,
}

/// One access to judge.
#[derive(Clone, Copy, Debug)]
pub enum Access<'a> {
    /// A message is to be published, as a will too.
    Publish {
        /// Its topic.
        topic: &'a Topic,
        /// The guarantee asked.
        qos: Qos,
        /// Whether it is to be retained.
        retain: bool,
    },
    /// A subscription is to be made or resumed.
    Subscribe {
        /// Its filter, share prefix included.
        filter: &'a Filter,
        /// The guarantee asked.
        qos: Qos,
    },
    /// The retained message of a topic is to be read.
    Read {
        /// The topic.
        topic: &'a Topic,
    },
    /// A message is to be delivered for a subscription that was answered [`Permission::AllowFiltered`]. The session is
    /// locked meanwhile: whoever judges this must not look for it in the broker.
    Receive {
        /// Its topic.
        topic: &'a Topic,
    },
}

/// The judgement of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// It may be.
    Allow,
    /// The subscription may be, but not every message that matches it may be received: each is judged by
    /// [`Access::Receive`], which must be answered at once. One that came through a share group and may not be received
    /// goes to another member, a few times at most. The same as [`Permission::Allow`] for other accesses.
    AllowFiltered,
    /// It may not be.
    Deny,
}

/// Lets everybody in and everything pass: for tests, and for listeners that only this machine reaches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Authenticator for Open {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        let username = attempt.credentials.username.clone();
        Answer::Now(Authentication::Accept(Identity { username, ..Identity::default() }))
    }
}

impl Authorizer for Open {
    fn authorize(&self, _client: &Client, _access: Access<'_>) -> Answer<Permission> {
        Answer::Now(Permission::Allow)
    }
}

impl Hooks {
    /// Hooks that let everything pass.
    pub fn open() -> Self {
        Self {
            authenticator: Arc::new(Open),
            authorizer: Arc::new(Open),
            rewriter: None,
            interceptors: Vec::new(),
        }
    }
}
