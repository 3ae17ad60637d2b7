use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What one TLS profile offers, and whom it lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The certificates. A client gets the first that has the name it asks for, or else the first of all. Without
    /// any the server makes a local CA and a certificate of its own.
    pub certificates: Vec<CertificateFiles>,
    /// A PEM file with the CAs whose client certificates are trusted; empty for none.
    pub client_ca: PathBuf,
    /// Whether clients are asked for a certificate.
    pub client_certificate: ClientCertificate,
    /// Revocation lists, PEM or DER. If there is any, each CA in a client's chain must have one.
    pub crl: Vec<PathBuf>,
    /// The oldest version that is spoken.
    pub minimum_version: Version,
    /// The cipher suites that are offered, by their IANA names; all good ones if empty.
    pub cipher_suites: Vec<String>,
}

/// The files of one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// A PEM file: the certificate, then those of the CAs between it and the root.
    pub chain: PathBuf,
    /// A PEM file with the private key.
    pub key: PathBuf,
    /// The answer of the CA's OCSP responder, DER, which clients are given with the certificate; empty for none.
    #[serde(default)]
    pub ocsp: PathBuf,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificate {
    /// They are not asked.
    #[default]
    None,
    /// They are asked, and let in without one; a bad one is refused.
    Optional,
    /// They must have one.
    Required,
}

/// A version of TLS, written `"1.2"` or `"1.3"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Version {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            _ => Err(format!("TLS {text:?} is not spoken; write \"1.2\" or \"1.3\"")),
        }
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        match version {
            Version::Tls12 => "1.2".to_owned(),
            Version::Tls13 => "1.3".to_owned(),
        }
    }
}
