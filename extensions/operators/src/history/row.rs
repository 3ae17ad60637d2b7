//! What operators are shown, as JSON and in words.

use std::time::Duration;

use broker::{Broker, SessionView};
use bus::{ClientId, Reason, SessionExpiry, Side};
use serde::{Deserialize, Serialize};

use super::{Denial, Ending};
use crate::Moment;

/// The end of a connection, or of the attempt to make one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// When [RFC3339].
    pub at: String,
    /// The cause by its name in metrics.
    pub reason: String,
    /// Whose it is: `client`, `network` or `server`.
    pub side: String,
    /// The cause in plain words.
    pub cause: String,
    /// What can be done; empty where nothing need be.
    pub hint: String,
    /// What exactly went wrong, where that is known.
    pub detail: Option<String>,
    /// Whence, over what, and as whom.
    pub connection: Connection,
    /// When it began.
    pub connected_at: Option<String>,
    /// How many seconds it lasted.
    pub lasted: Option<f64>,
    /// How many seconds nothing had been heard when it ended.
    pub silent: Option<f64>,
    /// The keep alive in seconds.
    pub keep_alive: Option<u64>,
    /// What the client sent.
    pub received: Option<Volume>,
    /// What it was sent.
    pub sent: Option<Volume>,
}

/// Whence somebody came, over what, and as whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// The address and port.
    pub address: String,
    /// The listener's name.
    pub listener: String,
    /// What carried it: `tcp`, `tls`, `ws` and so on.
    pub carrier: String,
    /// The protocol and version.
    pub protocol: String,
    /// The user name.
    pub username: Option<String>,
}

/// How much went one way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Bytes, above encryption.
    pub bytes: u64,
    /// Packets, frames or datagrams.
    pub packets: u64,
    /// Application messages.
    pub messages: u64,
}

/// Something the client was not let do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Denied {
    /// When last.
    pub at: String,
    /// `publish`, `subscribe`, `read`, or to leave a `will`.
    pub action: String,
    /// The topic or filter.
    pub on: String,
    /// How often.
    pub count: u64,
}

/// A session as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Whose it is.
    pub client_id: String,
    /// Whether a connection holds it.
    pub connected: bool,
    /// Since when it is held, or when it was left.
    pub since: Option<String>,
    /// How many seconds ago that was.
    pub seconds: Option<f64>,
    /// The connection that holds it, or held it last.
    pub connection: Option<Connection>,
    /// The keep alive in seconds.
    pub keep_alive: Option<u64>,
    /// How many seconds the session outlives its connection; `null` is for ever.
    pub expiry: Option<u64>,
    /// How many subscriptions it has.
    pub subscriptions: u64,
    /// How many messages wait in its queue.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// How many deliveries are not acknowledged.
    pub inflight: u64,
}

/// Shows one session.
pub fn session_row(view: &SessionView, moment: &Moment) -> SessionRow {
    let connection = view.client.as_ref().map(|client| Connection {
        address: client.peer.address.to_string(),
        listener: client.peer.listener.to_string(),
        carrier: client.peer.link.carrier.name().to_owned(),
        protocol: client.protocol.to_owned(),
        username: client.identity.username.as_deref().map(str::to_owned),
    });
    SessionRow {
        client_id: view.client_id.to_string(),
        connected: view.connected,
        since: view.since.map(|since| moment.date(since)),
        seconds: view.since.map(|since| seconds(moment.instant.saturating_duration_since(since))),
        connection,
        keep_alive: view.keep_alive.map(|span| span.as_secs()),
        expiry: match view.expiry {
            SessionExpiry::AtOnce => Some(0),
            SessionExpiry::After(span) => Some(span.as_secs()),
            SessionExpiry::Never => None,
        },
        subscriptions: view.subscriptions as u64,
        queued: view.queued as u64,
        queued_bytes: view.queued_bytes as u64,
        inflight: view.inflight as u64,
    }
}

/// Shows the sessions whose ids come after `after`, in order; with the id after which the next page begins.
pub fn session_page(
    broker: &Broker,
    after: Option<&ClientId>,
    limit: usize,
    moment: &Moment,
) -> (Vec<SessionRow>, Option<String>) {
    let views = broker.sessions(after, limit);
    let next = views.last().filter(|_| views.len() == limit).map(|view| view.client_id.to_string());
    (views.iter().map(|view| session_row(view, moment)).collect(), next)
}

impl Ending {
    pub(super) fn show(&self, moment: &Moment) -> Ended {
        let course = self.course.as_deref();
        let volume = |volume: broker::Volume| Volume {
            bytes: volume.bytes,
            packets: volume.frames,
            messages: volume.messages,
        };
        Ended {
            at: moment.date(self.at),
            reason: self.reason.name().to_owned(),
            side: side(self.reason).to_owned(),
            cause: self.reason.explain().to_owned(),
            hint: self.reason.hint().to_owned(),
            detail: course.and_then(|course| course.detail.as_deref()).map(str::to_owned),
            connection: Connection {
                address: self.address.to_string(),
                listener: self.listener.to_string(),
                carrier: self.carrier.name().to_owned(),
                protocol: self.protocol.to_owned(),
                username: self.username.as_deref().map(str::to_owned),
            },
            connected_at: course.map(|course| moment.date(course.since)),
            lasted: course.map(|course| seconds(self.at.saturating_duration_since(course.since))),
            silent: self.silent().map(seconds),
            keep_alive: course.and_then(|course| course.keep_alive).map(|span| span.as_secs()),
            received: course.map(|course| volume(course.received)),
            sent: course.map(|course| volume(course.sent)),
        }
    }

    /// How long nothing had been heard when it ended.
    pub(super) fn silent(&self) -> Option<Duration> {
        self.course.as_ref().map(|course| self.at.saturating_duration_since(course.heard))
    }
}

impl Denial {
    pub(super) fn show(&self, moment: &Moment) -> Denied {
        let (action, on) = (self.action.to_owned(), self.on.to_string());
        Denied { at: moment.date(self.at), action, on, count: self.count }
    }
}

/// On whose side a cause lies.
pub(super) fn side(reason: Reason) -> &'static str {
    match reason.side() {
        Side::Client => "client",
        Side::Network => "network",
        Side::Server => "server",
    }
}

/// Seconds, with milliseconds.
fn seconds(span: Duration) -> f64 {
    span.as_millis() as f64 / 1_000.0
}
