use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use blake2::Blake2bMac512;
use blake2::digest::{KeyInit, Mac};
use parking_lot::Mutex;

use crate::config::Config;
use crate::password::Hash;
use crate::{ConfigError, files, hash_password, password_file};

/// Who may connect with a password.
pub(crate) struct Accounts {
    by_name: HashMap<Box<str>, Arc<Account>>,
    /// The same, in the order of their names.
    in_order: Vec<Arc<Account>>,
    /// Whether there is a list of users at all, though it may be empty.
    kept: bool,
    /// With this key the last good password of each user is remembered, so that a client which connects again
    /// costs no second hash.
    key: [u8; 64],
}

/// Somebody who may connect with a password.
pub(crate) struct Account {
    hash: Hash,
    /// The hash as it is written.
    text: Box<str>,
    pub(crate) superuser: bool,
    verified: Mutex<Option<[u8; 64]>>,
}

impl Accounts {
    /// Takes the users of the configuration and of the password file. What is remembered of good passwords goes on
    /// from the accounts before.
    pub(crate) fn new(config: &Config, before: Option<&Self>) -> Result<Self, ConfigError> {
        let mut accounts = Self {
            by_name: HashMap::new(),
            in_order: Vec::new(),
            kept: config.keeps_users(),
            key: before.map_or_else(new_key, |before| before.key),
        };
        for (index, user) in config.users.iter().enumerate() {
            let error = |key, message| ConfigError::entry("users", index, key, message);
            let hash = Hash::parse(&user.password_hash);
            let hash = hash.map_err(|fault| error("password_hash", fault.to_string()))?;
            if user.name.is_empty() {
                return Err(error("name", "a user needs a name".to_owned()));
            }
            let account = Account::new(hash, &user.password_hash, user.superuser);
            if !accounts.add(&user.name, account, before) {
                return Err(error("name", format!("there are two users with the name {:?}", user.name)));
            }
        }
        if config.has_password_file() {
            accounts.add_file(&config.password_file, before)?;
        }
        let mut in_order: Vec<_> = accounts.by_name.iter().collect();
        in_order.sort_by_key(|(name, _)| *name);
        accounts.in_order = in_order.into_iter().map(|(_, account)| account.clone()).collect();
        if accounts.in_order.is_empty() && accounts.kept {
            accounts.in_order.extend(Account::of_nobody());
        }
        Ok(accounts)
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
        self.in_order.get(number.checked_rem(self.in_order.len())?)
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
            let account = Account::new(line.hash, line.text, false);
            if !self.add(line.name, account, before) {
                let message =
                    format!("there are two users with the name {:?}; take one of them out", line.name);
                return Err(ConfigError::line(file, line.number, message));
            }
        }
        Ok(())
    }

    /// Whether nobody had the name.
    fn add(&mut self, name: &str, account: Account, before: Option<&Self>) -> bool {
        if let Some(before) =
            before.and_then(|before| before.find(name)).filter(|before| before.is_same(&account))
        {
            *account.verified.lock() = *before.verified.lock();
        }
        self.by_name.insert(name.into(), Arc::new(account)).is_none()
    }
}

impl Account {
    fn new(hash: Hash, text: &str, superuser: bool) -> Self {
        Self { hash, text: text.into(), superuser, verified: Mutex::new(None) }
    }

    /// An account that nobody has.
    fn of_nobody() -> Option<Arc<Self>> {
        let text = hash_password(b"").ok()?;
        Some(Arc::new(Self::new(Hash::parse(&text).ok()?, &text, false)))
    }

    /// Whether both have the same password.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// Whether this is the user's password. It takes tens of milliseconds on purpose.
    pub(crate) fn has(&self, password: &[u8]) -> bool {
        self.hash.is_of(password)
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
