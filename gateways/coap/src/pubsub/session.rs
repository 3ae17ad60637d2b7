use bus::ClientId;

use super::identity::Identity;
use super::visitor::proved_names;

/// The broker session of a peer, as far as it is this crate's.
pub(crate) enum Session {
    Closed,
    /// The broker was asked to open it.
    Opening(Identity),
    /// Open, with the token of connection mode if that was asked for.
    Open(Identity, Option<Box<str>>),
    /// Opened by another protocol on the same endpoint.
    Lent(ClientId),
}

/// What becomes of a request that needs a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Proceed,
    /// A session must be opened first, in place of the one there may be.
    Open,
    Refuse(&'static str),
}

const WRONG_TOKEN: &str = "There is no connection with this token and client id.";
const TOKEN_EACH_TIME: &str = "This connection has a token; every request must carry it.";
const CREDENTIALS_EACH_TIME: &str = "This session was opened with a password; every request must carry it.";
const LENT: &str = "The session of this peer is that of its registration; leave the credentials out.";

impl Session {
    /// The names that the client goes by. A client id that the broker chose is none.
    pub(crate) fn names(&self) -> Vec<Box<str>> {
        match self {
            Self::Closed | Self::Opening(_) => Vec::new(),
            Self::Lent(client_id) => vec![format!("client:{client_id}").into()],
            Self::Open(identity, _) => {
                let client_id = identity.client_id.iter().map(|client_id| format!("client:{client_id}"));
                let username = identity.username.iter().map(|username| format!("user:{username}"));
                let proved = identity.proved.iter().flat_map(|proved| proved_names(proved));
                client_id.chain(username).map(Into::into).chain(proved).collect()
            }
        }
    }

    /// Whether it takes a secret to use it.
    pub(crate) fn has_secret(&self) -> bool {
        match self {
            Self::Closed | Self::Opening(_) | Self::Lent(_) => false,
            Self::Open(identity, token) => {
                identity.password.is_some() || token.is_some() || identity.proved.is_some()
            }
        }
    }

    /// Whether the secret that it takes is there.
    pub(crate) fn is_shown(&self, wanted: &Identity) -> bool {
        self.has_secret() && self.admit(wanted) == Admission::Proceed
    }

    /// A source address can be forged, so that a session which took a password to open takes it, or the token,
    /// for each request.
    pub(crate) fn admit(&self, wanted: &Identity) -> Admission {
        match self {
            Self::Closed | Self::Opening(_) if wanted.token.is_some() => Admission::Refuse(WRONG_TOKEN),
            Self::Closed | Self::Opening(_) => Admission::Open,
            Self::Lent(client_id) => {
                let named = Identity { client_id: Some(client_id.clone()), ..Identity::default() };
                let wanted = Identity { proved: None, ..wanted.clone() };
                if wanted.is_nobody() || wanted == named {
                    Admission::Proceed
                } else {
                    Admission::Refuse(LENT)
                }
            }
            Self::Open(identity, token) if wanted.token.is_some() => {
                let same = wanted.token == *token
                    && wanted.client_id == identity.client_id
                    && wanted.proved == identity.proved;
                if same { Admission::Proceed } else { Admission::Refuse(WRONG_TOKEN) }
            }
            // A name without a password proves nothing, and the token would.
            Self::Open(identity, Some(_)) if wanted == identity && identity.password.is_none() => {
                Admission::Refuse(TOKEN_EACH_TIME)
            }
            Self::Open(identity, _) if wanted == identity => Admission::Proceed,
            Self::Open(identity, _) if wanted.proved.is_some() && wanted.client_id.is_none() => {
                if wanted.proved == identity.proved { Admission::Proceed } else { Admission::Open }
            }
            Self::Open(..) if wanted.is_nobody() => match self.has_secret() {
                true => Admission::Refuse(CREDENTIALS_EACH_TIME),
                false => Admission::Proceed,
            },
            Self::Open(..) => Admission::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Message};

    fn identity(queries: &[&str]) -> Identity {
        let request =
            queries.iter().fold(Message::request(Code::GET), |request, query| request.with_query(query));
        Identity::parse(&request).unwrap()
    }

    #[test]
    fn a_session_serves_those_who_prove_that_it_is_theirs() {
        let open = Session::Open(identity(&["c=a", "u=joe", "p=secret"]), None);
        let cases: [(&[&str], Admission); 5] = [
            (&["clientid=a", "username=joe", "password=secret"], Admission::Proceed),
            (&["c=a", "u=joe", "p=wrong"], Admission::Open),
            (&["c=b"], Admission::Open),
            (&[], Admission::Refuse(CREDENTIALS_EACH_TIME)),
            (&["c=a", "t=1"], Admission::Refuse(WRONG_TOKEN)),
        ];
        for (queries, expected) in cases {
            assert_eq!(open.admit(&identity(queries)), expected, "{queries:?}");
        }
        assert_eq!(Session::Open(identity(&["c=a"]), None).admit(&identity(&[])), Admission::Proceed);
    }

    #[test]
    fn a_token_stands_for_the_password_and_is_needed_once_it_was_given() {
        let open = Session::Open(identity(&["c=a", "p=secret"]), Some("77".into()));
        assert_eq!(open.admit(&identity(&["c=a", "t=77"])), Admission::Proceed);
        assert_eq!(open.admit(&identity(&["c=b", "t=77"])), Admission::Refuse(WRONG_TOKEN));
        assert_eq!(open.admit(&identity(&["t=77"])), Admission::Refuse(WRONG_TOKEN));
        assert_eq!(open.admit(&identity(&[])), Admission::Refuse(CREDENTIALS_EACH_TIME));
        let without = Session::Open(identity(&["c=a"]), Some("77".into()));
        assert_eq!(without.admit(&identity(&["c=a"])), Admission::Refuse(TOKEN_EACH_TIME));
        assert_eq!(Session::Closed.admit(&identity(&["c=a", "t=77"])), Admission::Refuse(WRONG_TOKEN));
    }

    #[test]
    fn a_lent_session_takes_no_credentials() {
        let lent = Session::Lent(ClientId::parse("urn:dev").unwrap());
        assert_eq!(lent.admit(&identity(&[])), Admission::Proceed);
        assert_eq!(lent.admit(&identity(&["c=urn:dev"])), Admission::Proceed);
        assert_eq!(lent.admit(&identity(&["c=other"])), Admission::Refuse(LENT));
        assert_eq!(lent.admit(&identity(&["c=urn:dev", "p=x"])), Admission::Refuse(LENT));
    }
}
