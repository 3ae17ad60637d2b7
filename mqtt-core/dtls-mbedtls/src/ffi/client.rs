//! The other side: a client by the same library.

use std::ffi::{CString, c_int};
use std::ptr;
use std::rc::Rc;
use std::time::Instant;

use dtls::{Certificate, Settings};
use mbedtls_rs_sys as sys;

use super::{Carrier, Config, Context, check};
use crate::suites;

/// What a client is, and wants.
#[derive(Clone, Default)]
pub(crate) struct Wishes {
    pub(crate) key: Option<(&'static str, Vec<u8>)>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) suite: Option<&'static str>,
    pub(crate) connection_id: bool,
    pub(crate) no_tickets: bool,
    pub(crate) stream: bool,
    /// The server that it asks for; `localhost` if it is none.
    pub(crate) server_name: Option<&'static str>,
    /// It wants records of 512 bytes at most.
    pub(crate) short_records: bool,
}

/// A session of a client, which it may come back to.
pub(crate) struct Ticket(Box<sys::mbedtls_ssl_session>);

/// A client's context, at its beginning.
pub(crate) fn client(wishes: &Wishes, ticket: Option<&Ticket>, now: Instant) -> Context {
    let carrier = if wishes.stream { Carrier::Stream } else { Carrier::Datagrams };
    let settings = Settings {
        connection_id_length: 0,
        client_ca: wishes.ca.iter().cloned().collect(),
        ..Settings::default()
    };
    let mut config = Config::new(sys::MBEDTLS_SSL_IS_CLIENT, carrier, &settings, None, now).unwrap();
    if let Some(certificate) = &wishes.certificate {
        config.show(certificate).unwrap();
    }
    match wishes.suite {
        Some(name) => config.offer(vec![suites::by_name(name).unwrap()]),
        None => config.offer(suites::SUITES.iter().collect()),
    }
    // SAFETY: the configuration lives, and what it is given lives with it or is copied.
    unsafe {
        if let Some((identity, key)) = &wishes.key {
            check(sys::mbedtls_ssl_conf_psk(
                config.raw(),
                key.as_ptr(),
                key.len(),
                identity.as_ptr(),
                identity.len(),
            ))
            .unwrap();
        }
        let mode = match wishes.ca {
            Some(_) => sys::MBEDTLS_SSL_VERIFY_REQUIRED,
            None => sys::MBEDTLS_SSL_VERIFY_NONE,
        };
        if let Some(ca) = &wishes.ca {
            let mut pem = ca.clone();
            pem.push(0);
            let list = config.hooks.trust.0;
            check(sys::mbedtls_x509_crt_parse(list, pem.as_ptr(), pem.len())).unwrap();
            sys::mbedtls_ssl_conf_ca_chain(config.raw(), list, ptr::null_mut());
        }
        sys::mbedtls_ssl_conf_authmode(config.raw(), mode as c_int);
        sys::mbedtls_ssl_conf_session_tickets(config.raw(), c_int::from(!wishes.no_tickets));
        if wishes.short_records {
            let length = sys::MBEDTLS_SSL_MAX_FRAG_LEN_512 as u8;
            check(sys::mbedtls_ssl_conf_max_frag_len(config.raw(), length)).unwrap();
        }
        sys::mbedtls_ssl_conf_handshake_timeout(config.raw(), 1_000, 8_000);
    }
    let context = Context::new(&Rc::new(config), &[], now).unwrap();
    let name = CString::new(wishes.server_name.unwrap_or("localhost")).unwrap();
    // SAFETY: the context lives; what it is given is copied.
    unsafe {
        check(sys::mbedtls_ssl_set_hostname(context.ssl, name.as_ptr())).unwrap();
        if wishes.connection_id {
            // C copies nothing, but must not be given null for it.
            check(sys::mbedtls_ssl_set_cid(context.ssl, 1, [0].as_ptr(), 0)).unwrap();
        }
        if let Some(ticket) = ticket {
            check(sys::mbedtls_ssl_set_session(context.ssl, &*ticket.0)).unwrap();
        }
    }
    context
}

/// What the client may come back to.
pub(crate) fn ticket(context: &Context) -> Ticket {
    // SAFETY: zeros are the state of the structure before its initialisation.
    let mut session = Box::new(unsafe { std::mem::zeroed() });
    // SAFETY: the context lives, and the session is initialised.
    unsafe {
        sys::mbedtls_ssl_session_init(&mut *session);
        check(sys::mbedtls_ssl_get_session(context.ssl, &mut *session)).unwrap();
    }
    Ticket(session)
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // SAFETY: the session is initialised.
        unsafe { sys::mbedtls_ssl_session_free(&mut *self.0) };
    }
}
