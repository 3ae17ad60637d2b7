use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use broker::{Answer, Attempt, Authentication, Exchange};
use bus::{EnhancedAuthentication, Reason};

use super::{AuthChain, Shown};
use crate::account::Secret;
use crate::policy::Policy;
use crate::scram::{self, Conversation, Mechanism};

/// An exchange of SCRAM that awaits the client's proof.
struct ExpectProof {
    chain: AuthChain,
    attempt: Attempt,
    mechanism: Mechanism,
    conversation: Conversation,
}

impl AuthChain {
    /// Answers the first message of an exchange. That there is no such user is found only at its end, as if the
    /// password were wrong.
    pub(super) fn begin_scram(
        &self,
        policy: &Policy,
        attempt: &Attempt,
        step: &EnhancedAuthentication,
    ) -> Authentication {
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
        let begun = Conversation::begin(&step.data, credential, &STANDARD.encode(chance));
        let Ok((conversation, challenge)) = begun else { return refuse(Reason::BadCredentials) };
        let challenge = EnhancedAuthentication { method: step.method.clone(), data: challenge.into() };
        let (chain, attempt) = (self.clone(), attempt.clone());
        Authentication::Challenge(
            challenge,
            Box::new(ExpectProof { chain, attempt, mechanism, conversation }),
        )
    }
}

impl Exchange for ExpectProof {
    fn proceed(self: Box<Self>, step: EnhancedAuthentication) -> Answer<Authentication> {
        let Self { chain, attempt, mechanism, conversation } = *self;
        if step.method.as_ref() != mechanism.name() {
            return Answer::Now(Authentication::Refuse(Reason::BadAuthenticationMethod));
        }
        let username = Arc::<str>::from(conversation.username.as_str());
        let policy = chain.policy();
        // The user may have been taken out, or given another password, since the exchange began.
        let unchanged = policy.accounts.scram(&username, mechanism) == Some(conversation.credential());
        let Some(proof) = conversation.finish(&step.data).ok().filter(|_| unchanged) else {
            return Answer::Now(Authentication::Refuse(Reason::BadCredentials));
        };
        // A certificate that names the user names this one.
        let certified = match policy.identities.username(&attempt.peer) {
            Ok(certified) => certified,
            Err(lacking) => return Answer::Now(chain.refuse_lacking(&attempt, lacking)),
        };
        if certified.is_some_and(|certified| certified != username) {
            return Answer::Now(Authentication::Refuse(Reason::NotAuthorized));
        }
        let completion = EnhancedAuthentication { method: step.method, data: proof.into() };
        let shown = Shown { secret: Some(Secret::Scram(mechanism)), completion: Some(completion) };
        Answer::Now(chain.admit(&policy, &attempt, Some(username), shown))
    }
}
