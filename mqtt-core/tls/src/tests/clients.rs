use bus::Reason;
use rustls::version::TLS12;

use super::authority::{Authority, DAY, Folder, Pair, Wish};
use crate::{Certificates, ClientCertificate, Version, detail, reason, secured};

const REQUIRED: ClientCertificate = ClientCertificate::Required;
const OPTIONAL: ClientCertificate = ClientCertificate::Optional;

#[track_caller]
fn refused(pair: &mut Pair) -> String {
    let error = pair.run().unwrap_err();
    assert_eq!(reason(&error), Reason::CertificateRefused, "{error}");
    detail(&error)
}

#[test]
fn a_client_with_a_certificate_is_known_by_what_it_says() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let certificates = folder.load(&folder.server(&ca, REQUIRED));
    let wish = Wish { names: &["dev.example", "10.0.0.1"], common_name: "device+1", ..Wish::default() };
    let own = ca.certify(&wish);
    let mut pair = Pair::new(&certificates, &folder.client(&ca, Some(&own)));
    pair.run().unwrap();
    let secured = secured(&pair.server).unwrap();
    assert_eq!((&*secured.version, &*secured.cipher), ("TLS 1.3", "TLS_AES_256_GCM_SHA384"));
    assert_eq!(secured.server_name.as_deref(), Some("localhost"));
    let certificate = secured.certificate.unwrap();
    assert_eq!(certificate.common_name.as_deref(), Some("device+1"));
    assert_eq!(&*certificate.subject, "CN=device\\+1,O=Example\\, Inc.");
    let names: Vec<_> = certificate.alternative_names.iter().map(|name| &**name).collect();
    assert_eq!(names, ["dev.example", "10.0.0.1"]);
    let path = folder.path("client.pem");
    let openssl = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(path)
        .output();
    if let Ok(output) = openssl {
        let hex: Vec<_> = certificate.fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.trim_end().ends_with(&hex.join(":")), "{text}");
    }
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let certificates = folder.load(&folder.server(&ca, REQUIRED));
    let detail = refused(&mut Pair::new(&certificates, &folder.client(&ca, None)));
    assert!(detail.contains("has shown no certificate"), "{detail}");
}

#[test]
fn a_client_without_a_certificate_is_let_in_where_it_is_optional() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let certificates = folder.load(&folder.server(&ca, OPTIONAL));
    let mut pair = Pair::new(&certificates, &folder.client(&ca, None));
    assert!(pair.is_alive());
    assert_eq!(secured(&pair.server).unwrap().certificate, None);
}

#[test]
fn a_certificate_of_another_ca_is_refused_even_where_none_is_needed() {
    let (ca, other, folder) = (Authority::new("ca"), Authority::new("other"), Folder::new());
    let certificates = folder.load(&folder.server(&ca, OPTIONAL));
    let client = folder.client(&ca, Some(&other.client("c", 1)));
    let detail = refused(&mut Pair::new(&certificates, &client));
    assert!(detail.contains("not from a CA of client_ca"), "{detail}");
}

#[test]
fn an_expired_certificate_is_refused() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let certificates = folder.load(&folder.server(&ca, REQUIRED));
    let own = ca.certify(&Wish { expired: Some(DAY), ..Wish::default() });
    let detail = refused(&mut Pair::new(&certificates, &folder.client(&ca, Some(&own))));
    assert!(detail.contains("has expired"), "{detail}");
}

#[test]
fn a_revoked_certificate_is_refused_and_others_are_not() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let mut config = folder.server(&ca, REQUIRED);
    config.crl = vec![folder.write("crl.pem", ca.revoke(&[7]))];
    let certificates = folder.load(&config);
    let detail = refused(&mut Pair::new(&certificates, &folder.client(&ca, Some(&ca.client("c7", 7)))));
    assert!(detail.contains("is revoked"), "{detail}");
    assert!(Pair::new(&certificates, &folder.client(&ca, Some(&ca.client("c8", 8)))).is_alive());
}

#[test]
fn a_certificate_whose_ca_has_no_list_is_refused_where_lists_are_used() {
    let (ca, other, folder) = (Authority::new("ca"), Authority::new("other"), Folder::new());
    let mut config = folder.server(&ca, REQUIRED);
    folder.write("ca.pem", [ca.pem.as_str(), &other.pem].concat());
    config.crl = vec![folder.write("crl.pem", ca.revoke(&[]))];
    let certificates = folder.load(&config);
    let detail = refused(&mut Pair::new(&certificates, &folder.client(&ca, Some(&other.client("c", 1)))));
    assert!(detail.contains("no revocation list"), "{detail}");
}

#[test]
fn a_client_of_an_old_version_is_refused_where_only_the_newest_is_spoken() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let mut config = folder.server(&ca, ClientCertificate::None);
    let old = old_client(&ca);
    assert!(Pair::new(&folder.load(&config), &old).is_alive());
    config.minimum_version = Version::Tls13;
    let certificates = folder.load(&config);
    let error = Pair::new(&certificates, &old).run().unwrap_err();
    assert_eq!(reason(&error), Reason::TlsFailed);
    assert!(detail(&error).contains("no version or cipher suite"), "{error}");
}

#[test]
fn a_client_that_speaks_no_tls_is_told_apart() {
    let folder = Folder::new();
    let certificates = Certificates::load(&crate::Config::default(), folder.0.path()).unwrap();
    for bytes in [&b"\x10\x0C\x00\x04MQTT\x04\x02\x00\x3C\x00\x00"[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut server = rustls::ServerConnection::new(certificates.server_config(&[])).unwrap();
        server.read_tls(&mut &bytes[..]).unwrap();
        let error = server.process_new_packets().unwrap_err();
        assert_eq!(reason(&error), Reason::PlainOnTlsPort, "{error:?}");
    }
}

/// A client that speaks TLS 1.2 alone.
fn old_client(ca: &Authority) -> std::sync::Arc<rustls::ClientConfig> {
    let roots = crate::trust::roots(std::path::Path::new("ca"), ca.pem.as_bytes()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&TLS12]).unwrap();
    builder.with_root_certificates(roots).with_no_client_auth().into()
}
