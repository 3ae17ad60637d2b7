use std::collections::HashMap;

use bus::{Ack, Limits, ProtocolError, Publish, Reason};

use crate::Config;
use crate::error::error;

/// The open transactions of a connection, which hold what COMMIT will perform.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    open: HashMap<Box<str>, Transaction>,
    /// How many steps all of them hold.
    steps: usize,
    /// How many bytes all of them hold.
    bytes: usize,
}

/// What one transaction holds: its messages and its answers, each in order.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) publishes: Vec<Publish>,
    pub(crate) answers: Vec<Answer>,
    bytes: usize,
}

/// One frame of a transaction.
#[derive(Debug)]
pub(crate) enum Step {
    Publish(Publish),
    Answer(Answer),
}

/// The client's word on a message: ACK or NACK, and the number of the MESSAGE.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) ack: Ack,
}

impl Transactions {
    pub(crate) fn begin(
        &mut self,
        name: &str,
        config: &Config,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        if self.open.contains_key(name) {
            return Err(error(Reason::PacketIdInUse, "a transaction with this name is open already"));
        }
        if self.open.len() >= limits.subscriptions || self.bytes + name.len() > config.transactions {
            return Err(full());
        }
        self.bytes += name.len();
        self.open.insert(name.into(), Transaction { bytes: name.len(), ..Transaction::default() });
        Ok(())
    }

    /// Keeps one step of `size` bytes for later.
    pub(crate) fn push(
        &mut self,
        name: &str,
        step: Step,
        size: usize,
        config: &Config,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        let transaction = self.open.get_mut(name).ok_or(unknown())?;
        if self.steps >= limits.outstanding || self.bytes.saturating_add(size) > config.transactions {
            return Err(full());
        }
        self.steps += 1;
        self.bytes += size;
        transaction.bytes += size;
        match step {
            Step::Publish(publish) => transaction.publishes.push(publish),
            Step::Answer(answer) => transaction.answers.push(answer),
        }
        Ok(())
    }

    /// Ends a transaction, by COMMIT or ABORT, and hands over what it held.
    pub(crate) fn end(&mut self, name: &str) -> Result<Transaction, ProtocolError> {
        let transaction = self.open.remove(name).ok_or(unknown())?;
        self.steps -= transaction.publishes.len() + transaction.answers.len();
        self.bytes -= transaction.bytes;
        Ok(transaction)
    }
}

fn unknown() -> ProtocolError {
    ProtocolError::violation("there is no open transaction with this name")
}

fn full() -> ProtocolError {
    error(Reason::QuotaExceeded, "the open transactions hold as much as stomp.transactions allows")
}
