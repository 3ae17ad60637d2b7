use access::Throttle;
use broker::{BrokerEvent, Observer};
use bus::{Carrier, Reason, Transport};
use tracing::{debug, info};

/// Tells the log who comes and goes, and why.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    refused: Throttle,
    lost: Throttle,
    strangers: Throttle,
}

impl Observer for Watch {
    fn observe(&self, event: &BrokerEvent) {
        match event {
            BrokerEvent::Connected { client, session_present, .. } => {
                let (id, address, protocol) = (&client.id, client.peer.address, client.protocol);
                debug!(client_id = %id, %address, protocol, session_present, "A client connected.");
            }
            BrokerEvent::Disconnected { client, reason: Reason::Disconnected, .. } => {
                debug!(client_id = %client.id, "A client said good-bye.");
            }
            BrokerEvent::Disconnected { client, reason, course, at } => {
                let Some(left_out) = self.lost.turn(*at) else { return };
                let (id, address, protocol) = (&client.id, client.peer.address, client.protocol);
                let (reason, cause, hint) = (reason.name(), reason.explain(), reason.hint());
                let detail = course.detail.as_deref();
                info!(client_id = %id, %address, protocol, reason, cause, hint, detail, left_out, "A connection ended.");
            }
            BrokerEvent::Refused { client_id, address, protocol, reason, at, .. } => {
                let Some(left_out) = self.refused.turn(*at) else { return };
                let id = client_id.as_ref().map(bus::ClientId::as_str);
                let (reason, cause, hint) = (reason.name(), reason.explain(), reason.hint());
                info!(client_id = id, %address, protocol, reason, cause, hint, left_out, "A client was refused.");
            }
            BrokerEvent::Lost { peer, protocol, reason, course, at } => {
                // Somebody only looked whether the port is open; or sent a datagram, which costs nothing and can
                // be forged, unless a DTLS handshake came so far that it had brought back our cookie.
                let looked = course.received.bytes == 0
                    && course.detail.is_none()
                    && matches!(reason, Reason::PeerClosed | Reason::ConnectionReset);
                let is_unproved = peer.transport == Transport::Datagram && peer.link.carrier != Carrier::Dtls;
                if looked || is_unproved {
                    return;
                }
                let Some(left_out) = self.strangers.turn(*at) else { return };
                let (address, detail) = (peer.address, course.detail.as_deref());
                let (reason, cause, hint) = (reason.name(), reason.explain(), reason.hint());
                info!(%address, protocol, reason, cause, hint, detail, left_out, "A connection ended without a session.");
            }
            BrokerEvent::SessionEnded { client_id, .. } => debug!(%client_id, "A session ended."),
            BrokerEvent::Subscribed { client, filter, .. } => {
                debug!(client_id = %client.id, %filter, "Subscribed.")
            }
            BrokerEvent::Unsubscribed { client, filter } => {
                debug!(client_id = %client.id, %filter, "Unsubscribed.")
            }
            // The access rules log what they deny, and drops are counted by cause.
            BrokerEvent::Denied { .. } | BrokerEvent::Dropped { .. } => {}
        }
    }
}
