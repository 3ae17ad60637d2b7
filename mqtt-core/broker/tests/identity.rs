//! What goes with an identity, whatever the client asks for.

mod common;

use std::sync::Arc;

use broker::{Answer, Attempt, Authentication, Authenticator, Config, Hooks, Identity};
use bus::{ClientId, Connect, Credentials};
use common::World;

/// Takes everybody at their word, and calls a user who is named by it: `use_username_as_clientid`.
struct ByName;

impl Authenticator for ByName {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        let username = attempt.credentials.username.clone();
        let client_id = username.as_deref().and_then(ClientId::parse);
        Answer::Now(Authentication::Accept(Identity { username, client_id, ..Identity::default() }))
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
    assert_eq!((ann.connected.client_id.as_str(), ann.connected.assigned), ("ann", true));
    let again = world.open(named("ann", "ann")).unwrap();
    assert_eq!((again.connected.assigned, again.connected.session_present), (false, true));
    let nobody = world.connect("c1");
    assert_eq!((nobody.connected.client_id.as_str(), nobody.connected.assigned), ("c1", false));
    assert_eq!(world.broker.stats().sessions, 2);
}
