//! What a connection asked for is done, in order.

use std::cell::Cell;
use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Instant;

use broker::{Answer, Later, Settled};
use bus::{Ack, Action, DeliveryId, Event, Outbox, Publish, Request, Ticket};

use super::request::Settle;
use super::{Driver, Names};
use crate::overload::Pressure;

/// A request whose answer is awaited.
pub(super) struct Waiting {
    pub(super) answer: Later<Settle>,
    ticket: Ticket,
    actions: VecDeque<Action>,
}

/// What a thread lends to the driver that performs, so that it need not be made anew each time.
#[derive(Default)]
struct Lists {
    run: VecDeque<(Ticket, Publish)>,
    settled: Vec<Settled>,
    acks: Vec<(DeliveryId, Ack)>,
}

thread_local! {
    static LISTS: Cell<Option<Box<Lists>>> = const { Cell::new(None) };
}

impl Driver {
    /// Performs what the connection asked for, and what it asks for in answer.
    pub(super) fn perform(
        &mut self,
        now: Instant,
        out: &mut Outbox,
        names: &mut dyn Names,
        cx: &mut Context<'_>,
    ) {
        loop {
            self.publish_runs(now, out, names, cx);
            self.ack_run(out);
            let Some(action) = out.next_action() else { return };
            match self.rare.as_mut().and_then(|rare| rare.waiting.as_mut()) {
                Some(waiting) => waiting.actions.push_back(action),
                None => self.act(action, now, out, names, cx),
            }
        }
    }

    /// Notes the acknowledgements that are next, together.
    fn ack_run(&mut self, out: &mut Outbox) {
        if !out.begins_with_acks() || self.is_waiting() {
            return;
        }
        let Some(session) = &mut self.session else { return };
        let mut lists = LISTS.take().unwrap_or_default();
        out.take_acks(&mut lists.acks);
        session.ack_all(&lists.acks);
        lists.acks.clear();
        LISTS.set(Some(lists));
    }

    /// Performs the publishes that are next, those that are alike together.
    fn publish_runs(&mut self, now: Instant, out: &mut Outbox, names: &mut dyn Names, cx: &mut Context<'_>) {
        if !out.begins_with_publishes() || self.is_waiting() || self.session.is_none() {
            return;
        }
        let is_limited = self.rare.as_ref().is_some_and(|rare| rare.quota.is_some());
        if is_limited || self.house().overload.pressure() == Pressure::Full {
            return; // each is to be charged
        }
        let mut lists = LISTS.take().unwrap_or_default();
        out.take_publishes(&mut lists.run);
        while let (false, Some(session)) = (self.is_waiting(), &mut self.session) {
            let before = lists.run.len();
            session.publish_run(&mut lists.run, &mut lists.settled, now);
            self.meter.published(before - lists.run.len());
            for (ticket, outcome) in lists.settled.drain(..).filter(|(ticket, _)| *ticket != Ticket::NONE) {
                self.connection.handle(Event::Reply(ticket, outcome), now, out);
            }
            let Some((ticket, publish)) = lists.run.pop_front() else { break };
            self.act(Action::Request(ticket, Request::Publish(publish)), now, out, names, cx);
        }
        out.put_back(&mut lists.run);
        LISTS.set(Some(lists));
    }

    fn act(
        &mut self,
        action: Action,
        now: Instant,
        out: &mut Outbox,
        names: &mut dyn Names,
        cx: &mut Context<'_>,
    ) {
        match action {
            Action::Ack(id, ack) => {
                if let Some(session) = &mut self.session {
                    session.ack(id, ack);
                }
            }
            Action::Lost(reason) => self.broker().count_drop(reason),
            Action::Claim(name) => names.claim(name),
            Action::Disclaim(name) => names.disclaim(name),
            Action::Close(reason) => drop(self.closing.get_or_insert(reason)),
            Action::Request(ticket, request) => match self.charged(request, now) {
                Answer::Now(settle) => self.conclude(ticket, settle, now, out),
                Answer::Later(mut answer) => match answer.as_mut().poll(cx) {
                    Poll::Ready(settle) => self.conclude(ticket, settle, now, out),
                    Poll::Pending => {
                        let waiting = Box::new(Waiting { answer, ticket, actions: VecDeque::new() });
                        self.rare.get_or_insert_default().waiting = Some(waiting);
                    }
                },
            },
        }
    }

    /// Goes on once the awaited answer is there, with all that waited behind it.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        out: &mut Outbox,
        names: &mut dyn Names,
        cx: &mut Context<'_>,
    ) {
        while let Some(waiting) = self.rare.as_mut().and_then(|rare| rare.waiting.as_mut()) {
            let Poll::Ready(settle) = waiting.answer.as_mut().poll(cx) else { return };
            let ticket = waiting.ticket;
            let mut actions = self.take_waiting().map(|waiting| waiting.actions).unwrap_or_default();
            self.conclude(ticket, settle, now, out);
            while let Some(action) = actions.pop_front() {
                self.act(action, now, out, names, cx);
                if let Some(waiting) = self.rare.as_mut().and_then(|rare| rare.waiting.as_mut()) {
                    waiting.actions.append(&mut actions);
                }
            }
            self.perform(now, out, names, cx);
        }
    }
}
