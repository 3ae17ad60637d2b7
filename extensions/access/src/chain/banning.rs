use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use broker::Attempt;
use bus::{Address, Peer};
use serde::Serialize;
use tracing::info;

use super::AuthChain;
use crate::bans::{self, Entry, Suspect};
use crate::config::{Ban, BanKind};
use crate::policy::Policy;
use crate::watchers::Watchers;

/// A ban that cannot be pronounced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    /// One of its keys makes no sense.
    #[error("{key}: {message}")]
    Unfit {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// There are too many.
    #[error("there are too many bans; take others out first")]
    TooMany,
}

/// A ban that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedBan {
    /// The ban.
    pub ban: Ban,
    /// Where it stands, or who pronounced it: `access.bans[1]`, `FILE:LINE`, `operator`, `access.flapping`.
    pub place: String,
}

impl AuthChain {
    /// Bans somebody from now on, in the place of an earlier ban of the same. It is kept until the server stops.
    pub fn ban(&self, ban: Ban) -> Result<(), BanError> {
        self.pronounce(ban, "operator")
    }

    /// Takes back a ban that was pronounced while the server runs; whether there was one. Those of the configuration and
    /// of the ban file are taken out there.
    pub fn unban(&self, kind: BanKind, value: &str) -> bool {
        self.shared.bans.write().remove(kind, value)
    }

    /// All bans in force.
    pub fn bans(&self) -> Vec<ListedBan> {
        let (policy, now) = (self.policy(), SystemTime::now());
        let pronounced = self.shared.bans.read();
        let entries = policy.bans.list(now).chain(pronounced.list(now));
        entries.map(ListedBan::of).collect()
    }

    /// The ban that keeps an attempt out, if one does.
    pub fn ban_of(&self, attempt: &Attempt) -> Option<ListedBan> {
        let (policy, now, suspect) = (self.policy(), SystemTime::now(), super::suspect(attempt));
        let pronounced = self.shared.bans.read();
        let entry = policy.bans.find(suspect, now).or_else(|| pronounced.find(suspect, now))?;
        Some(ListedBan::of(entry))
    }

    /// Whether the address is banned, by itself or with its network: for listeners, before they take a connection.
    pub fn is_banned_address(&self, address: IpAddr) -> bool {
        let (suspect, now) = (Suspect { address: Some(address), ..Suspect::default() }, SystemTime::now());
        self.shared.policy.load().bans.find(suspect, now).is_some()
            || self.shared.bans.read().find(suspect, now).is_some()
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.shared.watchers
    }

    pub(crate) fn pronounce(&self, ban: Ban, place: &str) -> Result<(), BanError> {
        let mut bans = self.shared.bans.write();
        if bans.len() >= bans::MOST {
            bans.sweep(SystemTime::now());
        }
        if bans.len() >= bans::MOST {
            return Err(BanError::TooMany);
        }
        bans.add(ban, place.to_owned()).map_err(|(key, message)| BanError::Unfit { key, message })?;
        drop(bans);
        self.shared.bans_changed.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether somebody is banned; the log tells why.
    pub(super) fn is_banned(&self, policy: &Policy, suspect: Suspect<'_>) -> bool {
        let now = SystemTime::now();
        let pronounced = self.shared.bans.read();
        let Some(entry) = policy.bans.find(suspect, now).or_else(|| pronounced.find(suspect, now)) else {
            return false;
        };
        if let Some(left_out) = self.shared.refusals.turn(Instant::now()) {
            let Suspect { client_id, username, address } = suspect;
            let (address, kind) = (address.map(tracing::field::display), entry.ban.kind.name());
            let Ban { value, reason, until, .. } = &entry.ban;
            let place = &entry.place;
            info!(
                client_id,
                username, address, kind, value, reason, until, place, left_out, "A client is banned."
            );
        }
        true
    }
}

impl ListedBan {
    fn of(entry: &Entry) -> Self {
        Self { ban: entry.ban.clone(), place: entry.place.clone() }
    }
}

/// The IP address of a peer, if it has one.
pub(super) fn ip(peer: &Peer) -> Option<IpAddr> {
    match peer.address {
        Address::Socket(address) => Some(address.ip()),
        Address::Unix | Address::Internal => None,
    }
}
