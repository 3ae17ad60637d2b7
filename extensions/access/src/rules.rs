use std::net::IpAddr;

use broker::{Access, Client};
use bus::Address;

use crate::ConfigError;
use crate::address::Network;
use crate::config::{Action, Config, Permit, Rule};
use crate::pattern::{Names, Pattern};

/// The rules in order, ready to be asked.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Compiled>,
    default: Permit,
}

/// What was decided, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) permit: Permit,
    pub(crate) by: DecidedBy,
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecidedBy {
    /// The rule at this place in `access.rules`, from 0.
    Rule(usize),
    /// `access.default`, since no rule matched.
    Default,
    /// The user is a superuser.
    Superuser,
    /// Only the server itself publishes below `$SYS`.
    SystemTopic,
}

#[derive(Debug)]
struct Compiled {
    permit: Permit,
    action: Action,
    topics: Vec<Pattern>,
    users: Vec<String>,
    client_ids: Vec<String>,
    networks: Vec<Network>,
}

impl Rules {
    pub(crate) fn compile(config: &Config) -> Result<Self, ConfigError> {
        let rules = config.rules.iter().enumerate().map(|(index, rule)| Compiled::new(index, rule));
        Ok(Self { rules: rules.collect::<Result<_, _>>()?, default: config.default })
    }

    pub(crate) fn decide(&self, client: &Client, access: Access<'_>) -> Decision {
        let (action, on) = match access {
            Access::Publish { topic, .. } => (Action::Publish, topic.as_str()),
            Access::Subscribe { filter, .. } => (Action::Subscribe, filter.pattern()),
            Access::Read { topic } | Access::Receive { topic } => (Action::Subscribe, topic.as_str()),
        };
        if action == Action::Publish && (on == "$SYS" || on.starts_with("$SYS/")) {
            return Decision { permit: Permit::Deny, by: DecidedBy::SystemTopic };
        }
        if client.identity.superuser {
            return Decision { permit: Permit::Allow, by: DecidedBy::Superuser };
        }
        let matching = self.rules.iter().enumerate().find(|(_, rule)| rule.matches(client, action, on));
        match matching {
            Some((index, rule)) => Decision { permit: rule.permit, by: DecidedBy::Rule(index) },
            None => Decision { permit: self.default, by: DecidedBy::Default },
        }
    }
}

impl Compiled {
    fn new(index: usize, rule: &Rule) -> Result<Self, ConfigError> {
        let error = |key, message: String| ConfigError::entry("rules", index, key, message);
        if rule.topics.is_empty() {
            return Err(error("topics", "a rule without topics matches nothing".to_owned()));
        }
        let topics = rule.topics.iter().map(|topic| {
            Pattern::parse(topic)
                .map_err(|fault| error("topics", format!("the topic filter {topic:?} {fault}")))
        });
        let networks = rule.addresses.iter().map(|text| {
            let message = || format!("{text:?} is neither an address nor a network such as \"10.0.0.0/8\"");
            Network::parse(text).ok_or_else(|| error("addresses", message()))
        });
        Ok(Self {
            permit: rule.permit,
            action: rule.action,
            topics: topics.collect::<Result<_, _>>()?,
            users: rule.users.clone(),
            client_ids: rule.client_ids.clone(),
            networks: networks.collect::<Result<_, _>>()?,
        })
    }

    fn matches(&self, client: &Client, action: Action, on: &str) -> bool {
        let username = client.identity.username.as_deref();
        let names = Names { client_id: client.id.as_str(), username };
        (self.action == Action::All || self.action == action)
            && (self.users.is_empty() || self.users.iter().any(|user| Some(user.as_str()) == username))
            && (self.client_ids.is_empty() || self.client_ids.iter().any(|id| id == client.id.as_str()))
            && (self.networks.is_empty() || self.is_from_networks(client))
            && self.topics.iter().any(|topic| match self.permit {
                Permit::Allow => topic.covers(names, on),
                Permit::Deny => topic.overlaps(names, on),
            })
    }

    fn is_from_networks(&self, client: &Client) -> bool {
        let address: Option<IpAddr> = match client.peer.address {
            Address::Socket(address) => Some(address.ip()),
            Address::Unix | Address::Internal => None,
        };
        address.is_some_and(|address| self.networks.iter().any(|network| network.contains(address)))
    }
}

#[cfg(test)]
mod tests {
    use broker::Identity;
    use bus::{ClientId, Filter, Peer, Qos, Topic, Transport};

    use super::*;

    fn client(id: &str, username: Option<&str>, address: &str) -> Client {
        Client {
            id: ClientId::parse(id).unwrap(),
            identity: Identity { username: username.map(Into::into), ..Identity::default() },
            peer: Peer {
                address: Address::Socket(address.parse().unwrap()),
                listener: "mqtt".into(),
                transport: Transport::Stream,
                seed: 0,
                link: Default::default(),
            },
            protocol: "MQTT 5",
        }
    }

    fn rule(permit: Permit, action: Action, topics: &[&str]) -> Rule {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Rule { permit, action, topics, users: vec![], client_ids: vec![], addresses: vec![] }
    }

    fn rules(default: Permit, rules: &[Rule]) -> Rules {
        Rules::compile(&Config { default, rules: rules.to_vec(), ..Config::default() }).unwrap()
    }

    fn publish(rules: &Rules, client: &Client, topic: &str) -> Decision {
        let topic = Topic::parse(topic).unwrap();
        rules.decide(client, Access::Publish { topic: &topic, qos: Qos::AtMostOnce, retain: false })
    }

    fn subscribe(rules: &Rules, client: &Client, filter: &str) -> Decision {
        let filter = Filter::parse(filter).unwrap();
        rules.decide(client, Access::Subscribe { filter: &filter, qos: Qos::AtMostOnce })
    }

    const ALLOW: Permit = Permit::Allow;
    const DENY: Permit = Permit::Deny;

    fn by_rule(permit: Permit, index: usize) -> Decision {
        Decision { permit, by: DecidedBy::Rule(index) }
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_else_the_default() {
        let rules = rules(
            DENY,
            &[
                rule(ALLOW, Action::Publish, &["dev/%c/up"]),
                rule(ALLOW, Action::Subscribe, &["dev/%c/#", "news/+"]),
            ],
        );
        let c1 = client("c1", None, "10.0.0.1:1");
        assert_eq!(publish(&rules, &c1, "dev/c1/up"), by_rule(ALLOW, 0));
        assert_eq!(publish(&rules, &c1, "dev/c2/up"), Decision { permit: DENY, by: DecidedBy::Default });
        assert_eq!(subscribe(&rules, &c1, "dev/c1/#"), by_rule(ALLOW, 1));
        assert_eq!(subscribe(&rules, &c1, "$share/g/news/today"), by_rule(ALLOW, 1));
        assert_eq!(subscribe(&rules, &c1, "news/#").permit, DENY);
    }

    #[test]
    fn a_wildcard_subscription_cannot_get_round_a_denied_topic() {
        let rules = rules(ALLOW, &[rule(DENY, Action::Subscribe, &["secret/#"])]);
        let c1 = client("c1", None, "10.0.0.1:1");
        for filter in ["#", "+/key", "secret/key", "$share/g/#"] {
            assert_eq!(subscribe(&rules, &c1, filter), by_rule(DENY, 0), "{filter}");
        }
        assert_eq!(subscribe(&rules, &c1, "public/#").permit, ALLOW);
        assert_eq!(publish(&rules, &c1, "secret/key").permit, ALLOW);
    }

    #[test]
    fn every_condition_of_a_rule_must_match() {
        let only = Rule {
            users: vec!["ann".into()],
            client_ids: vec!["c1".into()],
            addresses: vec!["10.0.0.0/8".into()],
            ..rule(ALLOW, Action::All, &["#"])
        };
        let rules = rules(DENY, &[only]);
        assert_eq!(publish(&rules, &client("c1", Some("ann"), "10.9.9.9:1"), "a").permit, ALLOW);
        assert_eq!(publish(&rules, &client("c1", Some("bob"), "10.9.9.9:1"), "a").permit, DENY);
        assert_eq!(publish(&rules, &client("c1", None, "10.9.9.9:1"), "a").permit, DENY);
        assert_eq!(publish(&rules, &client("c2", Some("ann"), "10.9.9.9:1"), "a").permit, DENY);
        assert_eq!(publish(&rules, &client("c1", Some("ann"), "192.0.2.1:1"), "a").permit, DENY);
    }

    #[test]
    fn a_superuser_is_above_the_rules_but_nobody_publishes_below_sys() {
        let rules = rules(DENY, &[rule(ALLOW, Action::All, &["$SYS/#"])]);
        let mut root = client("c1", Some("root"), "10.0.0.1:1");
        root.identity.superuser = true;
        assert_eq!(publish(&rules, &root, "a"), Decision { permit: ALLOW, by: DecidedBy::Superuser });
        for topic in ["$SYS/uptime", "$SYS"] {
            let denied = Decision { permit: DENY, by: DecidedBy::SystemTopic };
            assert_eq!(publish(&rules, &root, topic), denied);
            assert_eq!(publish(&rules, &client("c1", None, "10.0.0.1:1"), topic), denied);
        }
        assert_eq!(subscribe(&rules, &client("c1", None, "10.0.0.1:1"), "$SYS/#"), by_rule(ALLOW, 0));
    }

    #[test]
    fn a_rule_that_cannot_be_used_is_named() {
        let compile = |rule: Rule| {
            let good = self::rule(ALLOW, Action::All, &["#"]);
            Rules::compile(&Config { rules: vec![good, rule], ..Config::default() }).unwrap_err()
        };
        let bad_topic = compile(rule(ALLOW, Action::All, &["a/#/b"]));
        let expected = "access.rules[2].topics: the topic filter \"a/#/b\" has a misplaced wildcard";
        assert_eq!(bad_topic.to_string(), expected);
        assert_eq!(compile(rule(ALLOW, Action::All, &[])).place.to_string(), "access.rules[2].topics");
        let addresses = vec!["here".into()];
        let bad_address = compile(Rule { addresses, ..rule(ALLOW, Action::All, &["#"]) });
        assert_eq!(bad_address.place.to_string(), "access.rules[2].addresses");
    }
}
