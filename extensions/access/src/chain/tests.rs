use broker::Identity;
use bus::{Address, ClientId, Credentials, EnhancedAuthentication, Peer, Qos, Topic, Transport};

use super::*;
use crate::config::{Anonymous, Listener, Permit, Rule, User};
use crate::password::tests::quick_hash;

mod bans;
mod explain;
mod identity;
mod keys;
mod live;
mod scram;

const HERE: &str = "127.0.0.1:5000";
const ELSEWHERE: &str = "192.0.2.7:5000";

fn user(name: &str, password: &str) -> User {
    User { name: name.into(), password_hash: quick_hash(password.as_bytes()), ..User::default() }
}

fn chain(anonymous: Anonymous, users: &[User]) -> AuthChain {
    AuthChain::new(&Config { anonymous, users: users.to_vec(), ..Config::default() }).unwrap()
}

fn peer(address: &str) -> Peer {
    Peer {
        address: Address::Socket(address.parse().unwrap()),
        listener: "mqtt".into(),
        transport: Transport::Stream,
        seed: 0,
        link: Default::default(),
    }
}

fn attempt(username: Option<&str>, password: Option<&str>, address: &str) -> Attempt {
    Attempt {
        client_id: ClientId::parse("c1"),
        credentials: Credentials {
            username: username.map(Into::into),
            password: password.map(|password| password.to_owned().into()),
            ..Credentials::default()
        },
        peer: peer(address).into(),
        user_properties: [].into(),
        protocol: "MQTT 5",
    }
}

/// Who came in, or why not.
async fn judge(chain: &AuthChain, attempt: &Attempt) -> Result<Identity, Reason> {
    match chain.authenticate(attempt).finish().await {
        Authentication::Accept(identity) => Ok(identity),
        Authentication::Refuse(reason) => Err(reason),
        Authentication::Challenge(..) => panic!("no exchange is offered"),
    }
}

fn named(name: &str) -> Identity {
    Identity { username: Some(name.into()), ..Identity::default() }
}

#[tokio::test]
async fn anonymous_clients_are_let_in_as_configured() {
    let cases = [
        (Anonymous::Loopback, HERE, true),
        (Anonymous::Loopback, ELSEWHERE, false),
        (Anonymous::Everywhere, ELSEWHERE, true),
        (Anonymous::Never, HERE, false),
    ];
    for (anonymous, address, welcome) in cases {
        for users in [&[][..], &[user("ann", "secret")]] {
            let judgement = judge(&chain(anonymous, users), &attempt(None, None, address)).await;
            let expected = if welcome { Ok(Identity::default()) } else { Err(Reason::NotAuthorized) };
            assert_eq!(judgement, expected, "{anonymous:?} {address}");
        }
    }
}

#[tokio::test]
async fn a_listener_may_have_its_own_way_with_anonymous_clients() {
    let other = Listener { anonymous: Some(Anonymous::Everywhere), ..Listener::default() };
    let config = Config {
        anonymous: Anonymous::Never,
        listeners: [("open".to_owned(), other)].into(),
        ..Config::default()
    };
    let chain = AuthChain::new(&config).unwrap();
    let mut attempt = attempt(None, None, ELSEWHERE);
    assert_eq!(judge(&chain, &attempt).await, Err(Reason::NotAuthorized));
    Arc::make_mut(&mut attempt.peer).listener = "open".into();
    assert_eq!(judge(&chain, &attempt).await, Ok(Identity::default()));
}

#[tokio::test]
async fn an_unknown_user_costs_what_some_known_one_does_and_always_the_same() {
    let config = Config { users: vec![user("ann", "a"), user("bob", "b")], ..Config::default() };
    let policy = Policy::new(&config, None).unwrap();
    let names: Vec<_> = (0..64).map(|number| format!("nobody-{number}")).collect();
    let decoys: Vec<_> = names.iter().map(|name| policy.accounts.decoy(name).unwrap()).collect();
    for name in ["ann", "bob"] {
        let account = policy.accounts.find(name).unwrap();
        assert!(decoys.iter().any(|decoy| Arc::ptr_eq(decoy, account)), "{name}");
    }
    let again = Policy::new(&config, Some(&policy)).unwrap();
    for (name, decoy) in names.iter().zip(decoys) {
        assert!(again.accounts.decoy(name).unwrap().is_same(decoy), "{name}");
    }
    let chain = AuthChain::new(&config).unwrap();
    let judgement = judge(&chain, &attempt(Some(&names[0]), Some("a"), HERE)).await;
    assert_eq!(judgement, Err(Reason::BadCredentials), "the password of a decoy opens nothing");
}

#[tokio::test]
async fn without_users_a_claimed_name_is_not_believed() {
    let chain = chain(Anonymous::Loopback, &[]);
    assert_eq!(judge(&chain, &attempt(Some("ann"), Some("x"), HERE)).await, Ok(Identity::default()));
    let elsewhere = judge(&chain, &attempt(Some("ann"), Some("x"), ELSEWHERE)).await;
    assert_eq!(elsewhere, Err(Reason::NotAuthorized));
}

#[tokio::test]
async fn a_user_comes_in_with_the_right_password_only() {
    let chain = chain(Anonymous::Loopback, &[user("ann", "secret"), user("bob", "other")]);
    for _ in 0..2 {
        // The second round finds a remembered password.
        let judgement = judge(&chain, &attempt(Some("ann"), Some("secret"), ELSEWHERE)).await.unwrap();
        assert_eq!(judgement.username.as_deref(), Some("ann"));
        for (name, password) in [
            ("ann", Some("other")),
            ("ann", None),
            ("ann", Some("")),
            ("eve", Some("secret")),
            ("bob", Some("secret")),
        ] {
            let judgement = judge(&chain, &attempt(Some(name), password, HERE)).await;
            assert_eq!(judgement, Err(Reason::BadCredentials), "{name} {password:?}");
        }
    }
    let nameless = judge(&chain, &attempt(None, Some("secret"), HERE)).await;
    assert_eq!(nameless, Err(Reason::BadCredentials));
}

#[tokio::test]
async fn a_remembered_password_is_answered_at_once_and_a_new_one_is_not() {
    let chain = chain(Anonymous::Never, &[user("ann", "secret")]);
    let attempt = attempt(Some("ann"), Some("secret"), ELSEWHERE);
    let first = chain.authenticate(&attempt);
    assert!(matches!(first, Answer::Later(_)));
    first.finish().await;
    assert!(matches!(chain.authenticate(&attempt), Answer::Now(Authentication::Accept(_))));
}

#[tokio::test]
async fn after_a_reload_the_old_password_is_forgotten() {
    let chain = chain(Anonymous::Never, &[user("ann", "old")]);
    assert!(judge(&chain, &attempt(Some("ann"), Some("old"), ELSEWHERE)).await.is_ok());
    let epoch = chain.epoch();
    let changed =
        Config { anonymous: Anonymous::Never, users: vec![user("ann", "new")], ..Config::default() };
    chain.reload(&changed).unwrap();
    assert_ne!(chain.epoch(), epoch);
    let old = judge(&chain, &attempt(Some("ann"), Some("old"), ELSEWHERE)).await;
    assert_eq!(old, Err(Reason::BadCredentials));
    assert!(judge(&chain, &attempt(Some("ann"), Some("new"), ELSEWHERE)).await.is_ok());
}

#[tokio::test]
async fn a_reload_that_fails_changes_nothing() {
    let chain = chain(Anonymous::Never, &[user("ann", "secret")]);
    let epoch = chain.epoch();
    let twice = Config { users: vec![user("ann", "a"), user("ann", "b")], ..Config::default() };
    let error = chain.reload(&twice).unwrap_err();
    assert_eq!(error.place.to_string(), "access.users[2].name");
    assert_eq!(chain.epoch(), epoch);
    assert!(judge(&chain, &attempt(Some("ann"), Some("secret"), ELSEWHERE)).await.is_ok());
}

#[tokio::test]
async fn too_many_waiting_clients_are_told_to_come_again() {
    let chain = chain(Anonymous::Never, &[user("ann", "secret")]);
    let all = u32::try_from(MOST_WAITING).unwrap();
    let _places = chain.shared.waiting.clone().try_acquire_many_owned(all).unwrap();
    let judgement = judge(&chain, &attempt(Some("ann"), Some("wrong"), ELSEWHERE)).await;
    assert_eq!(judgement, Err(Reason::ServerBusy));
}

#[tokio::test]
async fn an_enhanced_authentication_is_not_offered_where_nobody_has_one() {
    let mut attempt = attempt(None, None, HERE);
    let step = EnhancedAuthentication { method: "SCRAM-SHA-256".into(), data: Default::default() };
    attempt.credentials.enhanced = Some(step);
    let judgement = judge(&chain(Anonymous::Everywhere, &[]), &attempt).await;
    assert_eq!(judgement, Err(Reason::BadAuthenticationMethod));
}

#[tokio::test]
async fn rules_are_asked_with_the_name_that_was_proved() {
    let own = Rule { topics: vec!["home/%u/#".into()], ..Rule::default() };
    let config = Config { default: Permit::Deny, rules: vec![own], ..Config::default() };
    let chain = AuthChain::new(&config).unwrap();
    let client = Client {
        id: ClientId::parse("c1").unwrap(),
        identity: named("ann"),
        peer: peer(HERE).into(),
        protocol: "MQTT 5",
    };
    let mut permissions = Vec::new();
    for topic in ["home/ann/lamp", "home/bob/lamp"] {
        let topic = Topic::parse(topic).unwrap();
        let access = Access::Publish { topic: &topic, qos: Qos::AtMostOnce, retain: false };
        permissions.push(chain.authorize(&client, access).finish().await);
    }
    assert_eq!(permissions, [Permission::Allow, Permission::Deny]);
}
