//! Who is not let in, whatever they show.

mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::SystemTime;

use bus::Network;
use regex::{Regex, RegexBuilder};

use crate::config::{Ban, BanKind, Config};
use crate::{ConfigError, moment};

/// How many bans are kept that were pronounced while the server runs.
pub(crate) const MOST: usize = 100_000;

/// How many regular expressions there may be: each is tried on every client that connects.
const MOST_EXPRESSIONS: usize = 1_000;

/// A list of bans, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    client_ids: HashMap<Box<str>, Entry>,
    usernames: HashMap<Box<str>, Entry>,
    addresses: HashMap<IpAddr, Entry>,
    networks: HashMap<Network, Entry>,
    /// How the networks look, so that each is found at once; perhaps more than there are.
    shapes: BTreeSet<(bool, u8)>,
    expressions: Vec<(Regex, Entry)>,
}

/// One ban.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) ban: Ban,
    until: Option<SystemTime>,
    /// Where it stands, or who pronounced it.
    pub(crate) place: String,
}

/// Who may be banned.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Suspect<'a> {
    pub(crate) client_id: Option<&'a str>,
    pub(crate) username: Option<&'a str>,
    pub(crate) address: Option<IpAddr>,
}

/// A ban that cannot be used: the key, and what is wrong with it.
pub(crate) type Fault = (&'static str, String);

impl Bans {
    /// The bans of the configuration and of the ban file.
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut bans = Self::default();
        for (index, ban) in config.bans.iter().enumerate() {
            let place = format!("access.bans[{}]", index + 1);
            let add = bans.add(ban.clone(), place);
            add.map_err(|(key, message)| ConfigError::entry("bans", index, key, message))?;
        }
        if let Some(file) = config.ban_file() {
            bans.add_file(file)?;
        }
        Ok(bans)
    }

    /// Adds a ban, in the place of one for the same.
    pub(crate) fn add(&mut self, ban: Ban, place: String) -> Result<(), Fault> {
        if ban.value.is_empty() {
            return Err(("value", "a ban needs a value".to_owned()));
        }
        let until = (!ban.until.is_empty()).then(|| moment::parse(&ban.until).ok_or(&ban.until)).transpose();
        let no_moment =
            |text| ("until", format!("{text:?} is no moment; write it as in \"2027-01-31T12:00:00Z\""));
        let until = until.map_err(no_moment)?;
        let value = ban.value.clone();
        let entry = Entry { ban, until, place };
        match entry.ban.kind {
            BanKind::ClientId => drop(self.client_ids.insert(value.into(), entry)),
            BanKind::Username => drop(self.usernames.insert(value.into(), entry)),
            BanKind::Address => {
                let network = value.parse::<Network>().map_err(|_| {
                    ("value", format!("{value:?} is neither an address nor a network such as \"10.0.0.0/8\""))
                })?;
                match network.single() {
                    Some(address) => drop(self.addresses.insert(address, entry)),
                    None => {
                        self.shapes.insert(network.shape());
                        self.networks.insert(network, entry);
                    }
                }
            }
            BanKind::ClientIdRegex | BanKind::UsernameRegex => {
                let whole = format!("^(?:{value})$");
                let regex = RegexBuilder::new(&whole).size_limit(1 << 20).build();
                let regex = regex
                    .map_err(|fault| ("value", format!("{value:?} is no regular expression: {fault}")))?;
                self.expressions
                    .retain(|(_, other)| other.ban.kind != entry.ban.kind || other.ban.value != value);
                if self.expressions.len() >= MOST_EXPRESSIONS {
                    return Err((
                        "kind",
                        "there are more than 1,000 regular expressions; join some of them".to_owned(),
                    ));
                }
                self.expressions.push((regex, entry));
            }
        }
        Ok(())
    }

    /// Takes a ban out; whether there was one.
    pub(crate) fn remove(&mut self, kind: BanKind, value: &str) -> bool {
        let before = self.len();
        match kind {
            BanKind::ClientId => drop(self.client_ids.remove(value)),
            BanKind::Username => drop(self.usernames.remove(value)),
            BanKind::Address => {
                let network = value.parse::<Network>().ok();
                if let Some(address) = network.and_then(Network::single) {
                    self.addresses.remove(&address);
                }
                network.and_then(|network| self.networks.remove(&network));
            }
            BanKind::ClientIdRegex | BanKind::UsernameRegex => {
                self.expressions.retain(|(_, other)| other.ban.kind != kind || other.ban.value != value);
            }
        }
        self.len() < before
    }

    /// The ban that is meant for this one, if any.
    pub(crate) fn find(&self, suspect: Suspect<'_>, now: SystemTime) -> Option<&Entry> {
        if self.len() == 0 {
            return None;
        }
        let address = suspect.address.map(|address| address.to_canonical());
        let exact = [
            suspect.client_id.and_then(|id| self.client_ids.get(id)),
            suspect.username.and_then(|name| self.usernames.get(name)),
            address.and_then(|address| self.addresses.get(&address)),
        ];
        let around = |(is_ipv4, prefix): &(bool, u8)| {
            let address = address.filter(|address| address.is_ipv4() == *is_ipv4)?;
            self.networks.get(&Network::of(address, *prefix))
        };
        let networks = self.shapes.iter().filter_map(around);
        let matches = |(regex, entry): &&(Regex, Entry)| {
            let text =
                if entry.ban.kind == BanKind::ClientIdRegex { suspect.client_id } else { suspect.username };
            text.is_some_and(|text| regex.is_match(text))
        };
        let expressions = self.expressions.iter().filter(matches).map(|(_, entry)| entry);
        let mut found = exact.into_iter().flatten().chain(networks).chain(expressions);
        found.find(|entry| entry.lasts(now))
    }

    /// All that last.
    pub(crate) fn list(&self, now: SystemTime) -> impl Iterator<Item = &Entry> {
        let exact = self.client_ids.values().chain(self.usernames.values()).chain(self.addresses.values());
        let expressions = self.expressions.iter().map(|(_, entry)| entry);
        exact.chain(self.networks.values()).chain(expressions).filter(move |entry| entry.lasts(now))
    }

    /// Forgets those that are over.
    pub(crate) fn sweep(&mut self, now: SystemTime) {
        self.client_ids.retain(|_, entry| entry.lasts(now));
        self.usernames.retain(|_, entry| entry.lasts(now));
        self.addresses.retain(|_, entry| entry.lasts(now));
        self.networks.retain(|_, entry| entry.lasts(now));
        self.expressions.retain(|(_, entry)| entry.lasts(now));
    }

    pub(crate) fn len(&self) -> usize {
        let exact = self.client_ids.len() + self.usernames.len() + self.addresses.len();
        exact + self.networks.len() + self.expressions.len()
    }
}

impl Entry {
    fn lasts(&self, now: SystemTime) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}
