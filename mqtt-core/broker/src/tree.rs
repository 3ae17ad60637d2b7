use std::collections::HashMap;

use bus::{Filter, Topic};

/// Values by topic, searched by filter: the retained messages.
pub(crate) struct TopicTree<V> {
    root: Node<V>,
}

struct Node<V> {
    value: Option<V>,
    children: HashMap<Box<str>, Node<V>>,
}

impl<V> TopicTree<V> {
    pub(crate) fn insert(&mut self, topic: &Topic, value: V) -> Option<V> {
        let mut node = &mut self.root;
        for level in topic.levels() {
            if !node.children.contains_key(level) {
                node.children.insert(level.into(), Node::default());
            }
            node = node.children.get_mut(level).expect("it was just put there");
        }
        node.value.replace(value)
    }

    pub(crate) fn remove(&mut self, topic: &Topic) -> Option<V> {
        self.root.remove(&mut topic.levels())
    }

    pub(crate) fn find(&self, topic: &Topic) -> Option<&V> {
        let mut node = &self.root;
        for level in topic.levels() {
            node = node.children.get(level)?;
        }
        node.value.as_ref()
    }

    /// Every value whose topic matches, in no particular order [MQTT-4.7.1], [MQTT-4.7.2-1].
    pub(crate) fn matches<'a>(&'a self, filter: &Filter, found: &mut impl FnMut(&'a V)) {
        let levels: Vec<&str> = filter.levels().collect();
        self.root.matches(&levels, true, found);
    }

    /// Throws away the values that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: &mut impl FnMut(&V) -> bool) {
        self.root.retain(keep);
    }
}

impl<V> Node<V> {
    fn remove(&mut self, levels: &mut std::str::Split<'_, char>) -> Option<V> {
        let Some(level) = levels.next() else { return self.value.take() };
        let child = self.children.get_mut(level)?;
        let removed = child.remove(levels);
        if child.value.is_none() && child.children.is_empty() {
            self.children.remove(level);
        }
        removed
    }

    fn matches<'a>(&'a self, levels: &[&str], top: bool, found: &mut impl FnMut(&'a V)) {
        let Some((level, rest)) = levels.split_first() else {
            return self.value.iter().for_each(found);
        };
        match *level {
            "#" => self.all(top, found),
            "+" => {
                for (_, child) in self.children.iter().filter(|(name, _)| !(top && name.starts_with('$'))) {
                    child.matches(rest, false, found);
                }
            }
            level => {
                if let Some(child) = self.children.get(level) {
                    child.matches(rest, false, found);
                }
            }
        }
    }

    fn all<'a>(&'a self, top: bool, found: &mut impl FnMut(&'a V)) {
        self.value.iter().for_each(&mut *found);
        for (_, child) in self.children.iter().filter(|(name, _)| !(top && name.starts_with('$'))) {
            child.all(false, found);
        }
    }

    fn retain(&mut self, keep: &mut impl FnMut(&V) -> bool) {
        self.value.take_if(|value| !keep(value));
        self.children.retain(|_, child| {
            child.retain(keep);
            child.value.is_some() || !child.children.is_empty()
        });
    }
}

impl<V> Default for TopicTree<V> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { value: None, children: HashMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_finds_what_it_matches() {
        let topics = ["a", "a/b", "a/b/c", "/a", "a/", "$SYS/x", "b/b"];
        let filters = ["#", "a/#", "a/+", "+", "+/b", "$SYS/#", "/+", "+/", "a/b/c", "+/+/+"];
        let mut tree = TopicTree::default();
        for topic in topics {
            tree.insert(&Topic::parse(topic).unwrap(), topic);
        }
        for filter in filters {
            let filter = Filter::parse(filter).unwrap();
            let mut found = Vec::new();
            tree.matches(&filter, &mut |topic: &&str| found.push(*topic));
            found.sort_unstable();
            let mut expected: Vec<_> = topics.into_iter().filter(|topic| filter.matches(topic)).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "{filter}");
        }
        for topic in topics {
            assert!(tree.remove(&Topic::parse(topic).unwrap()).is_some());
        }
        assert!(tree.root.children.is_empty(), "no empty node stays behind");
    }
}
