//! The session behind a peer's requests: how it is opened, left and ended.

use bus::{ClientId, Connect, Disconnect, Reason, Reply, SessionExpiry, Ticket};

use super::identity::Identity;
use super::operation::Operation;
use super::perform::Pending;
use super::resources::{Family, route};
use super::session::{Admission, Session};
use super::{BURST, PubSub, Turn, unsubscribe};
use crate::reason::refusal;
use crate::{Code, Endpoint, Message, Notify, ReplyTo, Request};

impl PubSub {
    /// Uses the session that another protocol has opened for this peer, or is about to; `None` when that has
    /// ended. A session opened here before is left.
    pub fn lend_session(&mut self, client_id: Option<ClientId>, turn: &mut Turn<'_>) {
        match (&self.session, client_id) {
            (Session::Lent(_), Some(client_id)) => self.session = Session::Lent(client_id),
            (Session::Lent(_), None) => {
                let left = self.observations.ids();
                self.leave(turn);
                unsubscribe(left, turn.out); // the session may outlive this connection
            }
            (_, Some(client_id)) => {
                self.leave(turn);
                self.observations.begin_at(turn.endpoint.draw());
                self.session = Session::Lent(client_id);
                drop(turn.endpoint.session_opened(turn.now, turn.out)); // nothing waited
            }
            (_, None) => {}
        }
    }

    /// The first block of a request came: opens the session that it will need, so that the body may grow.
    pub fn begin(&mut self, head: &Request, turn: &mut Turn<'_>) {
        let is_sound = match route(&head.message) {
            Ok(Family::Topic) => Operation::parse(&head.message, &self.config, &self.limits).is_ok(),
            Ok(Family::Directory) => self.config.directory.enabled,
            _ => false,
        };
        if let Some(identity) = Identity::of(head).ok().filter(|_| is_sound)
            && self.session.admit(&identity) == Admission::Open
        {
            self.connect(identity, None, turn);
        }
    }

    /// Opens a session, in place of the one there may be.
    pub(super) fn connect(&mut self, identity: Identity, login: Option<ReplyTo>, turn: &mut Turn<'_>) {
        self.leave(turn);
        let connect = Connect {
            client_id: identity.client_id.clone(),
            credentials: identity.credentials(),
            clean_start: true,
            session_expiry: SessionExpiry::AtOnce,
            will: None,
            // What is not confirmable is acknowledged at once; of what is, one is on its way at a time.
            receive_maximum: match self.config.notify {
                Notify::Non => BURST as u16,
                _ if turn.endpoint.is_reliable() => BURST as u16,
                _ => 1,
            },
            takes_unasked: false,
            keep_alive: None,
            user_properties: Vec::new(),
            protocol: "CoAP",
        };
        self.session = Session::Opening(identity);
        turn.endpoint.session_opening();
        self.ask(Pending::Connect { login }, bus::Request::Connect(Box::new(connect)), turn.out);
    }

    pub(super) fn wait(&mut self, request: Request, turn: &mut Turn<'_>) {
        let bytes = request.message.size();
        if self.waiting_bytes + bytes > self.limits.packet_before_connect {
            let answer = match bytes > self.limits.packet_before_connect {
                true => self.too_large(self.limits.packet_before_connect),
                false => refusal(Reason::ServerBusy),
            };
            turn.respond(&request.reply_to, answer);
            return;
        }
        self.waiting_bytes += bytes;
        self.waiting.push(request);
    }

    /// Gives a request back whose session is open; one that is not waits for it, or is refused.
    pub(super) fn admit(&mut self, request: Request, turn: &mut Turn<'_>) -> Option<Request> {
        let answer = match Identity::of(&request) {
            Ok(identity) => match self.session.admit(&identity) {
                Admission::Proceed => return Some(request),
                Admission::Wait => {
                    self.wait(request, turn);
                    return None;
                }
                Admission::Open => {
                    self.connect(identity, None, turn);
                    self.wait(request, turn);
                    return None;
                }
                Admission::Refuse(why) => Message::diagnostic(Code::UNAUTHORIZED, why),
            },
            Err(answer) => answer,
        };
        turn.respond(&request.reply_to, answer);
        None
    }

    pub(super) fn connected(
        &mut self,
        reply: Result<Reply, Reason>,
        login: Option<ReplyTo>,
        turn: &mut Turn<'_>,
    ) {
        let Session::Opening(identity) = std::mem::replace(&mut self.session, Session::Closed) else {
            return;
        };
        let mut waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let mut client_id = None;
        let refused = match reply {
            Ok(Reply::Connected(connected)) => {
                client_id = Some(connected.client_id);
                let token = login.as_ref().map(|_| Box::from(draw_token(turn.endpoint)));
                if let (Some(reply_to), Some(token)) = (&login, token.as_deref()) {
                    turn.out.claim(identity.name(token));
                    turn.respond(reply_to, Message::response(Code::CREATED).with_payload(token));
                }
                self.session = Session::Open(identity.clone(), token);
                turn.endpoint.let_in(turn.out);
                waiting.extend(turn.endpoint.session_opened(turn.now, turn.out));
                None
            }
            Ok(_) => Some(Reason::BadAuthenticationMethod), // CoAP has no further steps
            Err(reason) => Some(reason),
        };
        if refused.is_some() {
            turn.endpoint.session_closed(turn.now, turn.out);
        }
        if let (Some(reason), Some(reply_to)) = (refused, login) {
            turn.respond(&reply_to, refusal(reason));
        }
        for request in waiting {
            let same = || Identity::of(&request).is_ok_and(|wanted| wanted == identity);
            match refused.filter(|_| same()) {
                Some(reason) => drop(turn.respond(&request.reply_to, refusal(reason))),
                None => self.handle_request(request, turn),
            }
        }
        if let Some(client_id) = client_id {
            self.offer_requests(&client_id, turn.out);
        }
    }

    /// The session ends: answers what waits and tells the observers why.
    pub fn close(&mut self, reason: Reason, turn: &mut Turn<'_>) {
        self.end_fetch(reason, turn);
        if let Some(mut downlink) = self.downlink.take() {
            drop(downlink.forget(turn.endpoint));
        }
        for request in std::mem::take(&mut self.waiting) {
            turn.respond(&request.reply_to, refusal(reason));
        }
        for (_, pending) in std::mem::take(&mut self.pending) {
            if let Some(reply_to) = pending.reply_to() {
                turn.respond(reply_to, refusal(reason));
            }
        }
        for id in self.observations.ids() {
            if let Some(observation) = self.observations.get(id) {
                let _ = turn.notify(&observation.reply_to, refusal(reason), false); // [RFC7641 4.2]
            }
            self.observations.remove(id, turn);
        }
        (self.waiting_bytes, self.registering, self.session) = (0, 0, Session::Closed);
        turn.endpoint.session_closed(turn.now, turn.out);
    }

    /// Leaves the session, if there is one.
    pub(super) fn leave(&mut self, turn: &mut Turn<'_>) {
        let own = matches!(self.session, Session::Open(..) | Session::Opening(_));
        if let Session::Open(identity, Some(token)) = &self.session {
            turn.out.disclaim(identity.name(token));
        }
        if let Some(downlink) = &mut self.downlink {
            downlink.end(turn);
        }
        self.close(Reason::SessionExpired, turn);
        if own {
            let farewell = Disconnect { publish_will: false, session_expiry: None };
            turn.out.request(Ticket::NONE, bus::Request::Disconnect(farewell));
        }
    }
}

/// A number above 0 of 53 bits, which nobody guesses by trying and every client can read.
fn draw_token(endpoint: &mut Endpoint) -> String {
    (endpoint.draw() >> 11).max(1).to_string()
}
