use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use blake2::Blake2bMac512;
use blake2::digest::{KeyInit, Mac};
use broker::Attributes;
use parking_lot::Mutex;

use crate::config::{Config, User};
use crate::password::Hash;
use crate::scram::{Credential, Mechanism};
use crate::{ConfigError, files, hash_password, password_file};

/// Who may connect with a password.
pub(crate) struct Accounts {
    by_name: HashMap<Box<str>, Arc<Account>>,
    /// Those with a hash of their password, in the order of their names.
    hashed: Vec<Arc<Account>>,
    /// A credential for each mechanism of SCRAM that somebody has: those of users that are not there look like it.
    models: Vec<Credential>,
    /// Whether there is a list of users at all, though it may be empty.
    kept: bool,
    /// With this key the last good password of each user is remembered, so that a client which connects again
    /// costs no second hash.
    key: [u8; 64],
    /// Makes the numbers that stand for secrets.
    numbers: RandomState,
}

/// Somebody who may connect with a password.
pub(crate) struct Account {
    hash: Option<Hash>,
    /// The hash as it is written.
    text: Box<str>,
    scram: Vec<Credential>,
    pub(crate) superuser: bool,
    pub(crate) attributes: Attributes,
    verified: Mutex<Option<[u8; 64]>>,
    /// What stands for the password's hash, and for each of `scram`.
    proofs: Vec<(Secret, NonZeroU64)>,
}

/// By what a user is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    /// A certificate, of which nothing is kept here.
    Certificate,
    Password,
    Scram(Mechanism),
}

impl Accounts {
    /// Takes the users of the configuration and of the password file. What is remembered of good passwords goes on
    /// from the accounts before.
    pub(crate) fn new(config: &Config, before: Option<&Self>) -> Result<Self, ConfigError> {
        let mut accounts = Self {
            by_name: HashMap::new(),
            hashed: Vec::new(),
            models: Vec::new(),
            kept: config.keeps_users(),
            key: before.map_or_else(new_key, |before| before.key),
            numbers: before.map_or_else(RandomState::new, |before| before.numbers.clone()),
        };
        for (index, user) in config.users.iter().enumerate() {
            if !accounts.add(&user.name, Account::of_user(index, user)?, before) {
                let message = format!("there are two users with the name {:?}", user.name);
                return Err(ConfigError::entry("users", index, "name", message));
            }
        }
        if config.has_password_file() {
            accounts.add_file(&config.password_file, before)?;
        }
        accounts.arrange();
        Ok(accounts)
    }

    fn arrange(&mut self) {
        let mut in_order: Vec<_> = self.by_name.iter().collect();
        in_order.sort_by_key(|(name, _)| *name);
        let accounts = in_order.iter().map(|(_, account)| *account);
        let hashed: Vec<_> = accounts.clone().filter(|account| account.hash.is_some()).cloned().collect();
        let credentials: Vec<_> = accounts.flat_map(|account| &account.scram).collect();
        let first = |mechanism| credentials.iter().find(|credential| credential.mechanism == mechanism);
        self.models = Mechanism::ALL.into_iter().filter_map(first).map(|model| (*model).clone()).collect();
        self.hashed = hashed;
        if self.hashed.is_empty() && self.kept {
            self.hashed.extend(Account::of_nobody());
        }
    }

    /// Whether there is a list of users at all, though it may be empty.
    pub(crate) fn are_kept(&self) -> bool {
        self.kept
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Account>> {
        self.by_name.get(name)
    }

    /// Somebody else, whose password is as costly to check; for the same name always the same. What an unknown user
    /// costs thus tells nobody that it is unknown.
    pub(crate) fn decoy(&self, name: &str) -> Option<&Arc<Account>> {
        let digest = mac(&self.key, name.as_bytes())?.finalize().into_bytes();
        let number = digest.iter().take(7).fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        self.hashed.get(number.checked_rem(self.hashed.len())?)
    }

    /// Whether somebody has a mechanism of SCRAM.
    pub(crate) fn offer_scram(&self, mechanism: Mechanism) -> bool {
        self.models.iter().any(|model| model.mechanism == mechanism)
    }

    /// What a user proves by a mechanism of SCRAM that it is.
    pub(crate) fn scram(&self, name: &str, mechanism: Mechanism) -> Option<&Credential> {
        self.find(name)?.scram.iter().find(|credential| credential.mechanism == mechanism)
    }

    /// The same for one that is not there; nothing if nobody has the mechanism.
    pub(crate) fn pretended_scram(&self, name: &str, mechanism: Mechanism) -> Option<Credential> {
        let model = self.models.iter().find(|model| model.mechanism == mechanism)?;
        Some(model.pretend(name, &model.secret()))
    }

    pub(crate) fn remember(&self, account: &Account, password: &[u8]) {
        if let Some(mac) = mac(&self.key, password) {
            *account.verified.lock() = Some(mac.finalize().into_bytes().into());
        }
    }

    pub(crate) fn remembers(&self, account: &Account, password: &[u8]) -> bool {
        let Some(verified) = *account.verified.lock() else { return false };
        mac(&self.key, password).is_some_and(|mac| mac.verify(&verified.into()).is_ok())
    }

    fn add_file(&mut self, file: &Path, before: Option<&Self>) -> Result<(), ConfigError> {
        let text = files::read(file)?;
        for line in password_file::parse(file, &text)? {
            let account = Account::new(Some(line.hash), line.text, false);
            if !self.add(line.name, account, before) {
                let message =
                    format!("there are two users with the name {:?}; take one of them out", line.name);
                return Err(ConfigError::line(file, line.number, message));
            }
        }
        Ok(())
    }

    /// Whether nobody had the name.
    fn add(&mut self, name: &str, mut account: Account, before: Option<&Self>) -> bool {
        account.proofs = account.prove(&self.numbers);
        if let Some(before) =
            before.and_then(|before| before.find(name)).filter(|before| before.is_same(&account))
        {
            *account.verified.lock() = *before.verified.lock();
        }
        self.by_name.insert(name.into(), Arc::new(account)).is_none()
    }
}

impl Account {
    fn new(hash: Option<Hash>, text: &str, superuser: bool) -> Self {
        Self {
            hash,
            text: text.into(),
            scram: Vec::new(),
            superuser,
            attributes: Attributes::new(),
            verified: Mutex::new(None),
            proofs: Vec::new(),
        }
    }

    /// A number for each secret, which is another one once the secret is, or what comes with it.
    fn prove(&self, numbers: &RandomState) -> Vec<(Secret, NonZeroU64)> {
        let number = |secret: &str| {
            NonZeroU64::new(numbers.hash_one((secret, &self.attributes))).unwrap_or(NonZeroU64::MIN)
        };
        let password = self.hash.iter().map(|_| (Secret::Password, number(&self.text)));
        let scram = self.scram.iter();
        let scram = scram.map(|known| (Secret::Scram(known.mechanism), number(&known.to_string())));
        let certificate = (Secret::Certificate, number(""));
        password.chain(scram).chain([certificate]).collect()
    }

    /// What stands for the secret by which a client was known.
    pub(crate) fn proof(&self, secret: Secret) -> Option<NonZeroU64> {
        self.proofs.iter().find(|(other, _)| *other == secret).map(|(_, proof)| *proof)
    }

    /// Whether a client that was known by this would be now.
    pub(crate) fn still_proves(&self, proof: NonZeroU64) -> bool {
        self.proofs.iter().any(|(_, other)| *other == proof)
    }

    fn of_user(index: usize, user: &User) -> Result<Self, ConfigError> {
        let error = |key, message: String| ConfigError::entry("users", index, key, message);
        if user.name.is_empty() {
            return Err(error("name", "a user needs a name".to_owned()));
        }
        let hash = (!user.password_hash.is_empty() || user.scram.is_empty())
            .then(|| Hash::parse(&user.password_hash))
            .transpose()
            .map_err(|fault| error("password_hash", fault.to_string()))?;
        let mut account = Self::new(hash, &user.password_hash, user.superuser);
        let attributes = user.attributes.iter();
        account.attributes =
            attributes.map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
        for text in &user.scram {
            let credential = Credential::parse(text).map_err(|fault| error("scram", fault.to_string()))?;
            if account.scram.iter().any(|other| other.mechanism == credential.mechanism) {
                let name = credential.mechanism.name();
                return Err(error("scram", format!("there are two for {name}; take one of them out")));
            }
            account.scram.push(credential);
        }
        Ok(account)
    }

    /// An account that nobody has.
    fn of_nobody() -> Option<Arc<Self>> {
        let text = hash_password(b"").ok()?;
        Some(Arc::new(Self::new(Some(Hash::parse(&text).ok()?), &text, false)))
    }

    /// Whether the user can come in with a password.
    pub(crate) fn is_hashed(&self) -> bool {
        self.hash.is_some()
    }

    /// Whether both have the same password.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// Whether this is the user's password. It takes tens of milliseconds on purpose.
    pub(crate) fn has(&self, password: &[u8]) -> bool {
        self.hash.as_ref().is_some_and(|hash| hash.is_of(password))
    }
}

fn new_key() -> [u8; 64] {
    let mut key = [0; 64];
    rand::Rng::fill(&mut rand::rng(), &mut key[..]);
    key
}

fn mac(key: &[u8; 64], message: &[u8]) -> Option<Blake2bMac512> {
    let mut mac = Blake2bMac512::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac)
}
