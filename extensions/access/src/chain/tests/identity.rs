//! Names, attributes and mountpoints that go with being a client.

use bus::{Carrier, Certificate, Link, Secured};

use super::*;
use crate::config;

fn certificate(common_name: Option<&str>) -> Certificate {
    Certificate {
        common_name: common_name.map(Into::into),
        subject: "CN=device-1,O=Acme".into(),
        alternative_names: vec!["device-1.example".into(), "192.0.2.1".into()],
        fingerprint: [0xAB; 32],
    }
}

fn with_certificate(common_name: Option<&str>) -> Attempt {
    let secured = Secured { certificate: Some(certificate(common_name)), ..Secured::default() };
    let mut attempt = attempt(Some("mallory"), Some("x"), ELSEWHERE);
    Arc::make_mut(&mut attempt.peer).link = Link { carrier: Carrier::Tls, secured: Some(secured.into()) };
    attempt
}

fn identified(username_from: &str, client_id_from: &str, mountpoint: &str) -> Config {
    let identity = config::Identity {
        username_from: username_from.into(),
        psk_username: true,
        client_id_from: client_id_from.into(),
        mountpoint: mountpoint.into(),
    };
    Config { anonymous: Anonymous::Never, identity, ..Config::default() }
}

fn fault(config: &Config) -> String {
    AuthChain::new(config).err().unwrap().to_string()
}

#[tokio::test]
async fn a_certificate_stands_for_a_user_name_and_password() {
    let hex = "ab".repeat(32);
    for (from, name) in [
        ("common-name", "device-1"),
        ("subject", "CN=device-1,O=Acme"),
        ("alternative-name", "device-1.example"),
        ("fingerprint", hex.as_str()),
    ] {
        let chain = AuthChain::new(&identified(from, "", "")).unwrap();
        assert_eq!(judge(&chain, &with_certificate(Some("device-1"))).await, Ok(named(name)), "{from}");
    }
    let chain = AuthChain::new(&identified("common-name", "", "")).unwrap();
    for name in [None, Some(""), Some("a\0b")] {
        assert_eq!(judge(&chain, &with_certificate(name)).await, Err(Reason::NotAuthorized), "{name:?}");
    }
    let without = judge(&chain, &attempt(Some("device-1"), Some("x"), ELSEWHERE)).await;
    assert_eq!(without, Err(Reason::NotAuthorized), "a name without a certificate is nobody's");
}

#[tokio::test]
async fn a_certificate_counts_only_where_it_is_said_to() {
    let mut config = identified("", "", "");
    let listener = Listener { username_from: Some("common-name".into()), ..Listener::default() };
    config.listeners = [("tls".to_owned(), listener)].into();
    config.users = vec![User { superuser: true, ..user("device-1", "secret") }];
    let chain = AuthChain::new(&config).unwrap();
    let mut attempt = with_certificate(Some("device-1"));
    assert_eq!(judge(&chain, &attempt).await, Err(Reason::BadCredentials));
    Arc::make_mut(&mut attempt.peer).listener = "tls".into();
    let found = judge(&chain, &attempt).await.unwrap();
    assert_eq!((found.username.as_deref(), found.superuser), (Some("device-1"), true));
}

#[tokio::test]
async fn the_client_id_may_come_from_the_name_or_the_certificate() {
    let mut config = identified("common-name", "username", "");
    let id = |name| Identity { client_id: ClientId::parse(name).map(Box::new), ..named("device-1") };
    let chain = AuthChain::new(&config).unwrap();
    assert_eq!(judge(&chain, &with_certificate(Some("device-1"))).await, Ok(id("device-1")));
    config.identity.client_id_from = "alternative-name".into();
    let chain = AuthChain::new(&config).unwrap();
    assert_eq!(judge(&chain, &with_certificate(Some("device-1"))).await, Ok(id("device-1.example")));

    let config = Config { anonymous: Anonymous::Everywhere, ..identified("", "username", "") };
    let chain = AuthChain::new(&config).unwrap();
    let nameless = judge(&chain, &attempt(None, None, ELSEWHERE)).await;
    assert_eq!(nameless, Err(Reason::NotAuthorized), "it has no name that could be its id");
}

fn attribute(name: &str, from: &str, regex: &str) -> config::Attribute {
    config::Attribute { name: name.into(), from: from.into(), regex: regex.into() }
}

#[tokio::test]
async fn attributes_come_from_where_they_are_said_to() {
    let mut config = identified("common-name", "", "");
    config.attributes = vec![
        attribute("organization", "subject", ".*O=([^,]+).*"),
        attribute("kind", "client-id", "[a-z]"),
        attribute("digits", "client-id", "[a-z][0-9]+"),
        attribute("site", "user-property:site", ""),
        attribute("server", "server-name", ""),
    ];
    let chain = AuthChain::new(&config).unwrap();
    let mut attempt = with_certificate(Some("device-1"));
    attempt.user_properties = [("x".into(), "y".into()), ("site".into(), "berlin".into())].into();
    let found = judge(&chain, &attempt).await.unwrap().attributes.unwrap();
    let found: Vec<_> = found.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(found, [("digits", "c1"), ("organization", "Acme"), ("site", "berlin")]);
}

/// OSCORE knows whose key it is; nobody has to be asked for a password.
#[tokio::test]
async fn a_key_whose_owner_is_known_stands_for_a_user_name_and_password() {
    let chain = AuthChain::new(&Config { anonymous: Anonymous::Never, ..Config::default() }).unwrap();
    let mut attempt = attempt(None, None, ELSEWHERE);
    assert_eq!(judge(&chain, &attempt).await.err(), Some(Reason::NotAuthorized));
    let secured = Secured { username: Some("sensor-7".into()), ..Secured::default() };
    Arc::make_mut(&mut attempt.peer).link.secured = Some(secured.into());
    assert_eq!(judge(&chain, &attempt).await.unwrap().username.as_deref(), Some("sensor-7"));
}

#[tokio::test]
async fn a_mountpoint_is_filled_in_or_the_client_is_refused() {
    let mut config = identified("common-name", "", "%{tenant}/%u/");
    config.attributes = vec![attribute("tenant", "user-property:tenant", "")];
    let own = User { attributes: [("tenant".into(), "own".into())].into(), ..user("bob", "x") };
    config.users = vec![own];
    let chain = AuthChain::new(&config).unwrap();
    let mut attempt = with_certificate(Some("device-1"));
    for (tenant, mountpoint) in
        [("acme", Some("acme/device-1/")), ("#", None), ("a/b", None), ("", None), ("$SYS", None)]
    {
        attempt.user_properties = [("tenant".into(), tenant.into())].into();
        let found = judge(&chain, &attempt).await;
        match mountpoint {
            Some(mountpoint) => assert_eq!(found.unwrap().mountpoint.as_deref(), Some(mountpoint)),
            None => assert_eq!(found, Err(Reason::NotAuthorized), "{tenant}"),
        }
    }
    attempt.user_properties = [("tenant".into(), "acme".into())].into();
    Arc::make_mut(&mut attempt.peer).link.secured =
        Some(Secured { certificate: Some(certificate(Some("bob"))), ..Secured::default() }.into());
    let found = judge(&chain, &attempt).await.unwrap().mountpoint;
    assert_eq!(found.as_deref(), Some("own/bob/"), "what a user has goes before what a client says");
}

#[test]
fn what_cannot_be_used_is_named() {
    let unproved = fault(&identified("client-id", "", ""));
    assert!(
        unproved.starts_with("access.identity.username_from: \"client-id\" is only what the client says")
    );
    assert!(fault(&identified("", "client-id", "")).contains("access.identity.client_id_from"));
    assert!(fault(&identified("cn", "", "")).contains("unknown origin \"cn\"; known: \"common-name\""));
    assert!(
        fault(&identified("", "", "a/#"))
            .contains("access.identity.mountpoint: \"a/#\" cannot begin a topic")
    );
    assert!(fault(&identified("", "", "$SYS/")).contains("mountpoint"));
    let unknown = fault(&identified("", "", "%{tenant}/"));
    assert!(unknown.contains("there is no attribute \"tenant\"; add it to access.attributes"), "{unknown}");
    let with = |attribute| fault(&Config { attributes: vec![attribute], ..Config::default() });
    assert!(
        with(attribute("a", "username", "(")).starts_with("access.attributes[1].regex: \"(\" is no regular")
    );
    assert!(with(attribute("", "username", "")).starts_with("access.attributes[1].name"));
    assert!(with(attribute("a", "x", "")).starts_with("access.attributes[1].from: unknown origin"));
    let rule = Rule { topics: vec!["%{tenant}/#".into()], ..Rule::default() };
    assert!(
        fault(&Config { rules: vec![rule], ..Config::default() })
            .starts_with("access.rules[1].topics: there is no")
    );
}

#[tokio::test]
async fn who_would_be_mounted_elsewhere_now_does_not_stay() {
    let mut config = identified("common-name", "", "%{tenant}");
    let tenant =
        |name: &str| User { attributes: [("tenant".into(), name.into())].into(), ..user("bob", "x") };
    config.users = vec![tenant("acme")];
    let chain = AuthChain::new(&config).unwrap();
    let identity = judge(&chain, &with_certificate(Some("bob"))).await.unwrap();
    let mut client = Arc::into_inner(bans::client("c1", identity, ELSEWHERE)).unwrap();
    client.peer = with_certificate(Some("bob")).peer;
    for mounted in ["acme", "acme/"] {
        client.identity.mountpoint = Some(mounted.into());
        assert!(chain.still_valid(&client) && chain.still_proved(&client), "{mounted}");
    }
    let mut stays = |change: &dyn Fn(&mut Config)| {
        change(&mut config);
        chain.reload(&config).unwrap();
        chain.still_valid(&client) && chain.still_proved(&client)
    };
    assert!(!stays(&|config| config.identity.mountpoint = "%{tenant}/%u".into()));
    assert!(!stays(&|config| config.identity.mountpoint = String::new()));
    assert!(stays(&|config| config.identity.mountpoint = "%{tenant}/".into()));
    assert!(!stays(&|config| config.users = vec![tenant("other")]));
}
