use bus::Peer;

use crate::ConfigError;
use crate::account::Accounts;
use crate::bans::Bans;
use crate::config::{Anonymous, Config};
use crate::identity::Identities;
use crate::rules::Rules;

/// What the configuration and its files say, ready to be asked.
pub(crate) struct Policy {
    pub(crate) config: Config,
    pub(crate) bans: Bans,
    pub(crate) accounts: Accounts,
    pub(crate) identities: Identities,
    pub(crate) rules: Rules,
}

impl Policy {
    /// Takes the configuration and reads its files. What is remembered of good passwords goes on from the policy
    /// before.
    pub(crate) fn new(config: &Config, before: Option<&Self>) -> Result<Self, ConfigError> {
        Ok(Self {
            config: config.clone(),
            bans: Bans::new(config)?,
            accounts: Accounts::new(config, before.map(|before| &before.accounts))?,
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
