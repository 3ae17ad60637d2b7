//! Enhanced authentication, with a client of the test's own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use broker::Exchange;
use bytes::Bytes;

use super::*;
use crate::scram::{Credential, Mechanism};

fn with_scram(mechanisms: &[Mechanism]) -> Config {
    let scram = mechanisms
        .iter()
        .map(|mechanism| Credential::derive(*mechanism, b"pencil", b"salt of the test", 4096).to_string());
    let ann = User { password_hash: String::new(), scram: scram.collect(), ..user("ann", "") };
    Config { anonymous: Anonymous::Never, users: vec![ann], ..Config::default() }
}

fn step(method: &str, data: impl Into<Bytes>) -> EnhancedAuthentication {
    EnhancedAuthentication { method: method.into(), data: data.into() }
}

fn begin(chain: &AuthChain, method: &str, first: &str) -> Result<(String, Box<dyn Exchange>), Reason> {
    let mut attempt = attempt(None, None, ELSEWHERE);
    attempt.credentials.enhanced = Some(step(method, first.to_owned()));
    match chain.authenticate(&attempt) {
        Answer::Now(Authentication::Challenge(challenge, exchange)) => {
            assert_eq!(&*challenge.method, method);
            Ok((String::from_utf8(challenge.data.to_vec()).unwrap(), exchange))
        }
        Answer::Now(Authentication::Refuse(reason)) => Err(reason),
        _ => panic!("neither a challenge nor a refusal"),
    }
}

/// The client's last message for what the server said.
fn last(mechanism: Mechanism, name: &str, password: &str, challenge: &str) -> String {
    let fields: Vec<_> = challenge.split(',').collect();
    let [nonce, salt, iterations] = fields[..] else { panic!("{challenge}") };
    let salt = STANDARD.decode(salt.strip_prefix("s=").unwrap()).unwrap();
    let iterations = iterations.strip_prefix("i=").unwrap().parse().unwrap();
    let message = format!("n={name},r=mine,{challenge},c=biws,{nonce}");
    let proof = mechanism.proof(password.as_bytes(), &salt, iterations, message.as_bytes());
    format!("c=biws,{nonce},p={}", STANDARD.encode(proof))
}

async fn log_in(
    chain: &AuthChain,
    mechanism: Mechanism,
    name: &str,
    password: &str,
) -> Result<Identity, Reason> {
    let (challenge, exchange) = begin(chain, mechanism.name(), &format!("n,,n={name},r=mine"))?;
    assert!(challenge.starts_with("r=mine") && challenge.len() > 60, "{challenge}");
    let last = last(mechanism, name, password, &challenge);
    match exchange.proceed(step(mechanism.name(), last)).finish().await {
        Authentication::Accept(identity) => Ok(identity),
        Authentication::Refuse(reason) => Err(reason),
        Authentication::Challenge(..) => panic!("there is no third step"),
    }
}

#[tokio::test]
async fn a_user_comes_in_by_scram_and_hears_that_the_server_knows_it() {
    let chain = AuthChain::new(&with_scram(&Mechanism::ALL)).unwrap();
    for mechanism in Mechanism::ALL {
        let identity = log_in(&chain, mechanism, "ann", "pencil").await.unwrap();
        assert_eq!(identity.username.as_deref(), Some("ann"));
        let completion = identity.completion.unwrap();
        assert_eq!(&*completion.method, mechanism.name());
        assert!(completion.data.starts_with(b"v="));
        assert_eq!(log_in(&chain, mechanism, "ann", "pencils").await, Err(Reason::BadCredentials));
        assert_eq!(log_in(&chain, mechanism, "eve", "pencil").await, Err(Reason::BadCredentials));
    }
}

#[tokio::test]
async fn a_user_that_is_not_there_is_asked_as_one_that_is() {
    let salt_of = |chain: &AuthChain, name: &str| {
        let (challenge, _) = begin(chain, "SCRAM-SHA-256", &format!("n,,n={name},r=mine")).unwrap();
        challenge.split_once(",s=").unwrap().1.to_owned()
    };
    let config = with_scram(&[Mechanism::Sha256]);
    let (chain, restarted) = (AuthChain::new(&config).unwrap(), AuthChain::new(&config).unwrap());
    for name in ["ann", "eve"] {
        assert_eq!(salt_of(&chain, name), salt_of(&restarted, name), "{name}");
    }
    assert_ne!(salt_of(&chain, "eve"), salt_of(&chain, "mallory"));
    assert_eq!(salt_of(&chain, "eve").len(), salt_of(&chain, "ann").len());
}

#[tokio::test]
async fn a_method_that_nobody_has_or_that_changes_is_refused() {
    let chain = AuthChain::new(&with_scram(&[Mechanism::Sha256])).unwrap();
    for method in ["SCRAM-SHA-512", "SCRAM-SHA-1", "scram-sha-256", ""] {
        let refused = begin(&chain, method, "n,,n=ann,r=mine").err();
        assert_eq!(refused, Some(Reason::BadAuthenticationMethod), "{method}");
    }
    for first in ["", "p=tls-exporter,,n=ann,r=mine", "n,,n=\u{e9},r=mine"] {
        assert_eq!(begin(&chain, "SCRAM-SHA-256", first).err(), Some(Reason::BadCredentials), "{first}");
    }
    let (challenge, exchange) = begin(&chain, "SCRAM-SHA-256", "n,,n=ann,r=mine").unwrap();
    let last = last(Mechanism::Sha256, "ann", "pencil", &challenge);
    let judged = exchange.proceed(step("SCRAM-SHA-512", last)).finish().await;
    assert!(matches!(judged, Authentication::Refuse(Reason::BadAuthenticationMethod)));
}

#[tokio::test]
async fn a_user_that_is_taken_out_during_the_exchange_does_not_come_in() {
    let chain = AuthChain::new(&with_scram(&[Mechanism::Sha256])).unwrap();
    let (challenge, exchange) = begin(&chain, "SCRAM-SHA-256", "n,,n=ann,r=mine").unwrap();
    chain.reload(&Config { users: vec![user("bob", "x")], ..Config::default() }).unwrap();
    let last = last(Mechanism::Sha256, "ann", "pencil", &challenge);
    let judged = exchange.proceed(step("SCRAM-SHA-256", last)).finish().await;
    assert!(matches!(judged, Authentication::Refuse(Reason::BadCredentials)));
}

#[tokio::test]
async fn who_has_only_scram_has_no_password_to_show() {
    let chain = AuthChain::new(&with_scram(&[Mechanism::Sha256])).unwrap();
    for password in ["pencil", ""] {
        let judged = judge(&chain, &attempt(Some("ann"), Some(password), ELSEWHERE)).await;
        assert_eq!(judged, Err(Reason::BadCredentials));
    }
    let mut config = with_scram(&[Mechanism::Sha256]);
    let twice = config.users[0].scram[0].clone();
    config.users[0].scram.push(twice);
    let fault = AuthChain::new(&config).err().unwrap().to_string();
    assert_eq!(fault, "access.users[1].scram: there are two for SCRAM-SHA-256; take one of them out");
}

#[tokio::test]
async fn who_came_in_by_a_credential_that_changed_or_went_does_not_stay() {
    let config = with_scram(&Mechanism::ALL);
    let chain = AuthChain::new(&config).unwrap();
    let mut clients = Vec::new();
    for mechanism in Mechanism::ALL {
        let identity = log_in(&chain, mechanism, "ann", "pencil").await.unwrap();
        clients.push(bans::client("c1", identity, ELSEWHERE));
    }
    let stay = || clients.iter().map(|client| chain.still_proved(client)).collect::<Vec<_>>();
    let reload = |scram: Vec<String>, password: &str| {
        let users = vec![User { scram, ..user("ann", password) }];
        chain.reload(&Config { users, ..config.clone() }).unwrap();
    };
    let [sha_256, sha_512] = &config.users[0].scram[..] else { panic!("two credentials") };
    reload(vec![sha_256.clone(), sha_512.clone()], "a password as well");
    assert_eq!(stay(), [true, true]);
    let other = Credential::derive(Mechanism::Sha256, b"pencil", b"another salt", 4096).to_string();
    reload(vec![other, sha_512.clone()], "");
    assert_eq!(stay(), [false, true]);
    reload(vec![], "");
    assert_eq!(stay(), [false, false]);
}
