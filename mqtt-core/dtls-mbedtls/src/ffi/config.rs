use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::ptr;
use std::rc::Rc;
use std::sync::Once;
use std::time::Instant;

use dtls::{Certificate, ClientCertificate, EngineError, Settings};
use mbedtls_rs_sys as sys;
use zeroize::Zeroizing;

use super::callbacks;
use super::fixed::Fixed;
use super::hooks::{Hooks, Notes, Shown};
use super::{Failure, check};
use crate::resumption::Resumption;
use crate::settings;
use crate::suites::{Suite, SuiteProof};

/// What the contexts of an engine or of a stream have in common.
pub(crate) struct Config {
    raw: *mut Raw,
    pub(super) hooks: Fixed<Hooks>,
    pub(super) carrier: Carrier,
    pub(super) connection_id_length: usize,
    pub(super) mtu: u16,
    left_out: Vec<(String, EngineError)>,
}

/// What carries the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Datagrams,
    Stream,
}

/// The structures of C, which point to each other. Only C reads and writes them.
struct Raw {
    config: sys::mbedtls_ssl_config,
    own: Vec<*mut Own>,
    ca: sys::mbedtls_x509_crt,
    crl: sys::mbedtls_x509_crl,
    suites: Vec<c_int>,
    groups: [u16; 4],
}

/// One of the certificates that are shown, and its key.
struct Own {
    chain: sys::mbedtls_x509_crt,
    key: sys::mbedtls_pk_context,
}

/// The most bytes that the certificates of a chain may have together, so that they fit one message.
const LONGEST_CHAIN: usize = super::LONGEST_OUT - 256;

/// secp256r1, x25519, secp384r1, and the end: P-256 is the quickest here, and what small devices have.
const GROUPS: [u16; 4] = [23, 29, 24, 0];

impl Config {
    /// A server as the settings say.
    pub(crate) fn server(
        settings: &Settings,
        carrier: Carrier,
        resumption: Option<Rc<Resumption>>,
        now: Instant,
    ) -> Result<Rc<Self>, EngineError> {
        let mut config = Self::new(sys::MBEDTLS_SSL_IS_SERVER, carrier, settings, resumption, now)?;
        let mut own = Vec::new();
        for certificate in settings.certificates.iter().filter(|_| carrier == Carrier::Datagrams) {
            match config.show(certificate) {
                Ok(proof) => own.push(proof),
                Err(why @ EngineError::UnknownKind(_)) => {
                    config.left_out.push((certificate.names.0.join(", "), why));
                }
                Err(fault) => return Err(fault),
            }
        }
        if let (true, Some((_, why))) = (own.is_empty(), config.left_out.first()) {
            return Err(why.clone());
        }
        config.offer(settings::suites(settings, &own)?);
        if carrier == Carrier::Datagrams {
            config.trust(settings)?;
            config.resume();
        }
        let (first, longest) = (settings.retransmission.first, settings.retransmission.longest);
        let milliseconds = |time: std::time::Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let hooks = config.data();
        // SAFETY: the configuration lives; the hooks live as long as it does, and do not move.
        unsafe {
            let raw = &raw mut (*config.raw).config;
            sys::mbedtls_ssl_conf_psk_cb(raw, settings.psk.as_ref().map(|_| callbacks::key as _), hooks);
            sys::mbedtls_ssl_conf_sni(raw, Some(callbacks::server_name), hooks);
            sys::mbedtls_ssl_conf_dtls_cookies(
                raw,
                Some(callbacks::no_cookie),
                Some(callbacks::cookie_is_proved),
                ptr::null_mut(),
            );
            sys::mbedtls_ssl_conf_handshake_timeout(raw, milliseconds(first), milliseconds(longest));
        }
        Ok(Rc::new(config))
    }

    pub(super) fn new(
        endpoint: u32,
        carrier: Carrier,
        settings: &Settings,
        resumption: Option<Rc<Resumption>>,
        now: Instant,
    ) -> Result<Self, EngineError> {
        #[cfg(test)]
        super::testing::count_memory();
        warm_up();
        // SAFETY: all of them are structures of C, of which zeros are the state before their own initialisation.
        let mut raw = Box::new(unsafe {
            Raw {
                config: std::mem::zeroed(),
                own: Vec::new(),
                ca: std::mem::zeroed(),
                crl: std::mem::zeroed(),
                suites: Vec::new(),
                groups: GROUPS,
            }
        });
        // SAFETY: each function initialises the structure of its name.
        unsafe {
            sys::mbedtls_ssl_config_init(&mut raw.config);
            sys::mbedtls_x509_crt_init(&mut raw.ca);
            sys::mbedtls_x509_crl_init(&mut raw.crl);
        }
        let raw = Box::into_raw(raw);
        // SAFETY: the pointers are to parts of the box that was just made.
        let trust = unsafe { (&raw mut (*raw).ca, &raw mut (*raw).crl) };
        let hooks = Hooks {
            keys: settings.psk.clone(),
            resumption,
            client_certificate: settings.client_certificate,
            trust,
            own: RefCell::default(),
            notes: RefCell::new(Notes::default()),
            now: Cell::new(now),
        };
        let (transport, connection_id_length) = match carrier {
            Carrier::Datagrams => (sys::MBEDTLS_SSL_TRANSPORT_DATAGRAM, settings.connection_id_length),
            Carrier::Stream => (sys::MBEDTLS_SSL_TRANSPORT_STREAM, 0),
        };
        let mtu = u16::try_from(settings.mtu).unwrap_or(u16::MAX);
        let config =
            Self { raw, hooks: Fixed::new(hooks), carrier, connection_id_length, mtu, left_out: Vec::new() };
        // SAFETY: the structures are initialised, and live as long as `config`, which frees them.
        unsafe {
            let raw = &raw mut (*config.raw).config;
            check(sys::mbedtls_ssl_config_defaults(
                raw,
                endpoint as c_int,
                transport as c_int,
                sys::MBEDTLS_SSL_PRESET_DEFAULT as c_int,
            ))
            .map_err(machine)?;
            sys::mbedtls_ssl_conf_rng(raw, Some(callbacks::fill), ptr::null_mut());
            sys::mbedtls_ssl_conf_groups(raw, (&raw const (*config.raw).groups).cast());
            // What has another id than a context's is dropped, not an error.
            check(sys::mbedtls_ssl_conf_cid(
                raw,
                connection_id_length,
                sys::MBEDTLS_SSL_UNEXPECTED_CID_IGNORE as c_int,
            ))
            .map_err(machine)?;
        }
        Ok(config)
    }

    /// What the suites shall be, the most liked first.
    pub(super) fn offer(&mut self, suites: Vec<&'static Suite>) {
        let numbers = suites.iter().map(|suite| c_int::from(suite.number)).chain([0]).collect();
        // SAFETY: the list ends with 0, and lives as long as the configuration.
        unsafe {
            (*self.raw).suites = numbers;
            let list = (*self.raw).suites.as_ptr();
            sys::mbedtls_ssl_conf_ciphersuites(&raw mut (*self.raw).config, list);
        }
    }

    /// Takes a certificate chain and key that are shown to peers.
    pub(super) fn show(&mut self, certificate: &Certificate) -> Result<SuiteProof, EngineError> {
        let (chain, key) = (&certificate.chain, &certificate.key);
        let unreadable = |failure: Failure| EngineError::Certificate(failure.to_string());
        let unusable = |failure: Failure| EngineError::PrivateKey(failure.to_string());
        // SAFETY: chain and key are initialised and empty, and freed when the configuration is; the buffers are as long
        // as is said and are copied.
        unsafe {
            let pair = Box::into_raw(Box::new(Own { chain: std::mem::zeroed(), key: std::mem::zeroed() }));
            (*self.raw).own.push(pair);
            let (own, own_key) = (&raw mut (*pair).chain, &raw mut (*pair).key);
            sys::mbedtls_x509_crt_init(own);
            sys::mbedtls_pk_init(own_key);
            let chain = parse(chain, |bytes| sys::mbedtls_x509_crt_parse(own, bytes.as_ptr(), bytes.len()));
            let key = parse(key, |bytes| {
                let (bytes, length) = (bytes.as_ptr(), bytes.len());
                sys::mbedtls_pk_parse_key(
                    own_key,
                    bytes,
                    length,
                    ptr::null(),
                    0,
                    Some(callbacks::fill),
                    ptr::null_mut(),
                )
            });
            let faults = [chain, key].into_iter().filter_map(Result::err);
            if let Some(kind) = faults.into_iter().find(|failure| failure.is_unknown_kind()) {
                return Err(EngineError::UnknownKind(kind.to_string()));
            }
            chain.map_err(unreadable)?;
            key.map_err(unusable)?;
            let pair = sys::mbedtls_pk_check_pair(
                &raw const (*own).pk,
                own_key,
                Some(callbacks::fill),
                ptr::null_mut(),
            );
            check(pair).map_err(unusable)?;
            let (mut length, mut next) = (0, own.cast_const());
            while !next.is_null() {
                length += (*next).raw.len + 3;
                next = (*next).next;
            }
            if length > LONGEST_CHAIN {
                let why = format!("it has {length} bytes, and {LONGEST_CHAIN} are possible");
                return Err(EngineError::Certificate(why));
            }
            check(sys::mbedtls_ssl_conf_own_cert(&raw mut (*self.raw).config, own, own_key))
                .map_err(machine)?;
            let names = certificate.names.clone();
            self.hooks.own.borrow_mut().push(Shown { names, chain: own, key: own_key });
            Ok(match sys::mbedtls_pk_get_type(own_key) {
                sys::mbedtls_pk_type_t_MBEDTLS_PK_RSA => SuiteProof::Rsa,
                _ => SuiteProof::Ecdsa,
            })
        }
    }

    /// Takes the CAs and revocation lists that peers' certificates are judged by, and whether they are asked for.
    pub(super) fn trust(&mut self, settings: &Settings) -> Result<(), EngineError> {
        let asked = settings.client_certificate != ClientCertificate::None;
        if asked && settings.client_ca.is_empty() {
            return Err(EngineError::NoClientCa);
        }
        let mode = match settings.client_certificate {
            ClientCertificate::None => sys::MBEDTLS_SSL_VERIFY_NONE,
            ClientCertificate::Optional => sys::MBEDTLS_SSL_VERIFY_OPTIONAL,
            ClientCertificate::Required => sys::MBEDTLS_SSL_VERIFY_REQUIRED,
        };
        let hooks = self.data();
        // SAFETY: the structures are initialised and live as long as the configuration; the buffers are as long as is
        // said and are copied.
        unsafe {
            let config = &raw mut (*self.raw).config;
            let (ca, crl) = (&raw mut (*self.raw).ca, &raw mut (*self.raw).crl);
            for bytes in &settings.client_ca {
                parse(bytes, |bytes| sys::mbedtls_x509_crt_parse(ca, bytes.as_ptr(), bytes.len()))
                    .map_err(|failure| EngineError::ClientCa(failure.to_string()))?;
            }
            for bytes in &settings.crl {
                parse(bytes, |bytes| sys::mbedtls_x509_crl_parse(crl, bytes.as_ptr(), bytes.len()))
                    .map_err(|failure| EngineError::Crl(failure.to_string()))?;
            }
            sys::mbedtls_ssl_conf_authmode(config, mode as c_int);
            if asked {
                let crl = if settings.crl.is_empty() { ptr::null_mut() } else { crl };
                sys::mbedtls_ssl_conf_ca_chain(config, ca, crl);
                sys::mbedtls_ssl_conf_verify(config, Some(callbacks::verify), hooks);
            }
        }
        Ok(())
    }

    /// Lets clients resume sessions, if there is a place for these.
    fn resume(&mut self) {
        if self.hooks.resumption.is_none() {
            return;
        }
        let hooks = self.data();
        // SAFETY: the hooks live as long as the configuration, and do not move.
        unsafe {
            let config = &raw mut (*self.raw).config;
            sys::mbedtls_ssl_conf_session_cache(
                config,
                hooks,
                Some(callbacks::recall),
                Some(callbacks::remember),
            );
            sys::mbedtls_ssl_conf_session_tickets_cb(
                config,
                Some(callbacks::write_ticket),
                Some(callbacks::read_ticket),
                hooks,
            );
        }
    }

    /// How many bytes the ids of its contexts have.
    pub(crate) fn connection_id_length(&self) -> usize {
        self.connection_id_length
    }

    /// The certificates that are not shown, and why.
    pub(crate) fn left_out(&self) -> &[(String, EngineError)] {
        &self.left_out
    }

    /// The time of the last call of one of its contexts.
    pub(crate) fn now(&self) -> Instant {
        self.hooks.now.get()
    }

    pub(super) fn raw(&self) -> *mut sys::mbedtls_ssl_config {
        // SAFETY: the box lives until `self` is dropped.
        unsafe { &raw mut (*self.raw).config }
    }

    fn data(&self) -> *mut std::ffi::c_void {
        self.hooks.pointer()
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: the box was given away by `Box::into_raw` in `new` and by nothing else. No context uses the
        // configuration any more: each holds an `Rc` of it.
        unsafe {
            sys::mbedtls_ssl_config_free(&raw mut (*self.raw).config);
            for pair in std::mem::take(&mut (*self.raw).own) {
                sys::mbedtls_x509_crt_free(&raw mut (*pair).chain);
                sys::mbedtls_pk_free(&raw mut (*pair).key);
                drop(Box::from_raw(pair));
            }
            sys::mbedtls_x509_crt_free(&raw mut (*self.raw).ca);
            sys::mbedtls_x509_crl_free(&raw mut (*self.raw).crl);
            drop(Box::from_raw(self.raw));
        }
    }
}

/// Has Mbed TLS make its tables, which it does when they are first wanted and without a lock.
fn warm_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: no other thread calls Mbed TLS before one has been here. The structure is initialised by its function,
        // and holds nothing that must be freed but what is freed.
        unsafe {
            sys::mbedtls_ssl_list_ciphersuites();
            sys::mbedtls_ecp_grp_id_list();
            let mut aes = std::mem::zeroed();
            sys::mbedtls_aes_init(&mut aes);
            sys::mbedtls_aes_setkey_enc(&mut aes, [0; 16].as_ptr(), 128);
            sys::mbedtls_aes_free(&mut aes);
        }
    });
}

/// Gives PEM or DER to a parser, which wants a zero behind PEM. A part that cannot be read is as bad as all.
fn parse(bytes: &[u8], parser: impl FnOnce(&[u8]) -> c_int) -> Result<(), Failure> {
    let is_pem = bytes.windows(10).any(|text| text == b"-----BEGIN");
    let mut bytes = Zeroizing::new(bytes.to_vec());
    if is_pem && bytes.last() != Some(&0) {
        bytes.push(0);
    }
    match parser(&bytes) {
        0 => Ok(()),
        code if code < 0 => Err(Failure(code)),
        _ => Err(Failure(sys::MBEDTLS_ERR_X509_INVALID_FORMAT)),
    }
}

fn machine(failure: Failure) -> EngineError {
    EngineError::Machine(failure.to_string())
}
