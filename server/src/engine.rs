//! What speaks DTLS, and TLS with pre-shared keys: the one place that knows which library does.

use std::sync::Arc;

use dtls::EngineFactory;

/// The library, if this program has one.
#[cfg(feature = "dtls")]
pub(crate) fn factory() -> Option<Arc<dyn EngineFactory>> {
    Some(Arc::new(dtls_mbedtls::MbedTls))
}

/// The library, if this program has one.
#[cfg(not(feature = "dtls"))]
pub(crate) fn factory() -> Option<Arc<dyn EngineFactory>> {
    None
}
