use dtls::{Certificate, Engine, EngineError, ServerNames, Settings};

use super::world::{Authority, World, dev1};
use crate::engine::MbedEngine;
use crate::ffi::testing::Wishes;

/// Whether a client that asks for a name, and wants a certificate of it, comes in.
fn comes_in(
    world: &mut World,
    authority: &Authority,
    name: &'static str,
    suite: Option<&'static str>,
) -> bool {
    let ca = Some(authority.pem.clone());
    let wishes = Wishes { ca, server_name: Some(name), suite, ..Wishes::default() };
    let mut peer = world.peer("192.0.2.1:1000", &wishes);
    world.settle(&mut peer);
    peer.is_open
}

#[test]
fn the_certificate_is_shown_that_has_the_name() {
    let authority = Authority::new("CA");
    let certificates = ["localhost", "one.example", "*.two.example"].map(|name| authority.issue_for(name));
    let mut world = World::with_key(Settings { certificates: certificates.to_vec(), ..Settings::default() });
    for (name, has_one) in [
        ("localhost", true),
        ("one.example", true),
        ("ONE.example", true),
        ("a.two.example", true),
        ("two.example", false),
        ("a.b.two.example", false),
        ("three.example", false),
    ] {
        assert_eq!(comes_in(&mut world, &authority, name, None), has_one, "{name}");
    }
    // Who asks for another name is shown the first, which says to whom it speaks.
    let mut shown = |name| {
        let mut peer = world.peer("192.0.2.1:2000", &Wishes { server_name: Some(name), ..Wishes::default() });
        world.settle(&mut peer);
        assert!(peer.is_open);
        peer.context.certificate()
    };
    assert_eq!(shown("three.example"), shown("localhost"));
    assert_ne!(shown("three.example"), shown("one.example"));
    // A key needs no certificate.
    world.open("192.0.2.1:3000", &Wishes { server_name: Some("one.example"), ..dev1() });
}

#[test]
fn of_several_with_a_name_that_is_shown_whose_kind_the_client_takes() {
    let authority = Authority::new("CA");
    let certificates = vec![
        authority.issue_for("one.example"),
        authority.issue_rsa_for("one.example"),
        authority.issue_for("two.example"),
    ];
    let mut world = World::with_key(Settings { certificates, ..Settings::default() });
    let rsa = Some("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    let ecdsa = Some("TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8");
    for (name, suite, has_one) in [
        ("one.example", rsa, true),
        ("one.example", ecdsa, true),
        ("two.example", ecdsa, true),
        ("two.example", rsa, false),
    ] {
        assert_eq!(comes_in(&mut world, &authority, name, suite), has_one, "{name} {suite:?}");
    }
    assert_eq!(world.engine.counts().half_open, 0);
}

#[test]
fn a_session_with_one_server_is_none_with_another() {
    for no_tickets in [false, true] {
        let mut world = World::with_key(Settings::default());
        let asking = |name| Wishes { server_name: Some(name), no_tickets, ..dev1() };
        let (peer, _) = world.open("192.0.2.1:1000", &asking("one.example"));
        let back = peer.ticket();
        for (name, resumed) in [("two.example", 0), ("one.example", 1)] {
            let mut peer = world.resuming("192.0.2.1:2000", &asking(name), Some(&back));
            world.settle(&mut peer);
            assert!(peer.is_open);
            assert_eq!(world.engine.counts().resumed, resumed, "{name}");
        }
    }
}

#[test]
fn a_certificate_of_a_kind_that_is_not_known_is_left_out_and_named_if_another_is_left() {
    let authority = Authority::new("CA");
    let strange = authority.issue_ed25519_for("one.example");
    let both = vec![strange.clone(), authority.issue_for("two.example")];
    let mut world = World::with_key(Settings { certificates: both, ..Settings::default() });
    assert!(comes_in(&mut world, &authority, "two.example", None));
    assert!(!comes_in(&mut world, &authority, "one.example", None));
    let left_out = world.engine.left_out();
    assert!(matches!(&left_out[..], [(name, EngineError::UnknownKind(_))] if name == "one.example"));
    let alone = Settings { certificates: vec![strange], ..Settings::default() };
    assert!(matches!(MbedEngine::new(&alone, world.now), Err(EngineError::UnknownKind(_))));
}

/// What went wrong: a certificate was not shown, and nothing told of it, when its chain was too long for DTLS, its key was that of
/// another or its file was damaged.
#[test]
fn a_certificate_that_cannot_be_used_is_refused_though_another_can() {
    let authority = Authority::new("CA");
    let one = authority.issue_for("one.example");
    let long = Certificate { chain: one.chain.repeat(12), ..one.clone() };
    let refused = |strange: Certificate| {
        let certificates = vec![authority.issue_for("two.example"), strange];
        let settings = Settings { certificates, ..Settings::default() };
        MbedEngine::new(&settings, std::time::Instant::now()).err().unwrap().to_string()
    };
    assert!(refused(long).ends_with("and 3840 are possible"));
    let with_key = |key: &[u8]| refused(Certificate { key: key.to_vec().into(), ..one.clone() });
    assert!(with_key(b"none").starts_with("the private key cannot be used"));
    assert!(with_key(&authority.issue_for("one.example").key).starts_with("the private key cannot be used"));
    let damaged = Certificate { chain: b"none".to_vec(), ..one.clone() };
    assert!(refused(damaged).starts_with("the certificate chain cannot be read"));
}

#[test]
fn a_star_stands_for_one_label() {
    let names = ServerNames(vec!["*.example.org".to_owned(), "example.net".to_owned()]);
    for (name, is_meant) in [
        ("a.example.org", true),
        ("example.org", false),
        ("a.b.example.org", false),
        ("example.net", true),
        ("a.example.net", false),
        ("", false),
        ("*", false),
    ] {
        assert_eq!(names.mean(name), is_meant, "{name}");
    }
}
