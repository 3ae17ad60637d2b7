use std::ffi::{c_int, c_void};
use std::ptr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use dtls::ClientCertificate;
use mbedtls_rs_sys as sys;
use zeroize::Zeroizing;

use super::callbacks::{self, Timer, Wire};
use super::config::Carrier;
use super::fixed::Fixed;
use super::hooks::Notes;
use super::{Config, Failure, LONGEST_OUT, check};

/// One session, or the handshake for one.
pub(crate) struct Context {
    pub(super) ssl: *mut sys::mbedtls_ssl_context,
    timer: Fixed<Timer>,
    config: Rc<Config>,
    began: Instant,
    notes: Notes,
}

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Waiting,
    Done,
    Failed(Failure),
}

/// What came of input of an open session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So much plaintext is in the buffer.
    Plaintext(usize),
    /// Nothing, or nothing for us.
    Nothing,
    /// The session is over.
    Failed(Failure),
}

impl Context {
    /// A handshake that awaits its first message. An id is offered if there is one.
    pub(crate) fn new(config: &Rc<Config>, connection: &[u8], now: Instant) -> Result<Self, Failure> {
        // SAFETY: zeros are the state of the structure before its initialisation, which follows.
        let ssl = Box::into_raw(Box::new(unsafe { std::mem::zeroed::<sys::mbedtls_ssl_context>() }));
        let timer = Fixed::new(Timer::default());
        let timer_data = timer.pointer();
        let context = Self { ssl, timer, config: config.clone(), began: now, notes: Notes::default() };
        // SAFETY: the configuration and the timer live as long as the context, whose drop frees the structure.
        unsafe {
            sys::mbedtls_ssl_init(ssl);
            check(sys::mbedtls_ssl_setup(ssl, config.raw()))?;
            if config.carrier == Carrier::Datagrams {
                sys::mbedtls_ssl_set_timer_cb(
                    ssl,
                    timer_data,
                    Some(callbacks::set_timer),
                    Some(callbacks::timer_passed),
                );
                sys::mbedtls_ssl_set_mtu(ssl, config.mtu);
                if config.connection_id_length != 0 {
                    check(sys::mbedtls_ssl_set_cid(
                        ssl,
                        sys::MBEDTLS_SSL_CID_ENABLED as c_int,
                        connection.as_ptr(),
                        connection.len(),
                    ))?;
                }
            }
        }
        Ok(context)
    }

    /// A session that [`Context::save`] has put away. The same bytes must not be loaded twice.
    pub(crate) fn load(config: &Rc<Config>, state: &[u8], now: Instant) -> Result<Self, Failure> {
        let context = Self::new(config, &vec![0; config.connection_id_length], now)?;
        // SAFETY: the context was just set up; the buffer is as long as is said and is copied. A failure frees what is
        // in the structure, which may be freed once more.
        check(unsafe { sys::mbedtls_ssl_context_load(context.ssl, state.as_ptr(), state.len()) })?;
        Ok(context)
    }

    /// Goes on with the handshake; without input, for its timers.
    pub(crate) fn handshake(&mut self, input: &[u8], now: Instant, output: &mut Vec<Vec<u8>>) -> Step {
        self.handshake_on_stream(input, now, output).0
    }

    /// The same on a stream; returns also how much was taken, which is all unless the handshake is over.
    pub(crate) fn handshake_on_stream(
        &mut self,
        input: &[u8],
        now: Instant,
        output: &mut Vec<Vec<u8>>,
    ) -> (Step, usize) {
        // SAFETY: `call` lends a live context.
        let (code, taken) = self.call(input, now, output, |ssl| unsafe { sys::mbedtls_ssl_handshake(ssl) });
        let step = match Failure(code) {
            Failure(0) => {
                // The datagrams of an open session are as long as they must be.
                // SAFETY: the context lives.
                unsafe { sys::mbedtls_ssl_set_mtu(self.ssl, 0) };
                Step::Done
            }
            Failure::WANT_READ => Step::Waiting,
            failure => Step::Failed(failure),
        };
        (step, taken)
    }

    /// Takes one record; what is decrypted goes into the buffer.
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        now: Instant,
        output: &mut Vec<Vec<u8>>,
        buffer: &mut [u8],
    ) -> Read {
        self.read_on_stream(input, now, output, buffer).0
    }

    /// The same on a stream, where it takes as much as makes some plaintext; returns also how much that was.
    pub(crate) fn read_on_stream(
        &mut self,
        input: &[u8],
        now: Instant,
        output: &mut Vec<Vec<u8>>,
        buffer: &mut [u8],
    ) -> (Read, usize) {
        let (bytes, length) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: `call` lends a live context; the buffer is as long as is said.
        let (code, taken) =
            self.call(input, now, output, |ssl| unsafe { sys::mbedtls_ssl_read(ssl, bytes, length) });
        let read = match (usize::try_from(code), Failure(code)) {
            (Ok(0), _) | (_, Failure::WANT_READ | Failure::TIMEOUT) => Read::Nothing,
            (Ok(length), _) => Read::Plaintext(length),
            (_, failure) => Read::Failed(failure),
        };
        (read, taken)
    }

    /// Encrypts one record.
    pub(crate) fn write(
        &mut self,
        plaintext: &[u8],
        now: Instant,
        output: &mut Vec<Vec<u8>>,
    ) -> Result<(), Failure> {
        if plaintext.len() > LONGEST_OUT {
            return Err(Failure::BAD_INPUT);
        }
        let (bytes, length) = (plaintext.as_ptr(), plaintext.len());
        // SAFETY: `call` lends a live context; the plaintext is as long as is said.
        let (code, _) =
            self.call(&[], now, output, |ssl| unsafe { sys::mbedtls_ssl_write(ssl, bytes, length) });
        if code < 0 { Err(Failure(code)) } else { Ok(()) }
    }

    /// Makes the good-bye.
    pub(crate) fn close(&mut self, now: Instant, output: &mut Vec<Vec<u8>>) {
        // SAFETY: `call` lends a live context. A good-bye that cannot be made is none.
        let _ = self.call(&[], now, output, |ssl| unsafe { sys::mbedtls_ssl_close_notify(ssl) });
    }

    /// Puts the session away as bytes that [`Context::load`] takes; gives it back if it cannot be put away.
    pub(crate) fn save(self: Box<Self>) -> Result<Zeroizing<Vec<u8>>, Box<Self>> {
        self.forget_handshake();
        let mut length = 0;
        // SAFETY: the context lives; without a buffer only the length is told, and nothing changes.
        let code = unsafe { sys::mbedtls_ssl_context_save(self.ssl, ptr::null_mut(), 0, &mut length) };
        if code != sys::MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL {
            return Err(self);
        }
        let mut state = Zeroizing::new(vec![0; length]);
        // SAFETY: the context lives, and the buffer is as long as is said.
        let code =
            unsafe { sys::mbedtls_ssl_context_save(self.ssl, state.as_mut_ptr(), state.len(), &mut length) };
        if code != 0 || length != state.len() {
            return Err(self);
        }
        Ok(state)
    }

    /// Gives up the last flight of a handshake that is done, which is kept, and sent again, until the peer says something
    /// that shows that it has come.
    fn forget_handshake(&self) {
        // SAFETY: the context lives, and nothing else uses it now. The function is the one by which C forgets the
        // handshake when data has come; it wants a handshake that is there, and done.
        unsafe {
            let (state, handshake) = ((*self.ssl).private_state, (*self.ssl).private_handshake);
            let over = sys::mbedtls_ssl_states_MBEDTLS_SSL_HANDSHAKE_OVER;
            if u32::try_from(state).is_ok_and(|state| state >= over) && !handshake.is_null() {
                mbedtls_ssl_handshake_wrapup_free_hs_transform(self.ssl);
            }
        }
    }

    /// The number of the newest record that was decrypted. [RFC6347 4.1.2.6]
    pub(crate) fn newest(&self) -> u64 {
        // SAFETY: the context lives, and nothing else uses it now.
        unsafe { (*self.ssl).private_in_window_top }
    }

    /// When the handshake's timers want to be looked at.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.timer.due().map(|due| self.began + Duration::from_millis(due))
    }

    /// The longest plaintext of one record that is sent: the peer may have asked for less than there is room for.
    pub(crate) fn room(&self) -> u16 {
        // SAFETY: the context lives.
        let length = unsafe { sys::mbedtls_ssl_get_max_out_record_payload(self.ssl) };
        u16::try_from(length).unwrap_or_default()
    }

    /// The number of the suite in the IANA registry.
    pub(crate) fn suite(&self) -> u16 {
        // SAFETY: the context lives.
        let number = unsafe { sys::mbedtls_ssl_get_ciphersuite_id_from_ssl(self.ssl) };
        u16::try_from(number).unwrap_or_default()
    }

    /// The peer's certificate, in DER; `None` if it has shown none.
    pub(crate) fn certificate(&self) -> Option<Vec<u8>> {
        // SAFETY: the context lives; the certificate is its session's, and is copied.
        unsafe {
            let certificate = sys::mbedtls_ssl_get_peer_cert(self.ssl);
            let raw = &certificate.as_ref()?.raw;
            (!raw.p.is_null()).then(|| std::slice::from_raw_parts(raw.p, raw.len).to_vec())
        }
    }

    /// Whether ids are used: the peer has agreed to it.
    pub(crate) fn has_connection_id(&self) -> bool {
        let mut enabled = 0;
        // SAFETY: the context lives; only whether is asked, so that the other places may be null.
        let code = unsafe {
            sys::mbedtls_ssl_get_peer_cid(self.ssl, &mut enabled, ptr::null_mut(), ptr::null_mut())
        };
        code == 0 && enabled == sys::MBEDTLS_SSL_CID_ENABLED as c_int
    }

    /// The number of the alert that ended it.
    pub(crate) fn alert(&self) -> u8 {
        // SAFETY: the context lives; `in_msg` points into its input buffer, which has more than two bytes behind it, and
        // which holds the alert that the last call has read.
        unsafe {
            let message = (*self.ssl).private_in_msg;
            if message.is_null() { 0 } else { *message.add(1) }
        }
    }

    /// Whether its peer must have proved who it is.
    pub(crate) fn wants_proof(&self) -> bool {
        self.config.hooks.client_certificate == ClientCertificate::Required
    }

    /// What the callbacks have noted.
    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Calls C with a wire, the time, and the notes of this context; returns also how much of the input was taken.
    fn call(
        &mut self,
        input: &[u8],
        now: Instant,
        output: &mut Vec<Vec<u8>>,
        call: impl FnOnce(*mut sys::mbedtls_ssl_context) -> c_int,
    ) -> (c_int, usize) {
        let hooks = &self.config.hooks;
        hooks.notes.replace(std::mem::take(&mut self.notes));
        hooks.now.set(now);
        let elapsed = now.saturating_duration_since(self.began).as_millis();
        self.timer.now.set(u64::try_from(elapsed).unwrap_or(u64::MAX));
        let length = input.len();
        let mut wire = Wire { input, output, is_stream: self.config.carrier == Carrier::Stream };
        let data = (&raw mut wire).cast::<c_void>();
        // SAFETY: the context lives; the wire outlives the call, after which C has no pointer to it any more.
        unsafe {
            sys::mbedtls_ssl_set_bio(self.ssl, data, Some(callbacks::send), Some(callbacks::receive), None)
        };
        let code = call(self.ssl);
        // SAFETY: the context lives.
        unsafe {
            sys::mbedtls_ssl_set_bio(
                self.ssl,
                ptr::null_mut(),
                Some(callbacks::send),
                Some(callbacks::receive),
                None,
            );
        }
        self.notes = self.config.hooks.notes.take();
        (code, length - wire.input.len())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the box was given away by `Box::into_raw` in `new` and by nothing else; its content is initialised,
        // or was freed by C, which leaves it fit to be freed.
        unsafe {
            sys::mbedtls_ssl_free(self.ssl);
            drop(Box::from_raw(self.ssl));
        }
    }
}

unsafe extern "C" {
    /// Frees what only the handshake needed; the bindings leave it out. [mbedtls/library/ssl_misc.h]
    fn mbedtls_ssl_handshake_wrapup_free_hs_transform(ssl: *mut sys::mbedtls_ssl_context);
}
