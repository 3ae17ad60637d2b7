use std::time::SystemTime;

use super::authority::{Authority, DAY, Folder, Pair, shown, swap};
use crate::{CertificateFiles, ClientCertificate, Config, Refreshed, reason, secured};

const NONE: ClientCertificate = ClientCertificate::None;
const REQUIRED: ClientCertificate = ClientCertificate::Required;

#[test]
fn a_certificate_that_a_symbolic_link_brings_is_used_and_nobody_is_dropped() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    for (directory, name) in [("v1", "old"), ("v2", "new")] {
        std::fs::create_dir(folder.path(directory)).unwrap();
        let wish = super::authority::Wish { names: &["localhost"], common_name: name, ..Default::default() };
        let (chain, key) = ca.certify(&wish);
        folder.write(&format!("{directory}/tls.crt"), chain);
        folder.write(&format!("{directory}/tls.key"), key);
    }
    let data = folder.path("..data");
    swap(&data, &folder.path("v1"));
    let files =
        CertificateFiles { chain: data.join("tls.crt"), key: data.join("tls.key"), ocsp: Default::default() };
    let certificates = folder.load(&Config { certificates: vec![files], ..Config::default() });
    let client = folder.client(&ca, None);
    let mut old = Pair::new(&certificates, &client);
    old.run().unwrap();
    assert_eq!(certificates.refresh(), Refreshed::Unchanged);

    swap(&data, &folder.path("v2"));
    assert_eq!(certificates.refresh(), Refreshed::Renewed);
    let mut new = Pair::new(&certificates, &folder.client(&ca, None));
    new.run().unwrap();
    assert_eq!((shown(&old).as_str(), shown(&new).as_str()), ("old", "new"));
    assert!(old.is_alive());

    // Its session is still good: what the clients may do has not changed.
    let mut again = Pair::new(&certificates, &client);
    assert!(again.is_alive() && again.is_resumed());
}

#[test]
fn a_bad_pair_keeps_the_old_one_and_is_told_once_and_when_it_is_mended() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let config = folder.server(&ca, NONE);
    let certificates = folder.load(&config);
    let key = std::fs::read(&config.certificates[0].key).unwrap();

    let renewed = ca.server("localhost");
    folder.write("server.key", &renewed.1);
    let Refreshed::Failed(problem) = certificates.refresh() else { panic!("the pair does not match") };
    assert_eq!(problem.file.as_ref(), Some(&config.certificates[0].key));
    assert_eq!(certificates.refresh(), Refreshed::Unchanged);
    let client = folder.client(&ca, None);
    assert!(Pair::new(&certificates, &client).is_alive());

    folder.write("server.key", key);
    assert_eq!(certificates.refresh(), Refreshed::Mended);
    std::fs::remove_file(&config.certificates[0].chain).unwrap();
    assert!(matches!(certificates.refresh(), Refreshed::Failed(_)));
    folder.certificate("server", &renewed);
    assert_eq!(certificates.refresh(), Refreshed::Renewed);
    assert!(Pair::new(&certificates, &client).is_alive());
}

#[test]
fn a_revoked_client_cannot_come_back_by_an_old_session() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let mut config = folder.server(&ca, REQUIRED);
    config.crl = vec![folder.write("crl.pem", ca.revoke(&[]))];
    let certificates = folder.load(&config);
    let client = folder.client(&ca, Some(&ca.client("c7", 7)));
    assert!(Pair::new(&certificates, &client).is_alive());
    let mut back = Pair::new(&certificates, &client);
    assert!(back.is_alive() && back.is_resumed());
    assert!(secured(&back.server).unwrap().certificate.is_some());

    folder.write("crl.pem", ca.revoke(&[7]));
    assert_eq!(certificates.refresh(), Refreshed::Renewed);
    let error = Pair::new(&certificates, &client).run().unwrap_err();
    assert_eq!(reason(&error), bus::Reason::CertificateRefused, "{error}");
}

#[test]
fn a_client_whose_ca_was_taken_out_cannot_come_back_by_an_old_session() {
    let (ca, other, folder) = (Authority::new("ca"), Authority::new("other"), Folder::new());
    let certificates = folder.load(&folder.server(&ca, REQUIRED));
    let client = folder.client(&ca, Some(&ca.client("c", 1)));
    assert!(Pair::new(&certificates, &client).is_alive());

    folder.write("ca.pem", &other.pem);
    assert_eq!(certificates.refresh(), Refreshed::Renewed);
    let mut back = Pair::new(&certificates, &client);
    assert!(back.run().is_err() && !back.is_resumed());
}

#[test]
fn a_certificate_that_has_expired_since_is_refused_after_a_resumed_handshake() {
    let (ca, folder) = (Authority::new("ca"), Folder::new());
    let certificates = folder.load(&folder.server(&ca, REQUIRED));
    let mut pair = Pair::new(&certificates, &folder.client(&ca, Some(&ca.client("c", 1))));
    pair.run().unwrap();
    let chain = pair.server.peer_certificates().unwrap();
    let at = |now| crate::secured::of("TLS 1.3", "", None, chain, now);
    assert!(at(SystemTime::now()).is_ok());
    assert_eq!(at(SystemTime::now() + 301 * DAY), Err(bus::Reason::CertificateRefused));
}
