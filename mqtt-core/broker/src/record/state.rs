use std::sync::Arc;
use std::time::Duration;

use bus::{Qos, SessionExpiry};

use super::{OwnedWill, Span, State};
use crate::Client;
use crate::config::Config;
use crate::queue::{NOTHING, Queue};
use crate::rights::UNJUDGED;
use crate::timers::TimerKey;

impl State {
    /// Whether messages of this guarantee are queued now.
    pub(super) fn keeps(&self, qos: Qos, config: &Config) -> bool {
        !self.ended && (self.holder.is_some() || qos > Qos::AtMostOnce || config.queue_qos0_offline)
    }

    /// Whether deliveries wait to be handed over again.
    pub(super) fn has_again(&self) -> bool {
        self.inflight.as_ref().is_some_and(|inflight| inflight.has_again())
    }

    /// What waits.
    pub(crate) fn queue(&self) -> &Queue {
        self.queue.as_deref().unwrap_or(&NOTHING)
    }

    /// Whether anything waits to be handed over.
    pub(super) fn has_waiting(&self) -> bool {
        self.has_again() || !self.queue().is_empty()
    }

    /// How many deliveries are not complete.
    pub(crate) fn unfinished(&self) -> usize {
        self.inflight.as_ref().map_or(0, |inflight| inflight.len())
    }

    pub(crate) fn will(&self) -> Option<&OwnedWill> {
        self.aside.as_ref()?.will.as_deref()
    }

    /// Puts another will in the place of the one that was there, which is returned.
    pub(crate) fn set_will(&mut self, will: Option<Box<OwnedWill>>) -> Option<Box<OwnedWill>> {
        if will.is_none() && self.aside.is_none() {
            return None;
        }
        std::mem::replace(&mut self.aside.get_or_insert_default().will, will)
    }

    pub(crate) fn take_timers(&mut self) -> Box<[TimerKey]> {
        self.aside.as_mut().map(|aside| std::mem::take(&mut aside.timers)).unwrap_or_default()
    }

    pub(crate) fn set_timers(&mut self, timers: Box<[TimerKey]>) {
        if !timers.is_empty() {
            self.aside.get_or_insert_default().timers = timers;
        }
    }

    /// Whether its subscriptions are being judged under these rights.
    pub(crate) fn is_judging(&self, rights: u64) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.judging == rights)
    }

    pub(crate) fn set_judging(&mut self, rights: u64) {
        if rights != UNJUDGED || self.aside.is_some() {
            self.aside.get_or_insert_default().judging = rights;
        }
    }

    pub(crate) fn expiry(&self) -> SessionExpiry {
        match self.expiry.0 {
            0 => SessionExpiry::AtOnce,
            u64::MAX => SessionExpiry::Never,
            nanos => SessionExpiry::After(Duration::from_nanos(nanos)),
        }
    }

    pub(crate) fn set_expiry(&mut self, expiry: SessionExpiry) {
        self.expiry = Span(match expiry {
            SessionExpiry::AtOnce => 0,
            SessionExpiry::After(span) => u64::try_from(span.as_nanos()).unwrap_or(u64::MAX),
            SessionExpiry::Never => u64::MAX,
        });
    }

    /// What was agreed on with the last connection.
    pub(crate) fn keep_alive(&self) -> Option<Duration> {
        (self.keep_alive > 0).then(|| Duration::from_millis(self.keep_alive.into()))
    }

    pub(crate) fn set_keep_alive(&mut self, keep_alive: Option<Duration>) {
        let millis = keep_alive.map_or(0, |keep_alive| keep_alive.as_millis());
        self.keep_alive = u32::try_from(millis).unwrap_or(u32::MAX);
    }

    /// Whether a connection holds the session.
    pub(crate) fn is_held(&self) -> bool {
        self.holder.is_some()
    }

    /// Whether a subscription is shared.
    pub(crate) fn is_in_share_group(&self) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.filter.share().is_some())
    }

    /// Whether a client that comes back goes on with the session.
    pub(crate) fn goes_on(&self) -> bool {
        !self.ended && !self.dismissed
    }

    /// The same for this client: elsewhere mounted, it has nothing to do with what is there.
    pub(crate) fn goes_on_for(&self, client: &Client) -> bool {
        let same = |owner: &Arc<Client>| owner.identity.mountpoint == client.identity.mountpoint;
        self.goes_on() && self.client.as_ref().is_none_or(same)
    }

    /// Whether the session belongs to the client's user, or to nobody any more.
    pub(crate) fn may_pass_to(&self, client: &Client) -> bool {
        let same = |owner: &Arc<Client>| owner.identity.username == client.identity.username;
        !self.goes_on() || self.client.as_ref().is_none_or(same)
    }

    /// Has the connection that holds the session look at it again.
    pub(crate) fn nudge(&self) {
        if let Some(waker) = self.holder.as_ref().and_then(|holder| holder.waker.as_ref()) {
            waker.wake_by_ref();
        }
    }
}
