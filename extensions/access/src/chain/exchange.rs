use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use broker::{Answer, Authentication, Exchange};
use bus::{EnhancedAuthentication, Reason};

use super::{AuthChain, identity};
use crate::policy::Policy;
use crate::scram::{self, Conversation, Mechanism};

/// An exchange of SCRAM that awaits the client's proof.
struct ExpectProof {
    chain: AuthChain,
    mechanism: Mechanism,
    conversation: Conversation,
}

impl AuthChain {
    /// Answers the first message of an exchange. That there is no such user is found only at its end, as if the
    /// password were wrong.
    pub(super) fn begin_scram(&self, policy: &Policy, step: &EnhancedAuthentication) -> Authentication {
        let refuse = Authentication::Refuse;
        let offered = |mechanism: &Mechanism| policy.accounts.offer_scram(*mechanism);
        let Some(mechanism) = Mechanism::find(&step.method).filter(offered) else {
            return refuse(Reason::BadAuthenticationMethod);
        };
        let Ok(username) = scram::username(&step.data) else { return refuse(Reason::BadCredentials) };
        let pretended = policy.accounts.pretended_scram(&username, mechanism);
        let known = policy.accounts.scram(&username, mechanism).cloned();
        let Some(credential) = known.or(pretended) else { return refuse(Reason::BadAuthenticationMethod) };
        let chance: [u8; 24] = rand::random();
        let Ok((conversation, challenge)) =
            Conversation::begin(&step.data, credential, &STANDARD.encode(chance))
        else {
            return refuse(Reason::BadCredentials);
        };
        let challenge = EnhancedAuthentication { method: step.method.clone(), data: challenge.into() };
        Authentication::Challenge(
            challenge,
            Box::new(ExpectProof { chain: self.clone(), mechanism, conversation }),
        )
    }
}

impl Exchange for ExpectProof {
    fn proceed(self: Box<Self>, step: EnhancedAuthentication) -> Answer<Authentication> {
        let Self { chain, mechanism, conversation } = *self;
        if step.method.as_ref() != mechanism.name() {
            return Answer::Now(Authentication::Refuse(Reason::BadAuthenticationMethod));
        }
        let Ok(proof) = conversation.finish(&step.data) else {
            return Answer::Now(Authentication::Refuse(Reason::BadCredentials));
        };
        // The user may have been taken out, or given another password, since the exchange began.
        let policy = chain.policy();
        let accounts = &policy.accounts;
        let unchanged = accounts.scram(&conversation.username, mechanism) == Some(conversation.credential());
        Answer::Now(match accounts.find(&conversation.username).filter(|_| unchanged) {
            Some(account) => {
                let mut identity = identity(Arc::from(conversation.username.as_str()), account);
                identity.completion =
                    Some(EnhancedAuthentication { method: step.method, data: proof.into() });
                Authentication::Accept(identity)
            }
            None => Authentication::Refuse(Reason::BadCredentials),
        })
    }
}
