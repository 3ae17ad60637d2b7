//! What is done with each record: it is a session's, or a handshake's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use dtls::{Effects, Ending, Proof, Refusal, SessionEvent, SessionId};

use crate::engine::MbedEngine;
use crate::ffi::{Context, Failure, Read, Step};
use crate::handshake::Handshake;
use crate::outcome;
use crate::random;
use crate::record::{HANDSHAKE, Record};
use crate::session::{Cause, Known};

/// When a step of a handshake, which may take a thousand times as long as any other record, is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// It waits for its turn.
    Wait,
    /// Now.
    Now,
}

impl MbedEngine {
    /// Takes a record off a datagram. Behind others of its address that wait it waits too, unless it has a session's id.
    pub(crate) fn arrive(
        &mut self,
        record: &Record<'_>,
        from: SocketAddr,
        now: Instant,
        effects: &mut Effects,
    ) {
        let is_known = record.connection.is_some_and(|id| self.sessions.with_connection(id).is_some());
        match self.waiting.has(&from) && !is_known {
            true => self.wait(record, from),
            false => self.take(record, from, Haste::Wait, now, effects),
        }
    }

    fn wait(&mut self, record: &Record<'_>, from: SocketAddr) {
        if !self.waiting.push(from, record.bytes) {
            self.counts.turned_away += 1;
        }
    }

    pub(crate) fn take(
        &mut self,
        record: &Record<'_>,
        from: SocketAddr,
        haste: Haste,
        now: Instant,
        effects: &mut Effects,
    ) {
        if let Some(connection) = record.connection {
            return match self.sessions.with_connection(connection) {
                Some(session) => {
                    self.read(session, record, from, now, effects);
                }
                None => {
                    let waits = self.handshakes.get(&from);
                    match waits.is_some_and(|handshake| *handshake.connection == *connection) {
                        true => self.shake(record, from, haste, now, effects),
                        false => self.counts.bad_records += 1,
                    }
                }
            };
        }
        if record.begins_handshake() {
            return self.begin(record, from, haste, now, effects);
        }
        let waits = self.handshakes.get(&from).is_some();
        // A record of epoch 0 says nothing that an open session may believe, nor one without the id that its records have.
        // [RFC9146 3]
        let has_id = |session| self.sessions.get(session).is_some_and(|known| known.connection.is_some());
        let open = self.sessions.at(&from).filter(|session| record.epoch != 0 && !has_id(*session));
        // Where a handshake follows a session, its last message is no data, and data is the session's.
        match open {
            Some(session) if !(waits && record.content == HANDSHAKE) => {
                let is_read = self.read(session, record, from, now, effects);
                if !is_read && waits {
                    self.shake(record, from, haste, now, effects);
                }
            }
            _ if waits => self.shake(record, from, haste, now, effects),
            _ => self.counts.bad_records += 1,
        }
    }

    /// Takes a hello. Nothing is kept of one without a cookie, and an open session at its address lives on until another
    /// handshake there is done. [RFC6347 4.2.1, 4.2.8]
    fn begin(
        &mut self,
        record: &Record<'_>,
        from: SocketAddr,
        haste: Haste,
        now: Instant,
        effects: &mut Effects,
    ) {
        let Some(hello) = record.hello() else {
            self.counts.bad_records += 1;
            return;
        };
        if !self.cookies.proves(&hello, from, now) {
            self.counts.cookies += 1;
            effects.datagrams.push((from, self.cookies.request(record, &hello, from, now)));
            return;
        }
        if haste == Haste::Wait {
            return self.wait(record, from);
        }
        if self.handshakes.get(&from).is_some_and(|handshake| handshake.random == *hello.random) {
            return self.go_on(from, record.bytes, now, effects);
        }
        let is_new = self.handshakes.take(&from).is_none();
        if is_new && self.handshakes.len() >= self.settings.half_open {
            self.end_silent_handshake(now, effects);
        }
        let is_full = self.handshakes.len() >= self.settings.half_open
            || self.sessions.len() + self.handshakes.len() >= self.settings.sessions
                && !self.sessions.can_give();
        let handshake = match is_new && is_full {
            true => None,
            false => self.handshake(*hello.random, now),
        };
        let Some(handshake) = handshake else {
            self.counts.turned_away += 1;
            return;
        };
        self.handshakes.put(from, handshake, now);
        self.go_on(from, record.bytes, now, effects);
    }

    fn handshake(&self, random: [u8; 32], now: Instant) -> Option<Handshake> {
        let mut connection = vec![0; self.config.connection_id_length()].into_boxed_slice();
        random::fill(&mut connection).ok()?;
        if !connection.is_empty() && self.sessions.with_connection(&connection).is_some() {
            return None;
        }
        let context = Context::new(&self.config, &connection, now).ok()?;
        Some(Handshake::new(context, connection, random, now, now + self.settings.handshake_timeout))
    }

    /// Makes a place for another handshake, so that nobody keeps all of them with hellos that lead to nothing.
    fn end_silent_handshake(&mut self, now: Instant, effects: &mut Effects) {
        if let Some((address, handshake)) = self.handshakes.take_silent(now) {
            self.counts.refused += 1;
            let refusal = outcome::silence(&handshake.context);
            effects.events.push(SessionEvent::Refused { address, refusal });
        }
    }

    /// Goes on with the handshake at an address, now or when it is its turn.
    fn shake(
        &mut self,
        record: &Record<'_>,
        from: SocketAddr,
        haste: Haste,
        now: Instant,
        effects: &mut Effects,
    ) {
        match haste {
            Haste::Wait => self.wait(record, from),
            Haste::Now => self.go_on(from, record.bytes, now, effects),
        }
    }

    /// Goes on with the handshake at an address, with a record or for its timers.
    pub(crate) fn go_on(&mut self, from: SocketAddr, input: &[u8], now: Instant, effects: &mut Effects) {
        let Some(mut handshake) = self.handshakes.take(&from) else { return };
        if !input.is_empty() {
            handshake.heard = now;
        }
        let step = match handshake.is_over(now) {
            true => Step::Failed(Failure::TIMEOUT),
            false => handshake.context.handshake(input, now, &mut self.output),
        };
        self.flush(from, effects);
        let refusal = match step {
            Step::Waiting => return self.handshakes.put(from, handshake, now),
            Step::Failed(Failure::TIMEOUT) => outcome::silence(&handshake.context),
            Step::Failed(failure) => outcome::refusal(&handshake.context, failure),
            Step::Done => match self.open(handshake, from, now, effects) {
                Ok(()) => return,
                Err(refusal) => refusal,
            },
        };
        self.counts.refused += 1;
        effects.events.push(SessionEvent::Refused { address: from, refusal });
    }

    fn open(
        &mut self,
        handshake: Handshake,
        address: SocketAddr,
        now: Instant,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        let mut context = handshake.context;
        let identity = Arc::new(outcome::identity(&context, outcome::DTLS)?);
        self.counts.handshakes += 1;
        self.counts.resumed += u64::from(context.notes().has_resumed(context.suite()));
        if let Some(before) = self.sessions.at(&address) {
            // One with an id is found elsewhere, so that somebody else may have its address now.
            let lives_on = self.sessions.get(before).is_some_and(|session| {
                session.connection.is_some()
                    && (session.identity.proof != identity.proof || identity.proof == Proof::Nothing)
            });
            if !lives_on {
                self.end(before, Ending::Replaced, effects);
            }
        }
        // Two, so that they become fewer where there may be fewer now.
        for _ in 0..2 {
            if self.sessions.len() < self.settings.sessions {
                break;
            }
            let Some(given) = self.sessions.given(&identity.proof) else {
                self.counts.turned_away += 1;
                context.close(now, &mut self.output);
                self.flush(address, effects);
                return Ok(());
            };
            self.say_good_bye(given, now, effects);
            self.end(given, Ending::Crowded, effects);
        }
        let session = SessionId(self.next);
        self.next += 1;
        let connection = context.has_connection_id().then_some(handshake.connection);
        let known = Known { address, connection, identity: identity.clone(), room: context.room() };
        self.sessions.open(session, context, known, now);
        effects.events.push(SessionEvent::Opened { session, address, identity });
        Ok(())
    }

    /// Gives a record to an open session; returns whether it was decrypted.
    fn read(
        &mut self,
        session: SessionId,
        record: &Record<'_>,
        from: SocketAddr,
        now: Instant,
        effects: &mut Effects,
    ) -> bool {
        if !self.sessions.may_wake(session, record) {
            self.counts.bad_records += 1;
            return false;
        }
        let Some(context) = self.sessions.context(session, Cause::Input, &self.config, now) else {
            self.end(session, Ending::Failed, effects);
            return false;
        };
        let newest = context.newest();
        let read = context.read(record.bytes, now, &mut self.output, &mut self.buffer);
        let (is_newest, alert) = (context.newest() > newest, context.alert());
        let is_read = match read {
            Read::Plaintext(_) | Read::Failed(Failure::CLOSED | Failure::ALERT) => true,
            Read::Nothing | Read::Failed(_) => is_newest,
        };
        if !is_read {
            self.counts.bad_records += 1;
            self.output.clear();
            return false;
        }
        self.sessions.hear(session, now);
        // [RFC9146 6] Only what decrypts and is newer than all before moves a session.
        if is_newest && self.sessions.get(session).is_some_and(|session| session.address != from) {
            self.sessions.move_to(session, from);
            self.counts.moved += 1;
            effects.events.push(SessionEvent::Moved { session, address: from });
        }
        let address = self.sessions.get(session).map_or(from, |session| session.address);
        match read {
            Read::Plaintext(length) => {
                let plaintext = self.buffer.get(..length).unwrap_or_default().to_vec();
                effects.events.push(SessionEvent::Received { session, plaintext });
            }
            Read::Nothing => {}
            Read::Failed(failure) => {
                // A good-bye is answered with one. [RFC5246 7.2.1]
                if failure == Failure::CLOSED
                    && let Some(context) = self.sessions.context(session, Cause::Output, &self.config, now)
                {
                    context.close(now, &mut self.output);
                }
                let ending = match failure {
                    Failure::CLOSED => Ending::Closed,
                    Failure::ALERT => Ending::Alert(alert),
                    _ => Ending::Failed,
                };
                self.end(session, ending, effects);
            }
        }
        self.flush(address, effects);
        true
    }

    /// Ends the sessions that make room for others; their peers are told, so that they come back.
    pub(crate) fn end_crowded(&mut self, now: Instant, effects: &mut Effects) {
        while let Some(session) = self.sessions.crowded() {
            self.say_good_bye(session, now, effects);
            self.end(session, Ending::Crowded, effects);
        }
    }

    pub(crate) fn say_good_bye(&mut self, session: SessionId, now: Instant, effects: &mut Effects) {
        let Some(address) = self.sessions.get(session).map(|session| session.address) else { return };
        if let Some(context) = self.sessions.context(session, Cause::Output, &self.config, now) {
            context.close(now, &mut self.output);
        }
        self.flush(address, effects);
    }

    pub(crate) fn end(&mut self, session: SessionId, ending: Ending, effects: &mut Effects) {
        if self.sessions.remove(session).is_some() {
            effects.events.push(SessionEvent::Closed { session, ending });
        }
    }

    pub(crate) fn flush(&mut self, address: SocketAddr, effects: &mut Effects) {
        effects.datagrams.extend(self.output.drain(..).map(|datagram| (address, datagram)));
    }
}
