use std::collections::{HashMap, VecDeque};

use bus::{Limits, Topic};

/// The registered topic ids of one client: those it asked for and those it was told.
///
/// Ids begin at a number that nobody can foresee, so that a device that kept ids of an earlier connection is
/// told that they are invalid, instead of publishing to another topic.
#[derive(Debug)]
pub(crate) struct TopicIds {
    by_id: HashMap<u16, Entry>,
    by_topic: HashMap<Topic, u16>,
    /// Ids that the client was told and did not ask for, oldest first: they make room.
    told: VecDeque<u16>,
    next: u16,
    /// How many ids there may be, and how many bytes their topics may have together.
    limit: usize,
    most_bytes: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    topic: Topic,
    /// Whether the client has agreed to it.
    known: bool,
}

/// The largest id; 0 and 0xFFFF are kept by the standard [5.3.11].
const LAST: u16 = 0xFFFE;

/// The largest id to begin at: some clients read ids as signed numbers, and this keeps them positive for long.
const LAST_BEGINNING: u16 = 0x3FFF;

impl TopicIds {
    pub(crate) fn new(limits: &Limits, seed: u64) -> Self {
        let next = (seed % u64::from(LAST_BEGINNING)) as u16 + 1;
        Self {
            by_id: HashMap::new(),
            by_topic: HashMap::new(),
            told: VecDeque::new(),
            next,
            limit: limits.topic_aliases.min(LAST).into(),
            most_bytes: limits.packet,
            bytes: 0,
        }
    }

    pub(crate) fn topic(&self, id: u16) -> Option<&Topic> {
        self.by_id.get(&id).map(|entry| &entry.topic)
    }

    /// The id under which the client knows the topic.
    pub(crate) fn known(&self, topic: &Topic) -> Option<u16> {
        let id = *self.by_topic.get(topic)?;
        self.by_id.get(&id).filter(|entry| entry.known).map(|_| id)
    }

    /// Whether the topic has an id or can have one.
    pub(crate) fn has_room_for(&self, topic: &Topic) -> bool {
        self.by_topic.contains_key(topic) || !self.told.is_empty() || self.fits(topic)
    }

    /// The id of a topic that the client asked for; `None` when it holds as many as it may.
    pub(crate) fn ask(&mut self, topic: &Topic) -> Option<u16> {
        let id = self.find_or_add(topic)?;
        self.told.retain(|told| *told != id);
        self.confirm(id);
        Some(id)
    }

    /// The id of a topic that the client shall be told; `None` when all ids are ones it asked for.
    pub(crate) fn tell(&mut self, topic: &Topic) -> Option<u16> {
        let had = self.by_topic.contains_key(topic);
        let id = self.find_or_add(topic)?;
        if !had {
            self.told.push_back(id);
        }
        Some(id)
    }

    /// The client agrees.
    pub(crate) fn confirm(&mut self, id: u16) {
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.known = true;
        }
    }

    /// The client may have forgotten the ids, though none of them has changed.
    pub(crate) fn tell_again(&mut self) {
        self.by_id.values_mut().for_each(|entry| entry.known = false);
    }

    /// The client does not know the id.
    pub(crate) fn forget(&mut self, id: u16) {
        if let Some(entry) = self.by_id.remove(&id) {
            self.bytes -= entry.topic.as_str().len();
            self.by_topic.remove(&entry.topic);
            self.told.retain(|told| *told != id);
        }
    }

    fn fits(&self, topic: &Topic) -> bool {
        self.by_id.len() < self.limit && self.bytes + topic.as_str().len() <= self.most_bytes
    }

    fn find_or_add(&mut self, topic: &Topic) -> Option<u16> {
        if let Some(id) = self.by_topic.get(topic) {
            return Some(*id);
        }
        while !self.fits(topic) {
            let oldest = *self.told.front()?;
            self.forget(oldest);
        }
        while self.by_id.contains_key(&self.next) {
            self.next = after(self.next);
        }
        let id = self.next;
        self.next = after(id);
        self.bytes += topic.as_str().len();
        self.by_id.insert(id, Entry { topic: topic.clone(), known: false });
        self.by_topic.insert(topic.clone(), id);
        Some(id)
    }
}

fn after(id: u16) -> u16 {
    if id >= LAST { 1 } else { id + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(limit: u16, seed: u64) -> TopicIds {
        TopicIds::new(&Limits { topic_aliases: limit, ..Limits::default() }, seed)
    }

    fn topic(name: &str) -> Topic {
        Topic::parse(name).unwrap()
    }

    #[test]
    fn ids_wrap_around_and_leave_out_the_reserved_ones() {
        let mut ids = TopicIds { next: LAST, ..ids(10, 0) };
        assert_eq!(ids.ask(&topic("a")), Some(0xFFFE));
        assert_eq!(ids.ask(&topic("b")), Some(1));
        assert_eq!(ids.ask(&topic("a")), Some(0xFFFE), "asking again changes nothing");
    }

    #[test]
    fn ids_begin_where_a_signed_number_stays_positive() {
        for seed in [0, 1, 0x3FFE, 0x3FFF, 0x7FFF, 0xFFFE, u64::MAX] {
            let id = ids(10, seed).ask(&topic("a")).unwrap();
            assert!((1..=0x3FFF).contains(&id), "{seed}: {id}");
        }
    }

    #[test]
    fn what_the_client_was_told_makes_room_and_what_it_asked_for_stays() {
        let mut ids = ids(2, 0);
        assert_eq!(ids.ask(&topic("asked")), Some(1));
        assert_eq!(ids.tell(&topic("told")), Some(2));
        assert_eq!(ids.tell(&topic("newer")), Some(3));
        assert_eq!(ids.topic(2), None);
        assert_eq!(ids.ask(&topic("newer")), Some(3));
        assert_eq!(ids.tell(&topic("too many")), None);
        assert_eq!(ids.ask(&topic("too many")), None);
    }

    #[test]
    fn a_told_id_is_known_once_the_client_agrees() {
        let mut ids = ids(2, 0);
        assert_eq!(ids.tell(&topic("a")), Some(1));
        assert_eq!(ids.known(&topic("a")), None);
        ids.confirm(1);
        assert_eq!(ids.known(&topic("a")), Some(1));
        ids.forget(1);
        assert_eq!((ids.known(&topic("a")), ids.topic(1)), (None, None));
        assert_eq!(ids.tell(&topic("a")), Some(2), "an id is not used again at once");
    }

    #[test]
    fn long_topics_are_bounded_by_their_bytes() {
        let mut ids = TopicIds::new(&Limits { packet: 100, ..Limits::default() }, 0);
        assert_eq!(ids.tell(&topic(&"t".repeat(60))), Some(1));
        assert_eq!(ids.ask(&topic(&"a".repeat(60))), Some(2), "what was told makes room");
        assert_eq!(ids.ask(&topic(&"b".repeat(60))), None);
        assert!(!ids.has_room_for(&topic(&"b".repeat(60))) && ids.has_room_for(&topic("b")));
        ids.forget(2);
        assert_eq!(ids.ask(&topic(&"b".repeat(60))), Some(3));
    }
}
