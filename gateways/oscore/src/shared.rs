use std::sync::{Arc, PoisonError, RwLock};

use crate::Contexts;

/// The contexts in force, which may be replaced while connections live. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<RwLock<Arc<Contexts>>>);

impl Shared {
    /// The contexts in force now.
    pub fn current(&self) -> Arc<Contexts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other contexts in force; those that are not among them are revoked.
    pub fn replace(&self, contexts: Contexts) {
        let contexts = Arc::new(contexts);
        let before =
            std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), contexts.clone());
        let stays = |context: &Arc<_>| contexts.has(context);
        before.iter().filter(|context| !stays(context)).for_each(|context| context.revoke());
    }
}

impl PartialEq for Shared {
    /// Always: what is in force is nothing that one configures.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Shared {}
