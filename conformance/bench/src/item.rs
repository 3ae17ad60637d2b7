//! Everything that can be measured, by name.

use std::path::PathBuf;
use std::time::Duration;

use crate::measure;
use crate::scenario::{BATCHED, MATCHING, PACED, Scenario};
use crate::subject::{Carrier, Kind, Manner, Subject};
use crate::table::Figure;

/// One row or more of the tables.
pub(crate) struct Item {
    /// What `--only` is looked for in.
    pub(crate) title: String,
    work: Work,
}

enum Work {
    Messages(&'static Scenario),
    Filters(&'static Scenario),
    Idle { subscribed: bool },
    Retained,
    Cores,
    Transport(Carrier),
}

/// What all runs have in common.
pub(crate) struct Conditions {
    pub(crate) span: Duration,
    pub(crate) pinned: bool,
    /// Our own client, if our broker takes part.
    pub(crate) client: Option<PathBuf>,
}

pub(crate) fn all() -> Vec<Item> {
    let item = |group: &str, name: &str, work| Item { title: format!("{group}: {name}"), work };
    let mut items = Vec::new();
    items.extend(BATCHED.iter().map(|scenario| item("load", scenario.name, Work::Messages(scenario))));
    items.extend(PACED.iter().map(|scenario| item("paced", scenario.name, Work::Messages(scenario))));
    items.push(item("idle", "connections", Work::Idle { subscribed: false }));
    items.push(item("idle", "connections with a subscription", Work::Idle { subscribed: true }));
    items.push(item("retained", "set and replay", Work::Retained));
    items.extend(MATCHING.iter().map(|scenario| item("matching", scenario.name, Work::Filters(scenario))));
    items.push(item("cores", "two beside one", Work::Cores));
    items.extend(Carrier::ALL.map(|carrier| item("transports", carrier.scheme(), Work::Transport(carrier))));
    items
}

impl Item {
    pub(crate) fn suits(&self, kind: Kind, conditions: &Conditions) -> bool {
        match (&self.work, kind) {
            (Work::Messages(scenario), Kind::Relay) => scenario.suits_relay(),
            (Work::Messages(scenario), Kind::Nats) => scenario.suits_nats(),
            (Work::Messages(_), _) => true,
            // They must be told how many threads to have.
            (Work::Cores, kind) => matches!(kind, Kind::Watersmeet | Kind::Flashmq),
            (Work::Transport(carrier), kind) => conditions.client.is_some() && carrier.is_spoken_by(kind),
            (Work::Retained, Kind::Nats) => false,
            (Work::Filters(_) | Work::Idle { .. } | Work::Retained, kind) => kind != Kind::Relay,
        }
    }

    /// Whether nothing is wrong if it cannot be measured: a broker may have been built without TLS or WebSocket.
    pub(crate) fn may_fail(&self, kind: Kind) -> bool {
        kind != Kind::Watersmeet && matches!(self.work, Work::Transport(carrier) if carrier != Carrier::Tcp)
    }

    pub(crate) fn run(&self, subject: &Subject, conditions: &Conditions) -> Result<Vec<Figure>, String> {
        let manner = Manner { pinned: conditions.pinned, ..Manner::default() };
        let span = conditions.span;
        match &self.work {
            Work::Messages(scenario) => measure::messages(scenario, subject, manner, span),
            Work::Filters(scenario) => measure::filters(scenario, subject, manner, span),
            Work::Idle { subscribed } => measure::idle(*subscribed, subject, manner),
            Work::Retained => measure::retained(subject, manner),
            Work::Cores => measure::cores(subject, span),
            Work::Transport(carrier) => {
                let client = conditions.client.as_deref().ok_or("there is no client of ours")?;
                measure::transport(*carrier, client, subject, manner, span)
            }
        }
    }
}
