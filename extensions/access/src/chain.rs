use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Client, Identity, Permission,
};
use bus::{Peer, Reason};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tracing::{error, info};

use crate::account::Account;
use crate::config::{Config, Permit};
use crate::denial::DenialLog;
use crate::files::{Stamp, stamp};
use crate::policy::Policy;
use crate::{ConfigError, Throttle};

mod exchange;

/// How many clients may wait for their password to be checked; the next is told to come again. One core gets
/// through so many in the time that a client has for its handshake, and a password may have 64 KiB.
const MOST_WAITING: usize = 1_000;

/// Tells who a client is by its user name and password, and by the rules what it may do.
///
/// A clone is the same chain.
#[derive(Clone)]
pub struct AuthChain {
    shared: Arc<Shared>,
}

struct Shared {
    policy: ArcSwap<Policy>,
    watched: Mutex<Watched>,
    /// Changes with the policy, so that no decision of an older one is used again.
    epoch: AtomicU64,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    denials: DenialLog,
    refusals: Throttle,
}

/// The configuration in force, and how its files looked when they were read.
struct Watched {
    config: Config,
    read: Vec<Stamp>,
    /// How they look since, if that is another way: a file that changes is read when it has stopped to.
    changing: Option<Vec<Stamp>>,
}

/// What a look at the files came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Nothing changed, or a file changes just now.
    Unchanged,
    /// These files changed, and all is in force.
    Renewed(Vec<PathBuf>),
    /// A file changed and cannot be used. What was in force before stays so; this is told once.
    Failed(ConfigError),
}

impl AuthChain {
    /// Takes the configuration and reads its files, or tells what of them cannot be used.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let at_once = std::thread::available_parallelism().map_or(1, |threads| threads.get().div_ceil(2));
        let watched = Watched::new(config);
        Ok(Self {
            shared: Arc::new(Shared {
                policy: ArcSwap::from_pointee(Policy::new(config, None)?),
                watched: Mutex::new(watched),
                epoch: AtomicU64::new(0),
                turns: Arc::new(Semaphore::new(at_once)),
                waiting: Arc::new(Semaphore::new(MOST_WAITING)),
                denials: DenialLog::default(),
                refusals: Throttle::default(),
            }),
        })
    }

    /// Replaces users and rules at once, and reads the files again. What clients do next is judged anew; what they have
    /// is once the broker is told to reconsider it.
    pub fn reload(&self, config: &Config) -> Result<(), ConfigError> {
        let mut watched = self.shared.watched.lock();
        let next = Watched::new(config);
        self.renew(config)?;
        *watched = next;
        Ok(())
    }

    /// Looks whether the files changed, and puts in force what they say. To be called every second or so, away from
    /// the threads that carry messages.
    pub fn refresh(&self) -> Refresh {
        let mut watched = self.shared.watched.lock();
        let found = Watched::look(&watched.config);
        if found == watched.read {
            watched.changing = None;
            return Refresh::Unchanged;
        }
        if watched.changing.as_ref() != Some(&found) {
            watched.changing = Some(found);
            return Refresh::Unchanged;
        }
        let pairs = found.iter().zip(&watched.read).zip(watched.config.files());
        let changed = pairs.filter(|((now, then), _)| now != then).map(|(_, file)| file.to_owned()).collect();
        watched.read = found;
        watched.changing = None;
        match self.renew(&watched.config) {
            Ok(()) => Refresh::Renewed(changed),
            Err(error) => Refresh::Failed(error),
        }
    }

    fn renew(&self, config: &Config) -> Result<(), ConfigError> {
        let policy = Policy::new(config, Some(&self.policy()))?;
        self.shared.policy.store(Arc::new(policy));
        self.shared.epoch.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn policy(&self) -> Arc<Policy> {
        self.shared.policy.load_full()
    }

    fn judge_anonymous(&self, policy: &Policy, attempt: &Attempt) -> Authentication {
        if policy.welcomes_anonymous(&attempt.peer) {
            return Authentication::Accept(Identity::default());
        }
        let Peer { address, listener, .. } = &attempt.peer;
        if let Some(left_out) = self.shared.refusals.turn(Instant::now()) {
            info!(%address, %listener, left_out, "A client without a user name was refused: see access.anonymous.");
        }
        Authentication::Refuse(Reason::NotAuthorized)
    }

    /// Checks a password away from the threads that carry messages, a few at a time.
    fn check_later(&self, username: Arc<str>, password: Vec<u8>) -> Answer<Authentication> {
        let Ok(place) = self.shared.waiting.clone().try_acquire_owned() else {
            return Answer::Now(Authentication::Refuse(Reason::ServerBusy));
        };
        let (chain, turns) = (self.clone(), self.shared.turns.clone());
        Answer::later(async move {
            let Ok(turn) = turns.acquire_owned().await else {
                return Authentication::Refuse(Reason::Internal);
            };
            let check = move || {
                let judgement = chain.check(&username, &password);
                drop((turn, place));
                judgement
            };
            match tokio::task::spawn_blocking(check).await {
                Ok(judgement) => judgement,
                Err(error) => {
                    error!(%error, "A password could not be checked.");
                    Authentication::Refuse(Reason::Internal)
                }
            }
        })
    }

    /// Takes as long for an unknown user as for a wrong password.
    fn check(&self, username: &Arc<str>, password: &[u8]) -> Authentication {
        let policy = self.policy();
        let known = policy.accounts.find(username).filter(|account| account.is_hashed());
        let Some(account) = known.or_else(|| policy.accounts.decoy(username)) else {
            return Authentication::Refuse(Reason::BadCredentials);
        };
        let good = account.has(password) && known.is_some();
        // The user may have been taken out, or given another password, while this one was checked.
        let policy = self.policy();
        match policy.accounts.find(username).filter(|now| good && now.is_same(account)) {
            Some(account) => {
                policy.accounts.remember(account, password);
                accept(username, account)
            }
            None => Authentication::Refuse(Reason::BadCredentials),
        }
    }
}

impl Authenticator for AuthChain {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        let credentials = &attempt.credentials;
        let policy = self.policy();
        if let Some(step) = &credentials.enhanced {
            return Answer::Now(self.begin_scram(&policy, step));
        }
        let shows_nothing = credentials.username.is_none() && credentials.password.is_none();
        if shows_nothing || !policy.accounts.are_kept() {
            return Answer::Now(self.judge_anonymous(&policy, attempt));
        }
        let username = credentials.username.clone().unwrap_or_default();
        let password = credentials.password.as_deref().unwrap_or_default();
        if let Some(account) = policy.accounts.find(&username)
            && policy.accounts.remembers(account, password)
        {
            return Answer::Now(accept(&username, account));
        }
        self.check_later(username, password.to_vec())
    }
}

impl Authorizer for AuthChain {
    fn authorize(&self, client: &Client, access: Access<'_>) -> Answer<Permission> {
        let decision = self.shared.policy.load().rules.decide(client, access);
        match decision.permit {
            Permit::Allow => Answer::Now(Permission::Allow),
            Permit::Deny => {
                self.shared.denials.denied(client, access, decision.by);
                Answer::Now(Permission::Deny)
            }
        }
    }

    fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::Acquire)
    }
}

impl Watched {
    fn new(config: &Config) -> Self {
        Self { config: config.clone(), read: Self::look(config), changing: None }
    }

    fn look(config: &Config) -> Vec<Stamp> {
        config.files().map(stamp).collect()
    }
}

fn accept(username: &Arc<str>, account: &Account) -> Authentication {
    Authentication::Accept(identity(username.clone(), account))
}

fn identity(username: Arc<str>, account: &Account) -> Identity {
    Identity { username: Some(username), superuser: account.superuser, ..Identity::default() }
}

#[cfg(test)]
mod tests;
