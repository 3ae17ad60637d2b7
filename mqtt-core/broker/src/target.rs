use std::borrow::Cow;
use std::sync::Arc;

use bus::{Matched, Message, Qos, SubscriptionId};
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::entries::Entry;
use crate::hashing::Hashing;
use crate::record::Record;

/// One session, with all its subscriptions that matched.
pub(crate) struct Target {
    pub(crate) record: Arc<Record>,
    hit: Hit,
    /// Where it is not the same for every message.
    cases: Option<Box<Cases>>,
}

pub(crate) type Targets = SmallVec<[Target; 1]>;

/// How a message is handed to a session.
#[derive(Clone)]
pub(crate) struct Hit {
    pub(crate) matched: Matched,
    pub(crate) qos: Qos,
    pub(crate) retain_as_published: bool,
}

struct Cases {
    /// For what the session itself publishes; `None` if every subscription is no-local.
    own: Option<Hit>,
    /// All its subscriptions if one has a condition: each is judged by itself, for each message.
    judged: Option<Box<[Entry]>>,
}

/// The entries of one session.
type Together<'a> = SmallVec<[&'a Entry; 2]>;

/// Up to how many entries those of one session are looked for among all others.
const FEW: usize = 16;

impl Target {
    /// The session's entries, at least one.
    fn new(entries: &[&Entry]) -> Option<Self> {
        let record = entries.first()?.record.clone();
        let hit = hit(entries.iter().copied())?;
        let has_condition = entries.iter().any(|entry| entry.condition.is_some());
        if !has_condition && !entries.iter().any(|entry| entry.options.no_local) {
            return Some(Self { record, hit, cases: None });
        }
        let own = self::hit(entries.iter().copied().filter(|entry| !entry.options.no_local));
        let judged = has_condition.then(|| entries.iter().map(|entry| (*entry).clone()).collect());
        Some(Self { record, hit, cases: Some(Box::new(Cases { own, judged })) })
    }

    /// How the session is handed the message; `None` if not at all. `own`: the session itself published it.
    #[inline]
    pub(crate) fn hit(&self, message: &Message, own: bool) -> Option<Cow<'_, Hit>> {
        match &self.cases {
            None => Some(Cow::Borrowed(&self.hit)),
            Some(cases) => self.hit_by_case(cases, message, own),
        }
    }

    #[inline(never)]
    fn hit_by_case<'a>(&'a self, cases: &'a Cases, message: &Message, own: bool) -> Option<Cow<'a, Hit>> {
        match &cases.judged {
            None => if own { cases.own.as_ref() } else { Some(&self.hit) }.map(Cow::Borrowed),
            Some(entries) => {
                let entries = entries.iter().filter(|entry| !(own && entry.options.no_local));
                hit(entries.filter(|entry| entry.accepts(message))).map(Cow::Owned)
            }
        }
    }

    /// The subscriptions that matched.
    #[cfg(test)]
    pub(crate) fn matched(&self) -> &[SubscriptionId] {
        self.hit.matched.as_slice()
    }

    /// Whether a subscription has a condition.
    pub(crate) fn is_judged(&self) -> bool {
        self.cases.as_ref().is_some_and(|cases| cases.judged.is_some())
    }
}

/// One target per session: it gets the message once, at the best guarantee, with every id that matched.
pub(crate) fn merge(entries: &[&Entry]) -> Targets {
    if let [entry] = entries {
        return Target::new(&[entry]).into_iter().collect();
    }
    let mut sessions: SmallVec<[Together<'_>; FEW]> = SmallVec::with_capacity(entries.len());
    let mut places =
        (entries.len() > FEW).then(|| HashMap::with_capacity_and_hasher(entries.len(), Hashing::default()));
    for entry in entries {
        let next = sessions.len();
        let at = match &mut places {
            Some(places) => *places.entry(Arc::as_ptr(&entry.record)).or_insert(next),
            None => sessions.iter().position(|session| are_of_one(session, entry)).unwrap_or(next),
        };
        match sessions.get_mut(at) {
            Some(session) => session.push(entry),
            None => sessions.push(Together::from_slice(&[entry])),
        }
    }
    sessions.iter().filter_map(|entries| Target::new(entries)).collect()
}

fn are_of_one(session: &Together<'_>, entry: &Entry) -> bool {
    session.first().is_some_and(|first| Arc::ptr_eq(&first.record, &entry.record))
}

fn hit<'a>(entries: impl Iterator<Item = &'a Entry>) -> Option<Hit> {
    let mut ids: SmallVec<[SubscriptionId; 4]> = SmallVec::new();
    let (mut qos, mut retain_as_published) = (Qos::AtMostOnce, false);
    for entry in entries {
        ids.push(entry.id);
        qos = qos.max(entry.options.qos);
        retain_as_published |= entry.options.retain_as_published;
    }
    let matched = match ids.as_slice() {
        [] => return None,
        [id] => Matched::One(*id),
        ids => Matched::Many(ids.into()),
    };
    Some(Hit { matched, qos, retain_as_published })
}
