//! Router and tree are told the same as simple models of them, at random, and must find the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus::{ClientId, Filter, SubscribeOptions, SubscriptionId, Topic};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::entries::Entry;
use crate::record::Record;
use crate::router::{Last, Router, Routes};
use crate::tree::Tree;

/// How many sessions there are: more than a publisher remembers targets.
const SESSIONS: usize = 40;

#[derive(Clone, Debug)]
enum Step {
    /// As many sessions as are told, from the first told on.
    Subscribe(Filter, usize, usize),
    /// The nth subscription there is.
    Unsubscribe(usize),
    /// The nth publisher.
    Find(usize, Topic),
}

/// What is told apart: each session's id and those of its subscriptions.
type Row = (String, Vec<u32>);

/// Levels that begin alike, an empty one, and a hidden one.
fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "ab", "a b", "", "$x"])
}

fn topic() -> impl Strategy<Value = Topic> {
    let topic = vec(level(), 1..5).prop_map(|levels| levels.join("/"));
    topic.prop_filter_map("empty", |topic| Topic::parse(&topic).ok())
}

fn filter() -> impl Strategy<Value = Filter> {
    let level = prop_oneof![2 => level(), 1 => Just("+")];
    let ends = prop::sample::select(vec!["", "", "/#"]);
    let prefix = prop::sample::select(vec!["", "", "", "", "$share/g/", "$share/h/"]);
    let filter = (prefix, vec(level, 1..5), ends);
    let filter = filter.prop_map(|(prefix, levels, end)| format!("{prefix}{}{end}", levels.join("/")));
    let filter = prop_oneof![20 => filter, 1 => Just("#".to_owned())];
    filter.prop_filter_map("empty", |filter| Filter::parse(&filter).ok())
}

fn step() -> impl Strategy<Value = Step> {
    let crowd = prop_oneof![8 => Just(1), 1 => 1..=SESSIONS];
    prop_oneof![
        3 => (filter(), 0..SESSIONS, crowd).prop_map(|(filter, from, many)| Step::Subscribe(filter, from, many)),
        2 => any::<usize>().prop_map(Step::Unsubscribe),
        6 => (0..2_usize, topic()).prop_map(|(who, topic)| Step::Find(who, topic)),
    ]
}

fn entry(record: &Arc<Record>, id: u32) -> Entry {
    let id = SubscriptionId(id);
    Entry { record: record.clone(), id, options: SubscribeOptions::default(), condition: None }
}

fn rows<'a>(rows: impl Iterator<Item = (&'a Arc<Record>, &'a [SubscriptionId])>) -> Vec<Row> {
    let mut sessions = BTreeMap::<String, Vec<u32>>::new();
    for (record, ids) in rows {
        sessions.entry(record.id.as_str().to_owned()).or_default().extend(ids.iter().map(|id| id.0));
    }
    sessions.values_mut().for_each(|ids| ids.sort_unstable());
    sessions.into_iter().collect()
}

/// The sessions, and the members of each share group.
fn seen(routes: &Routes) -> (Vec<Row>, BTreeMap<String, Vec<Row>>) {
    let sessions = rows(routes.targets.iter().map(|target| (&target.record, target.matched())));
    assert_eq!(sessions.len(), routes.targets.len(), "each session once");
    let groups = routes.groups.iter().map(|group| {
        let members = group.members().iter().map(|member| (&member.record, member.matched()));
        (group.filter.as_str().to_owned(), rows(members))
    });
    (sessions, groups.collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two publishers look up topics, and remember what they found, while subscriptions come and go.
    #[test]
    fn the_router_finds_what_matches(steps in vec(step(), 1..120)) {
        let router = Router::default();
        let record = |n: usize| Arc::new(Record::new(ClientId::parse(&n.to_string()).unwrap()));
        let records: Vec<_> = (0..SESSIONS).map(record).collect();
        let mut model: Vec<(Filter, usize, SubscriptionId)> = Vec::new();
        let mut publishers = [Last::default(), Last::default()];
        let mut id = 0;
        for step in steps {
            match step {
                Step::Subscribe(filter, from, many) => {
                    for n in (from..from + many).map(|n| n % SESSIONS) {
                        id += 1;
                        router.insert(&filter, entry(&records[n], id), None);
                        model.push((filter.clone(), n, SubscriptionId(id)));
                    }
                }
                Step::Unsubscribe(_) if model.is_empty() => {}
                Step::Unsubscribe(at) => {
                    let (filter, n, id) = model.swap_remove(at % model.len());
                    router.remove(&filter, &entry(&records[n], id.0));
                }
                Step::Find(who, topic) => {
                    let matches = |filter: &Filter| filter.matches(topic.as_str());
                    let matched = || model.iter().filter(|(filter, ..)| matches(filter));
                    let row = |(_, n, id): &'_ (Filter, usize, SubscriptionId)| (*n, *id);
                    let expect = |share: Option<&str>, pattern: Option<&str>| {
                        let fits = |filter: &Filter| {
                            filter.share() == share && pattern.is_none_or(|pattern| filter.pattern() == pattern)
                        };
                        let found: Vec<_> = matched().filter(|(filter, ..)| fits(filter)).map(row).collect();
                        rows(found.iter().map(|(n, id)| (&records[*n], std::slice::from_ref(id))))
                    };
                    let shared = matched().filter(|(filter, ..)| filter.share().is_some());
                    let groups: BTreeMap<_, _> = shared
                        .map(|(filter, ..)| (filter.as_str().to_owned(), expect(filter.share(), Some(filter.pattern()))))
                        .collect();
                    let found = router.find(&topic, &mut publishers[who]);
                    prop_assert_eq!(seen(&found), (expect(None, None), groups));
                }
            }
        }
        for (filter, n, id) in model {
            router.remove(&filter, &entry(&records[n], id.0));
        }
        prop_assert!(router.is_vacant(), "nothing stays behind");
    }

    #[test]
    fn a_tree_of_topics_finds_what_a_filter_matches(
        steps in vec((topic(), any::<bool>()), 1..60),
        filters in vec(filter(), 1..20),
    ) {
        let (mut tree, mut model) = (Tree::default(), BTreeMap::new());
        for (at, (topic, keep)) in steps.into_iter().enumerate() {
            let topic = topic.as_str();
            if keep {
                *tree.place(topic) = Some(at);
                model.insert(topic.to_owned(), at);
            } else {
                prop_assert_eq!(tree.change(topic, Option::take).flatten(), model.remove(topic));
            }
            prop_assert_eq!(tree.find(topic).copied().flatten(), model.get(topic).copied());
        }
        for filter in filters {
            let mut found: Vec<usize> = Vec::new();
            tree.of_filter(filter.pattern(), &mut |value: &Option<usize>| found.extend(*value));
            found.sort_unstable();
            let matches = model.iter().filter(|(topic, _)| filter.matches(topic));
            let mut expected: Vec<usize> = matches.map(|(_, at)| *at).collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected, "{}", filter);
        }
        tree.change_all(&mut |value| *value = value.filter(|at| at % 2 == 0));
        model.retain(|_, at| *at % 2 == 0);
        let mut left = 0;
        tree.of_filter("#", &mut |value: &Option<usize>| left += usize::from(value.is_some()));
        prop_assert_eq!(left, model.keys().filter(|topic| !topic.starts_with('$')).count());
        tree.change_all(&mut |value| *value = None);
        prop_assert!(tree.is_vacant(), "no empty node stays behind");
    }
}
