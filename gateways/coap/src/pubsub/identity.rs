use std::sync::Arc;

use bus::{ClientId, Credentials, PeerName, Secured};
use bytes::Bytes;

use crate::check::options;
use crate::{Code, Message, OptionNumber, Request, is_request};

/// Who a request says it is from, by its query.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) client_id: Option<ClientId>,
    pub(super) username: Option<Arc<str>>,
    pub(super) password: Option<Bytes>,
    /// What `POST mqtt/connection` was answered with; it stands for user name and password.
    pub(super) token: Option<Box<str>>,
    /// What OSCORE proves, in place of user name and password.
    pub(super) proved: Option<Arc<Secured>>,
}

impl Identity {
    /// Reads who a request is from: by its security context where it is protected, else by its query alone. The error
    /// is the answer.
    pub(crate) fn of(request: &Request) -> Result<Self, Message> {
        let said = Self::parse(&request.message)?;
        let Some(context) = request.reply_to.security() else { return Ok(said) };
        if said.username.is_some() || said.password.is_some() {
            return Err(Message::diagnostic(Code::UNAUTHORIZED, PROVED));
        }
        if said.client_id.as_ref().is_some_and(|client_id| !request.reply_to.may_be(client_id)) {
            return Err(Message::diagnostic(Code::UNAUTHORIZED, WRONG_CLIENT_ID));
        }
        let own = context.owner().client_id.as_deref().and_then(ClientId::parse);
        Ok(Self { client_id: own.or(said.client_id), proved: request.reply_to.proved(), ..said })
    }

    /// Reads `clientid`, `username`, `password` and `token`, or `c`, `u`, `p` and `t`; the error is the answer.
    pub(crate) fn parse(request: &Message) -> Result<Self, Message> {
        let client_id = match request.query(&["clientid", "c"]) {
            Some(text) => Some(ClientId::parse(text).ok_or_else(|| {
                Message::diagnostic(Code::BAD_REQUEST, "The client id is empty or contains U+0000.")
            })?),
            None => None,
        };
        Ok(Self {
            client_id,
            username: request.query(&["username", "u"]).map(Into::into),
            password: request.query(&["password", "p"]).map(|text| Bytes::copy_from_slice(text.as_bytes())),
            token: request.query(&["token", "t"]).map(Into::into),
            proved: None,
        })
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials {
            username: self.username.clone(),
            password: self.password.clone(),
            enhanced: None,
            proved: self.proved.clone(),
        }
    }

    /// The same for opening a session, which is what gives a token.
    pub(crate) fn without_token(self) -> Self {
        Self { token: None, ..self }
    }

    /// What the peer's datagrams are named in connection mode.
    pub(crate) fn name(&self, token: &str) -> PeerName {
        name_of(
            self.client_id.as_ref().map_or("", |client_id| client_id.as_str()).as_bytes(),
            token.as_bytes(),
        )
    }

    pub(super) fn is_nobody(&self) -> bool {
        *self == Self::default()
    }
}

/// The name of the peer that a request is from, if it has a client id and the token of connection mode: with
/// both, a peer is known wherever it sends from.
pub fn peer_name(datagram: &[u8]) -> Option<PeerName> {
    if !is_request(datagram) {
        return None;
    }
    let argument = |names: [&[u8]; 2]| {
        let queries = options(datagram).filter(|(number, _)| *number == OptionNumber::URI_QUERY.0);
        queries
            .map(|(_, value)| value)
            .find_map(|value| names.iter().find_map(|name| value.strip_prefix(*name)))
    };
    let token = argument([b"token=", b"t="])?;
    Some(name_of(argument([b"clientid=", b"c="])?, token))
}

fn name_of(client_id: &[u8], token: &[u8]) -> PeerName {
    PeerName([client_id, &[0], token].concat().into())
}

const PROVED: &str = "The security context says who asks; leave user name and password out.";
const WRONG_CLIENT_ID: &str = "The client id is not that of the security context; leave it out.";
