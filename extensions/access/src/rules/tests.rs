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
        }
        .into(),
        protocol: "MQTT 5",
    }
}

fn rule(permit: Permit, action: Action, topics: &[&str]) -> Rule {
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    Rule { permit, action, topics, ..Rule::default() }
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

fn decision(permit: Permit, by: DecidedBy) -> Decision {
    let permission = if permit == ALLOW { Permission::Allow } else { Permission::Deny };
    Decision { permission, by }
}

const ALLOW: Permit = Permit::Allow;
const DENY: Permit = Permit::Deny;

fn by_rule(permit: Permit, index: usize) -> Decision {
    decision(permit, DecidedBy::Rule(index))
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
    assert_eq!(publish(&rules, &c1, "dev/c2/up"), decision(DENY, DecidedBy::Default));
    assert_eq!(subscribe(&rules, &c1, "dev/c1/#"), by_rule(ALLOW, 1));
    assert_eq!(subscribe(&rules, &c1, "$share/g/news/today"), by_rule(ALLOW, 1));
    assert_eq!(subscribe(&rules, &c1, "news/#").permission, Permission::Deny);
}

#[test]
fn a_wildcard_subscription_cannot_get_round_a_denied_topic() {
    let rules = rules(ALLOW, &[rule(DENY, Action::Subscribe, &["secret/#"])]);
    let c1 = client("c1", None, "10.0.0.1:1");
    for filter in ["#", "+/key", "secret/key", "$share/g/#"] {
        assert_eq!(subscribe(&rules, &c1, filter), by_rule(DENY, 0), "{filter}");
    }
    assert_eq!(subscribe(&rules, &c1, "public/#").permission, Permission::Allow);
    assert_eq!(publish(&rules, &c1, "secret/key").permission, Permission::Allow);
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
    assert_eq!(publish(&rules, &client("c1", Some("ann"), "10.9.9.9:1"), "a").permission, Permission::Allow);
    assert_eq!(publish(&rules, &client("c1", Some("bob"), "10.9.9.9:1"), "a").permission, Permission::Deny);
    assert_eq!(publish(&rules, &client("c1", None, "10.9.9.9:1"), "a").permission, Permission::Deny);
    assert_eq!(publish(&rules, &client("c2", Some("ann"), "10.9.9.9:1"), "a").permission, Permission::Deny);
    assert_eq!(publish(&rules, &client("c1", Some("ann"), "192.0.2.1:1"), "a").permission, Permission::Deny);
}

#[test]
fn a_superuser_is_above_the_rules_but_nobody_publishes_below_sys() {
    let rules = rules(DENY, &[rule(ALLOW, Action::All, &["$SYS/#"])]);
    let mut root = client("c1", Some("root"), "10.0.0.1:1");
    root.identity.superuser = true;
    assert_eq!(publish(&rules, &root, "a"), decision(ALLOW, DecidedBy::Superuser));
    for topic in ["$SYS/uptime", "$SYS"] {
        let denied = decision(DENY, DecidedBy::SystemTopic);
        assert_eq!(publish(&rules, &root, topic), denied);
        assert_eq!(publish(&rules, &client("c1", None, "10.0.0.1:1"), topic), denied);
    }
    assert_eq!(subscribe(&rules, &client("c1", None, "10.0.0.1:1"), "$SYS/#"), by_rule(ALLOW, 0));
}

#[test]
fn what_the_server_publishes_is_for_operators_unless_a_rule_says_otherwise() {
    let open = rules(ALLOW, &[rule(ALLOW, Action::All, &["#"])]);
    let (far, near) = (client("c1", Some("ann"), "10.0.0.1:1"), client("c1", None, "127.0.0.1:1"));
    for filter in ["$SYS/#", "$SYS/broker/uptime", "$share/g/$SYS/broker/+"] {
        assert_eq!(subscribe(&open, &far, filter), decision(DENY, DecidedBy::SystemReader), "{filter}");
        assert_eq!(subscribe(&open, &near, filter), decision(ALLOW, DecidedBy::Default), "{filter}");
    }
    assert_eq!(subscribe(&rules(DENY, &[]), &near, "$SYS/#"), decision(DENY, DecidedBy::Default));
    let granted = rules(ALLOW, &[rule(ALLOW, Action::Subscribe, &["$SYS/broker/#"])]);
    assert_eq!(subscribe(&granted, &far, "$SYS/broker/#"), by_rule(ALLOW, 0));
    assert_eq!(subscribe(&granted, &far, "$SYS/#").by, DecidedBy::SystemReader);
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

#[test]
fn a_rule_may_look_at_qos_retain_attributes_listener_and_protocol() {
    let c1 = client("c1", None, "10.0.0.1:1");
    let with = |rule: Rule| {
        let tenant =
            crate::Attribute { name: "tenant".into(), from: "username".into(), ..Default::default() };
        let rules = vec![Rule { topics: vec!["#".into()], ..rule }];
        let config = Config { default: DENY, rules, attributes: vec![tenant], ..Config::default() };
        Rules::compile(&config).unwrap()
    };
    let ask = |rules: &Rules, client: &Client, qos, retain| {
        let topic = Topic::parse("a").unwrap();
        rules.decide(client, Access::Publish { topic: &topic, qos, retain }).permission == Permission::Allow
    };
    let low = with(Rule { qos: vec![0, 1], ..Rule::default() });
    assert!(ask(&low, &c1, Qos::AtMostOnce, false) && ask(&low, &c1, Qos::AtLeastOnce, true));
    assert!(!ask(&low, &c1, Qos::ExactlyOnce, false));

    let kept = with(Rule { retain: Some(true), ..Rule::default() });
    assert!(ask(&kept, &c1, Qos::AtMostOnce, true) && !ask(&kept, &c1, Qos::AtMostOnce, false));
    assert_eq!(subscribe(&kept, &c1, "a").permission, Permission::Deny, "a subscription has no such flag");

    let acme = with(Rule { attributes: [("tenant".into(), "acme".into())].into(), ..Rule::default() });
    let mut member = c1.clone();
    member.identity.attributes = Some(broker::Attributes::from([("tenant".into(), "acme".into())]).into());
    assert!(ask(&acme, &member, Qos::AtMostOnce, false) && !ask(&acme, &c1, Qos::AtMostOnce, false));

    let here = with(Rule { listeners: vec!["other".into(), "mqtt".into()], ..Rule::default() });
    let there = with(Rule { listeners: vec!["other".into()], ..Rule::default() });
    assert!(ask(&here, &c1, Qos::AtMostOnce, false) && !ask(&there, &c1, Qos::AtMostOnce, false));

    for (protocol, expected) in [("MQTT 5", true), ("mqtt", true), ("MQTT 3.1.1", false), ("MQTT-SN", false)]
    {
        let rules = with(Rule { protocols: vec![protocol.into()], ..Rule::default() });
        assert_eq!(ask(&rules, &c1, Qos::AtMostOnce, false), expected, "{protocol}");
    }
}

#[test]
fn a_rule_with_eq_is_about_its_topics_as_they_are_written() {
    let all = Rule { eq: true, ..rule(DENY, Action::Subscribe, &["#", "$SYS/#"]) };
    let rules = rules(ALLOW, &[all]);
    let c1 = client("c1", None, "127.0.0.1:1");
    for (filter, permission) in [
        ("#", Permission::Deny),
        ("$share/g/#", Permission::Deny),
        ("$SYS/#", Permission::Deny),
        ("+/#", Permission::Allow),
        ("a", Permission::Allow),
        ("$SYS/broker/uptime", Permission::Allow),
    ] {
        assert_eq!(subscribe(&rules, &c1, filter).permission, permission, "{filter}");
    }
}

#[test]
fn the_access_file_is_asked_behind_the_rules_and_instead_of_the_default() {
    let room = tempfile::tempdir().unwrap();
    let acl_file = room.path().join("acl");
    std::fs::write(&acl_file, "topic read a/#\ntopic deny a/c/secret\n").unwrap();
    let config = Config {
        default: ALLOW,
        rules: vec![rule(ALLOW, Action::All, &["news/#"]), rule(DENY, Action::All, &["a/b/#"])],
        acl_file,
        ..Config::default()
    };
    let rules = Rules::compile(&config).unwrap();
    let c1 = client("c1", None, "10.0.0.1:1");
    assert_eq!(subscribe(&rules, &c1, "news/x"), by_rule(ALLOW, 0));
    assert_eq!(subscribe(&rules, &c1, "a/#"), by_rule(DENY, 1));
    assert_eq!(subscribe(&rules, &c1, "a/c/x").permission, Permission::Allow);
    assert_eq!(subscribe(&rules, &c1, "a/c/+").permission, Permission::AllowFiltered);
    assert_eq!(subscribe(&rules, &c1, "other").permission, Permission::Deny);
    assert_eq!(publish(&rules, &c1, "a/c").permission, Permission::Deny);
    let receive = |topic: &str| rules.decide(&c1, Access::Receive { topic: &Topic::parse(topic).unwrap() });
    for (topic, permission, by) in [
        ("a/c", Permission::Allow, "acl:1"),
        ("a/c/secret", Permission::Deny, "acl:2"),
        ("news/x", Permission::Allow, "access.rules[1]"),
        ("a/b/c", Permission::Deny, "access.rules[2]"),
        ("other", Permission::Deny, "acl, since no line matched"),
    ] {
        let decision = receive(topic);
        assert_eq!(decision.permission, permission, "{topic}");
        assert!(decision.by.to_string().ends_with(by), "{topic}: {}", decision.by);
    }
}
