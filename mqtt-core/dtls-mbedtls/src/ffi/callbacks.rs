//! What C calls: randomness, keys, certificates' dates, resumption, the wire and the timers.

use std::cell::Cell;
use std::ffi::{c_int, c_uchar, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use dtls::ClientCertificate;
use mbedtls_rs_sys as sys;

use super::Failure;
use super::hooks::Hooks;
use crate::dates::Date;
use crate::random;

/// What one call of a context reads and writes.
pub(super) struct Wire<'a> {
    pub(super) input: &'a [u8],
    pub(super) output: &'a mut Vec<Vec<u8>>,
    pub(super) is_stream: bool,
}

/// The timers of one context, in milliseconds since it was made.
#[derive(Default)]
pub(super) struct Timer {
    pub(super) now: Cell<u64>,
    pub(super) intermediate: Cell<u64>,
    pub(super) last: Cell<Option<u64>>,
}

impl Timer {
    /// When the timers want to be looked at.
    pub(super) fn due(&self) -> Option<u64> {
        self.last.get()
    }

    fn passed(&self) -> c_int {
        match self.last.get() {
            None => -1,
            Some(last) if self.now.get() >= last => 2,
            Some(_) if self.now.get() >= self.intermediate.get() => 1,
            Some(_) => 0,
        }
    }
}

/// Calls Rust code from C: a panic is a failure, not an unwinding through C.
fn guarded(call: impl FnOnce() -> Result<(), Failure>) -> c_int {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => 0,
        Ok(Err(Failure(code))) => code,
        Err(_) => sys::MBEDTLS_ERR_SSL_INTERNAL_ERROR,
    }
}

/// The hooks behind a pointer that C gives back.
///
/// # Safety
/// `data` is the pointer that [`super::Config`] gave to C, and the configuration lives.
unsafe fn hooks<'a>(data: *mut c_void) -> &'a Hooks {
    // SAFETY: as the caller promises; only shared references to hooks are ever made.
    unsafe { &*data.cast_const().cast::<Hooks>() }
}

/// Bytes that C lends for a call.
///
/// # Safety
/// `bytes` points to `length` bytes that live as long as is said, or `length` is 0.
pub(super) unsafe fn lent<'a>(bytes: *const c_uchar, length: usize) -> &'a [u8] {
    if bytes.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { slice::from_raw_parts(bytes, length) }
}

pub(super) unsafe extern "C" fn fill(_data: *mut c_void, output: *mut c_uchar, length: usize) -> c_int {
    // SAFETY: C asks for `length` random bytes at `output`, which are its own. They are plain bytes, so that a
    // mutable slice may be made of them after they have been written once.
    let output = unsafe {
        std::ptr::write_bytes(output, 0, length);
        slice::from_raw_parts_mut(output, length)
    };
    random::fill(output).map_or(sys::MBEDTLS_ERR_SSL_NO_RNG, |()| 0)
}

/// The random numbers of a part of Mbed TLS that is not used here and asks for them all the same when it is linked.
// SAFETY: the name is Mbed TLS's own for a function that the application must have; no other crate defines it.
#[unsafe(no_mangle)]
unsafe extern "C" fn mbedtls_psa_external_get_random(
    _context: *mut c_void,
    output: *mut u8,
    size: usize,
    length: *mut usize,
) -> i32 {
    const INSUFFICIENT_ENTROPY: i32 = -148;
    // SAFETY: C passes a buffer of `size` bytes and a place for the length.
    unsafe {
        *length = size;
        if fill(std::ptr::null_mut(), output, size) == 0 { 0 } else { INSUFFICIENT_ENTROPY }
    }
}

pub(super) unsafe extern "C" fn key(
    data: *mut c_void,
    ssl: *mut sys::mbedtls_ssl_context,
    identity: *const c_uchar,
    length: usize,
) -> c_int {
    // SAFETY: C gives back the hooks, and lends the identity for this call.
    let (hooks, identity) = unsafe { (hooks(data), lent(identity, length)) };
    guarded(|| {
        let key = hooks.key(identity).ok_or(Failure(sys::MBEDTLS_ERR_SSL_NO_RNG))?;
        // SAFETY: `ssl` is the context whose handshake asks; the key is copied.
        super::check(unsafe { sys::mbedtls_ssl_set_hs_psk(ssl, key.as_ptr(), key.len()) })
    })
}

pub(super) unsafe extern "C" fn server_name(
    data: *mut c_void,
    ssl: *mut sys::mbedtls_ssl_context,
    name: *const c_uchar,
    length: usize,
) -> c_int {
    // SAFETY: C gives back the hooks, and lends the name for this call.
    let (hooks, name) = unsafe { (hooks(data), lent(name, length)) };
    guarded(|| hooks.called(name, ssl))
}

/// Mbed TLS is built without a clock, so that it does not look at certificates' dates; and it lets a certificate pass
/// whose issuer has no revocation list. Here both are looked at.
pub(super) unsafe extern "C" fn judge(
    data: *mut c_void,
    certificate: *mut sys::mbedtls_x509_crt,
    _depth: c_int,
    flags: *mut u32,
) -> c_int {
    // SAFETY: C gives back the hooks, and lends the certificate that it has parsed, and its flags.
    let (hooks, certificate, flags) = unsafe { (hooks(data), &*certificate, &mut *flags) };
    guarded(|| {
        let now = Date::now();
        if now > date(&certificate.valid_to) {
            *flags |= sys::MBEDTLS_X509_BADCERT_EXPIRED;
        }
        if now < date(&certificate.valid_from) {
            *flags |= sys::MBEDTLS_X509_BADCERT_FUTURE;
        }
        // SAFETY: the names are parts of the certificate.
        let (issuer, subject) = unsafe {
            let (issuer, subject) = (&certificate.issuer_raw, &certificate.subject_raw);
            (lent(issuer.p, issuer.len), lent(subject.p, subject.len))
        };
        if issuer != subject && !hooks.has_list_of(issuer) {
            *flags |= sys::MBEDTLS_X509_BADCRL_NOT_TRUSTED;
        }
        Ok(())
    })
}

/// The same, during a handshake: it notes what is wrong, and refuses a bad certificate that need not be there at all.
pub(super) unsafe extern "C" fn verify(
    data: *mut c_void,
    certificate: *mut sys::mbedtls_x509_crt,
    depth: c_int,
    flags: *mut u32,
) -> c_int {
    // SAFETY: as C called it.
    let code = unsafe { judge(data, certificate, depth, flags) };
    // SAFETY: C gives back the hooks, and lends the flags.
    let (hooks, flags) = unsafe { (hooks(data), *flags) };
    guarded(|| {
        super::check(code)?;
        let notes = &mut *hooks.notes.borrow_mut();
        notes.flags |= flags;
        // The last call is for the peer's own certificate.
        let is_bad = depth == 0 && notes.flags != 0;
        match hooks.client_certificate {
            ClientCertificate::Optional if is_bad => Err(Failure::CERTIFICATE_FATAL),
            _ => Ok(()),
        }
    })
}

fn date(time: &sys::mbedtls_x509_time) -> Date {
    Date {
        year: time.year.into(),
        month: time.mon.into(),
        day: time.day.into(),
        hour: time.hour.into(),
        minute: time.min.into(),
        second: time.sec.into(),
    }
}

/// No context sees a hello whose cookie was not proved before.
pub(super) unsafe extern "C" fn cookie_is_proved(
    _data: *mut c_void,
    _cookie: *const c_uchar,
    _cookie_length: usize,
    _client: *const c_uchar,
    _client_length: usize,
) -> c_int {
    0
}

/// So none is ever asked to make a cookie.
pub(super) unsafe extern "C" fn no_cookie(
    _data: *mut c_void,
    _place: *mut *mut c_uchar,
    _end: *mut c_uchar,
    _client: *const c_uchar,
    _client_length: usize,
) -> c_int {
    sys::MBEDTLS_ERR_SSL_INTERNAL_ERROR
}

pub(super) unsafe extern "C" fn recall(
    data: *mut c_void,
    id: *const c_uchar,
    length: usize,
    session: *mut sys::mbedtls_ssl_session,
) -> c_int {
    // SAFETY: C gives back the hooks, and lends the id.
    let (hooks, id) = unsafe { (hooks(data), lent(id, length)) };
    guarded(|| {
        let now = hooks.now.get();
        let found = hooks.resumption.as_ref().and_then(|resumption| resumption.recall(id, now));
        let found = found.ok_or(Failure(sys::MBEDTLS_ERR_SSL_CACHE_ENTRY_NOT_FOUND))?;
        hooks.recall(&found, session)
    })
}

pub(super) unsafe extern "C" fn remember(
    data: *mut c_void,
    id: *const c_uchar,
    length: usize,
    session: *const sys::mbedtls_ssl_session,
) -> c_int {
    // SAFETY: C gives back the hooks, and lends the id.
    let (hooks, id) = unsafe { (hooks(data), lent(id, length)) };
    guarded(|| {
        let resumable = hooks.resumable(session);
        if let (Some(resumption), Some(resumable)) = (&hooks.resumption, resumable) {
            resumption.remember(id, resumable, hooks.now.get());
        }
        Ok(())
    })
}

pub(super) unsafe extern "C" fn write_ticket(
    data: *mut c_void,
    session: *const sys::mbedtls_ssl_session,
    start: *mut c_uchar,
    end: *const c_uchar,
    length: *mut usize,
    lifetime: *mut u32,
) -> c_int {
    // SAFETY: C gives back the hooks, and lends a place for the lifetime and the length, which are set whatever follows.
    let hooks = unsafe {
        (*length, *lifetime) = (0, 0);
        hooks(data)
    };
    let room = (end as usize).saturating_sub(start as usize);
    guarded(|| {
        let resumption = hooks.resumption.as_ref().ok_or(Failure::BAD_INPUT)?;
        let resumable = hooks.resumable(session).ok_or(Failure::BAD_INPUT)?;
        let ticket = resumption.seal(&resumable, hooks.now.get()).ok_or(Failure::BAD_INPUT)?;
        // What would not fit a handshake message well is not worth a ticket.
        if ticket.len() > room || ticket.len() > usize::from(u16::MAX) {
            return Err(Failure(sys::MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL));
        }
        // SAFETY: there is room for it between `start` and `end`, as was just seen.
        unsafe {
            std::ptr::copy_nonoverlapping(ticket.as_ptr(), start, ticket.len());
            *length = ticket.len();
            *lifetime = u32::try_from(resumption.lifetime().as_secs()).unwrap_or(u32::MAX);
        }
        Ok(())
    })
}

pub(super) unsafe extern "C" fn read_ticket(
    data: *mut c_void,
    session: *mut sys::mbedtls_ssl_session,
    ticket: *mut c_uchar,
    length: usize,
) -> c_int {
    // SAFETY: C gives back the hooks, and lends the ticket.
    let (hooks, ticket) = unsafe { (hooks(data), lent(ticket, length)) };
    guarded(|| {
        let now = hooks.now.get();
        let opened = hooks.resumption.as_ref().and_then(|resumption| resumption.open(ticket, now));
        hooks.resume(&opened.ok_or(Failure::INVALID_MAC)?, session)
    })
}

pub(super) unsafe extern "C" fn send(data: *mut c_void, bytes: *const c_uchar, length: usize) -> c_int {
    if data.is_null() {
        return Failure::BAD_INPUT.0;
    }
    // SAFETY: `data` is the wire of the call that is being made, which nothing else uses meanwhile; the bytes are lent.
    let (wire, bytes) = unsafe { (&mut *data.cast::<Wire<'_>>(), lent(bytes, length)) };
    match wire.output.last_mut() {
        Some(last) if wire.is_stream => last.extend(bytes),
        _ => wire.output.push(bytes.to_vec()),
    }
    c_int::try_from(length).unwrap_or(Failure::BAD_INPUT.0)
}

pub(super) unsafe extern "C" fn receive(data: *mut c_void, bytes: *mut c_uchar, length: usize) -> c_int {
    if data.is_null() {
        return Failure::BAD_INPUT.0;
    }
    // SAFETY: `data` is the wire of the call that is being made, which nothing else uses meanwhile.
    let wire = unsafe { &mut *data.cast::<Wire<'_>>() };
    let taken = wire.input.get(..length).unwrap_or(wire.input);
    if taken.is_empty() {
        return Failure::WANT_READ.0;
    }
    // SAFETY: C has room for `length` bytes there, and no more are taken; they are not the wire's.
    unsafe { std::ptr::copy_nonoverlapping(taken.as_ptr(), bytes, taken.len()) };
    // What of a datagram has no room is lost with it.
    let rest = wire.input.get(taken.len()..).filter(|_| wire.is_stream);
    wire.input = rest.unwrap_or_default();
    c_int::try_from(taken.len()).unwrap_or(Failure::BAD_INPUT.0)
}

pub(super) unsafe extern "C" fn set_timer(data: *mut c_void, intermediate: u32, last: u32) {
    // SAFETY: `data` is the timer of the context, which lives as long and is only used by shared reference.
    let timer = unsafe { &*data.cast_const().cast::<Timer>() };
    let now = timer.now.get();
    timer.intermediate.set(now + u64::from(intermediate));
    timer.last.set((last != 0).then(|| now + u64::from(last)));
}

pub(super) unsafe extern "C" fn timer_passed(data: *mut c_void) -> c_int {
    // SAFETY: as in `set_timer`.
    let timer = unsafe { &*data.cast_const().cast::<Timer>() };
    timer.passed()
}
