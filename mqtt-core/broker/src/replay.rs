use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bus::{Matched, Message, Qos, SubscriptionId};

use crate::priority::{Priorities, Priority};
use crate::queue::Queued;

/// Retained messages that new subscriptions of one session are owed; they are many at once, and shared with the store,
/// so that each costs no more than its address.
pub(crate) struct Replay {
    /// The first message of the first run.
    next: Option<Queued>,
    /// By priority, then by age. All have messages, but for the first while it has the next.
    runs: VecDeque<Run>,
    len: usize,
    /// How many of them `total` knows.
    counted: u64,
    /// How many there are for all sessions.
    total: Arc<AtomicU64>,
}

/// What one subscription is owed, of one priority.
pub(crate) struct Run {
    priority: Priority,
    id: SubscriptionId,
    /// The most the subscriber wants of a hop.
    qos: Qos,
    messages: VecDeque<Arc<Message>>,
}

impl Run {
    /// What a subscription is owed.
    pub(crate) fn all(
        messages: Vec<Arc<Message>>,
        id: SubscriptionId,
        qos: Qos,
        priorities: &Priorities,
    ) -> impl Iterator<Item = Self> {
        let sorted = priorities.sort(messages).into_iter();
        sorted.map(move |(priority, messages)| Self { priority, id, qos, messages: messages.into() })
    }

    fn queued(&self, message: Arc<Message>) -> Queued {
        Queued {
            qos: self.qos.min(message.qos),
            message,
            matched: Matched::One(self.id),
            retain: true,
            duplicate: false,
            priority: self.priority,
            passed_over: 0,
            group: None,
        }
    }
}

impl Replay {
    pub(crate) fn new(total: &Arc<AtomicU64>) -> Self {
        Self { next: None, runs: VecDeque::new(), len: 0, counted: 0, total: total.clone() }
    }

    pub(crate) fn add(&mut self, runs: impl Iterator<Item = Run>) {
        self.put_back();
        for run in runs.filter(|run| !run.messages.is_empty()) {
            self.len += run.messages.len();
            let at = self.runs.partition_point(|other| other.priority >= run.priority);
            self.runs.insert(at, run);
        }
        self.take_next();
        self.settle();
    }

    pub(crate) fn front(&self) -> Option<&Queued> {
        self.next.as_ref()
    }

    pub(crate) fn pop_front(&mut self) -> Option<Queued> {
        let queued = self.next.take()?;
        self.len -= 1;
        self.take_next();
        Some(queued)
    }

    /// Takes out what `keep` does not want.
    pub(crate) fn retain(&mut self, keep: &mut impl FnMut(&mut Queued) -> bool) {
        self.put_back();
        for run in &mut self.runs {
            let mut messages = std::mem::take(&mut run.messages);
            messages.retain(|message| keep(&mut run.queued(message.clone())));
            run.messages = messages;
        }
        self.len = self.runs.iter().map(|run| run.messages.len()).sum();
        self.take_next();
        self.settle();
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Tells the total what came and went.
    pub(crate) fn settle(&mut self) {
        let now = self.len as u64;
        self.total.fetch_add(now.saturating_sub(self.counted), Ordering::Relaxed);
        self.total.fetch_sub(self.counted.saturating_sub(now), Ordering::Relaxed);
        self.counted = now;
    }

    fn put_back(&mut self) {
        if let (Some(next), Some(run)) = (self.next.take(), self.runs.front_mut()) {
            run.messages.push_front(next.message);
        }
    }

    fn take_next(&mut self) {
        while let Some(run) = self.runs.front_mut() {
            if let Some(message) = run.messages.pop_front() {
                self.next = Some(run.queued(message));
                return;
            }
            self.runs.pop_front();
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.total.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use bus::{ClientId, Topic};

    use super::*;

    fn run(priority: Priority, id: u32, topics: &[&str]) -> Run {
        let message = |topic: &&str| {
            Arc::new(Message {
                topic: Topic::parse(topic).unwrap(),
                payload: Default::default(),
                qos: Qos::AtLeastOnce,
                retain: true,
                published: std::time::Instant::now(),
                expires: None,
                metadata: None,
                origin: ClientId::parse("p").unwrap(),
            })
        };
        let messages = topics.iter().map(message).collect();
        Run { priority, id: SubscriptionId(id), qos: Qos::AtMostOnce, messages }
    }

    #[test]
    fn what_is_urgent_goes_first_though_another_run_was_begun() {
        let total = Arc::default();
        let mut replay = Replay::new(&total);
        replay.add([run(1, 1, &["a", "b", "c"]), run(1, 2, &[])].into_iter());
        let first = replay.pop_front().unwrap();
        assert_eq!((first.message.topic.as_str(), first.qos, first.retain), ("a", Qos::AtMostOnce, true));
        replay.add([run(1, 3, &["d"]), run(9, 4, &["e", "f"])].into_iter());
        assert_eq!((replay.len(), total.load(Ordering::Relaxed)), (5, 5));
        replay.retain(&mut |queued| queued.message.topic.as_str() != "f");
        assert_eq!(replay.front().unwrap().message.topic.as_str(), "e");
        let left = std::iter::from_fn(|| replay.pop_front());
        let left: Vec<_> = left.map(|queued| (queued.message.topic.to_string(), queued.matched)).collect();
        let one = |topic: &str, id| (topic.to_owned(), Matched::One(SubscriptionId(id)));
        assert_eq!(left, [one("e", 4), one("b", 1), one("c", 1), one("d", 3)]);
        replay.settle();
        assert_eq!((replay.len(), total.load(Ordering::Relaxed)), (0, 0));
    }
}
