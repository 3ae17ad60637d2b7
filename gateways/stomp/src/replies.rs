use std::time::Instant;

use bus::{Connected, Disconnect, Outbox, Reason, Reply, Request, Ticket};

use crate::connection::{Awaited, State, StompConnection};
use crate::heartbeat::{Heartbeat, header as heartbeat_header};
use crate::stomp::Grants;
use crate::{Command, Frame, Version};

/// What each reply of the broker makes known to the client.
impl StompConnection {
    pub(crate) fn take_reply(
        &mut self,
        ticket: Ticket,
        reply: Result<Reply, Reason>,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Some(awaited) = self.awaited.remove(&ticket) else { return };
        match (awaited, reply.and_then(first_refusal)) {
            (Awaited::Connect, Ok(Reply::Connected(connected))) => self.begin_session(&connected, now, out),
            (Awaited::Connect, Ok(_)) => self.refuse(Reason::BadAuthenticationMethod, "", None, now, out),
            (Awaited::Connect, Err(reason)) => self.refuse(reason, "", None, now, out),
            (Awaited::Disconnect, _) => self.say_goodbye(now, out),
            (Awaited::Publish { receipt }, Ok(_)) => self.receipt(receipt, now, out),
            (Awaited::Commit { receipt }, Ok(_)) => self.committed(receipt, now, out),
            (Awaited::Subscribe { id, receipt }, Ok(_)) => {
                self.release_held(id, now, out);
                self.receipt(receipt, now, out);
            }
            // a subscription that the session no longer has is gone, as was asked
            (Awaited::Unsubscribe { id, receipt }, Ok(_) | Err(Reason::NoSubscription)) => {
                self.release_held(id, now, out);
                self.subscriptions.ended(id, ticket);
                self.receipt(receipt, now, out);
            }
            (Awaited::Publish { receipt }, Err(reason)) => {
                self.refuse(reason, "the message was not published", receipt, now, out);
            }
            (Awaited::Commit { receipt }, Err(reason)) => {
                self.refuse(reason, "nothing of the transaction was done", receipt, now, out);
            }
            (Awaited::Subscribe { receipt, .. }, Err(reason)) => {
                self.refuse(reason, "the subscription was not made", receipt, now, out);
            }
            (Awaited::Unsubscribe { receipt, .. }, Err(reason)) => {
                self.refuse(reason, "the subscription was not ended", receipt, now, out);
            }
        }
        self.leave_when_answered(out);
    }

    fn begin_session(&mut self, connected: &Connected, now: Instant, out: &mut Outbox) {
        let State::ExpectSession { wish, .. } = self.state else { return };
        let Grants { config, .. } = &*self.grants;
        self.state = State::Connected;
        self.heartbeat = Heartbeat::begin(wish, config, now);
        let mut frame = Frame::new(Command::Connected)
            .with("version", self.version.as_str())
            .with("server", concat!("watersmeet/", env!("CARGO_PKG_VERSION")))
            .with("session", connected.client_id.as_str());
        if self.version != Version::V1_0 {
            frame = frame.with("heart-beat", &heartbeat_header(config));
        }
        if self.durable {
            frame = frame
                .with("session-present", if connected.session_present { "true" } else { "false" })
                .with("session-expiry", &connected.session_expiry.seconds().to_string());
        }
        if connected.session_present {
            self.resubscribe_by = Some(now + config.resubscribe);
        }
        self.send(&frame, now, out);
    }

    /// Leaves the session once all that came before DISCONNECT is answered [STOMP1.2 DISCONNECT].
    pub(crate) fn leave_when_answered(&mut self, out: &mut Outbox) {
        let State::ExpectReplies { receipt } = &mut self.state else { return };
        if self.awaited.is_empty() {
            self.state = State::ExpectGoodbye { receipt: receipt.take() };
            let leave = Disconnect { publish_will: false, session_expiry: None };
            self.ask(Awaited::Disconnect, Request::Disconnect(leave), out);
        }
    }

    fn say_goodbye(&mut self, now: Instant, out: &mut Outbox) {
        let State::ExpectGoodbye { receipt } = &mut self.state else { return };
        let receipt = receipt.take();
        self.receipt(receipt, now, out);
        self.state = State::Closed;
        out.close(Reason::Disconnected);
    }
}

/// Turns a refusal inside a list of results into one.
fn first_refusal(reply: Reply) -> Result<Reply, Reason> {
    let refusal = match &reply {
        Reply::Subscribed(results) => results.iter().find_map(|result| result.err()),
        Reply::Unsubscribed(results) => results.iter().find_map(|result| result.err()),
        _ => None,
    };
    refusal.map_or(Ok(reply), Err)
}
