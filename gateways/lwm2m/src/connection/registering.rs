//! How a peer becomes a registered device, and ceases to be one [LwM2M 1.1 Core 6.2].

use std::time::Instant;

use bus::{
    Chance, ClientId, Connect, Credentials, Disconnect, Keyed, Outbox, PeerName, Qos, Reason, Reply, Request,
    RetainHandling, SessionExpiry, SubscribeOptions, Subscription, Ticket,
};
use coap::{Code, Message, OptionNumber, ReplyTo};

use super::{COMMANDS, CONNECT, Lwm2mConnection, SUBSCRIBE, State, turn};
use crate::device::Device;
use crate::registration::{Identity, Registration};

impl Lwm2mConnection {
    /// Answers a request on a resource of LwM2M.
    pub(super) fn handle_request(&mut self, request: coap::Request, now: Instant, out: &mut Outbox) {
        let coap::Request { message, reply_to: asker } = request;
        let path: Vec<String> = message.uri_path().into_iter().map(str::to_owned).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let refused = |code, text| Some(Message::diagnostic(code, text));
        let answer = match (message.code(), path.as_slice()) {
            (Code::POST, ["rd"]) => self.register(&message, &asker, now, out),
            (Code::POST, ["rd", location]) => self.update(location, &message, now, out),
            (Code::DELETE, ["rd", location]) => self.deregister(location, now, out),
            (_, ["rd"]) => refused(Code::METHOD_NOT_ALLOWED, "A registration is a POST."),
            (_, ["rd", _]) => refused(Code::METHOD_NOT_ALLOWED, "A registration takes POST and DELETE."),
            (_, ["dp", ..]) => refused(Code::NOT_FOUND, "The Send operation is not offered."),
            (_, ["bs" | "bspack", ..]) => refused(Code::NOT_FOUND, "This is no bootstrap server."),
            _ => refused(Code::NOT_FOUND, "There is no such resource; registrations are at rd."),
        };
        if let Some(answer) = answer {
            self.respond(&asker, answer, now, out);
        }
    }

    pub(super) fn respond(&mut self, asker: &ReplyTo, answer: Message, now: Instant, out: &mut Outbox) {
        self.endpoint.respond(asker, answer, now, out);
    }

    /// Begins a registration, in place of the one there may be; the answer may come later.
    fn register(
        &mut self,
        message: &Message,
        asker: &ReplyTo,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Message> {
        if matches!(self.state, State::Connecting { .. } | State::Subscribing { .. }) {
            let text = "The registration before this one is not finished.";
            return Some(Message::diagnostic(Code::SERVICE_UNAVAILABLE, text));
        }
        let location = location(self.seed, self.registrations);
        let config = &self.shared.config;
        let (registration, identity) = match Registration::from_request(message, location, config, now) {
            Ok(found) => found,
            Err((code, text)) => return Some(Message::diagnostic(code, text)),
        };
        let client_id = ClientId::parse(&registration.endpoint);
        let version = registration.protocol();
        let Identity { username, password } = identity;
        let credentials = Credentials { username, password, enhanced: None, proved: asker.proved() };
        let (number, shared) = (self.registrations, self.shared.clone());
        let device = Device::new(registration, credentials, number, shared, now);
        let Some((client_id, device)) = client_id.zip(device) else {
            let text = "The endpoint name (ep) makes no valid topic.";
            return Some(Message::diagnostic(Code::BAD_REQUEST, text));
        };
        if !asker.may_be(&client_id) {
            let text = "The endpoint name (ep) is not the client id of the security context.";
            return Some(Message::diagnostic(Code::FORBIDDEN, text));
        }
        // What the broker does by now is not refused because of this.
        if self.pubsub.is_asking() {
            let text = "What was asked before the registration is not answered.";
            return Some(Message::diagnostic(Code::SERVICE_UNAVAILABLE, text));
        }
        let is_shown = self.is_registered_as(&device);
        if self.pubsub.is_defended(is_shown, asker, &mut turn(&mut self.endpoint, now, out)) {
            return None;
        }
        self.registrations += 1;
        self.replace(&client_id, now, out);
        self.pubsub.lend_session(Some(client_id.clone()), &mut turn(&mut self.endpoint, now, out));
        let connect = self.connect(client_id, version, &device);
        out.request(CONNECT, Request::Connect(Box::new(connect)));
        self.state = State::Connecting { device: Box::new(device), asker: asker.clone() };
        None
    }

    /// Whether a device that asks to be registered is the one that is, begins anew, and shows the same as before. It knows
    /// no Echo.
    fn is_registered_as(&self, device: &Device) -> bool {
        let State::Registered(registered) = &self.state else { return false };
        registered.registration.endpoint == device.registration.endpoint
            && registered.credentials == device.credentials
    }

    /// Ends the registration there may be, because the peer registers again.
    fn replace(&mut self, client_id: &ClientId, now: Instant, out: &mut Outbox) {
        let State::Registered(mut device) = std::mem::replace(&mut self.state, State::Unregistered) else {
            return;
        };
        out.disclaim(name(&device.registration.location));
        if *device.registration.endpoint == *client_id.as_str() {
            device.forget(&mut self.endpoint);
        } else {
            device.deregistered("replaced", &mut turn(&mut self.endpoint, now, out));
        }
        self.pubsub.lend_session(None, &mut turn(&mut self.endpoint, now, out));
        let farewell = Disconnect { publish_will: false, session_expiry: None };
        out.request(Ticket::NONE, Request::Disconnect(farewell));
    }

    fn connect(&self, client_id: ClientId, protocol: &'static str, device: &Device) -> Connect {
        let lifetime = device.registration.lifetime;
        Connect {
            client_id: Some(client_id),
            credentials: device.credentials.clone(),
            // The commands that came between two registrations wait in the session.
            clean_start: false,
            session_expiry: SessionExpiry::After(self.shared.config.session_expiry.max(lifetime)),
            // Where nothing else can find the device again, the registration ends with its connection.
            will: self.endpoint.is_reliable().then(|| device.will()),
            receive_maximum: 1,
            takes_unasked: false,
            keep_alive: Some(lifetime),
            user_properties: Vec::new(),
            protocol,
        }
    }

    /// Handles the broker's reply to an attempt to open the session.
    pub(super) fn connected(&mut self, reply: Result<Reply, Reason>, now: Instant, out: &mut Outbox) {
        match (std::mem::replace(&mut self.state, State::Unregistered), reply) {
            (State::Connecting { device, asker }, Ok(Reply::Connected(connected))) => {
                let session_present = connected.session_present;
                let options = SubscribeOptions {
                    qos: Qos::AtLeastOnce,
                    no_local: false,
                    retain_as_published: false,
                    retain_handling: RetainHandling::IfNew,
                };
                let filter = device.topics().command.clone();
                let commands = Subscription { id: COMMANDS, filter, options, keyed: Keyed::ByFilter };
                out.request(SUBSCRIBE, Request::Subscribe(vec![commands]));
                self.state = State::Subscribing { device, asker, session_present };
            }
            (State::Connecting { asker, .. }, Ok(_)) => {
                self.refuse(asker, Reason::BadAuthenticationMethod, now, out);
            }
            (State::Connecting { asker, .. }, Err(reason)) => self.refuse(asker, reason, now, out),
            (state, _) => self.state = state,
        }
    }

    /// Handles the broker's reply to the wish for commands: the device is registered.
    pub(super) fn subscribed(&mut self, reply: Result<Reply, Reason>, now: Instant, out: &mut Outbox) {
        let state = std::mem::replace(&mut self.state, State::Unregistered);
        let State::Subscribing { mut device, asker, session_present } = state else {
            self.state = state;
            return;
        };
        let granted = match reply {
            Ok(Reply::Subscribed(results)) => results.into_iter().next().unwrap_or(Err(Reason::Internal)),
            Ok(_) => Err(Reason::Internal),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = granted {
            // A session that was there before keeps its commands; the administrator may allow it again.
            let session_expiry = (!session_present).then_some(SessionExpiry::AtOnce);
            out.request(
                Ticket::NONE,
                Request::Disconnect(Disconnect { publish_will: false, session_expiry }),
            );
            return self.refuse(asker, reason, now, out);
        }
        self.endpoint.let_in(&asker, out);
        let location = device.registration.location.clone();
        out.claim(name(&location));
        let created = ["rd", location.as_str()]
            .into_iter()
            .fold(Message::response(Code::CREATED), |answer, segment| {
                answer.with_option(OptionNumber::LOCATION_PATH, segment)
            });
        self.respond(&asker, created, now, out);
        device.heard(now);
        device.registered(&mut turn(&mut self.endpoint, now, out));
        self.state = State::Registered(device);
    }

    fn refuse(&mut self, asker: ReplyTo, reason: Reason, now: Instant, out: &mut Outbox) {
        self.pubsub.lend_session(None, &mut turn(&mut self.endpoint, now, out));
        self.respond(&asker, coap::refusal(reason), now, out);
    }

    fn update(
        &mut self,
        location: &str,
        message: &Message,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Message> {
        let shared = self.shared.clone();
        let Some(device) = self.device_at(location) else { return Some(no_registration()) };
        Some(match device.registration.update(message, &shared.config, now) {
            Ok(()) => {
                device.heard(now);
                device.updated(out);
                Message::response(Code::CHANGED)
            }
            Err((code, text)) => Message::diagnostic(code, text),
        })
    }

    fn deregister(&mut self, location: &str, now: Instant, out: &mut Outbox) -> Option<Message> {
        if self.device_at(location).is_none() {
            return Some(no_registration());
        }
        self.end("deregistered", Some(SessionExpiry::AtOnce), now, out);
        Some(Message::response(Code::DELETED))
    }

    /// Ends the registration and leaves the session.
    pub(super) fn end(
        &mut self,
        why: &str,
        session_expiry: Option<SessionExpiry>,
        now: Instant,
        out: &mut Outbox,
    ) {
        if let State::Registered(mut device) = std::mem::replace(&mut self.state, State::Unregistered) {
            device.deregistered(why, &mut turn(&mut self.endpoint, now, out));
            out.disclaim(name(&device.registration.location));
            self.pubsub.lend_session(None, &mut turn(&mut self.endpoint, now, out));
            out.request(
                Ticket::NONE,
                Request::Disconnect(Disconnect { publish_will: false, session_expiry }),
            );
        }
    }

    fn device_at(&mut self, location: &str) -> Option<&mut Device> {
        match &mut self.state {
            State::Registered(device) if device.registration.location == location => Some(device),
            _ => None,
        }
    }
}

/// The name of a registration among all peers of a listener.
pub(crate) fn name(location: &str) -> PeerName {
    PeerName(format!("rd/{location}").into())
}

/// Whether a request is for a resource of LwM2M. What no resource here understands is for coap to refuse.
pub(super) fn is_lwm2m(message: &Message) -> bool {
    let foreign = [
        OptionNumber::PROXY_URI,
        OptionNumber::PROXY_SCHEME,
        OptionNumber::IF_MATCH,
        OptionNumber::IF_NONE_MATCH,
    ];
    foreign.iter().all(|number| message.option(*number).is_none())
        && matches!(message.uri_path().first(), Some(&("rd" | "dp" | "bs" | "bspack")))
}

fn no_registration() -> Message {
    Message::diagnostic(Code::NOT_FOUND, "There is no such registration; register again.")
}

/// The last segment of a registration's location: 16 digits that only who knows the seed can foresee. They are
/// mixed twice, so that they tell nothing of the endpoint's tokens, which come from the same seed.
fn location(seed: u64, count: u64) -> String {
    let own = Chance::new(!seed).next();
    format!("{:016x}", Chance::new(own.wrapping_add(count)).next())
}
