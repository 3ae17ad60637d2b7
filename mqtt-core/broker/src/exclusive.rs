use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bus::{Filter, Reason};
use parking_lot::Mutex;

use crate::record::Record;

/// Which session has each `$exclusive/{filter}`. A condition behind the filter makes no other filter of it.
#[derive(Default)]
pub(crate) struct Exclusive(Mutex<HashMap<Box<str>, Owner>>);

struct Owner {
    record: Weak<Record>,
    /// How many subscriptions of the session have the filter.
    subscriptions: usize,
}

impl Exclusive {
    /// Gives the filter to the session, or says that another one has it.
    pub(crate) fn take(&self, filter: &Filter, record: &Arc<Record>) -> Result<(), Reason> {
        if !filter.is_exclusive() {
            return Ok(());
        }
        let mut owners = self.0.lock();
        let free = || Owner { record: Arc::downgrade(record), subscriptions: 0 };
        let owner = owners.entry(filter.pattern().into()).or_insert_with(free);
        if !std::ptr::eq(owner.record.as_ptr(), Arc::as_ptr(record)) {
            return Err(Reason::ExclusiveTaken);
        }
        owner.subscriptions += 1;
        Ok(())
    }

    /// Frees the filter once the session's last subscription to it is gone.
    pub(crate) fn free(&self, filter: &Filter, record: &Arc<Record>) {
        if !filter.is_exclusive() {
            return;
        }
        let mut owners = self.0.lock();
        let Some(owner) = owners.get_mut(filter.pattern()) else { return };
        if !std::ptr::eq(owner.record.as_ptr(), Arc::as_ptr(record)) {
            return;
        }
        owner.subscriptions -= 1;
        if owner.subscriptions == 0 {
            owners.remove(filter.pattern());
        }
    }
}
