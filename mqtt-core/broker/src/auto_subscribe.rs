use std::sync::Arc;
use std::time::Instant;

use bus::{Filter, Keyed, Qos, Reason, RetainHandling, SubscribeOptions, Subscription, SubscriptionId};
use serde::{Deserialize, Serialize};

use crate::access::Client;
use crate::broker::{Opened, Shared};
use crate::{Answer, Config};

/// A subscription that is made for each client when it connects, as if the client had asked for it.
///
/// It is made where the client's protocol can hand over what was not asked for: MQTT and MQTT-SN. STOMP and CoAP tie
/// each message to a subscription of the client's, by an id that the client chose. A session that goes on and has the
/// filter keeps its subscription as it is, and a client's own subscription takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoSubscribe {
    /// To what. `%c` stands for the client id and `%u` for the user name; where that has `+`, `#`, `/` or `?`, begins
    /// with `$`, or is not known, there is no subscription.
    pub filter: String,
    /// The largest guarantee: 0, 1 or 2.
    #[serde(default)]
    pub qos: u8,
    /// Whether the client's own messages are left out.
    #[serde(default)]
    pub no_local: bool,
    /// Whether live messages keep the publisher's retain flag.
    #[serde(default)]
    pub retain_as_published: bool,
    /// Which retained messages come.
    #[serde(default)]
    pub retain_handling: AutoRetain,
}

/// Which retained messages come with a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AutoRetain {
    /// All that match, unless the session that goes on has the subscription.
    #[default]
    IfNew,
    /// None.
    Never,
}

impl AutoSubscribe {
    /// Whether it can be used.
    pub fn is_valid(&self) -> bool {
        self.qos <= 2 && Filter::parse_with_condition(&self.text("x", "x")).is_ok()
    }

    fn subscription(&self, client: &Client) -> Option<Subscription> {
        // It shall make neither another level, nor a prefix, nor a condition of it.
        let fits = |name: &&str| !name.contains(['+', '#', '/', '?']) && !name.starts_with('$');
        let known = |mark: &str, name: Option<&str>| match self.filter.contains(mark) {
            true => name.filter(fits).map(str::to_owned),
            false => Some(String::new()),
        };
        let client_id = known("%c", Some(client.id.as_str()))?;
        let username = known("%u", client.identity.username.as_deref())?;
        let filter = Filter::parse_with_condition(&self.text(&client_id, &username)).ok()?;
        let retain_handling = match self.retain_handling {
            AutoRetain::IfNew => RetainHandling::IfNew,
            AutoRetain::Never => RetainHandling::Never,
        };
        let options = SubscribeOptions {
            qos: Qos::from_level(self.qos)?,
            no_local: self.no_local && filter.share().is_none(), // [MQTT-3.8.3-4]
            retain_as_published: self.retain_as_published,
            retain_handling,
        };
        Some(Subscription { id: SubscriptionId(0), filter, options, keyed: Keyed::ByFilter })
    }

    /// The filter with both names in place; a name that looks like a mark stays as it is.
    fn text(&self, client_id: &str, username: &str) -> String {
        let mut text = String::new();
        let mut rest = self.filter.as_str();
        while let Some((before, behind)) = rest.split_once('%') {
            text.push_str(before);
            rest = behind.get(1..).unwrap_or_default();
            match behind.as_bytes().first() {
                Some(b'c') => text.push_str(client_id),
                Some(b'u') => text.push_str(username),
                _ => {
                    text.push('%');
                    rest = behind;
                }
            }
        }
        text + rest
    }
}

impl Shared {
    /// Makes the subscriptions that the configuration gives a client. One that is refused is left out: the client did
    /// not ask for it.
    pub(crate) fn auto_subscribe(
        self: &Arc<Self>,
        opened: Result<Opened, Reason>,
        takes_unasked: bool,
        now: Instant,
    ) -> Answer<Result<Opened, Reason>> {
        let Ok(Opened::Session(mut session, connected)) = opened else { return Answer::Now(opened) };
        let wishes: Vec<_> = wishes(&self.config, session.client());
        if wishes.is_empty() || !takes_unasked {
            return Answer::Now(Ok(Opened::Session(session, connected)));
        }
        session.subscribe_unless_there(wishes, now).map(move |_| Ok(Opened::Session(session, connected)))
    }
}

fn wishes(config: &Config, client: &Client) -> Vec<Subscription> {
    config.auto_subscribe.iter().filter_map(|wish| wish.subscription(client)).collect()
}
