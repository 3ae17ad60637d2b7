use hashbrown::HashTable;

use crate::hashing::Hashing;
use crate::label::{Label, below, common, split};

/// Values by topic or by filter, so that those of one are found by the other: retained messages, and subscriptions.
///
/// Each node has a table of what may follow by first level. Levels at which nothing branches off are one step, and what
/// a step needs is in the table itself: a value of its own costs one place in a table, and finding it few cache lines,
/// however many there are.
#[derive(Default)]
pub(crate) struct Tree<V> {
    pub(crate) root: Node<V>,
    pub(crate) hashing: Hashing,
}

pub(crate) struct Node<V> {
    branches: HashTable<Stem<V>>,
    /// The branch that begins with `+`; only filters have one.
    pub(crate) plus: Option<Box<Stem<V>>>,
    /// What ends here.
    pub(crate) here: V,
    /// What ends here with `#`.
    pub(crate) rest: V,
}

/// A run of levels.
pub(crate) struct Stem<V> {
    pub(crate) label: Label<SHORT>,
    pub(crate) end: End<V>,
}

/// What is at the end of a run of levels.
pub(crate) enum End<V> {
    Value(V),
    Node(Box<Node<V>>),
}

/// A value that may be none.
pub(crate) trait Vacant: Default {
    fn is_vacant(&self) -> bool;
}

/// How long a label is that is kept in place.
const SHORT: usize = 22;

/// How much larger than its content a table may stay.
pub(crate) const SLACK: usize = 8;

impl<V: Vacant> Tree<V> {
    /// The place of a topic or filter, which is made if need be.
    pub(crate) fn place(&mut self, path: &str) -> &mut V {
        let (mut node, mut path) = (&mut self.root, path.as_bytes());
        loop {
            if path == b"#" {
                return &mut node.rest;
            }
            let stem = node.stem_or_insert(path, &self.hashing);
            let shared = common(stem.label.as_bytes(), path);
            stem.split(shared, &self.hashing);
            match below(path, shared) {
                None => return stem.value(),
                Some(below) => (node, path) = (stem.node(), below),
            }
        }
    }

    /// Changes what is at the place of a topic or filter, if there is such a place, and takes away places that are
    /// vacant then.
    pub(crate) fn change<R>(&mut self, path: &str, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        self.root.change(path.as_bytes(), change, &self.hashing)
    }

    #[cfg(test)]
    pub(crate) fn is_vacant(&self) -> bool {
        self.root.is_vacant()
    }

    /// Changes what is at every place, and takes away places that are vacant then.
    pub(crate) fn change_all(&mut self, change: &mut impl FnMut(&mut V)) {
        self.root.change_all(change, &self.hashing);
    }
}

impl<V: Vacant> Node<V> {
    /// The branch with this first level, which is not `+`.
    pub(crate) fn branch(&self, level: &[u8], hashing: &Hashing) -> Option<&Stem<V>> {
        self.branches.find(hashing.of(level), |stem| stem.begins_with(level))
    }

    /// All branches but the one that begins with `+`.
    pub(crate) fn branches(&self) -> impl Iterator<Item = &Stem<V>> {
        self.branches.iter()
    }

    fn stem_or_insert(&mut self, path: &[u8], hashing: &Hashing) -> &mut Stem<V> {
        let stem = || Stem { label: Label::new(path), end: End::Value(V::default()) };
        match split(path).0 {
            b"+" => self.plus.get_or_insert_with(|| Box::new(stem())),
            level => {
                let (hash, is) = (hashing.of(level), |stem: &Stem<V>| stem.begins_with(level));
                self.branches.entry(hash, is, |stem| stem.hash(hashing)).or_insert_with(stem).into_mut()
            }
        }
    }

    fn adopt(&mut self, stem: Stem<V>, hashing: &Hashing) {
        match (stem.label.as_bytes(), stem.end) {
            (b"#", End::Value(value)) => self.rest = value,
            (path, end) => self.stem_or_insert(path, hashing).end = end,
        }
    }

    fn change<R>(&mut self, path: &[u8], change: impl FnOnce(&mut V) -> R, hashing: &Hashing) -> Option<R> {
        if path == b"#" {
            return Some(change(&mut self.rest));
        }
        match split(path).0 {
            b"+" => {
                let changed = self.plus.as_mut()?.change(path, change, hashing);
                self.plus.take_if(|plus| plus.is_vacant());
                changed
            }
            level => {
                let hash = hashing.of(level);
                let mut stem = self.branches.find_entry(hash, |stem| stem.begins_with(level)).ok()?;
                let changed = stem.get_mut().change(path, change, hashing);
                if stem.get().is_vacant() {
                    stem.remove();
                    self.tighten(hashing);
                }
                changed
            }
        }
    }

    fn change_all(&mut self, change: &mut impl FnMut(&mut V), hashing: &Hashing) {
        change(&mut self.here);
        change(&mut self.rest);
        if let Some(plus) = &mut self.plus {
            plus.change_all(change, hashing);
        }
        self.plus.take_if(|plus| plus.is_vacant());
        self.branches.retain(|stem| {
            stem.change_all(change, hashing);
            !stem.is_vacant()
        });
        self.tighten(hashing);
    }

    fn tighten(&mut self, hashing: &Hashing) {
        if self.branches.len() * SLACK < self.branches.capacity() {
            self.branches.shrink_to(self.branches.len() * 2, |stem| stem.hash(hashing));
        }
    }

    fn is_vacant(&self) -> bool {
        self.branches.is_empty() && self.plus.is_none() && self.here.is_vacant() && self.rest.is_vacant()
    }

    /// What follows, if it is one branch and nothing else.
    fn take_only(&mut self) -> Option<Stem<V>> {
        if !self.here.is_vacant() || !self.rest.is_vacant() {
            return None;
        }
        match (self.branches.len(), &self.plus) {
            (0, _) => self.plus.take().map(|plus| *plus),
            (1, None) => self.branches.drain().next(),
            _ => None,
        }
    }
}

impl<V: Vacant> Stem<V> {
    fn hash(&self, hashing: &Hashing) -> u64 {
        hashing.of(split(self.label.as_bytes()).0)
    }

    fn begins_with(&self, level: &[u8]) -> bool {
        let below = self.label.as_bytes().strip_prefix(level);
        below.is_some_and(|below| below.first().is_none_or(|byte| *byte == b'/'))
    }

    /// Has its label end after `length` bytes.
    fn split(&mut self, length: usize, hashing: &Hashing) {
        let label = std::mem::replace(&mut self.label, Label::new(&[]));
        if let Some(rest) = below(label.as_bytes(), length) {
            let end = std::mem::replace(&mut self.end, End::Node(Box::default()));
            self.node().adopt(Stem { label: Label::new(rest), end }, hashing);
            self.label = Label::new(label.as_bytes().get(..length).unwrap_or_default());
        } else {
            self.label = label;
        }
    }

    fn value(&mut self) -> &mut V {
        match &mut self.end {
            End::Value(value) => value,
            End::Node(node) => &mut node.here,
        }
    }

    /// The node at its end, which is made if need be.
    fn node(&mut self) -> &mut Node<V> {
        if let End::Value(value) = &mut self.end {
            let here = std::mem::take(value);
            self.end = End::Node(Box::new(Node { here, ..Node::default() }));
        }
        match &mut self.end {
            End::Node(node) => node,
            End::Value(_) => unreachable!("it was just made a node"),
        }
    }

    fn change<R>(&mut self, path: &[u8], change: impl FnOnce(&mut V) -> R, hashing: &Hashing) -> Option<R> {
        let shared = common(self.label.as_bytes(), path);
        if shared < self.label.as_bytes().len() {
            return None;
        }
        let changed = match (below(path, shared), &mut self.end) {
            (None, _) => Some(change(self.value())),
            (Some(below), End::Node(node)) => node.change(below, change, hashing),
            (Some(_), End::Value(_)) => None,
        };
        self.settle();
        changed
    }

    fn change_all(&mut self, change: &mut impl FnMut(&mut V), hashing: &Hashing) {
        match &mut self.end {
            End::Value(value) => change(value),
            End::Node(node) => node.change_all(change, hashing),
        }
        self.settle();
    }

    /// Does without a node where nothing branches off any more.
    fn settle(&mut self) {
        let End::Node(node) = &mut self.end else { return };
        if let Some(only) = node.take_only() {
            self.label = Label::new(&[self.label.as_bytes(), b"/", only.label.as_bytes()].concat());
            self.end = only.end;
        } else if node.branches.is_empty() && node.plus.is_none() && node.rest.is_vacant() {
            self.end = End::Value(std::mem::take(&mut node.here));
        }
    }

    fn is_vacant(&self) -> bool {
        match &self.end {
            End::Value(value) => value.is_vacant(),
            End::Node(node) => node.is_vacant(),
        }
    }
}

impl<V: Default> Default for Node<V> {
    fn default() -> Self {
        Self { branches: HashTable::new(), plus: None, here: V::default(), rest: V::default() }
    }
}

impl<T> Vacant for Option<T> {
    fn is_vacant(&self) -> bool {
        self.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<V> Node<V> {
        /// Bytes that it holds beside its own.
        fn held(&self) -> usize {
            let plus = self.plus.as_deref().map_or(0, |plus| size_of::<Stem<V>>() + plus.held());
            self.branches.allocation_size() + self.branches.iter().map(Stem::held).sum::<usize>() + plus
        }
    }

    impl<V> Stem<V> {
        fn held(&self) -> usize {
            let label = if let Label::Long(label) = &self.label { label.len() } else { 0 };
            let End::Node(node) = &self.end else { return label };
            label + size_of::<Node<V>>() + node.held()
        }
    }

    fn filled(filter: &str, count: usize) -> Tree<Option<u64>> {
        let mut tree = Tree::default();
        for n in 0..count {
            *tree.place(&filter.replace("{}", &n.to_string())) = Some(n as u64);
        }
        tree
    }

    #[test]
    fn a_value_of_its_own_holds_little_beyond_itself() {
        for filter in
            ["site/dev{}/+/temp", "site/dev{}/#", "site/kitchen/{}", "{}/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o"]
        {
            let count = 50_000;
            let each = filled(filter, count).root.held() / count;
            assert!(each < 170, "{filter} takes {each} bytes");
        }
    }

    #[test]
    fn a_tree_that_is_emptied_gives_its_memory_back() {
        let filter = "site/dev{}/+/temp";
        let mut tree = filled(filter, 10_000);
        for n in 1..10_000 {
            tree.change(&filter.replace("{}", &n.to_string()), Option::take);
        }
        assert!(tree.root.held() < 4_000, "{} bytes for one value", tree.root.held());
    }
}
