//! What is explained is what is done.

use bus::Filter;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::config::Action;

const TOPICS: [&str; 8] = ["a", "a/b", "a/b/c", "$SYS/x", "ann/b", "c1/b", "b", "a/"];
const FILTERS: [&str; 9] = ["#", "a/#", "+/b", "a/b", "%u/#", "%c/+", "$SYS/#", "+", "a/+/c"];

fn some(chance: &mut SmallRng, from: &[&str], likely: f64) -> Vec<String> {
    from.iter().filter(|_| chance.random_bool(likely)).map(|text| (*text).to_owned()).collect()
}

fn rule(chance: &mut SmallRng) -> Rule {
    let topics = some(chance, &FILTERS, 0.2);
    Rule {
        permit: *[Permit::Allow, Permit::Deny].choose(chance).unwrap(),
        action: *[Action::All, Action::Publish, Action::Subscribe].choose(chance).unwrap(),
        topics: if topics.is_empty() { vec!["a/#".into()] } else { topics },
        eq: chance.random_bool(0.1),
        users: some(chance, &["ann", "bob"], 0.2),
        client_ids: some(chance, &["c1", "c2"], 0.1),
        addresses: some(chance, &["192.0.2.0/24", "::ffff:127.0.0.1"], 0.2),
        qos: if chance.random_bool(0.1) { vec![1] } else { vec![] },
        ..Rule::default()
    }
}

fn acl_line(chance: &mut SmallRng) -> String {
    let word = ["topic", "pattern"].choose(chance).unwrap();
    let access = ["", "read ", "write ", "deny "].choose(chance).unwrap();
    format!("{word} {access}{}\n", FILTERS.choose(chance).unwrap())
}

#[tokio::test]
async fn an_explanation_ends_as_the_server_decides() {
    let (mut chance, room) = (SmallRng::seed_from_u64(3), tempfile::tempdir().unwrap());
    let users = vec![user("ann", "x"), User { superuser: true, ..user("root", "x") }];
    for round in 0..300 {
        let mut config =
            Config { anonymous: Anonymous::Everywhere, users: users.clone(), ..Config::default() };
        config.rules = (0..chance.random_range(0..5)).map(|_| rule(&mut chance)).collect();
        config.default = *[Permit::Allow, Permit::Deny].choose(&mut chance).unwrap();
        if chance.random_bool(0.5) {
            let lines = |chance: &mut SmallRng| (0..4).map(|_| acl_line(chance)).collect::<String>();
            let text = format!("{}user ann\n{}", lines(&mut chance), lines(&mut chance));
            config.acl_file = room.path().join(format!("acl-{round}"));
            std::fs::write(&config.acl_file, text).unwrap();
        }
        let chain = AuthChain::new(&config).unwrap();
        for name in [None, Some("ann"), Some("root")] {
            let attempt = attempt(name, None, ["127.0.0.1:1", ELSEWHERE].choose(&mut chance).unwrap());
            let client = chain.presume(&attempt).unwrap();
            let topic = Topic::parse(TOPICS.choose(&mut chance).unwrap()).unwrap();
            let filter = Filter::parse(FILTERS.choose(&mut chance).unwrap()).unwrap();
            let (topic, filter, qos) = (&topic, &filter, Qos::AtLeastOnce);
            for access in [
                Access::Publish { topic, qos, retain: false },
                Access::Subscribe { filter, qos },
                Access::Receive { topic },
                Access::Read { topic },
            ] {
                let done = chain.authorize(&client, access).finish().await;
                let explained = chain.explain(&client, access);
                assert_eq!(explained.permission, done, "round {round}: {explained}");
            }
        }
    }
}

#[test]
fn a_name_that_is_not_looked_at_or_not_known_is_not_presumed() {
    let name = |chain: &AuthChain, name, address| {
        chain.presume(&attempt(name, None, address)).map(|client| client.identity.username.is_some())
    };
    let open = chain(Anonymous::Loopback, &[]);
    assert_eq!(name(&open, Some("ann"), HERE), Ok(false));
    assert_eq!(name(&open, None, ELSEWHERE), Err(Reason::NotAuthorized));
    let kept = chain(Anonymous::Never, &[user("ann", "x")]);
    assert_eq!(name(&kept, Some("ann"), ELSEWHERE), Ok(true));
    assert_eq!(name(&kept, Some("eve"), ELSEWHERE), Err(Reason::BadCredentials));
    assert_eq!(name(&kept, None, HERE), Err(Reason::NotAuthorized));
}
