use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::authority::{Authority, Folder, Pair, Wish, shown};
use crate::{Certificates, ClientCertificate, Config};

const NONE: ClientCertificate = ClientCertificate::None;

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let wild = Wish { names: &["*.example.com"], common_name: "wild", ..Wish::default() };
    let certificates = folder.load(&Config {
        certificates: vec![
            folder.certificate("first", &ca.server("first.example")),
            folder.certificate("wild", &ca.certify(&wild)),
            folder.certificate("exact", &ca.server("exact.example.net")),
        ],
        ..Config::default()
    });
    let client = folder.client(&ca, None);
    for (name, subject) in [
        ("exact.example.net", "exact.example.net"),
        ("EXACT.example.net", "exact.example.net"),
        ("a.example.com", "wild"),
    ] {
        let mut pair = Pair::named(&certificates, &client, name);
        pair.run().unwrap();
        assert_eq!(shown(&pair), subject, "{name}");
    }
}

#[test]
fn a_name_that_no_certificate_has_gets_the_first_which_the_client_judges() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let wild = Wish { names: &["*.example.com"], common_name: "wild", ..Wish::default() };
    let certificates = folder.load(&Config {
        certificates: vec![
            folder.certificate("first", &ca.server("first.example")),
            folder.certificate("wild", &ca.certify(&wild)),
        ],
        ..Config::default()
    });
    for name in ["a.b.example.com", "example.com", "other.example", "127.0.0.1"] {
        let witness = Arc::new(Witness::default());
        let _ = Pair::named(&certificates, &witness.clone().client(), name).run();
        let seen = witness.seen.lock().unwrap();
        assert_eq!(seen.0.as_deref(), Some("first.example"), "{name}");
    }
}

#[test]
fn the_client_is_given_the_ocsp_response_of_the_file() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let mut config = folder.server(&ca, NONE);
    let response = [0x30, 0x05, 0x0A, 0x01, 0x00, 0xA0, 0x00];
    config.certificates[0].ocsp = folder.write("server.ocsp", response);
    let certificates = folder.load(&config);
    let witness = Arc::new(Witness::default());
    Pair::new(&certificates, &witness.clone().client()).run().unwrap();
    assert_eq!(witness.seen.lock().unwrap().1, response);

    let error = [0x30, 0x03, 0x0A, 0x01, 0x06];
    folder.write("server.ocsp", error);
    let problem = Certificates::load(&config, folder.0.path()).unwrap_err().to_string();
    assert!(problem.contains("server.ocsp: is no successful OCSP response; fix: "), "{problem}");
}

#[test]
fn what_cannot_be_used_is_refused_with_file_cause_and_fix() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let good = folder.server(&ca, NONE);
    let problem = |config: &Config| Certificates::load(config, folder.0.path()).unwrap_err().to_string();
    let with = |change: &dyn Fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        problem(&config)
    };
    let nowhere = PathBuf::from("/nowhere/x.pem");
    let missing = with(&|config| config.certificates[0].chain = nowhere.clone());
    assert!(missing.starts_with("/nowhere/x.pem: there is no such file; fix: "), "{missing}");
    let other = folder.certificate("other", &ca.server("other"));
    let swapped = with(&|config| config.certificates[0].key = other.key.clone());
    assert!(swapped.contains("other.key: the key is not that of the certificate in "), "{swapped}");
    let empty = folder.write("empty", "");
    let no_chain = with(&|config| config.certificates[0].chain = empty.clone());
    assert!(no_chain.contains("empty: holds no certificate"), "{no_chain}");
    let no_key = with(&|config| config.certificates[0].key = empty.clone());
    assert!(no_key.contains("empty: holds no private key"), "{no_key}");
    let sealed = folder.write(
        "sealed",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let encrypted = with(&|config| config.certificates[0].key = sealed.clone());
    assert!(encrypted.contains("sealed: the private key is encrypted; fix: "), "{encrypted}");
    let no_ca = with(&|config| {
        config.client_ca = PathBuf::new();
        config.client_certificate = ClientCertificate::Required;
    });
    assert!(no_ca.contains("no CA is trusted; fix: "), "{no_ca}");
    let suite = with(&|config| config.cipher_suites = vec!["TLS_RSA_WITH_RC4_128_MD5".to_owned()]);
    assert!(
        suite.contains("\"TLS_RSA_WITH_RC4_128_MD5\" is not known; known: TLS_AES_256_GCM_SHA384"),
        "{suite}"
    );
}

#[test]
fn only_the_named_cipher_suites_are_offered() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let mut config = folder.server(&ca, NONE);
    config.cipher_suites = vec!["TLS_CHACHA20_POLY1305_SHA256".to_owned()];
    let mut pair = Pair::new(&folder.load(&config), &folder.client(&ca, None));
    pair.run().unwrap();
    assert_eq!(&*crate::secured(&pair.server).unwrap().cipher, "TLS_CHACHA20_POLY1305_SHA256");
}

#[test]
fn what_was_made_for_a_listener_is_used_again() {
    let folder = Folder::new();
    let certificates = folder.load(&Config::default());
    let mqtt = certificates.server_config(&[b"mqtt"]);
    assert!(Arc::ptr_eq(&mqtt, &certificates.server_config(&[b"mqtt"])));
    assert_eq!(mqtt.max_early_data_size, 0);
    assert!(!Arc::ptr_eq(&mqtt, &certificates.server_config(&[])));
    let early = certificates.quic_config(&[b"mqtt"], crate::EarlyData::Accept).unwrap();
    assert!(early.max_early_data_size > 0 && !early.ticketer.enabled());
    let late = certificates.quic_config(&[b"mqtt"], crate::EarlyData::Refuse).unwrap();
    assert_eq!(late.max_early_data_size, 0);
}

/// A client that takes every certificate, and remembers its name and what came with it.
#[derive(Debug, Default)]
struct Witness {
    seen: Mutex<(Option<String>, Vec<u8>)>,
}

impl Witness {
    fn client(self: Arc<Self>) -> Arc<rustls::ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().dangerous();
        builder.with_custom_certificate_verifier(self).with_no_client_auth().into()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = crate::certificate(end_entity).and_then(|certificate| certificate.common_name);
        *self.seen.lock().unwrap() = (name.map(|name| name.to_string()), ocsp_response.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
