use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dtls::{Certificate, Effects, Engine, Key, Keys, Proof, ServerNames, SessionEvent, SessionId, Settings};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};
use zeroize::Zeroizing;

use crate::engine::MbedEngine;
use crate::ffi::testing::{Ticket, Wishes, client, ticket};
use crate::ffi::{Context, Read, Step};

/// An engine, and the time.
pub(super) struct World {
    pub(super) engine: MbedEngine,
    pub(super) now: Instant,
    pub(super) events: Vec<SessionEvent>,
    /// How long the engine has worked on datagrams.
    pub(super) spent: Duration,
    /// How long the longest step of a handshake took.
    pub(super) longest: Duration,
}

/// A client at its address.
pub(super) struct Peer {
    pub(super) context: Context,
    pub(super) address: SocketAddr,
    pub(super) is_open: bool,
    pub(super) failed: bool,
    pub(super) received: Vec<Vec<u8>>,
    /// What it has sent and the network has not brought yet.
    pub(super) output: Vec<Vec<u8>>,
}

/// Keys that a test may change.
#[derive(Default)]
pub(super) struct TestKeys(pub(super) Mutex<HashMap<String, Vec<u8>>>);

/// A CA.
pub(super) struct Authority {
    pub(super) pem: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

pub(super) const SECRET: &[u8] = b"secretPSK";

impl Keys for TestKeys {
    fn key(&self, identity: &str) -> Option<Key> {
        assert!(identity != "panic", "the keys cannot be read");
        self.0.lock().unwrap().get(identity).cloned().and_then(Key::new)
    }
}

impl TestKeys {
    pub(super) fn with(identities: &[&str]) -> Arc<Self> {
        let keys = identities.iter().map(|identity| ((*identity).to_owned(), SECRET.to_vec()));
        Arc::new(Self(Mutex::new(keys.collect())))
    }
}

impl World {
    pub(super) fn new(settings: &Settings) -> Self {
        let now = Instant::now();
        Self {
            engine: MbedEngine::new(settings, now).unwrap(),
            now,
            events: Vec::new(),
            spent: Duration::ZERO,
            longest: Duration::ZERO,
        }
    }

    /// With the key of `dev1`.
    pub(super) fn with_key(settings: Settings) -> Self {
        Self::new(&Settings { psk: Some(TestKeys::with(&["dev1"])), ..settings })
    }

    /// A client that has begun its handshake.
    pub(super) fn peer(&self, address: &str, wishes: &Wishes) -> Peer {
        self.resuming(address, wishes, None)
    }

    pub(super) fn resuming(&self, address: &str, wishes: &Wishes, back: Option<&Ticket>) -> Peer {
        let mut peer = Peer {
            context: client(wishes, back, self.now),
            address: address.parse().unwrap(),
            is_open: false,
            failed: false,
            received: Vec::new(),
            output: Vec::new(),
        };
        peer.take(&[], self.now);
        peer
    }

    /// A client whose handshake is done, and its session.
    pub(super) fn open(&mut self, address: &str, wishes: &Wishes) -> (Peer, SessionId) {
        let mut peer = self.peer(address, wishes);
        self.settle(&mut peer);
        assert!(peer.is_open, "{:?}", self.events);
        let session = self.opened();
        (peer, session)
    }

    /// The session that was opened last.
    pub(super) fn opened(&self) -> SessionId {
        let opened = self.events.iter().rev().find_map(|event| match event {
            SessionEvent::Opened { session, .. } => Some(*session),
            _ => None,
        });
        opened.unwrap()
    }

    /// What the peer of the session that was opened last has proved.
    pub(super) fn proof(&self) -> Proof {
        let opened = self.events.iter().rev().find_map(|event| match event {
            SessionEvent::Opened { identity, .. } => Some(identity.proof.clone()),
            _ => None,
        });
        opened.unwrap()
    }

    /// Brings datagrams to and fro until there are none.
    pub(super) fn settle(&mut self, peer: &mut Peer) {
        while !peer.output.is_empty() {
            for datagram in std::mem::take(&mut peer.output) {
                for (to, answer) in self.deliver(&datagram, peer.address) {
                    assert_eq!(to, peer.address);
                    peer.take(&answer, self.now);
                }
            }
        }
    }

    /// Brings one datagram to the engine; returns what it sends.
    pub(super) fn deliver(&mut self, datagram: &[u8], from: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut effects = Effects::new();
        let began = Instant::now();
        self.engine.receive(datagram, from, self.now, &mut effects);
        let mut works = true;
        while works {
            let began = Instant::now();
            works = self.engine.work(self.now, &mut effects);
            self.longest = self.longest.max(began.elapsed());
        }
        self.spent += began.elapsed();
        self.events.append(&mut effects.events);
        effects.datagrams
    }

    pub(super) fn send(&mut self, session: SessionId, plaintext: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut effects = Effects::new();
        self.engine.send(session, plaintext, self.now, &mut effects);
        self.events.append(&mut effects.events);
        effects.datagrams
    }

    /// Turns the clock, and lets the engine do what is due.
    pub(super) fn wait(&mut self, time: Duration) -> Vec<(SocketAddr, Vec<u8>)> {
        let end = self.now + time;
        let mut effects = Effects::new();
        while let Some(deadline) = self.engine.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.engine.expire(self.now, &mut effects);
        }
        self.now = end;
        self.events.append(&mut effects.events);
        effects.datagrams
    }

    /// What was decrypted since the last time.
    pub(super) fn received(&mut self) -> Vec<(SessionId, Vec<u8>)> {
        let events = std::mem::take(&mut self.events).into_iter();
        let received = events.filter_map(|event| match event {
            SessionEvent::Received { session, plaintext } => Some((session, plaintext)),
            _ => None,
        });
        received.collect()
    }
}

impl Peer {
    /// Takes a datagram; without one, begins or looks at its timers.
    pub(super) fn take(&mut self, datagram: &[u8], now: Instant) {
        if !self.is_open {
            match self.context.handshake(datagram, now, &mut self.output) {
                Step::Done => self.is_open = true,
                Step::Waiting => {}
                Step::Failed(_) => self.failed = true,
            }
            return;
        }
        let mut buffer = vec![0; 16_384];
        match self.context.read(datagram, now, &mut self.output, &mut buffer) {
            Read::Plaintext(length) => self.received.push(buffer[..length].to_vec()),
            Read::Nothing => {}
            Read::Failed(_) => self.failed = true,
        }
    }

    /// One encrypted record.
    pub(super) fn encrypt(&mut self, plaintext: &[u8], now: Instant) -> Vec<u8> {
        let mut output = Vec::new();
        self.context.write(plaintext, now, &mut output).unwrap();
        output.concat()
    }

    pub(super) fn ticket(&self) -> Ticket {
        ticket(&self.context)
    }
}

/// A client with the key of `dev1`.
pub(super) fn dev1() -> Wishes {
    Wishes { key: Some(("dev1", SECRET.to_vec())), ..Wishes::default() }
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).unwrap().pem().into_bytes();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for servers and clients.
    pub(super) fn issue(&self, name: &str) -> Certificate {
        let key = KeyPair::generate().unwrap();
        self.certify(name, &key, |_| ())
    }

    /// One for a server of this DNS name.
    pub(super) fn issue_for(&self, name: &str) -> Certificate {
        let key = KeyPair::generate().unwrap();
        self.certify_for(name, &key)
    }

    /// The same with an Ed25519 key.
    pub(super) fn issue_ed25519_for(&self, name: &str) -> Certificate {
        self.certify_for(name, &KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap())
    }

    /// The same with an RSA key.
    pub(super) fn issue_rsa_for(&self, name: &str) -> Certificate {
        self.certify_for(name, &KeyPair::from_pem(include_str!("rsa.pem")).unwrap())
    }

    fn certify_for(&self, name: &str, key: &KeyPair) -> Certificate {
        let alternative = SanType::DnsName(name.try_into().unwrap());
        let made = self.certify(name, key, |params| params.subject_alt_names = vec![alternative]);
        Certificate { names: ServerNames(vec![name.to_owned()]), ..made }
    }

    pub(super) fn expired(&self, name: &str) -> Certificate {
        let key = KeyPair::generate().unwrap();
        self.certify(name, &key, |params| params.not_after = date_time_ymd(2021, 1, 1))
    }

    /// One with an RSA key, which is the same in every test since it takes long to make.
    pub(super) fn issue_rsa(&self, name: &str) -> Certificate {
        let key = KeyPair::from_pem(include_str!("rsa.pem")).unwrap();
        self.certify(name, &key, |_| ())
    }

    /// A revocation list with the certificates of one name.
    pub(super) fn revoke(&self, name: &str) -> Vec<u8> {
        let revoked = RevokedCertParams {
            serial_number: Self::serial(name),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2050, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap().into_bytes()
    }

    /// All certificates of a name have the same.
    fn serial(name: &str) -> SerialNumber {
        SerialNumber::from(name.bytes().map(u64::from).sum::<u64>())
    }

    fn certify(&self, name: &str, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.serial_number = Some(Self::serial(name));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let chain = params.signed_by(key, &self.issuer).unwrap().pem().into_bytes();
        Certificate {
            chain,
            key: Zeroizing::new(key.serialize_pem().into_bytes()),
            names: ServerNames::default(),
        }
    }
}
