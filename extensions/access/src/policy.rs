use std::sync::Arc;

use bus::Peer;

use crate::ConfigError;
use crate::account::Accounts;
use crate::bans::Bans;
use crate::config::{Anonymous, Config};
use crate::identity::Identities;
use crate::psk_file::PreSharedKeys;
use crate::rules::Rules;

/// What the configuration and its files say, ready to be asked.
pub(crate) struct Policy {
    pub(crate) config: Config,
    pub(crate) bans: Bans,
    pub(crate) accounts: Accounts,
    pub(crate) keys: Arc<PreSharedKeys>,
    pub(crate) identities: Identities,
    pub(crate) rules: Rules,
}

impl Policy {
    /// Takes the configuration and reads its files. What is remembered of good passwords goes on from the policy
    /// before.
    pub(crate) fn new(config: &Config, before: Option<&Self>) -> Result<Self, ConfigError> {
        check_counts(config)?;
        Ok(Self {
            config: config.clone(),
            bans: Bans::new(config)?,
            accounts: Accounts::new(config, before.map(|before| &before.accounts))?,
            keys: Arc::new(config.psk_file().map(PreSharedKeys::read).transpose()?.unwrap_or_default()),
            identities: Identities::new(config)?,
            rules: Rules::compile(config)?,
        })
    }

    /// Whether a client from there is let in without a user name.
    pub(crate) fn welcomes_anonymous(&self, peer: &Peer) -> bool {
        match self.config.anonymous_on(&peer.listener) {
            Anonymous::Everywhere => true,
            Anonymous::Loopback => peer.address.is_local(),
            Anonymous::Never => false,
        }
    }
}

/// A count or time of nothing would ban everybody, or nobody.
fn check_counts(config: &Config) -> Result<(), ConfigError> {
    let (flapping, guard) = (&config.flapping, &config.guard);
    let zeros = [
        ("flapping", "disconnects", flapping.enabled && flapping.disconnects == 0),
        ("flapping", "window", flapping.enabled && flapping.window.is_zero()),
        ("guard", "failures", guard.enabled && guard.failures == 0),
        ("guard", "window", guard.enabled && guard.window.is_zero()),
    ];
    match zeros.iter().find(|(.., is_zero)| *is_zero) {
        Some((table, key, _)) => Err(ConfigError::key(&[table, key], "must be more than 0")),
        None => Ok(()),
    }
}
