//! What is asked of the broker, and how its answers change the driver.

use std::sync::Arc;
use std::time::Instant;

use broker::{Answer, Exchange, Opened, Reauthentication, Session, Underway};
use bus::{Disconnect, EnhancedAuthentication, Event, Outbox, Reason, Reply, Request, Ticket};

use super::Driver;
use crate::overload;

pub(super) enum Authentication {
    /// The client is not let in yet.
    First(Box<Underway>),
    /// The client proves itself again.
    Again(Box<dyn Exchange>),
}

/// How an answer changes the driver, once it is there.
pub(super) enum Settle {
    Reply(Result<Reply, Reason>),
    Opened(Result<Opened, Reason>),
    Reauthentication(Result<Reauthentication, Reason>),
}

impl Driver {
    /// Notes what the request costs, and performs it: what was read is never refused for its rate.
    pub(super) fn charged(&mut self, request: Request, now: Instant) -> Answer<Settle> {
        let quota = self.rare.as_mut().and_then(|rare| rare.quota.as_mut());
        let pause = quota.and_then(|quota| quota.charge(&request, now));
        let sends = matches!(request, Request::Publish(_) | Request::PublishAll(_) | Request::PublishIf(_));
        let pressed = sends && self.house().overload.pauses();
        if let Some(pause) = pause.into_iter().chain(pressed.then_some(overload::PAUSE)).max() {
            let rare = self.rare.get_or_insert_default();
            rare.paused = rare.paused.max(now.checked_add(pause));
            self.broker().count_pause();
        }
        self.request(request, now)
    }

    fn request(&mut self, request: Request, now: Instant) -> Answer<Settle> {
        self.meter.asked(&request);
        match request {
            // A session that there is stays until it is left, whatever comes of this.
            Request::Connect(connect) => {
                let millis = connect.keep_alive.map_or(0, |keep_alive| keep_alive.as_millis());
                self.keep_alive = u32::try_from(millis).unwrap_or(u32::MAX);
                let Some(peer) = self.peer().cloned() else {
                    return Answer::Now(Settle::Opened(Err(Reason::Internal)));
                };
                self.broker().connect(*connect, peer, now).map(Settle::Opened)
            }
            Request::Authenticate(step) => self.authenticate(step, now),
            Request::Disconnect(disconnect) => Answer::Now(Settle::Reply(self.leave(disconnect, now))),
            request => match &mut self.session {
                Some(session) => on_session(session, request, now).map(Settle::Reply),
                None => Answer::Now(Settle::Reply(Err(Reason::NotConnected))),
            },
        }
    }

    fn leave(&mut self, disconnect: Disconnect, now: Instant) -> Result<Reply, Reason> {
        let mut session = self.take_session().ok_or(Reason::NotConnected)?;
        session.tell(self.course());
        let left = session.leave(disconnect, now);
        session.close(Reason::TakenOver, now); // if it could not be left, it is another connection's
        if let Some(beside) = self.take_beside() {
            self.hold(beside);
        }
        left
    }

    pub(super) fn take_beside(&mut self) -> Option<Box<Session>> {
        self.rare.as_mut()?.beside.take()
    }

    fn authenticate(&mut self, step: EnhancedAuthentication, now: Instant) -> Answer<Settle> {
        let underway = self.rare.as_mut().and_then(|rare| rare.authentication.take());
        match (underway, &self.session) {
            (Some(Authentication::First(underway)), _) => underway.proceed(step, now).map(Settle::Opened),
            (Some(Authentication::Again(exchange)), Some(session)) => {
                session.proceed(exchange, step).map(Settle::Reauthentication)
            }
            (None, Some(session)) => session.reauthenticate(step).map(Settle::Reauthentication),
            (_, None) => Answer::Now(Settle::Reply(Err(Reason::NotConnected))),
        }
    }

    /// Keeps a session, and lets go what was needed until there was one.
    pub(super) fn hold(&mut self, session: Box<Session>) {
        if let Some(rare) = &mut self.rare {
            rare.peer.take_if(|peer| Arc::ptr_eq(peer, &session.client().peer));
        }
        self.rare.take_if(|rare| rare.is_idle());
        self.session = Some(session);
    }

    /// Gives the session away, but for what it knew of the peer.
    pub(super) fn take_session(&mut self) -> Option<Box<Session>> {
        let peer = self.peer().cloned();
        let session = self.session.take()?;
        self.rare.get_or_insert_default().peer = peer;
        Some(session)
    }

    pub(super) fn conclude(&mut self, ticket: Ticket, settle: Settle, now: Instant, out: &mut Outbox) {
        let result = match settle {
            Settle::Reply(result) => result,
            Settle::Opened(Ok(Opened::Session(session, connected))) => {
                match &self.session {
                    None => self.hold(session),
                    Some(_) => {
                        let before = self.rare.get_or_insert_default().beside.replace(session);
                        before.into_iter().for_each(|session| session.close(Reason::Disconnected, now));
                    }
                }
                self.told = true;
                Ok(Reply::Connected(connected))
            }
            Settle::Opened(Ok(Opened::Challenge(step, underway))) => {
                self.rare.get_or_insert_default().authentication = Some(Authentication::First(underway));
                Ok(Reply::Challenge(Box::new(step)))
            }
            Settle::Reauthentication(Ok(Reauthentication::Challenge(step, exchange))) => {
                self.rare.get_or_insert_default().authentication = Some(Authentication::Again(exchange));
                Ok(Reply::Challenge(Box::new(step)))
            }
            Settle::Reauthentication(Ok(Reauthentication::Done(step))) => {
                let empty = || EnhancedAuthentication { method: "".into(), data: Default::default() };
                Ok(Reply::Authenticated(Box::new(step.unwrap_or_else(empty))))
            }
            Settle::Opened(Err(reason)) => {
                self.broker().count_refusal(self.label(), reason);
                self.told = true;
                Err(reason)
            }
            Settle::Reauthentication(Err(reason)) => Err(reason),
        };
        if ticket != Ticket::NONE {
            self.connection.handle(Event::Reply(ticket, result), now, out);
        }
    }
}

fn on_session(session: &mut Session, request: Request, now: Instant) -> Answer<Result<Reply, Reason>> {
    match request {
        Request::Publish(publish) => session.publish(publish, now),
        Request::PublishAll(publishes) => session.publish_all(publishes, now),
        Request::PublishIf(wish) => session.publish_if(*wish, now),
        Request::Release(id) => Answer::Now(session.release(id)),
        Request::Subscribe(subscriptions) => session.subscribe(subscriptions, now),
        Request::Unsubscribe(subscriptions) => Answer::Now(session.unsubscribe(subscriptions)),
        Request::Read(topic) => session.read(topic, now),
        Request::Judge(rights) => session.judge(rights, now),
        Request::SetWill(will) => session.set_will(will.map(|will| *will), now),
        Request::Connect(_) | Request::Authenticate(_) | Request::Disconnect(_) => {
            Answer::Now(Err(Reason::ProtocolViolation))
        }
    }
}
