use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tracing::warn;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::files::{self, Contents};
use crate::secured::seconds;
use crate::{ClientCertificate, Config, Problem};

/// Who judges the certificates of clients.
pub(crate) fn verifier(
    config: &Config,
    contents: &Contents,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
    if config.client_certificate == ClientCertificate::None {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let Some(pem) = &contents.client_ca else {
        let cause = "clients are asked for certificates (client_certificate), but no CA is trusted";
        return Err(Problem::general(cause, "name the file of the CA in client_ca"));
    };
    let roots = Arc::new(roots(&config.client_ca, pem)?);
    let mut crls = Vec::new();
    for (path, bytes) in config.crl.iter().zip(&contents.crls) {
        let lists = files::crls(path, bytes)?;
        for list in &lists {
            check(path, list)?;
        }
        crls.extend(lists);
    }
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).with_crls(crls);
    let builder = match config.client_certificate {
        ClientCertificate::Required => builder,
        ClientCertificate::Optional | ClientCertificate::None => builder.allow_unauthenticated(),
    };
    let unusable = |error| {
        Problem::general(
            format!("client certificates cannot be verified: {error}"),
            "write the files of client_ca and crl again",
        )
    };
    builder.build().map(|verifier| verifier as Arc<dyn ClientCertVerifier>).map_err(unusable)
}

/// The CAs of a PEM file.
pub(crate) fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, Problem> {
    let mut roots = RootCertStore::empty();
    for certificate in files::certificates(path, pem)? {
        roots.add(certificate).map_err(|error| {
            Problem::of(path, format!("holds a certificate that cannot be a CA's: {error}"), "take it out")
        })?;
    }
    Ok(roots)
}

/// A list that is out of date still counts, but somebody should know.
fn check(path: &Path, list: &[u8]) -> Result<(), Problem> {
    let Ok((_, parsed)) = CertificateRevocationList::from_der(list) else {
        return Err(Problem::of(path, "is no revocation list", "write the file again, as PEM or DER"));
    };
    if parsed.next_update().is_some_and(|next| next.timestamp() < seconds(SystemTime::now())) {
        warn!(file = %path.display(), "The revocation list is out of date; its CA has issued another since.");
    }
    Ok(())
}
