use std::fmt;

use broker::{Access, Attempt, Authentication, Client, Permission};
use bus::{ClientId, Reason};

use crate::AuthChain;
use crate::denial::in_words;
use crate::rules::DecidedBy;

/// How a decision came about.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What was wanted, and by whom.
    pub question: String,
    /// What was looked at, in order, and what was found.
    pub steps: Vec<String>,
    /// What was decided.
    pub permission: Permission,
    /// The place of what decided: `access.rules[1]`, or `FILE:LINE`.
    pub by: String,
}

impl AuthChain {
    /// The client that an attempt would become if what it shows were right, or why it would be refused all the same.
    pub fn presume(&self, attempt: &Attempt) -> Result<Client, Reason> {
        let judged = self.admit_if_not_banned(attempt);
        let identity = match judged {
            Authentication::Accept(identity) => identity,
            Authentication::Refuse(reason) => return Err(reason),
            Authentication::Challenge(..) => return Err(Reason::Internal),
        };
        let id = identity.client_id.as_deref().cloned().or_else(|| attempt.client_id.clone());
        let id = id.or_else(|| ClientId::parse("auto")).ok_or(Reason::ClientIdInvalid)?;
        Ok(Client { id, identity, peer: attempt.peer.clone(), protocol: attempt.protocol })
    }

    /// Judges an access as [`broker::Authorizer::authorize`] does, and tells how.
    pub fn explain(&self, client: &Client, access: Access<'_>) -> Explanation {
        let policy = self.policy();
        let mut steps = Vec::new();
        let decision = policy.rules.walk(client, access, |rule, judged| {
            let found = judged.err().map_or("matches", |mismatch| mismatch.explain());
            steps.push(format!("{rule} ({}): {found}", policy.rules.summary(&rule)));
        });
        if let DecidedBy::AclFile(..) = decision.by {
            for (line, matches) in policy.rules.acl_lines(client, access) {
                steps.push(format!("{line}: {}", if matches { "matches" } else { "does not match" }));
            }
        }
        let (action, on, qos, retain) = in_words(access);
        let retained = if retain { ", retained" } else { "" };
        let username = client
            .identity
            .username
            .as_deref()
            .map_or("no user name".to_owned(), |name| format!("user {name:?}"));
        let (id, address, listener, protocol) =
            (client.id.as_str(), client.peer.address, &client.peer.listener, client.protocol);
        Explanation {
            question: format!(
                "{action} {on:?} with QoS {qos}{retained}: client {id:?}, {username}, from {address}, listener {listener}, {protocol}"
            ),
            steps,
            permission: decision.permission,
            by: decision.by.to_string(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.question)?;
        for step in &self.steps {
            writeln!(f, "  {step}")?;
        }
        let decided = match self.permission {
            Permission::Allow => "allowed",
            Permission::AllowFiltered => "allowed, but each message is judged by its topic",
            Permission::Deny => "denied",
        };
        writeln!(f, "{decided}, by {}", self.by)
    }
}
