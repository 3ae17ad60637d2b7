//! All that touches C: a configuration, and the contexts that use it, behind safe functions.
//!
//! What holds everywhere here:
//! - A [`Context`] keeps its [`Config`] alive. What C has a pointer to does not move, and is never behind a `Box` or a
//!   mutable reference that lives beyond one call: structures of C are raw pointers from `Box::into_raw`, and what
//!   callbacks read is [`Fixed`](fixed::Fixed) and shared. Only [`Drop`] frees either, the structure that has the pointer
//!   before what it points to.
//! - No C function keeps a pointer of a call beyond it. What C keeps (configuration, callbacks' data, timers) lives as
//!   long as the structure that keeps it.
//! - A callback takes nothing by mutable reference but what is lent for the one call, and does not unwind: what may
//!   panic there is caught.
//! - Mbed TLS has no locks. What it keeps for all threads are tables, which are made before anything else, and counters
//!   of its self-test, which nobody reads.
//! - `Rc` binds a context to its configuration; an engine or a stream that owns both is moved between threads as one.

mod callbacks;
#[cfg(any(test, feature = "client"))]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        clippy::unwrap_used,
        reason = "it is for tests, and those of this crate want more of it"
    )
)]
pub(crate) mod client;
mod config;
mod context;
mod fixed;
mod hooks;
#[cfg(test)]
pub(crate) mod testing;

use std::ffi::{CStr, c_char, c_int};
use std::fmt;

use mbedtls_rs_sys as sys;

pub(crate) use config::{Carrier, Config};
pub(crate) use context::{Context, Read, Step};

/// The longest plaintext of one record that is sent.
pub(crate) const LONGEST_OUT: usize = sys::MBEDTLS_SSL_OUT_CONTENT_LEN as usize;

/// The longest plaintext of one record that is received.
pub(crate) const LONGEST_IN: usize = sys::MBEDTLS_SSL_IN_CONTENT_LEN as usize;

/// What a C function says went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) c_int);

impl Failure {
    pub(crate) const ALERT: Self = Self(sys::MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE);
    pub(crate) const BAD_CERTIFICATE: Self = Self(sys::MBEDTLS_ERR_SSL_BAD_CERTIFICATE);
    pub(crate) const BAD_INPUT: Self = Self(sys::MBEDTLS_ERR_SSL_BAD_INPUT_DATA);
    pub(crate) const BAD_VERSION: Self = Self(sys::MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION);
    pub(crate) const CERTIFICATE_REFUSED: Self = Self(sys::MBEDTLS_ERR_X509_CERT_VERIFY_FAILED);
    pub(crate) const CERTIFICATE_FATAL: Self = Self(sys::MBEDTLS_ERR_X509_FATAL_ERROR);
    pub(crate) const CLOSED: Self = Self(sys::MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY);
    pub(crate) const HANDSHAKE: Self = Self(sys::MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE);
    pub(crate) const INVALID_MAC: Self = Self(sys::MBEDTLS_ERR_SSL_INVALID_MAC);
    pub(crate) const NO_CERTIFICATE: Self = Self(sys::MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE);
    pub(crate) const TIMEOUT: Self = Self(sys::MBEDTLS_ERR_SSL_TIMEOUT);
    const WANT_READ: Self = Self(sys::MBEDTLS_ERR_SSL_WANT_READ);

    /// Whether a certificate or key cannot be read because its algorithm is none that is known. A code is that of a module
    /// and one of what this used, in its last seven bits. [mbedtls/error.h]
    fn is_unknown_kind(self) -> bool {
        let module = -(-self.0 & !0x7F);
        [
            sys::MBEDTLS_ERR_PK_UNKNOWN_PK_ALG,
            sys::MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE,
            sys::MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG,
        ]
        .contains(&module)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 128];
        // SAFETY: the buffer is as long as is said; its last byte stays zero whatever is written.
        unsafe { mbedtls_strerror(self.0, text.as_mut_ptr(), text.len() - 1) };
        // SAFETY: `c_char` is a byte, and the array lives on.
        let bytes = unsafe { std::slice::from_raw_parts(text.as_ptr().cast::<u8>(), text.len()) };
        let text = CStr::from_bytes_until_nul(bytes).unwrap_or_default();
        write!(f, "{} (-0x{:04X})", text.to_string_lossy(), -self.0)
    }
}

unsafe extern "C" {
    /// Writes an error's name; the bindings leave it out. [mbedtls/error.h]
    fn mbedtls_strerror(code: c_int, text: *mut c_char, length: usize);
}

/// What most C functions return: 0, or what went wrong.
fn check(code: c_int) -> Result<(), Failure> {
    if code == 0 { Ok(()) } else { Err(Failure(code)) }
}
