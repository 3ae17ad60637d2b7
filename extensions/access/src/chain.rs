use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use blake2::Blake2bMac512;
use blake2::digest::{KeyInit, Mac};
use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Client, Identity, Permission,
};
use bus::{Peer, Reason};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tracing::{error, info};

use crate::Throttle;
use crate::config::{Anonymous, Config, ConfigError, Permit, User};
use crate::denial::DenialLog;
use crate::password::Hash;
use crate::rules::Rules;

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
    policy: RwLock<Arc<Policy>>,
    /// Changes with the policy, so that no decision of an older one is used again.
    epoch: AtomicU64,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    denials: DenialLog,
    refusals: Throttle,
}

/// What the configuration says, ready to be asked.
struct Policy {
    anonymous: Anonymous,
    users: HashMap<Box<str>, Account>,
    rules: Rules,
    /// With this key the last good password of each user is remembered, so that a client which connects again
    /// costs no second hash.
    key: [u8; 64],
}

struct Account {
    hash: Hash,
    superuser: bool,
    verified: Mutex<Option<[u8; 64]>>,
}

impl AuthChain {
    /// Takes the configuration, or tells what of it cannot be used.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let at_once = std::thread::available_parallelism().map_or(1, |threads| threads.get().div_ceil(2));
        Ok(Self {
            shared: Arc::new(Shared {
                policy: RwLock::new(Arc::new(Policy::new(config)?)),
                epoch: AtomicU64::new(0),
                turns: Arc::new(Semaphore::new(at_once)),
                waiting: Arc::new(Semaphore::new(MOST_WAITING)),
                denials: DenialLog::default(),
                refusals: Throttle::default(),
            }),
        })
    }

    /// Replaces users and rules at once. Clients that are connected stay so, with their subscriptions; what they
    /// do next is judged anew.
    pub fn reload(&self, config: &Config) -> Result<(), ConfigError> {
        let policy = Arc::new(Policy::new(config)?);
        *self.shared.policy.write() = policy;
        self.shared.epoch.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn policy(&self) -> Arc<Policy> {
        self.shared.policy.read().clone()
    }

    fn judge_anonymous(&self, policy: &Policy, attempt: &Attempt) -> Authentication {
        let Peer { address, listener, .. } = &attempt.peer;
        let welcome = match policy.anonymous {
            Anonymous::Everywhere => true,
            Anonymous::Loopback => address.is_local(),
            Anonymous::Never => false,
        };
        if welcome {
            return Authentication::Accept(Identity::default());
        }
        if let Some(left_out) = self.shared.refusals.turn(Instant::now()) {
            info!(%address, %listener, left_out, "A client without a user name was refused: see access.anonymous.");
        }
        Authentication::Refuse(Reason::NotAuthorized)
    }

    /// Checks a password away from the threads that carry messages, a few at a time.
    fn check_later(
        &self,
        policy: Arc<Policy>,
        username: Arc<str>,
        password: Vec<u8>,
    ) -> Answer<Authentication> {
        let Ok(place) = self.shared.waiting.clone().try_acquire_owned() else {
            return Answer::Now(Authentication::Refuse(Reason::ServerBusy));
        };
        let turns = self.shared.turns.clone();
        Answer::later(async move {
            let Ok(turn) = turns.acquire_owned().await else {
                return Authentication::Refuse(Reason::Internal);
            };
            let check = move || {
                let judgement = policy.check(&username, &password);
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
}

impl Authenticator for AuthChain {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        let credentials = &attempt.credentials;
        if credentials.enhanced.is_some() {
            return Answer::Now(Authentication::Refuse(Reason::BadAuthenticationMethod));
        }
        let policy = self.policy();
        let shows_nothing = credentials.username.is_none() && credentials.password.is_none();
        if shows_nothing || policy.users.is_empty() {
            return Answer::Now(self.judge_anonymous(&policy, attempt));
        }
        let username = credentials.username.clone().unwrap_or_default();
        let password = credentials.password.as_deref().unwrap_or_default();
        if let Some(account) = policy.users.get(&*username)
            && account.is_remembered(&policy.key, password)
        {
            return Answer::Now(account.accept(&username));
        }
        let password = password.to_vec();
        self.check_later(policy, username, password)
    }
}

impl Authorizer for AuthChain {
    fn authorize(&self, client: &Client, access: Access<'_>) -> Answer<Permission> {
        let decision = self.shared.policy.read().rules.decide(client, access);
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

impl Policy {
    fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut users = HashMap::new();
        for (index, user) in config.users.iter().enumerate() {
            let error = |key, message| ConfigError { list: "users", index, key, message };
            let account = Account::new(user).map_err(|fault| error("password_hash", fault.to_string()))?;
            if user.name.is_empty() {
                return Err(error("name", "a user needs a name".to_owned()));
            }
            if users.insert(user.name.as_str().into(), account).is_some() {
                return Err(error("name", format!("there are two users with the name {:?}", user.name)));
            }
        }
        let mut key = [0; 64];
        rand::Rng::fill(&mut rand::rng(), &mut key[..]);
        Ok(Self { anonymous: config.anonymous, users, rules: Rules::compile(config)?, key })
    }

    /// Takes as long for an unknown user as for a wrong password.
    fn check(&self, username: &Arc<str>, password: &[u8]) -> Authentication {
        let Some(account) = self.users.get(&**username) else {
            let _ = Hash::of_nobody().is_some_and(|hash| hash.is_of(password)); // costs the same
            return Authentication::Refuse(Reason::BadCredentials);
        };
        if !account.hash.is_of(password) {
            return Authentication::Refuse(Reason::BadCredentials);
        }
        account.remember(&self.key, password);
        account.accept(username)
    }
}

impl Account {
    fn new(user: &User) -> Result<Self, crate::HashError> {
        Ok(Self {
            hash: Hash::parse(&user.password_hash)?,
            superuser: user.superuser,
            verified: Mutex::new(None),
        })
    }

    fn accept(&self, username: &Arc<str>) -> Authentication {
        Authentication::Accept(Identity {
            username: Some(username.clone()),
            superuser: self.superuser,
            ..Identity::default()
        })
    }

    fn remember(&self, key: &[u8; 64], password: &[u8]) {
        if let Some(mac) = mac(key, password) {
            *self.verified.lock() = Some(mac.finalize().into_bytes().into());
        }
    }

    fn is_remembered(&self, key: &[u8; 64], password: &[u8]) -> bool {
        let Some(verified) = *self.verified.lock() else { return false };
        mac(key, password).is_some_and(|mac| mac.verify(&verified.into()).is_ok())
    }
}

fn mac(key: &[u8; 64], password: &[u8]) -> Option<Blake2bMac512> {
    let mut mac = Blake2bMac512::new_from_slice(key).ok()?;
    mac.update(password);
    Some(mac)
}

#[cfg(test)]
mod tests;
