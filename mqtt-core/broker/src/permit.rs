use std::sync::Arc;
use std::sync::atomic::Ordering;

use bus::Reason;

use crate::access::{Access, Client, Interceptor, Permission};
use crate::announce::is_system;
use crate::broker::Shared;
use crate::{Answer, BrokerEvent};

/// One of the calls of an interceptor.
pub(crate) type Intercept<T> = fn(&dyn Interceptor, &Client, T) -> Answer<Result<T, Reason>>;

impl Shared {
    /// Asks the authorizer, and counts what it said.
    pub(crate) fn authorize(self: &Arc<Self>, client: &Client, access: Access<'_>) -> Answer<Permission> {
        // What is below `$SYS` is the server's. The authorizer is asked all the same, so that it can tell of the denial.
        let reserved = matches!(access, Access::Publish { topic, .. } if is_system(topic));
        if client.identity.superuser && !reserved {
            return Answer::Now(Permission::Allow);
        }
        match self.hooks.authorizer.authorize(client, access) {
            Answer::Now(permission) => Answer::Now(self.count_judged(permission, reserved)),
            Answer::Later(permission) => {
                let shared = self.clone();
                Answer::later(async move { shared.count_judged(permission.await, reserved) })
            }
        }
    }

    fn count_judged(&self, permission: Permission, reserved: bool) -> Permission {
        let permission = if reserved { Permission::Deny } else { permission };
        let counter = match permission {
            Permission::Allow | Permission::AllowFiltered => &self.counters.allowed,
            Permission::Deny => &self.counters.denied,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        permission
    }

    /// Asks the authorizer; a denial is told to the observers.
    pub(crate) fn permit(
        self: &Arc<Self>,
        client: &Arc<Client>,
        access: Access<'_>,
    ) -> Answer<Result<Permission, Reason>> {
        let denied = |shared: &Self, client: &Arc<Client>, action, on: &str| {
            shared.emit(|| BrokerEvent::Denied { client: client.clone(), action, on: on.into() });
            Err(Reason::NotAuthorized)
        };
        let (action, on) = match access {
            Access::Publish { topic, .. } => ("publish", topic.as_str()),
            Access::Subscribe { filter, .. } => ("subscribe", filter.as_str()),
            Access::Read { topic } => ("read", topic.as_str()),
            Access::Receive { topic } => ("receive", topic.as_str()),
        };
        match self.authorize(client, access) {
            Answer::Now(allowed @ (Permission::Allow | Permission::AllowFiltered)) => {
                Answer::Now(Ok(allowed))
            }
            Answer::Now(Permission::Deny) => Answer::Now(denied(self, client, action, on)),
            Answer::Later(permission) => {
                let (shared, client, on) = (self.clone(), client.clone(), on.to_owned());
                Answer::later(async move {
                    match permission.await {
                        allowed @ (Permission::Allow | Permission::AllowFiltered) => Ok(allowed),
                        Permission::Deny => denied(&shared, &client, action, &on),
                    }
                })
            }
        }
    }

    /// Asks the interceptors in order, each by `call`, what becomes of something.
    pub(crate) fn intercept<T: Send + 'static>(
        self: Arc<Self>,
        at: usize,
        client: Arc<Client>,
        value: T,
        call: Intercept<T>,
    ) -> Answer<Result<T, Reason>> {
        let Some(interceptor) = self.hooks.interceptors.get(at) else { return Answer::Now(Ok(value)) };
        call(&**interceptor, &client, value).then(move |result| match result {
            Ok(value) => self.intercept(at + 1, client, value, call),
            Err(reason) => Answer::Now(Err(reason)),
        })
    }
}
