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
            && matches!(self.session, Session::Closed)
            && self.session.admit(&identity) == Admission::Open
        {
            self.connect(identity, &head.reply_to, false, turn);
        }
    }

    /// Opens a session; one that there is stays until the broker has let in who asks for another.
    pub(super) fn connect(&mut self, identity: Identity, asker: &ReplyTo, login: bool, turn: &mut Turn<'_>) {
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
        if self.has_session() {
            self.successor = Some(Box::new(identity));
        } else {
            self.session = Session::Opening(identity);
            turn.endpoint.session_opening();
        }
        let pending = Pending::Connect { asker: asker.clone(), login };
        self.ask(pending, bus::Request::Connect(Box::new(connect)), turn.out);
    }

    pub(super) fn wait(&mut self, request: Request, turn: &mut Turn<'_>) {
        let bytes = request.message.size();
        let most = match self.session {
            Session::Open(..) => self.limits.packet,
            _ => self.limits.packet_before_connect,
        };
        if self.waiting_bytes + bytes > most {
            let answer = if bytes > most { self.too_large(most) } else { refusal(Reason::ServerBusy) };
            turn.respond(&request.reply_to, answer);
            return;
        }
        self.waiting_bytes += bytes;
        self.waiting.push(request);
    }

    /// Gives a request back whose session is open; one that is not waits for it, or is refused.
    pub(super) fn admit(&mut self, request: Request, turn: &mut Turn<'_>) -> Option<Request> {
        let answer = match Identity::of(&request) {
            Ok(_) if self.is_settling() => {
                self.wait(request, turn);
                return None;
            }
            Ok(identity) => match self.session.admit(&identity) {
                Admission::Proceed => return Some(request),
                Admission::Open => {
                    if let Some(request) = self.may_leave(&identity, request, turn) {
                        self.connect(identity, &request.reply_to, false, turn);
                        self.wait(request, turn);
                    }
                    return None;
                }
                Admission::Refuse(why) => Message::diagnostic(Code::UNAUTHORIZED, why),
            },
            Err(answer) => answer,
        };
        turn.respond(&request.reply_to, answer);
        None
    }

    /// Gives a request back for which the session there is may be left, if there is one. Whoever may have sent it from
    /// elsewhere is asked for an Echo first; and what the broker was asked is answered first, since it is done.
    pub(super) fn may_leave(
        &mut self,
        identity: &Identity,
        request: Request,
        turn: &mut Turn<'_>,
    ) -> Option<Request> {
        if self.is_defended(self.session.is_shown(identity), &request.reply_to, turn) {
            return None;
        }
        if self.is_asking() {
            self.wait(request, turn);
            return None;
        }
        Some(request)
    }

    /// Whether the session is not left for another one that a request asks for, since its address may be forged; the
    /// peer is asked for an Echo then [RFC9175 2.3], unless it shows what took the session to open (`is_shown`).
    pub fn is_defended(&self, is_shown: bool, asker: &ReplyTo, turn: &mut Turn<'_>) -> bool {
        let is_asked = self.downlink.as_ref().is_some_and(|downlink| downlink.is_busy());
        let loses = match &self.session {
            Session::Lent(_) => true,
            session => session.has_secret() || self.has_observers() || self.fetch.is_some() || is_asked,
        };
        loses && !is_shown && turn.endpoint.doubt(asker, turn.now, turn.out)
    }

    /// Whether the broker has yet to answer what a request of the peer hangs on.
    pub fn is_asking(&self) -> bool {
        self.pending.iter().any(|(_, pending)| pending.reply_to().is_some())
    }

    /// Whether it is not settled whose session the next request is worked in.
    pub(super) fn is_settling(&self) -> bool {
        let opening = matches!(self.session, Session::Opening(_));
        opening || self.successor.is_some() || !self.waiting.is_empty()
    }

    pub(super) fn connected(
        &mut self,
        reply: Result<Reply, Reason>,
        asker: &ReplyTo,
        login: bool,
        turn: &mut Turn<'_>,
    ) {
        let opening = match &self.session {
            Session::Opening(identity) => Some(identity.clone()),
            _ => None,
        };
        let successor = self.successor.take().map(|identity| *identity);
        let Some(identity) = successor.or(opening) else { return };
        let (mut waiting, mut client_id) = (self.take_waiting(), None);
        let refused = match reply {
            Ok(Reply::Connected(connected)) => {
                if matches!(self.session, Session::Open(..)) {
                    self.leave(turn);
                }
                let token = login.then(|| Box::from(draw_token(turn.endpoint)));
                if let Some(token) = token.as_deref() {
                    turn.out.claim(identity.name(token));
                    turn.respond(asker, Message::response(Code::CREATED).with_payload(token));
                }
                self.session = Session::Open(identity.clone(), token);
                turn.endpoint.let_in(asker, turn.out);
                waiting.extend(turn.endpoint.session_opened(turn.now, turn.out));
                client_id = Some(connected.client_id);
                None
            }
            Ok(_) => Some(Reason::BadAuthenticationMethod), // CoAP has no further steps
            Err(reason) => Some(reason),
        };
        if refused.is_some() && matches!(self.session, Session::Opening(_)) {
            self.session = Session::Closed;
            turn.endpoint.session_closed(turn.now, turn.out);
        }
        if let Some(reason) = refused.filter(|_| login) {
            turn.respond(asker, refusal(reason));
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

    /// Goes on with the requests that waited until what was asked before them was answered.
    pub(super) fn resume(&mut self, turn: &mut Turn<'_>) {
        let settled = matches!(self.session, Session::Open(..)) && self.successor.is_none();
        if !settled || self.waiting.is_empty() || self.is_asking() {
            return;
        }
        for request in self.take_waiting() {
            self.handle_request(request, turn);
        }
    }

    fn take_waiting(&mut self) -> Vec<Request> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// The session ends: answers what waits and tells the observers why.
    pub fn close(&mut self, reason: Reason, turn: &mut Turn<'_>) {
        self.end_fetch(reason, turn);
        if let Some(mut downlink) = self.downlink.take() {
            drop(downlink.forget(turn.endpoint));
        }
        for request in self.take_waiting() {
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
        (self.registering, self.session, self.successor) = (0, Session::Closed, None);
        turn.endpoint.session_closed(turn.now, turn.out);
    }

    /// Leaves the session, if there is one.
    pub(super) fn leave(&mut self, turn: &mut Turn<'_>) {
        let own = matches!(self.session, Session::Open(..) | Session::Opening(_));
        let sessions = usize::from(own) + usize::from(self.successor.is_some());
        if let Session::Open(identity, Some(token)) = &self.session {
            turn.out.disclaim(identity.name(token));
        }
        if let Some(downlink) = &mut self.downlink {
            downlink.end(turn);
        }
        self.close(Reason::SessionExpired, turn);
        for _ in 0..sessions {
            let farewell = Disconnect { publish_will: false, session_expiry: None };
            turn.out.request(Ticket::NONE, bus::Request::Disconnect(farewell));
        }
    }
}

/// A number above 0 of 53 bits, which nobody guesses by trying and every client can read.
fn draw_token(endpoint: &mut Endpoint) -> String {
    (endpoint.draw() >> 11).max(1).to_string()
}
