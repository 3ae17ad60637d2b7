use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use broker::{Client, Rewriter};
use bus::{Filter, Topic, TopicError};

use crate::config::{Action, Rule};
use crate::rule::{Compiled, RuleError};

/// The rules in force.
#[derive(Debug)]
pub struct Rewrite {
    rules: ArcSwap<Vec<Compiled>>,
    active: AtomicBool,
    invalid: AtomicU64,
}

impl Rewrite {
    /// Takes the rules, or tells which of them cannot be used.
    pub fn new(rules: &[Rule]) -> Result<Self, RuleError> {
        let rules = compile(rules)?;
        let active = AtomicBool::new(!rules.is_empty());
        Ok(Self { rules: ArcSwap::new(Arc::new(rules)), active, invalid: AtomicU64::new(0) })
    }

    /// Puts other rules in force at once. Subscriptions that were made stay where the old ones put them.
    pub fn reload(&self, rules: &[Rule]) -> Result<(), RuleError> {
        let rules = compile(rules)?;
        self.active.store(!rules.is_empty(), Ordering::Release);
        self.rules.store(Arc::new(rules));
        Ok(())
    }

    /// How often a rule made what is no topic, so that the topic stayed.
    pub fn invalid(&self) -> u64 {
        self.invalid.load(Ordering::Relaxed)
    }

    fn apply<T>(
        &self,
        client: &Client,
        action: Action,
        topic: &str,
        parse: impl FnOnce(&str) -> Result<T, TopicError>,
    ) -> Option<T> {
        let rules = self.rules.load();
        let rule = rules.iter().find(|rule| rule.decides(action, topic))?;
        match parse(&rule.rewritten(client, topic)?) {
            Ok(parsed) => Some(parsed),
            Err(fault) => {
                self.invalid.fetch_add(1, Ordering::Relaxed);
                rule.tell(client, fault);
                None
            }
        }
    }
}

impl Rewriter for Rewrite {
    fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    fn publish(&self, client: &Client, topic: &Topic) -> Option<Topic> {
        self.apply(client, Action::Publish, topic.as_str(), Topic::parse)
    }

    fn subscribe(&self, client: &Client, filter: &Filter) -> Option<Filter> {
        let is_bare = filter.pattern() == filter.as_str();
        // Behind a prefix only the rest is rewritten; a filter without one may be given one.
        let parse = |text: &str| if is_bare { Filter::parse(text) } else { filter.with_pattern(text) };
        self.apply(client, Action::Subscribe, filter.pattern(), parse)
    }
}

fn compile(rules: &[Rule]) -> Result<Vec<Compiled>, RuleError> {
    rules.iter().enumerate().map(|(index, rule)| Compiled::new(index, rule)).collect()
}

#[cfg(test)]
mod tests {
    use broker::Identity;
    use bus::{Address, ClientId, Peer, Transport};

    use super::*;

    fn client(id: &str, username: Option<&str>) -> Client {
        Client {
            id: ClientId::parse(id).unwrap(),
            identity: Identity { username: username.map(Into::into), ..Identity::default() },
            peer: Peer {
                address: Address::Internal,
                listener: "mqtt".into(),
                transport: Transport::Stream,
                seed: 0,
                link: Default::default(),
            }
            .into(),
            protocol: "MQTT 5",
        }
    }

    fn rule(action: Action, source: &str, pattern: &str, to: &str) -> Rule {
        Rule { action, source: source.to_owned(), pattern: pattern.to_owned(), to: to.to_owned() }
    }

    fn published(rewrite: &Rewrite, client: &Client, topic: &str) -> String {
        let topic = Topic::parse(topic).unwrap();
        rewrite.publish(client, &topic).unwrap_or(topic).to_string()
    }

    fn subscribed(rewrite: &Rewrite, client: &Client, filter: &str) -> String {
        let filter = Filter::parse(filter).unwrap();
        rewrite.subscribe(client, &filter).unwrap_or(filter).to_string()
    }

    #[test]
    fn the_first_rule_whose_source_matches_decides_and_no_topic_is_rewritten_twice() {
        let rules = [
            rule(Action::All, "y/+/z/#", "^y/(.+)/z/(.+)$", "y/z/$2"),
            rule(Action::All, "x/#", "^x/y/(.+)$", "z/y/x/$1"),
            rule(Action::All, "x/y/+", "^x/y/([0-9]+)$", "z/y/$1"),
            rule(Action::All, "z/#", "^(.*)$", "never/$1"),
        ];
        let (rewrite, ann) = (Rewrite::new(&rules).unwrap(), client("c", None));
        let cases = [
            ("y/a/z/b", "y/z/b"),
            ("y/def", "y/def"),
            ("x/1/2", "x/1/2"), // the first rule decides, though its pattern is not found
            ("x/y/2", "z/y/x/2"),
            ("x/y/z", "z/y/x/z"),
        ];
        for (topic, expected) in cases {
            assert_eq!(published(&rewrite, &ann, topic), expected, "{topic}");
            assert_eq!(subscribed(&rewrite, &ann, topic), expected, "{topic}");
        }
    }

    #[test]
    fn filters_are_rewritten_behind_their_prefix_and_may_be_given_one() {
        let rules = [
            rule(Action::Subscribe, "old/#", "^old/(.+)$", "new/$1"),
            rule(Action::Subscribe, "work/#", "^work/(.+)$", "$share/g/$1"),
            rule(Action::Publish, "later/#", "^later/(.+)$", "$delayed/5/$1"),
        ];
        let (rewrite, ann) = (Rewrite::new(&rules).unwrap(), client("c", None));
        assert_eq!(subscribed(&rewrite, &ann, "$share/g/old/+/#"), "$share/g/new/+/#");
        assert_eq!(subscribed(&rewrite, &ann, "$exclusive/old/a"), "$exclusive/new/a");
        assert_eq!(subscribed(&rewrite, &ann, "work/a"), "$share/g/a");
        assert_eq!(published(&rewrite, &ann, "old/a"), "old/a");
        assert_eq!(published(&rewrite, &ann, "later/a"), "$delayed/5/a");
        assert_eq!(subscribed(&rewrite, &ann, "later/a"), "later/a");
    }

    #[test]
    fn names_are_put_in_unless_they_could_not_be_one_level() {
        let rules = [rule(Action::All, "me/#", "^me/(.+)$", "of/%u/%c/$1")];
        let rewrite = Rewrite::new(&rules).unwrap();
        assert_eq!(published(&rewrite, &client("c", Some("ann")), "me/t"), "of/ann/c/t");
        for (id, username) in [("c", None), ("c/d", Some("ann")), ("c", Some("#")), ("c", Some(""))] {
            assert_eq!(published(&rewrite, &client(id, username), "me/t"), "me/t");
        }
    }

    #[test]
    fn what_would_be_no_topic_leaves_the_topic_and_is_counted() {
        let rules = [
            rule(Action::All, "a/#", "^a/(.*)$", "$1"),
            rule(Action::All, "long/#", "^long/(.*)$", "$1$1$1"),
            rule(Action::Publish, "wild", "^", "+"),
        ];
        let (rewrite, ann) = (Rewrite::new(&rules).unwrap(), client("c", None));
        let long = format!("long/{}", "x".repeat(30_000));
        for topic in ["a/", &long, "wild"] {
            assert_eq!(published(&rewrite, &ann, topic), topic);
        }
        assert_eq!(rewrite.invalid(), 3);
        assert_eq!(published(&rewrite, &ann, "a/b"), "b");
    }

    #[test]
    fn rules_change_at_once_and_a_bad_one_changes_nothing() {
        let rewrite = Rewrite::new(&[]).unwrap();
        let ann = client("c", None);
        assert!(!rewrite.is_active());
        rewrite.reload(&[rule(Action::All, "a", "^a$", "b")]).unwrap();
        assert!(rewrite.is_active());
        assert_eq!(published(&rewrite, &ann, "a"), "b");
        let wrong = [
            (rule(Action::All, "a/#/b", "a", "b"), "source"),
            (rule(Action::All, "$share/g/a", "a", "b"), "source"),
            (rule(Action::All, "a", "(", "b"), "pattern"),
            (rule(Action::All, "a", r"\w{500}{500}", "b"), "pattern"),
            (rule(Action::All, "a", "a", ""), "to"),
            (rule(Action::All, "a", "(a)", "$2"), "to"),
            (rule(Action::All, "a", "a", &"b".repeat(5_000)), "to"),
        ];
        for (rule, key) in wrong {
            let error = rewrite.reload(std::slice::from_ref(&rule)).unwrap_err();
            assert_eq!((error.index, error.key), (0, key), "{rule:?}");
        }
        assert_eq!(published(&rewrite, &ann, "a"), "b");
    }
}
