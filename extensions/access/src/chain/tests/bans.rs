//! Bans, and what they come from.

use std::time::{Duration, SystemTime};

use broker::{BrokerEvent, Observer};

use super::*;
use crate::config::{Ban, BanKind, Flapping, Guard};

fn ban(kind: BanKind, value: &str) -> Ban {
    Ban { kind, value: value.into(), reason: "test".into(), until: String::new() }
}

pub(super) fn client(id: &str, identity: Identity, address: &str) -> Arc<Client> {
    let id = ClientId::parse(id).unwrap();
    Arc::new(Client { id, identity, peer: peer(address).into(), protocol: "MQTT 5" })
}

#[tokio::test]
async fn a_ban_keeps_a_client_out_with_the_right_password_too() {
    let users = vec![user("ann", "secret")];
    let chain = AuthChain::new(&Config { users, ..Config::default() }).unwrap();
    let attempt = attempt(Some("ann"), Some("secret"), ELSEWHERE);
    for (kind, value) in [
        (BanKind::ClientId, "c1"),
        (BanKind::Username, "ann"),
        (BanKind::Address, "192.0.2.0/24"),
        (BanKind::UsernameRegex, "a.*"),
    ] {
        assert!(judge(&chain, &attempt).await.is_ok());
        assert_eq!(chain.refresh(), Refresh::Unchanged);
        chain.ban(ban(kind, value)).unwrap();
        assert_eq!(chain.refresh(), Refresh::Renewed(vec![]), "clients that are there are looked at again");
        assert_eq!(judge(&chain, &attempt).await, Err(Reason::Banned), "{kind:?}");
        assert!(!chain.still_valid(&client("c1", named("ann"), ELSEWHERE)), "{kind:?}");
        assert_eq!(chain.is_banned_address("192.0.2.7".parse().unwrap()), kind == BanKind::Address);
        assert_eq!(chain.bans()[0].place, "operator");
        assert!(chain.unban(kind, value) && !chain.unban(kind, value));
    }
    assert!(chain.still_valid(&client("c1", named("ann"), ELSEWHERE)));
    let unfit = chain.ban(ban(BanKind::Address, "here")).unwrap_err().to_string();
    assert!(unfit.starts_with("value: \"here\" is neither"), "{unfit}");
}

#[test]
fn who_would_not_be_let_in_any_more_does_not_stay() {
    let users = vec![user("ann", "x"), User { superuser: true, ..user("root", "x") }];
    let config = Config { anonymous: Anonymous::Loopback, users, ..Config::default() };
    let chain = AuthChain::new(&config).unwrap();
    let root = Identity { superuser: true, ..named("root") };
    for (identity, address, expected) in [
        (named("ann"), ELSEWHERE, true),
        (named("bob"), HERE, false),
        (root, ELSEWHERE, true),
        (named("root"), ELSEWHERE, false),
        (Identity { superuser: true, ..named("ann") }, ELSEWHERE, false),
        (Identity::default(), HERE, true),
        (Identity::default(), ELSEWHERE, false),
    ] {
        let client = client("c1", identity, address);
        assert_eq!(chain.still_valid(&client), expected, "{client:?}");
    }
}

fn refused(address: &str, at: Instant) -> BrokerEvent {
    let peer = peer(address);
    BrokerEvent::Refused {
        client_id: None,
        username: None,
        address: peer.address,
        listener: peer.listener,
        carrier: peer.link.carrier,
        protocol: "MQTT 5",
        reason: Reason::BadCredentials,
        at,
    }
}

#[test]
fn an_address_that_guesses_is_banned_for_a_time_if_that_is_wanted() {
    let guard = Guard { enabled: true, failures: 3, ..Guard::default() };
    let chain = AuthChain::new(&Config { guard, ..Config::default() }).unwrap();
    let (start, address) = (Instant::now(), "192.0.2.7".parse().unwrap());
    for at in [0, 1, 61, 62] {
        chain.observe(&refused(ELSEWHERE, start + Duration::from_secs(at)));
        chain.observe(&refused(HERE, start));
        chain.observe(&refused("0.0.0.0:0", start));
        assert!(!chain.is_banned_address(address), "after {at} s");
    }
    chain.observe(&refused(ELSEWHERE, start + Duration::from_secs(63)));
    assert!(chain.is_banned_address(address));
    assert!(!chain.is_banned_address("127.0.0.1".parse().unwrap()), "this machine is never locked out");
    let unknown = "0.0.0.0".parse().unwrap();
    assert!(!chain.is_banned_address(unknown), "nor everybody of whom a proxy tells nothing");
    let [banned] = &chain.bans()[..] else { panic!("one ban") };
    assert_eq!((banned.place.as_str(), banned.ban.value.as_str()), ("access.guard", "192.0.2.7"));
    assert!(crate::moment::parse(&banned.ban.until).unwrap() > SystemTime::now());

    let off = AuthChain::new(&Config::default()).unwrap();
    for _ in 0..1_000 {
        off.observe(&refused(ELSEWHERE, start));
    }
    assert!(off.bans().is_empty());
}

#[test]
fn an_address_that_can_be_forged_is_not_banned_for_what_came_from_it() {
    let guard = Guard { enabled: true, failures: 1, ..Guard::default() };
    let chain = AuthChain::new(&Config { guard, ..Config::default() }).unwrap();
    let mut forged = refused(ELSEWHERE, Instant::now());
    if let BrokerEvent::Refused { carrier, .. } = &mut forged {
        *carrier = bus::Carrier::Udp;
    }
    chain.observe(&forged);
    assert!(chain.bans().is_empty());
}

#[test]
fn all_addresses_that_a_host_may_choose_from_count_as_one() {
    let guard = Guard { enabled: true, failures: 3, ..Guard::default() };
    let chain = AuthChain::new(&Config { guard, ..Config::default() }).unwrap();
    for address in ["[2001:db8::1]:1", "[2001:db8::2:3]:1", "[2001:db8:0:1::1]:1", "[2001:db8::9:9:9:9]:1"] {
        chain.observe(&refused(address, Instant::now()));
    }
    assert!(chain.is_banned_address("2001:db8::77".parse().unwrap()));
    assert!(!chain.is_banned_address("2001:db8:0:1::1".parse().unwrap()));
    assert_eq!(chain.bans()[0].ban.value, "2001:db8::/64");
    assert!(chain.unban(BanKind::Address, "2001:db8::/64"));
}

#[test]
fn a_ban_holds_in_whatever_clothes_an_address_comes_or_is_written() {
    for (written, clothed) in [
        ("192.0.2.7", "::ffff:192.0.2.7"),
        ("192.0.2.0/24", "::ffff:192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.0/120", "192.0.2.7"),
    ] {
        let chain =
            AuthChain::new(&Config { bans: vec![ban(BanKind::Address, written)], ..Config::default() });
        assert!(chain.unwrap().is_banned_address(clothed.parse().unwrap()), "{written} {clothed}");
    }
}

fn ended(id: &str, reason: Reason, at: Instant) -> BrokerEvent {
    let client = client(id, Identity::default(), ELSEWHERE);
    let (received, sent) = Default::default();
    let course = broker::Course { since: at, heard: at, keep_alive: None, received, sent, detail: None };
    BrokerEvent::Disconnected { client, reason, course: course.into(), at }
}

#[test]
fn a_flapping_client_is_banned_for_a_time_if_that_is_wanted() {
    let flapping = Flapping { enabled: true, disconnects: 3, ..Flapping::default() };
    let config = Config { anonymous: Anonymous::Everywhere, flapping, ..Config::default() };
    let (chain, start) = (AuthChain::new(&config).unwrap(), Instant::now());
    for _ in 0..10 {
        chain.observe(&ended("calm", Reason::Kicked, start));
    }
    for reason in [Reason::PeerClosed, Reason::TakenOver] {
        chain.observe(&ended("c1", reason, start));
        assert!(chain.bans().is_empty());
    }
    chain.observe(&ended("c1", Reason::Disconnected, start));
    let [banned] = &chain.bans()[..] else { panic!("one ban") };
    assert_eq!((banned.place.as_str(), banned.ban.value.as_str()), ("access.flapping", "c1"));
    assert!(!chain.still_valid(&client("c1", Identity::default(), ELSEWHERE)));
    assert!(chain.still_valid(&client("c2", Identity::default(), ELSEWHERE)));
}

#[test]
fn a_count_of_nothing_is_refused() {
    let flapping = Flapping { enabled: true, disconnects: 0, ..Flapping::default() };
    let fault = AuthChain::new(&Config { flapping, ..Config::default() }).err().unwrap().to_string();
    assert_eq!(fault, "access.flapping.disconnects: must be more than 0");
    let guard = Guard { enabled: true, window: Duration::ZERO, ban: Duration::MAX, ..Guard::default() };
    let fault = AuthChain::new(&Config { guard, ..Config::default() }).err().unwrap().to_string();
    assert_eq!(fault, "access.guard.window: must be more than 0");
}
