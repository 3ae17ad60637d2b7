use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bus::{Certificate, Reason, Secured};
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion, ServerConnection};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::names;

/// What a finished handshake tells of the peer.
///
/// A resumed session brings the certificate of the first handshake along, which may have expired since: that is
/// refused here.
pub fn secured(connection: &ServerConnection) -> Result<Secured, Reason> {
    let version = connection.protocol_version().map_or("TLS", version_name);
    let cipher = connection.negotiated_cipher_suite().map(|suite| iana_name(suite.suite()));
    let certificates = connection.peer_certificates().unwrap_or_default();
    of(version, &cipher.unwrap_or_default(), connection.server_name(), certificates, SystemTime::now())
}

/// What a finished QUIC handshake tells of the peer; QUIC does not tell the cipher suite.
pub fn secured_by_quic(
    server_name: Option<&str>,
    certificates: &[CertificateDer<'_>],
) -> Result<Secured, Reason> {
    of("TLS 1.3", "", server_name, certificates, SystemTime::now())
}

/// What a verified certificate says of its owner; `None` if it cannot be read.
pub fn certificate(der: &[u8]) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(Certificate {
        common_name: names::common_name(&parsed).map(Arc::from),
        subject: names::rfc4514(parsed.subject()).into(),
        alternative_names: names::alternative_names(&parsed).into_iter().map(Arc::from).collect(),
        fingerprint: Sha256::digest(der).into(),
    })
}

pub(crate) fn of(
    version: &str,
    cipher: &str,
    server_name: Option<&str>,
    certificates: &[CertificateDer<'_>],
    now: SystemTime,
) -> Result<Secured, Reason> {
    let leaf = certificates.first();
    if leaf.is_some_and(|der| not_after(der).is_none_or(|end| end < seconds(now))) {
        return Err(Reason::CertificateRefused);
    }
    let certificate = leaf.map(|der| certificate(der).ok_or(Reason::CertificateRefused)).transpose()?;
    Ok(Secured {
        version: version.into(),
        cipher: cipher.into(),
        server_name: server_name.map(Arc::from),
        certificate,
        ..Secured::default()
    })
}

/// The end of a certificate's validity, in seconds since 1970.
pub(crate) fn not_after(der: &[u8]) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

pub(crate) fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// The suite's name in the IANA registry, which differs from rustls's for TLS 1.3.
pub(crate) fn iana_name(suite: CipherSuite) -> String {
    format!("{suite:?}").replacen("TLS13_", "TLS_", 1)
}

fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLS 1.3",
        ProtocolVersion::TLSv1_2 => "TLS 1.2",
        _ => "TLS",
    }
}
