//! What a configuration's callbacks know: keys, what may be resumed, whom to trust, and notes of the handshake.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use dtls::{ClientCertificate, Keys, ServerNames};
use mbedtls_rs_sys as sys;
use ring::digest;
use zeroize::Zeroizing;

use super::{Failure, callbacks, check};
use crate::random;
use crate::resumption::{Resumable, Resumption};

/// What a configuration's callbacks need. C has a pointer to it, and uses it only while a context of the
/// configuration is called.
pub(super) struct Hooks {
    pub(super) keys: Option<Arc<dyn Keys>>,
    pub(super) resumption: Option<Rc<Resumption>>,
    pub(super) client_certificate: ClientCertificate,
    /// The certificates that are shown.
    pub(super) own: RefCell<Vec<Shown>>,
    /// The CAs and revocation lists, which are the configuration's.
    pub(super) trust: (*mut sys::mbedtls_x509_crt, *mut sys::mbedtls_x509_crl),
    /// What the callbacks note of the context that is being called.
    pub(super) notes: RefCell<Notes>,
    pub(super) now: Cell<Instant>,
}

/// A certificate that is shown, which is the configuration's.
pub(super) struct Shown {
    pub(super) names: ServerNames,
    pub(super) chain: *mut sys::mbedtls_x509_crt,
    pub(super) key: *mut sys::mbedtls_pk_context,
}

/// What callbacks note of one handshake.
#[derive(Default)]
pub(crate) struct Notes {
    /// The identity that the peer claims, and what its key is.
    pub(crate) key: Option<(Arc<str>, [u8; 32])>,
    /// The identity that the peer claims and that has no key.
    pub(crate) unknown: Option<String>,
    /// The server name that the peer asks for.
    pub(crate) server_name: Option<Arc<str>>,
    /// What is wrong with the peer's certificate, as bits.
    pub(crate) flags: u32,
    /// Whether it resumes an earlier session.
    resumed: bool,
    /// The suite of the session that was recalled by its id. C makes a whole handshake of its own in place of one in which
    /// another suite is spoken, and tells nobody.
    recalled: Option<u16>,
}

/// The longest part of a foreign text that is kept for a log.
const TOLD: usize = 64;

impl Notes {
    /// The identity whose key was proved, if this suite is spoken.
    pub(crate) fn proved(&self, suite: u16) -> Option<&(Arc<str>, [u8; 32])> {
        self.key.as_ref().filter(|_| self.is_as_recalled(suite))
    }

    /// Whether the handshake resumes an earlier session, if this suite is spoken.
    pub(crate) fn has_resumed(&self, suite: u16) -> bool {
        self.resumed && self.is_as_recalled(suite)
    }

    fn is_as_recalled(&self, suite: u16) -> bool {
        self.recalled.is_none_or(|recalled| recalled == suite)
    }
}

impl Hooks {
    /// The key of an identity. One that is not known gets a key that nobody has, so that the peer cannot tell that
    /// from a wrong key. [RFC4279 2]
    pub(super) fn key(&self, identity: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let notes = &mut *self.notes.borrow_mut();
        // Who is asked for a key resumes nothing.
        (notes.key, notes.resumed, notes.recalled) = (None, false, None);
        // [RFC4279 5.1] An identity is UTF-8.
        let named = std::str::from_utf8(identity).ok();
        let known = named.and_then(|name| self.keys.as_ref()?.key(name).map(|key| (name, key)));
        if let Some((name, key)) = known {
            notes.key = Some((name.into(), digest_of(key.bytes())));
            return Some(Zeroizing::new(key.bytes().to_vec()));
        }
        let told = String::from_utf8_lossy(identity).chars().take(TOLD).collect();
        notes.unknown = Some(told);
        random::bytes::<32>().ok().map(|key| Zeroizing::new(key.to_vec()))
    }

    /// Whether a session that a peer resumes would be let in today.
    fn permits(&self, resumable: &Resumable) -> bool {
        let Some((identity, digest)) = &resumable.key else { return true };
        let key = self.keys.as_ref().and_then(|keys| keys.key(identity));
        key.is_some_and(|key| digest_of(key.bytes()) == *digest)
    }

    /// The session, as bytes that can be resumed from.
    pub(super) fn resumable(&self, session: *const sys::mbedtls_ssl_session) -> Option<Resumable> {
        let mut length = 0;
        // SAFETY: `session` is the live session that C gave to the callback; without a buffer only the length is told.
        unsafe { sys::mbedtls_ssl_session_save(session, std::ptr::null_mut(), 0, &mut length) };
        let mut bytes = Zeroizing::new(vec![0; length]);
        // SAFETY: as above, and the buffer is as long as is said.
        let code =
            unsafe { sys::mbedtls_ssl_session_save(session, bytes.as_mut_ptr(), bytes.len(), &mut length) };
        (code == 0).then_some(())?;
        bytes.truncate(length);
        let notes = self.notes.borrow();
        let key = notes.proved(suite_of(session)).cloned();
        let server_name = notes.server_name.clone();
        notes.unknown.is_none().then_some(Resumable { key, server_name, session: bytes })
    }

    /// Loads a session that is resumed, if it would be let in today.
    pub(super) fn resume(
        &self,
        resumable: &Resumable,
        session: *mut sys::mbedtls_ssl_session,
    ) -> Result<(), Failure> {
        let gone = Failure(sys::MBEDTLS_ERR_SSL_SESSION_TICKET_EXPIRED);
        if !self.permits(resumable) || self.notes.borrow().server_name != resumable.server_name {
            return Err(gone);
        }
        let bytes = &resumable.session;
        // SAFETY: `session` is an initialised session that C gave to the callback and frees, whatever is loaded.
        let code = unsafe { sys::mbedtls_ssl_session_load(session, bytes.as_ptr(), bytes.len()) };
        check(code)?;
        // SAFETY: the session was loaded, so that the pointer is null or a certificate chain of its own.
        let certificate = unsafe { (*session).private_peer_cert };
        let must = self.client_certificate == ClientCertificate::Required && resumable.key.is_none();
        match certificate.is_null() {
            true if must => return Err(gone),
            true => {}
            false => self.verify(certificate)?,
        }
        let notes = &mut *self.notes.borrow_mut();
        (notes.key, notes.resumed) = (resumable.key.clone(), true);
        Ok(())
    }

    /// The same for one that is named by its id.
    pub(super) fn recall(
        &self,
        resumable: &Resumable,
        session: *mut sys::mbedtls_ssl_session,
    ) -> Result<(), Failure> {
        self.resume(resumable, session)?;
        self.notes.borrow_mut().recalled = Some(suite_of(session));
        Ok(())
    }

    /// Takes the name of the server that is asked for: of the certificates those are shown in the handshake of `ssl` that
    /// have it, if any has. [RFC6066 3]
    pub(super) fn called(&self, name: &[u8], ssl: *mut sys::mbedtls_ssl_context) -> Result<(), Failure> {
        let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= 255);
        {
            let notes = &mut *self.notes.borrow_mut();
            // What was resumed before it was told for which server is none of that server's.
            if notes.resumed {
                return Err(Failure::HANDSHAKE);
            }
            notes.server_name = name.map(Arc::from);
        }
        let Some(name) = name.map(str::to_ascii_lowercase) else { return Ok(()) };
        for own in self.own.borrow().iter().filter(|own| own.names.mean(&name)) {
            // SAFETY: `ssl` is the context whose handshake asks; chain and key are the configuration's, which outlives it.
            check(unsafe { sys::mbedtls_ssl_set_hs_own_cert(ssl, own.chain, own.key) })?;
        }
        Ok(())
    }

    /// Whether there is a revocation list of an issuer, or there are none at all.
    pub(super) fn has_list_of(&self, issuer: &[u8]) -> bool {
        let mut next = self.trust.1.cast_const();
        let mut are_some = false;
        while !next.is_null() {
            // SAFETY: the lists are the configuration's, which outlives its hooks, and were parsed before it was used.
            let (name, is_read) = unsafe {
                let list = &*next;
                next = list.next;
                (callbacks::lent(list.issuer_raw.p, list.issuer_raw.len), !list.raw.p.is_null())
            };
            if is_read && name == issuer {
                return true;
            }
            are_some |= is_read;
        }
        !are_some
    }

    fn verify(&self, certificate: *mut sys::mbedtls_x509_crt) -> Result<(), Failure> {
        let mut flags = 0;
        // SAFETY: the chain is that of a live session; CAs and lists are the configuration's, which outlives its hooks;
        // the callback gets these hooks.
        let code = unsafe {
            sys::mbedtls_x509_crt_verify(
                certificate,
                self.trust.0,
                self.trust.1,
                std::ptr::null(),
                &mut flags,
                Some(callbacks::judge),
                (&raw const *self).cast_mut().cast(),
            )
        };
        check(code)
    }
}

/// The suite of a session that C gave to a callback.
fn suite_of(session: *const sys::mbedtls_ssl_session) -> u16 {
    // SAFETY: `session` is a live session that C gave to the callback.
    let number = unsafe { (*session).private_ciphersuite };
    u16::try_from(number).unwrap_or_default()
}

fn digest_of(key: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, key);
    digest.as_ref().try_into().unwrap_or_default()
}
