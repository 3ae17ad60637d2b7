use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Client, Identity, Permission,
};
use bus::{Address, ClientId, Credentials, EnhancedAuthentication, Peer, Reason};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tracing::{error, info};

use crate::account::Secret;
use crate::bans::{Bans, Suspect};
use crate::config::Config;
use crate::denial::DenialLog;
use crate::files::{Stamp, stamp};
use crate::identity::{Belongings, Lacking};
use crate::policy::Policy;
use crate::psk_file::PreSharedKeys;
use crate::watchers::Watchers;
use crate::{ConfigError, Throttle};

mod banning;
mod exchange;

pub use banning::{BanError, ListedBan};

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
    /// The bans that were pronounced while the server runs.
    bans: RwLock<Bans>,
    /// Whether they changed since somebody looked.
    bans_changed: AtomicBool,
    watchers: Watchers,
}

/// What a client showed that it was known by, and what it is told for it.
#[derive(Default)]
struct Shown {
    secret: Option<Secret>,
    completion: Option<EnhancedAuthentication>,
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
    /// These files changed, or bans did where there is none, and all is in force: the broker is to reconsider its
    /// clients.
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
                bans: RwLock::default(),
                bans_changed: AtomicBool::new(false),
                watchers: Watchers::default(),
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
        self.refresh_by(|config| Policy::new(config, Some(&self.policy())))
    }

    fn refresh_by(&self, read: impl FnOnce(&Config) -> Result<Policy, ConfigError>) -> Refresh {
        let mut watched = self.shared.watched.lock();
        let found = Watched::look(&watched.config);
        let bans_changed = self.shared.bans_changed.swap(false, Ordering::AcqRel);
        let unchanged = || if bans_changed { Refresh::Renewed(Vec::new()) } else { Refresh::Unchanged };
        if found == watched.read {
            watched.changing = None;
            return unchanged();
        }
        if watched.changing.as_ref() != Some(&found) {
            watched.changing = Some(found);
            return unchanged();
        }
        let policy = read(&watched.config);
        let after = Watched::look(&watched.config);
        if after != found {
            // Somebody writes again: what was read may be half of it.
            watched.changing = Some(after);
            return unchanged();
        }
        let pairs = found.iter().zip(&watched.read).zip(watched.config.files());
        let changed = pairs.filter(|((now, then), _)| now != then).map(|(_, file)| file.to_owned()).collect();
        watched.read = found;
        watched.changing = None;
        match policy {
            Ok(policy) => {
                self.put_in_force(policy);
                Refresh::Renewed(changed)
            }
            Err(error) => {
                self.shared.bans_changed.fetch_or(bans_changed, Ordering::AcqRel);
                Refresh::Failed(error)
            }
        }
    }

    fn renew(&self, config: &Config) -> Result<(), ConfigError> {
        self.put_in_force(Policy::new(config, Some(&self.policy()))?);
        Ok(())
    }

    fn put_in_force(&self, policy: Policy) {
        self.shared.policy.store(Arc::new(policy));
        self.shared.epoch.fetch_add(1, Ordering::Release);
    }

    /// How many accesses were denied, by the kind of what decided: `rules`, `acl_file`, `default`.
    pub fn denials(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.shared.denials.counts()
    }

    /// The pre-shared keys that are in force now.
    pub fn pre_shared_keys(&self) -> Arc<PreSharedKeys> {
        self.policy().keys.clone()
    }

    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.shared.policy.load_full()
    }

    fn judge_anonymous(&self, policy: &Policy, attempt: &Attempt) -> Authentication {
        if policy.welcomes_anonymous(&attempt.peer) {
            return self.admit(policy, attempt, None, Shown::default());
        }
        let Peer { address, listener, .. } = &*attempt.peer;
        if let Some(left_out) = self.shared.refusals.turn(Instant::now()) {
            info!(%address, %listener, left_out, "A client without a user name was refused: see access.anonymous.");
        }
        Authentication::Refuse(Reason::NotAuthorized)
    }

    /// Lets somebody in who is known, with all that goes with the name, or refuses who lacks something of it.
    fn admit(
        &self,
        policy: &Policy,
        attempt: &Attempt,
        username: Option<Arc<str>>,
        shown: Shown,
    ) -> Authentication {
        let account = username.as_deref().and_then(|name| policy.accounts.find(name));
        let proved = Suspect { username: username.as_deref(), ..Suspect::default() };
        if self.is_banned(policy, proved) {
            return Authentication::Refuse(Reason::Banned);
        }
        let own = account.map(|account| &account.attributes);
        match policy.identities.belongings(attempt, username.as_deref(), own) {
            Ok(Belongings { client_id: Some(id), .. })
                if self.is_banned(policy, Suspect { client_id: Some(id.as_str()), ..Suspect::default() }) =>
            {
                Authentication::Refuse(Reason::Banned)
            }
            Ok(Belongings { client_id, attributes, mountpoint }) => Authentication::Accept(Identity {
                superuser: account.is_some_and(|account| account.superuser),
                proof: account.zip(shown.secret).and_then(|(account, secret)| account.proof(secret)),
                username,
                completion: shown.completion.map(Box::new),
                client_id: client_id.map(Box::new),
                attributes,
                mountpoint,
            }),
            Err(lacking) => self.refuse_lacking(attempt, lacking),
        }
    }

    /// Takes an attempt at its word, as far as anybody's word could be good there.
    pub(crate) fn admit_if_not_banned(&self, attempt: &Attempt) -> Authentication {
        let policy = self.policy();
        if self.is_banned(&policy, suspect(attempt)) {
            return Authentication::Refuse(Reason::Banned);
        }
        let listener = &attempt.peer.listener;
        let certified =
            policy.config.takes_certificates_on(listener) || policy.config.takes_keys_on(listener);
        match attempt.credentials.username.as_deref() {
            Some(_) if certified => {}
            Some(_) if !policy.accounts.are_kept() => return self.judge_anonymous(&policy, attempt),
            Some(name) if policy.accounts.find(name).is_none() => {
                return Authentication::Refuse(Reason::BadCredentials);
            }
            Some(_) => {}
            None => return self.judge_anonymous(&policy, attempt),
        }
        self.admit(&policy, attempt, attempt.credentials.username.clone(), Shown::default())
    }

    fn refuse_lacking(&self, attempt: &Attempt, Lacking(cause): Lacking) -> Authentication {
        let Peer { address, listener, .. } = &*attempt.peer;
        if let Some(left_out) = self.shared.refusals.turn(Instant::now()) {
            let client_id = attempt.client_id.as_ref().map(ClientId::as_str);
            info!(client_id, %address, %listener, cause, left_out, "A client was refused for what it lacks.");
        }
        Authentication::Refuse(Reason::NotAuthorized)
    }

    /// Checks a password away from the threads that carry messages, a few at a time.
    fn check_later(&self, attempt: Attempt) -> Answer<Authentication> {
        let Ok(place) = self.shared.waiting.clone().try_acquire_owned() else {
            return Answer::Now(Authentication::Refuse(Reason::ServerBusy));
        };
        let (chain, turns) = (self.clone(), self.shared.turns.clone());
        Answer::later(async move {
            let Ok(turn) = turns.acquire_owned().await else {
                return Authentication::Refuse(Reason::Internal);
            };
            let check = move || {
                let judgement = chain.check(&attempt);
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
    fn check(&self, attempt: &Attempt) -> Authentication {
        let (username, password) = shown(&attempt.credentials);
        let username = &username;
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
                self.admit(&policy, attempt, Some(username.clone()), Shown::by(Secret::Password))
            }
            None => Authentication::Refuse(Reason::BadCredentials),
        }
    }
}

impl Authenticator for AuthChain {
    fn admits(&self, address: Address) -> bool {
        match address {
            Address::Socket(address) => !self.is_banned_address(address.ip()),
            Address::Unix | Address::Internal => true,
        }
    }

    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        let credentials = &attempt.credentials;
        let policy = self.policy();
        if self.is_banned(&policy, suspect(attempt)) {
            return Answer::Now(Authentication::Refuse(Reason::Banned));
        }
        if !policy.keys.vouch_for(&attempt.peer) {
            return Answer::Now(Authentication::Refuse(Reason::BadCredentials));
        }
        if let Some(step) = &credentials.enhanced {
            return Answer::Now(self.begin_scram(&policy, attempt, step));
        }
        match policy.identities.username(&attempt.peer) {
            Ok(None) => {}
            Ok(certified) => {
                return Answer::Now(self.admit(&policy, attempt, certified, Shown::by(Secret::Certificate)));
            }
            Err(lacking) => return Answer::Now(self.refuse_lacking(attempt, lacking)),
        }
        let shows_nothing = credentials.username.is_none() && credentials.password.is_none();
        if shows_nothing || !policy.accounts.are_kept() {
            return Answer::Now(self.judge_anonymous(&policy, attempt));
        }
        let (username, password) = shown(credentials);
        if let Some(account) = policy.accounts.find(&username)
            && policy.accounts.remembers(account, password)
        {
            return Answer::Now(self.admit(&policy, attempt, Some(username), Shown::by(Secret::Password)));
        }
        self.check_later(attempt.clone())
    }

    fn still_valid(&self, client: &Client) -> bool {
        let policy = self.policy();
        let username = client.identity.username.as_deref();
        let suspect =
            Suspect { client_id: Some(client.id.as_str()), username, address: banning::ip(&client.peer) };
        if self.is_banned(&policy, suspect) || !policy.keys.vouch_for(&client.peer) {
            return false;
        }
        let Some(name) = username else { return policy.welcomes_anonymous(&client.peer) };
        let account = policy.accounts.find(name);
        // Who was let in as a superuser, and is none any more, must come in anew.
        let same = account.is_some_and(|account| account.superuser) == client.identity.superuser;
        let certified = policy.identities.username(&client.peer).ok().flatten();
        same && (account.is_some() || certified.as_deref() == Some(name))
    }

    fn still_proved(&self, client: &Client) -> bool {
        let policy = self.shared.policy.load();
        if !policy.identities.still_mounts(client) {
            return false;
        }
        let Some((name, proof)) = client.identity.username.as_deref().zip(client.identity.proof) else {
            return true;
        };
        policy.accounts.find(name).is_some_and(|account| account.still_proves(proof))
    }
}

impl Shown {
    fn by(secret: Secret) -> Self {
        Self { secret: Some(secret), completion: None }
    }
}

/// Who makes the attempt, as far as bans can tell.
fn suspect(attempt: &Attempt) -> Suspect<'_> {
    Suspect {
        client_id: attempt.client_id.as_ref().map(ClientId::as_str),
        username: attempt.credentials.username.as_deref(),
        address: banning::ip(&attempt.peer),
    }
}

/// The user name and the password, empty where there is none.
fn shown(credentials: &Credentials) -> (Arc<str>, &[u8]) {
    (credentials.username.clone().unwrap_or_default(), credentials.password.as_deref().unwrap_or_default())
}

impl Authorizer for AuthChain {
    fn authorize(&self, client: &Client, access: Access<'_>) -> Answer<Permission> {
        let decision = self.shared.policy.load().rules.decide(client, access);
        if decision.permission == Permission::Deny {
            self.shared.denials.denied(client, access, &decision.by);
        }
        Answer::Now(decision.permission)
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

#[cfg(test)]
mod tests;
