use dtls::{ClientCertificate, Engine, EngineError, Proof, Refusal, SessionEvent, Settings};

use super::world::{Authority, TestKeys, World, dev1};
use crate::engine::MbedEngine;
use crate::ffi::testing::Wishes;

fn settings(authority: &Authority, client_certificate: ClientCertificate) -> Settings {
    Settings {
        certificates: vec![authority.issue("server")],
        client_ca: vec![authority.pem.clone()],
        client_certificate,
        ..Settings::default()
    }
}

/// The proof of a client's handshake, or why it was refused.
fn outcome(world: &mut World, wishes: &Wishes) -> Result<Proof, Refusal> {
    let mut peer = world.peer("192.0.2.1:1000", wishes);
    world.settle(&mut peer);
    match std::mem::take(&mut world.events).pop() {
        Some(SessionEvent::Opened { identity, .. }) => Ok(identity.proof.clone()),
        Some(SessionEvent::Refused { refusal, .. }) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_must_have_a_certificate_where_one_is_required() {
    let (authority, stranger) = (Authority::new("CA"), Authority::new("Stranger"));
    let mut world = World::new(&settings(&authority, ClientCertificate::Required));
    let wishes = Wishes { ca: Some(authority.pem.clone()), ..Wishes::default() };
    let with = |certificate| Wishes { certificate: Some(certificate), ..wishes.clone() };
    let refused = |why: &str| Err(Refusal::Certificate(why.to_owned()));
    assert!(matches!(outcome(&mut world, &with(authority.issue("device"))), Ok(Proof::Certificate(_))));
    assert_eq!(outcome(&mut world, &wishes), refused("there is none"));
    let untrusted = outcome(&mut world, &with(stranger.issue("device")));
    assert_eq!(untrusted, refused("it is not from a CA that is trusted"));
    assert_eq!(outcome(&mut world, &with(authority.expired("device"))), refused("it has expired"));
}

#[test]
fn a_client_may_have_none_where_it_is_optional_but_no_bad_one() {
    let (authority, stranger) = (Authority::new("CA"), Authority::new("Stranger"));
    let mut world = World::new(&settings(&authority, ClientCertificate::Optional));
    let wishes = Wishes { ca: Some(authority.pem.clone()), ..Wishes::default() };
    let with = |certificate| Wishes { certificate: Some(certificate), ..wishes.clone() };
    assert_eq!(outcome(&mut world, &wishes), Ok(Proof::Nothing));
    assert!(matches!(outcome(&mut world, &with(authority.issue("device"))), Ok(Proof::Certificate(_))));
    for bad in [stranger.issue("device"), authority.expired("device")] {
        assert!(matches!(outcome(&mut world, &with(bad)), Err(Refusal::Certificate(_))));
    }
}

/// In libcoap a certificate that could not be judged ended the process: the callback did not find its session.
#[test]
fn cve_2025_65499_a_certificate_that_is_not_trusted_ends_one_handshake_and_no_more() {
    let (authority, stranger) = (Authority::new("CA"), Authority::new("Stranger"));
    let mut world = World::new(&settings(&authority, ClientCertificate::Required));
    let wishes = Wishes { ca: Some(authority.pem.clone()), ..Wishes::default() };
    let with = |certificate| Wishes { certificate: Some(certificate), ..wishes.clone() };
    for _ in 0..20 {
        assert!(matches!(outcome(&mut world, &with(stranger.issue("device"))), Err(Refusal::Certificate(_))));
    }
    assert!(matches!(outcome(&mut world, &with(authority.issue("device"))), Ok(Proof::Certificate(_))));
    assert_eq!((world.engine.counts().half_open, world.engine.sessions()), (0, 1));
}

#[test]
fn a_certificate_is_looked_at_again_when_its_session_is_resumed() {
    let authority = Authority::new("CA");
    let mut world = World::new(&settings(&authority, ClientCertificate::Required));
    let wishes = Wishes {
        ca: Some(authority.pem.clone()),
        certificate: Some(authority.issue("device")),
        ..Wishes::default()
    };
    let (peer, _) = world.open("192.0.2.1:1000", &wishes);
    let back = peer.ticket();
    let mut peer = world.resuming("192.0.2.1:2000", &wishes, Some(&back));
    world.settle(&mut peer);
    assert!(peer.is_open);
    use dtls::Engine;
    assert_eq!(world.engine.counts().resumed, 1);
    // The CA is not trusted any more.
    let other = Authority::new("Other");
    let changed =
        Settings { client_ca: vec![other.pem], ..settings(&authority, ClientCertificate::Required) };
    world.engine.reconfigure(&changed).unwrap();
    let mut peer = world.resuming("192.0.2.1:3000", &wishes, Some(&back));
    world.settle(&mut peer);
    assert_eq!(world.engine.counts().resumed, 1);
    assert!(matches!(
        world.events.last(),
        Some(SessionEvent::Refused { refusal: Refusal::Certificate(_), .. })
    ));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let authority = Authority::new("CA");
    let refused = |settings: Settings| {
        MbedEngine::new(&settings, std::time::Instant::now()).err().expect("it is refused")
    };
    let good = settings(&authority, ClientCertificate::Required);
    assert_eq!(refused(Settings::default()), EngineError::NothingToShow);
    assert_eq!(refused(Settings { client_ca: Vec::new(), ..good.clone() }), EngineError::NoClientCa);
    let ca = Settings { client_ca: vec![b"none".to_vec()], ..good.clone() };
    assert!(matches!(refused(ca), EngineError::ClientCa(_)));
    let mut other = good.clone();
    other.certificates[0].key = authority.issue("other").key;
    assert!(matches!(refused(other), EngineError::PrivateKey(_)));
    let mut none = good.clone();
    none.certificates[0].chain = b"-----BEGIN CERTIFICATE-----\n".to_vec();
    assert!(matches!(refused(none), EngineError::Certificate(_)));
    let suites = |name: &str| vec![name.to_owned()];
    let unknown = Settings { cipher_suites: suites("TLS_NULL_WITH_NULL_NULL"), ..good.clone() };
    assert!(matches!(refused(unknown), EngineError::UnknownSuite(..)));
    let useless = Settings { cipher_suites: suites("TLS_PSK_WITH_AES_128_CCM_8"), ..good.clone() };
    assert!(matches!(refused(useless), EngineError::NoSuite(_)));
    assert!(matches!(refused(Settings { connection_id_length: 33, ..good.clone() }), EngineError::Range(..)));
    let idle_timeout = Some(std::time::Duration::MAX);
    assert!(matches!(refused(Settings { idle_timeout, ..good }), EngineError::Range(..)));
}

#[test]
fn where_there_are_revocation_lists_each_ca_must_have_one_and_it_counts() {
    let authority = Authority::new("CA");
    let revoked = authority.issue("revoked");
    let world = |crl: Vec<u8>| {
        World::new(&Settings { crl: vec![crl], ..settings(&authority, ClientCertificate::Required) })
    };
    let with = |certificate: &dtls::Certificate| Wishes {
        ca: Some(authority.pem.clone()),
        certificate: Some(certificate.clone()),
        ..Wishes::default()
    };
    let refused = |why: &str| Err(Refusal::Certificate(why.to_owned()));
    let mut strict = world(authority.revoke("revoked"));
    assert_eq!(outcome(&mut strict, &with(&revoked)), refused("it is revoked"));
    assert!(matches!(outcome(&mut strict, &with(&authority.issue("good"))), Ok(Proof::Certificate(_))));
    let stranger = Authority::new("Stranger");
    let mut other = world(stranger.revoke("x"));
    let why = "there is no revocation list of its CA, or none that the CA has signed";
    assert_eq!(outcome(&mut other, &with(&authority.issue("good"))), refused(why));
}

#[test]
fn a_session_of_a_key_is_that_of_the_key_whatever_suite_it_comes_back_with() {
    let authority = Authority::new("CA");
    let psk: std::sync::Arc<TestKeys> = TestKeys::with(&["dev1"]);
    let both = Settings { psk: Some(psk), ..settings(&authority, ClientCertificate::Required) };
    let mut world = World::new(&both);
    let (peer, _) =
        world.open("192.0.2.1:1000", &Wishes { suite: Some("TLS_PSK_WITH_AES_128_GCM_SHA256"), ..dev1() });
    let back = peer.ticket();
    let suite = Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    let wishes = Wishes { suite, ca: Some(authority.pem.clone()), ..Wishes::default() };
    world.events.clear();
    let mut peer = world.resuming("192.0.2.1:2000", &wishes, Some(&back));
    world.settle(&mut peer);
    let proofs = world.events.iter().filter_map(|event| match event {
        SessionEvent::Opened { identity, .. } => Some(identity.proof.clone()),
        _ => None,
    });
    assert!(proofs.into_iter().all(|proof| proof == Proof::Key("dev1".into())));
}

#[test]
fn a_certificate_travels_in_datagrams_as_short_as_the_way_is() {
    let authority = Authority::new("CA");
    let mut world = World::new(&Settings { mtu: 256, ..settings(&authority, ClientCertificate::Required) });
    let wishes = Wishes {
        ca: Some(authority.pem.clone()),
        certificate: Some(authority.issue("device")),
        ..Wishes::default()
    };
    let mut peer = world.peer("192.0.2.1:1000", &wishes);
    let mut lengths = Vec::new();
    while !peer.output.is_empty() {
        for datagram in std::mem::take(&mut peer.output) {
            for (_, answer) in world.deliver(&datagram, peer.address) {
                lengths.push(answer.len());
                peer.take(&answer, world.now);
            }
        }
    }
    assert!(peer.is_open && lengths.len() > 4, "{lengths:?}");
    // The last flight carries a ticket, which is sent under the same limit.
    assert!(lengths.iter().all(|length| *length <= 256), "{lengths:?}");
}

#[test]
fn a_key_is_enough_where_certificates_are_required() {
    let authority = Authority::new("CA");
    let psk: std::sync::Arc<TestKeys> = TestKeys::with(&["dev1"]);
    let both = Settings { psk: Some(psk), ..settings(&authority, ClientCertificate::Required) };
    let mut world = World::new(&both);
    let wishes = Wishes { suite: Some("TLS_PSK_WITH_AES_128_CCM_8"), ..dev1() };
    assert_eq!(outcome(&mut world, &wishes), Ok(Proof::Key("dev1".into())));
}
