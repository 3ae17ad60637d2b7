//! The connections that ended and the attempts that were refused, each with its one cause.

mod findings;
mod report;
mod ring;
mod row;
mod words;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use broker::{Broker, BrokerEvent, Client, Course, Observer};
use bus::{Address, Carrier, ClientId, Peer, Reason, Transport};
use parking_lot::Mutex;

use crate::{Config, Moment};

pub use findings::Finding;
pub use report::Report;
pub use row::{Connection, Denied, Ended, SessionRow, Volume, session_page, session_row};

use findings::find;
use ring::Ring;

/// The last connections that ended, the last that were refused, and the last denials.
#[derive(Debug)]
pub struct History {
    closed: Mutex<Ring<Ending>>,
    refused: Mutex<Ring<Ending>>,
    denied: Mutex<Ring<Denial>>,
}

/// The end of a connection, or of the attempt to make one.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// Unknown of those that never said it.
    pub(crate) client_id: Option<ClientId>,
    pub(crate) username: Option<Arc<str>>,
    pub(crate) address: Address,
    pub(crate) listener: Arc<str>,
    pub(crate) carrier: Carrier,
    pub(crate) protocol: &'static str,
    pub(crate) reason: Reason,
    /// Nothing is known of an attempt that the broker refused.
    pub(crate) course: Option<Box<Course>>,
    pub(crate) at: Instant,
}

/// Something a client was not let do, and how often in a row.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    pub(crate) client_id: ClientId,
    pub(crate) action: &'static str,
    pub(crate) on: Arc<str>,
    pub(crate) count: u64,
    pub(crate) at: Instant,
}

/// How far back the same denial is looked for, to count it there.
const SAME: usize = 8;

/// How many rows of each kind a report has.
const ROWS: usize = 20;

/// How many strangers it has: connections that ended before they said who they are.
const STRANGERS: usize = 5;

impl History {
    /// An empty history of the size that is configured.
    pub fn new(config: &Config) -> Self {
        let (rows, bytes) = (config.history, config.history_bytes);
        Self {
            closed: Mutex::new(Ring::new(rows, bytes)),
            refused: Mutex::new(Ring::new(rows, bytes)),
            denied: Mutex::new(Ring::new(rows, bytes)),
        }
    }

    /// All that is known of a client, whether or not it was ever let in.
    pub fn report(&self, client_id: &str, broker: &Broker, moment: Moment) -> Report {
        let session = ClientId::parse(client_id).and_then(|id| broker.session(&id));
        let is_it = |id: &ClientId| id.as_str() == client_id;
        let its_own = |ring: &Mutex<Ring<Ending>>| -> Vec<Ending> {
            let ring = ring.lock();
            ring.newest().filter(|row| row.client_id.as_ref().is_some_and(is_it)).cloned().collect()
        };
        let (closed, refused) = (its_own(&self.closed), its_own(&self.refused));
        let denied: Vec<Denial> = {
            let ring = self.denied.lock();
            ring.newest().filter(|row| is_it(&row.client_id)).cloned().collect()
        };
        let addresses: Vec<IpAddr> = {
            let now = session.as_ref().and_then(|session| session.client.as_ref());
            let now = now.and_then(|client| ip(client.peer.address));
            now.into_iter().chain(closed.iter().chain(&refused).filter_map(|row| ip(row.address))).collect()
        };
        let strangers = self.strangers(&addresses);
        let findings = find(session.as_ref(), &closed, &refused, &denied, moment.instant);
        let rows = |endings: &[Ending]| endings.iter().take(ROWS).map(|row| row.show(&moment)).collect();
        Report {
            client_id: client_id.to_owned(),
            session: session.map(|session| session_row(&session, &moment)),
            findings,
            closed: rows(&closed),
            refused: rows(&refused),
            denied: denied.iter().take(ROWS).map(|row| row.show(&moment)).collect(),
            strangers: rows(&strangers),
        }
    }

    /// Connections from these addresses that never said who they are; from any address if none is known.
    fn strangers(&self, addresses: &[IpAddr]) -> Vec<Ending> {
        let ring = self.refused.lock();
        let near = |row: &&Ending| {
            let from = ip(row.address);
            row.client_id.is_none()
                && (addresses.is_empty() || from.is_some_and(|from| addresses.contains(&from)))
        };
        ring.newest().filter(near).take(STRANGERS).cloned().collect()
    }

    fn deny(&self, client: &Client, action: &'static str, on: &Arc<str>) {
        // A client may be denied a thousand times a second; nobody waits here for that.
        let Some(mut ring) = self.denied.try_lock() else { return };
        let at = Instant::now();
        let same = |row: &&mut Denial| row.client_id == client.id && row.action == action && row.on == *on;
        if let Some(row) = ring.newest_mut().take(SAME).find(same) {
            (row.count, row.at) = (row.count + 1, at);
            return;
        }
        let bytes = client.id.as_str().len() + on.len();
        ring.push(Denial { client_id: client.id.clone(), action, on: on.clone(), count: 1, at }, bytes);
    }
}

impl Observer for History {
    fn observe(&self, event: &BrokerEvent) {
        let (ring, ending) = match event {
            BrokerEvent::Disconnected { client, reason, course, at } => {
                let known = Ending {
                    client_id: Some(client.id.clone()),
                    username: client.identity.username.clone(),
                    address: client.peer.address,
                    listener: client.peer.listener.clone(),
                    carrier: client.peer.link.carrier,
                    protocol: client.protocol,
                    reason: *reason,
                    course: Some(course.clone()),
                    at: *at,
                };
                (&self.closed, known)
            }
            BrokerEvent::Refused {
                client_id,
                username,
                address,
                listener,
                carrier,
                protocol,
                reason,
                at,
            } => {
                let refused = Ending {
                    client_id: client_id.clone(),
                    username: username.clone(),
                    address: *address,
                    listener: listener.clone(),
                    carrier: *carrier,
                    protocol,
                    reason: *reason,
                    course: None,
                    at: *at,
                };
                (&self.refused, refused)
            }
            BrokerEvent::Lost { peer, protocol, reason, course, at }
                if !is_passing(peer, *reason, course) =>
            {
                let lost = Ending {
                    client_id: None,
                    username: None,
                    address: peer.address,
                    listener: peer.listener.clone(),
                    carrier: peer.link.carrier,
                    protocol,
                    reason: *reason,
                    course: Some(course.clone()),
                    at: *at,
                };
                (&self.refused, lost)
            }
            BrokerEvent::Denied { client, action, on } => return self.deny(client, action, on),
            _ => return,
        };
        let bytes = ending.bytes();
        ring.lock().push(ending, bytes);
    }
}

impl Ending {
    fn bytes(&self) -> usize {
        let id = self.client_id.as_ref().map_or(0, |id| id.as_str().len());
        let name = self.username.as_ref().map_or(0, |name| name.len());
        let detail =
            self.course.as_ref().and_then(|course| course.detail.as_ref()).map_or(0, |text| text.len());
        id + name + detail + self.course.as_ref().map_or(0, |_| size_of::<Course>())
    }
}

/// Somebody only looked whether the port is open, as load balancers do; or asked what CoAP tells everybody, and was
/// answered.
fn is_passing(peer: &Peer, reason: Reason, course: &Course) -> bool {
    let looked = course.received.bytes == 0
        && course.detail.is_none()
        && matches!(reason, Reason::PeerClosed | Reason::ConnectionReset);
    let asked =
        peer.transport == Transport::Datagram && reason == Reason::HandshakeTimeout && course.sent.frames > 0;
    looked || asked
}

pub(crate) fn ip(address: Address) -> Option<IpAddr> {
    match address {
        Address::Socket(address) => Some(address.ip().to_canonical()),
        Address::Unix | Address::Internal => None,
    }
}
