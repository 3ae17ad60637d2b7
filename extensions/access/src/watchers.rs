use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use broker::{BrokerEvent, Client, Observer};
use bus::{Address, Carrier, ClientId, Network, Reason};
use parking_lot::Mutex;
use tracing::warn;

use crate::config::{Ban, BanKind};
use crate::tally::{Sweeps, Tally};
use crate::{AuthChain, Throttle};

/// How many take-overs of one client id in a minute are no accident any more.
const MANY: u32 = 3;
const MINUTE: Duration = Duration::from_secs(60);

/// The longest ban for a time.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How many client ids are watched at once for being fought for.
const MOST_FIGHTS: usize = 10_000;

/// Counts what clients do too often.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    disconnects: Tally,
    failures: Tally,
    fights: Fights,
}

/// Sees that two clients take one client id from each other. It keeps no id, only a number made of it.
#[derive(Debug, Default)]
struct Fights {
    numbers: RandomState,
    seen: Mutex<HashMap<u64, Fight>>,
    sweeps: Sweeps,
    lines: Throttle,
}

#[derive(Debug)]
struct Fight {
    began: Instant,
    count: u32,
    /// Who lost the id last.
    last: Address,
}

impl Observer for AuthChain {
    fn observe(&self, event: &BrokerEvent) {
        match event {
            BrokerEvent::Disconnected { client, reason, at, .. } => self.disconnected(client, *reason, *at),
            // Whose datagrams they are can be forged, to have somebody else banned.
            BrokerEvent::Refused { carrier: Carrier::Udp, .. } => {}
            // Whoever had the wrong pre-shared key has shown at least that it is there.
            BrokerEvent::Lost { peer, reason: Reason::BadCredentials, at, .. } => {
                self.failed(peer.address, *at)
            }
            BrokerEvent::Refused { address, reason: Reason::BadCredentials, at, .. } => {
                self.failed(*address, *at)
            }
            _ => {}
        }
    }
}

impl AuthChain {
    fn disconnected(&self, client: &Client, reason: Reason, at: Instant) {
        let watchers = self.watchers();
        if reason == Reason::TakenOver {
            watchers.fights.lost(&client.id, client.peer.address, at);
        }
        let flapping = self.policy().config.flapping.clone();
        let ours =
            matches!(reason, Reason::ShuttingDown | Reason::Kicked | Reason::Banned | Reason::NotAuthorized);
        if !flapping.enabled || ours {
            return;
        }
        let id = client.id.as_str();
        if watchers.disconnects.count(id, flapping.window, at) < flapping.disconnects {
            return;
        }
        watchers.disconnects.forget(id);
        let reason = format!("{} connections ended within {:?}", flapping.disconnects, flapping.window);
        warn!(client_id = id, address = %client.peer.address, reason, ban = ?flapping.ban, "A flapping client is banned.");
        self.ban_for(BanKind::ClientId, id, reason, flapping.ban, "access.flapping");
    }

    fn failed(&self, address: Address, at: Instant) {
        let guard = self.policy().config.guard.clone();
        // This machine is not locked out of itself, nor is everybody behind a proxy on it or one that does not tell.
        let Address::Socket(socket) = address else { return };
        if !guard.enabled || address.is_local() || socket.ip().is_unspecified() {
            return;
        }
        let (watchers, whose) = (self.watchers(), Network::of_subscriber(socket.ip()));
        if watchers.failures.count(whose, guard.window, at) < guard.failures {
            return;
        }
        watchers.failures.forget(whose);
        let reason = format!("{} wrong names or passwords within {:?}", guard.failures, guard.window);
        warn!(address = %whose, reason, ban = ?guard.ban, "An address that guesses passwords is banned.");
        self.ban_for(BanKind::Address, &whose.to_string(), reason, guard.ban, "access.guard");
    }

    fn ban_for(&self, kind: BanKind, value: &str, reason: String, span: Duration, place: &str) {
        let until = crate::moment::write(std::time::SystemTime::now() + span.min(CENTURY));
        let ban = Ban { kind, value: value.to_owned(), reason, until };
        if let Err(error) = self.pronounce(ban, place) {
            warn!(%error, "The ban could not be pronounced.");
        }
    }
}

impl Fights {
    fn lost(&self, id: &ClientId, address: Address, at: Instant) {
        let number = self.numbers.hash_one(id.as_str());
        let mut seen = self.seen.lock();
        if seen.len() >= MOST_FIGHTS && !seen.contains_key(&number) {
            if self.sweeps.is_due(MINUTE, at) {
                seen.retain(|_, fight| at.saturating_duration_since(fight.began) < MINUTE);
            }
            if seen.len() >= MOST_FIGHTS {
                return;
            }
        }
        let fight = seen.entry(number).or_insert(Fight { began: at, count: 0, last: address });
        if at.saturating_duration_since(fight.began) >= MINUTE {
            *fight = Fight { began: at, count: 0, last: address };
        }
        fight.count += 1;
        let rival = std::mem::replace(&mut fight.last, address);
        if fight.count != MANY {
            return;
        }
        drop(seen);
        let Some(left_out) = self.lines.turn(at) else { return };
        warn!(
            client_id = %id, one = %address, other = %rival, left_out,
            "Two clients fight for one client id, or one connects again and again; each throws the other out. Give them different ids."
        );
    }
}
