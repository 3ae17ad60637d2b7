use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};

use crate::provider::{provider, versions};
use crate::{Problem, Version, files, trust};

/// How a connection that is made from here is secured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    /// A PEM file with the CAs that are trusted, or a directory whose files named `*.pem` or `*.crt` are read; empty
    /// for those that the system trusts.
    pub ca: PathBuf,
    /// A PEM file with the certificate that is shown, and those of the CAs between it and the root; empty for none.
    pub certificate: PathBuf,
    /// A PEM file with its private key.
    pub key: PathBuf,
    /// Whether any certificate of the server is taken. Whoever sits between can then read and change everything.
    pub insecure: bool,
    /// Whether the server's certificate may have any name. Whoever has a certificate of the same CAs can then read and
    /// change everything.
    pub any_name: bool,
    /// The oldest version that is spoken.
    pub minimum_version: Version,
}

impl ClientConfig {
    /// Reads the files; the handshake offers these application protocols.
    pub fn load(&self, alpn: &[&[u8]]) -> Result<Arc<rustls::ClientConfig>, Problem> {
        let provider = provider(&[], self.minimum_version)?;
        let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions(self.minimum_version))
            .map_err(|error| Problem::general(error.to_string(), "name another minimum_version"))?;
        let builder = if self.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustsAnybody(provider)))
        } else if self.any_name {
            let roots = Arc::new(self.roots()?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            let verifier =
                verifier.map_err(|error| Problem::general(error.to_string(), "name another CA file"))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustsAnyName(verifier)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let mut config = if is_named(&self.certificate) {
            let chain = files::certificates(&self.certificate, &files::read(&self.certificate)?)?;
            let key = files::key(&self.key, &files::read(&self.key)?)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                let cause = format!("cannot be used with the certificate: {error}");
                Problem::of(&self.key, cause, "name the key that belongs to the certificate")
            })?
        } else if is_named(&self.key) {
            return Err(Problem::of(&self.key, "is a key without a certificate", "name its certificate too"));
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, Problem> {
        if self.ca.is_dir() {
            return directory(&self.ca);
        }
        if is_named(&self.ca) {
            return trust::roots(&self.ca, &files::read(&self.ca)?);
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let fix = "install the package ca-certificates, or name a CA file";
            return Err(Problem::general("the system trusts no CA, or does not tell which", fix));
        }
        Ok(roots)
    }
}

/// The CAs in the files of a directory.
fn directory(path: &Path) -> Result<RootCertStore, Problem> {
    let entries = std::fs::read_dir(path).map_err(|error| Problem::unreadable(path, &error))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "pem" || extension == "crt"));
    files.sort();
    let mut roots = RootCertStore::empty();
    for file in &files {
        roots.roots.extend(trust::roots(file, &files::read(file)?)?.roots);
    }
    if roots.is_empty() {
        return Err(Problem::of(path, "holds no CA", "put PEM files there, named *.pem or *.crt"));
    }
    Ok(roots)
}

fn is_named(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

/// Takes every certificate, whoever shows it.
#[derive(Debug)]
struct TrustsAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAnybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Takes every certificate of the trusted CAs, whatever name it has.
#[derive(Debug)]
struct TrustsAnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for TrustsAnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The chain is verified before the name.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
