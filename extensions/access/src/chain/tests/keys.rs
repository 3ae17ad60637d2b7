//! Pre-shared keys, whose identities are names.

use bus::{Carrier, KeyMark, Link, Secured};

use super::*;
use crate::config::Attribute;

fn with_keys(room: &tempfile::TempDir, text: &str) -> Config {
    let psk_file = room.path().join("psk");
    std::fs::write(&psk_file, text).unwrap();
    Config { anonymous: Anonymous::Never, psk_file, ..Config::default() }
}

/// Who has shown the key of this identity that is in force.
fn keyed(chain: &AuthChain, identity: &str) -> Attempt {
    let mut attempt = attempt(Some("mallory"), Some("x"), ELSEWHERE);
    let secured = Secured {
        psk_identity: Some(identity.into()),
        psk_mark: chain.pre_shared_keys().mark(identity),
        ..Secured::default()
    };
    Arc::make_mut(&mut attempt.peer).link = Link { carrier: Carrier::Dtls, secured: Some(secured.into()) };
    attempt
}

#[tokio::test]
async fn a_pre_shared_key_stands_for_a_user_name_and_password() {
    let room = tempfile::tempdir().unwrap();
    let mut config = with_keys(&room, "dev1:00112233\n");
    config.users = vec![User { superuser: true, ..user("dev1", "secret") }];
    let chain = AuthChain::new(&config).unwrap();
    let found = judge(&chain, &keyed(&chain, "dev1")).await.unwrap();
    assert_eq!(
        (found.username.as_deref(), found.superuser),
        (Some("dev1"), true),
        "what the user has counts"
    );
    assert_eq!(judge(&chain, &keyed(&chain, "dev2")).await, Err(Reason::BadCredentials), "nobody's key");
}

#[tokio::test]
async fn a_pre_shared_key_counts_for_no_name_where_it_is_said_not_to() {
    let room = tempfile::tempdir().unwrap();
    let mut config = with_keys(&room, "dev1:00112233\n");
    let listener = Listener { psk_username: Some(false), ..Listener::default() };
    config.listeners = [("mqtt".to_owned(), listener)].into();
    config.users = vec![user("ann", "secret")];
    config.identity.client_id_from = "psk-identity".into();
    let from = "psk-identity".to_owned();
    config.attributes = vec![Attribute { name: "device".into(), from, regex: "dev(.)".into() }];
    let chain = AuthChain::new(&config).unwrap();
    let mut attempt = keyed(&chain, "dev1");
    assert_eq!(judge(&chain, &attempt).await, Err(Reason::BadCredentials), "its name and password are wrong");
    attempt.credentials.username = Some("ann".into());
    attempt.credentials.password = Some("secret".to_owned().into());
    let found = judge(&chain, &attempt).await.unwrap();
    assert_eq!(found.username.as_deref(), Some("ann"));
    assert_eq!(found.client_id.as_deref().map(ClientId::as_str), Some("dev1"));
    let attributes = found.attributes.unwrap();
    assert_eq!(attributes.get("device").map(|value| &**value), Some("1"));
}

#[tokio::test]
async fn who_has_an_old_key_does_not_stay_and_does_not_come_in() {
    let room = tempfile::tempdir().unwrap();
    let config = with_keys(&room, "dev1:00112233\ndev2:44\n");
    let chain = AuthChain::new(&config).unwrap();
    let attempts = [keyed(&chain, "dev1"), keyed(&chain, "dev2")];
    let mut clients = Vec::new();
    for attempt in &attempts {
        let identity = judge(&chain, attempt).await.unwrap();
        let mut client = Arc::into_inner(bans::client("c1", identity, ELSEWHERE)).unwrap();
        client.peer = attempt.peer.clone();
        clients.push(client);
    }
    let stays = |client: &broker::Client| chain.still_valid(client) && chain.still_proved(client);
    let stay = || clients.iter().map(stays).collect::<Vec<_>>();
    assert_eq!(stay(), [true, true]);
    for (text, expected) in [
        ("dev2:44\ndev1:00112233\n", [true, true]),
        ("dev1:00112234\ndev2:44\n", [false, true]),
        ("dev1:00112233\n", [true, false]),
        ("", [false, false]),
    ] {
        std::fs::write(&config.psk_file, text).unwrap();
        chain.reload(&config).unwrap();
        assert_eq!(stay(), expected, "{text}");
        for (attempt, expected) in attempts.iter().zip(expected) {
            assert_eq!(judge(&chain, attempt).await.is_ok(), expected, "{text}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_leaves_the_old_one_in_force() {
    let room = tempfile::tempdir().unwrap();
    let config = with_keys(&room, "dev1:00\n");
    let chain = AuthChain::new(&config).unwrap();
    std::fs::write(&config.psk_file, "dev1:00\ndev2:0x00\n").unwrap();
    let fault = chain.reload(&config).unwrap_err().to_string();
    assert!(fault.contains("psk:2: the key of \"dev2\" is not hexadecimal"), "{fault}");
    assert!(chain.pre_shared_keys().key("dev1").is_some());
}

#[test]
fn nobody_proves_a_key_whose_mark_is_not_known() {
    let chain = AuthChain::new(&Config::default()).unwrap();
    let mut peer = (*keyed(&chain, "dev1").peer).clone();
    assert!(!chain.policy().keys.vouch_for(&peer));
    peer.link.secured = Some(Secured { psk_mark: Some(KeyMark([0; 16])), ..Secured::default() }.into());
    assert!(chain.policy().keys.vouch_for(&peer), "a certificate, or nothing at all");
}
