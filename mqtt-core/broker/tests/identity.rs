//! What goes with an identity, whatever the client asks for.

mod common;

use std::sync::Arc;

use broker::{Answer, Attempt, Authentication, Authenticator, Config, Hooks, Identity};
use bus::{ClientId, Connect, Credentials, Disconnect, Qos, Reason, SessionExpiry};
use common::World;

/// Takes everybody at their word, and calls a user who is named by it: `use_username_as_clientid`.
struct ByName;

impl Authenticator for ByName {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        let username = attempt.credentials.username.clone();
        let client_id = username.as_deref().and_then(ClientId::parse);
        Answer::Now(Authentication::Accept(Identity {
            username,
            client_id: client_id.map(Box::new),
            ..Identity::default()
        }))
    }
}

fn named(client_id: &str, username: &str) -> Connect {
    let credentials = Credentials { username: Some(username.into()), ..Credentials::default() };
    Connect { credentials, ..common::durable(client_id) }
}

#[test]
fn the_client_id_of_an_identity_replaces_what_the_client_asked_for() {
    let hooks = Hooks { authenticator: Arc::new(ByName), ..Hooks::open() };
    let world = World::with(Config::default(), hooks);
    let ann = world.open(named("c1", "ann")).unwrap();
    assert_eq!((ann.connected.client_id.as_str(), ann.connected.assigned), ("ann", false));
    let unnamed = world.open(Connect { client_id: None, ..named("c1", "bob") }).unwrap();
    assert_eq!((unnamed.connected.client_id.as_str(), unnamed.connected.assigned), ("bob", true));
    let again = world.open(named("ann", "ann")).unwrap();
    assert_eq!((again.connected.assigned, again.connected.session_present), (false, true));
    let nobody = world.connect("c1");
    assert_eq!((nobody.connected.client_id.as_str(), nobody.connected.assigned), ("c1", false));
    assert_eq!(world.broker.stats().sessions, 3);
}

#[test]
fn a_session_is_not_given_to_another_user_whether_its_own_is_there_or_away() {
    let world = World::new();
    let mut ann = world.open(named("c", "ann")).unwrap();
    world.subscribe(&mut ann, 1, "t", Qos::AtLeastOnce).unwrap();
    let strangers =
        [named("c", "bob"), common::durable("c"), Connect { clean_start: true, ..named("c", "bob") }];
    for stranger in &strangers {
        assert!(matches!(world.open(stranger.clone()), Err(Reason::NotAuthorized)));
    }
    assert_eq!(world.publish(&mut ann, "t", "still there", Qos::AtLeastOnce), Ok(1));
    ann.session.close(Reason::PeerClosed, world.now);
    for stranger in &strangers {
        assert!(matches!(world.open(stranger.clone()), Err(Reason::NotAuthorized)));
    }
    let mut ann = world.open(named("c", "ann")).unwrap();
    assert_eq!((ann.connected.session_present, world.read(&mut ann)), (true, vec!["still there".to_owned()]));
    let stats = world.broker.stats();
    assert_eq!((stats.connections, stats.sessions), (1, 1));
    ann.session.leave(GONE, world.now).unwrap();
    assert!(world.open(named("c", "bob")).is_ok(), "nobody has the id any more");
}

const GONE: Disconnect = Disconnect { publish_will: false, session_expiry: Some(SessionExpiry::AtOnce) };

#[test]
fn those_without_a_name_are_all_one_user() {
    let world = World::new();
    let _old = world.resume("c");
    assert!(world.resume("c").connected.session_present);
}

#[test]
fn where_sessions_are_not_bound_to_users_the_last_who_comes_has_it() {
    let world = World::with(Config { bind_sessions: false, ..Config::default() }, Hooks::open());
    let _ann = world.open(named("c", "ann")).unwrap();
    assert!(world.open(named("c", "bob")).unwrap().connected.session_present);
}
