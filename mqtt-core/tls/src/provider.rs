use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};

use crate::secured::iana_name;
use crate::{Problem, Version};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
const NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];

/// The versions from this one on.
pub(crate) fn versions(minimum: Version) -> &'static [&'static SupportedProtocolVersion] {
    match minimum {
        Version::Tls12 => BOTH,
        Version::Tls13 => NEWEST,
    }
}

/// *ring*, with these cipher suites in this order, or all if none is named.
pub(crate) fn provider(suites: &[String], minimum: Version) -> Result<Arc<CryptoProvider>, Problem> {
    let mut provider = ring::default_provider();
    if suites.is_empty() {
        return Ok(Arc::new(provider));
    }
    let all = std::mem::take(&mut provider.cipher_suites);
    for name in suites {
        let Some(suite) = all.iter().find(|suite| iana_name(suite.suite()) == *name) else {
            let known: Vec<_> = all.iter().map(|suite| iana_name(suite.suite())).collect();
            let cause = format!("the cipher suite {name:?} is not known; known: {}", known.join(", "));
            return Err(Problem::general(cause, "name one of these in cipher_suites, or none"));
        };
        provider.cipher_suites.push(*suite);
    }
    let newest = provider.cipher_suites.iter().any(|suite| suite.tls13().is_some());
    if minimum == Version::Tls13 && !newest {
        let cause = "no cipher suite of TLS 1.3 is named, but no older version is spoken";
        return Err(Problem::general(cause, "add TLS_AES_128_GCM_SHA256 to cipher_suites"));
    }
    Ok(Arc::new(provider))
}
