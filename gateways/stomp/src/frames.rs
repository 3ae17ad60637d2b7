use std::sync::Arc;
use std::time::Instant;

use bus::{Keyed, Outbox, ProtocolError, Reason, Request, Subscription as BusSubscription, Unsubscribe};

use crate::connect::Opening;
use crate::connection::{Awaited, Handled, State, StompConnection};
use crate::publish::publish;
use crate::stomp::Grants;
use crate::subscription::{AckMode, Name, Subscription, Wanted, too_long};
use crate::transaction::{Answer, Step, Transaction};
use crate::{Command, Frame, Version};

/// What each frame of the client does.
impl StompConnection {
    pub(crate) fn perform(
        &mut self,
        frame: Frame,
        receipt: Option<Arc<str>>,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        use Command::*;
        if receipt.as_ref().is_some_and(|receipt| !self.is_name(receipt)) {
            return Err(too_long());
        }
        if !frame.command.has_body() && !frame.body.is_empty() {
            return Err(ProtocolError::violation("only SEND may have a body")); // [STOMP1.2 Body]
        }
        match (&self.state, frame.command) {
            (_, Connected | Message | Receipt | Error) => {
                Err(ProtocolError::violation("the command is one of the server's"))
            }
            (State::ExpectConnect { .. }, Connect | Stomp) => self.take_connect(frame, now, out),
            (State::ExpectConnect { .. }, _) => {
                Err(ProtocolError::violation("the first frame is no CONNECT"))
            }
            (_, Connect | Stomp) => Err(ProtocolError::violation("CONNECT comes once only")),
            (_, Nack) if self.version == Version::V1_0 => {
                Err(ProtocolError::violation("STOMP 1.0 has no NACK"))
            }
            (_, Send) => self.take_send(frame, receipt, now, out),
            (_, Subscribe) => self.take_subscribe(&frame, receipt, out),
            (_, Unsubscribe) => self.take_unsubscribe(&frame, receipt, out),
            (_, Ack | Nack) => self.take_answer(&frame, receipt, now, out),
            (_, Begin) => {
                let Grants { config, limits } = &*self.grants;
                let name = self.transaction(&frame)?;
                self.transactions.begin(name, config, limits)?;
                self.receipt(receipt, now, out);
                Ok(())
            }
            (_, Commit) => {
                let name = self.transaction(&frame)?;
                let transaction = self.transactions.end(name)?;
                self.commit(transaction, receipt, now, out);
                Ok(())
            }
            (_, Abort) => {
                let name = self.transaction(&frame)?;
                drop(self.transactions.end(name)?);
                self.receipt(receipt, now, out);
                Ok(())
            }
            (_, Disconnect) => {
                self.state = State::ExpectReplies { receipt };
                self.leave_when_answered(out);
                Ok(())
            }
        }
    }

    fn take_connect(&mut self, frame: Frame, now: Instant, out: &mut Outbox) -> Handled {
        let Grants { config, limits } = &*self.grants;
        let opening = Opening::parse(frame, config, limits)?;
        self.version = opening.version;
        self.durable = !opening.connect.clean_start;
        let until = match self.state {
            State::ExpectConnect { until: Some(until) } => until,
            _ => now + limits.handshake,
        };
        self.state = State::ExpectSession { until, wish: opening.wish };
        self.ask(Awaited::Connect, Request::Connect(Box::new(opening.connect)), out);
        Ok(())
    }

    fn take_send(
        &mut self,
        frame: Frame,
        receipt: Option<Arc<str>>,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        let transaction = frame.header("transaction").map(Box::<str>::from);
        let size = frame.size();
        let publish = publish(frame, &self.grants.limits)?;
        if let Some(transaction) = transaction {
            return self.put_off(&transaction, Step::Publish(publish), size, receipt, now, out);
        }
        self.ask(Awaited::Publish { receipt }, Request::Publish(publish), out);
        Ok(())
    }

    fn take_subscribe(&mut self, frame: &Frame, receipt: Option<Arc<str>>, out: &mut Outbox) -> Handled {
        let Grants { config, limits } = &*self.grants;
        let Wanted { name, ack, filter, options } = Wanted::parse(frame, self.version, config.name, limits)?;
        let subscription = Subscription { name, ack, shared: filter.share().is_some(), ends: None };
        let id = self.subscriptions.insert(subscription, self.durable, limits)?;
        let wanted = BusSubscription { id, filter, options, keyed: Keyed::ById };
        self.ask(Awaited::Subscribe { id, receipt }, Request::Subscribe(vec![wanted]), out);
        Ok(())
    }

    fn take_unsubscribe(&mut self, frame: &Frame, receipt: Option<Arc<str>>, out: &mut Outbox) -> Handled {
        let name = Name::parse(frame, self.version, self.grants.config.name)?;
        let unknown = ProtocolError {
            reason: Reason::NoSubscription,
            detail: "UNSUBSCRIBE names no subscription of this connection",
        };
        let id = match self.subscriptions.find(&name) {
            Some(id) => id,
            None if self.durable => {
                // it may be one that an earlier connection made
                let old = Subscription { name, ack: AckMode::Auto, shared: false, ends: None };
                self.subscriptions.insert(old, true, &self.grants.limits)?
            }
            None => return Err(unknown),
        };
        let ticket = self.ask(
            Awaited::Unsubscribe { id, receipt },
            Request::Unsubscribe(vec![Unsubscribe::Id(id)]),
            out,
        );
        self.subscriptions.end(id, ticket);
        self.release_subscription(id, out);
        Ok(())
    }

    fn take_answer(
        &mut self,
        frame: &Frame,
        receipt: Option<Arc<str>>,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        let number = self.message_number(frame)?;
        let ack = if frame.command == Command::Nack { bus::Ack::Return } else { bus::Ack::Complete };
        let answer = Answer { number, ack };
        if let Some(transaction) = frame.header("transaction") {
            return self.put_off(transaction, Step::Answer(answer), frame.size(), receipt, now, out);
        }
        self.answer(answer, out);
        self.receipt(receipt, now, out);
        Ok(())
    }

    /// Keeps a frame for the COMMIT of its transaction; its receipt says that it is kept.
    fn put_off(
        &mut self,
        transaction: &str,
        step: Step,
        size: usize,
        receipt: Option<Arc<str>>,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        let Grants { config, limits } = &*self.grants;
        self.transactions.push(transaction, step, size, config, limits)?;
        self.receipt(receipt, now, out);
        Ok(())
    }

    /// Has all messages published or none, and only then takes the answers [STOMP1.2 BEGIN].
    fn commit(
        &mut self,
        transaction: Transaction,
        receipt: Option<Arc<str>>,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Transaction { publishes, answers, .. } = transaction;
        self.committing = Some(answers);
        if publishes.is_empty() {
            return self.committed(receipt, now, out);
        }
        self.ask(Awaited::Commit { receipt }, Request::PublishAll(publishes), out);
    }

    /// Takes the answers of a transaction whose messages are published.
    pub(crate) fn committed(&mut self, receipt: Option<Arc<str>>, now: Instant, out: &mut Outbox) {
        for answer in self.committing.take().unwrap_or_default() {
            self.answer(answer, out);
        }
        self.receipt(receipt, now, out);
    }

    fn transaction<'a>(&self, frame: &'a Frame) -> Result<&'a str, ProtocolError> {
        let name = frame.header("transaction").ok_or(ProtocolError::violation("no transaction is named"))?;
        self.is_name(name).then_some(name).ok_or(too_long())
    }

    /// Performs the client's word on one message, or on all up to it.
    fn answer(&mut self, Answer { number, ack }: Answer, out: &mut Outbox) {
        let Some(sent) = self.window.get(number) else { return };
        let mode = self.subscriptions.get(sent.subscription).map(|subscription| subscription.ack);
        match mode {
            // [STOMP1.2 SUBSCRIBE ack Header], [STOMP1.2 NACK]
            Some(AckMode::Client) => self.window.answer_up_to(number, sent.subscription, ack, out),
            _ => self.window.answer(number, ack, out),
        }
    }
}
