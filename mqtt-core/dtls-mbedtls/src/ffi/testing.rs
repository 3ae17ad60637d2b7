//! The other side: a client by the same library.

use std::alloc::{GlobalAlloc, Layout, System, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::ffi::{CString, c_int, c_void};
use std::ptr;
use std::rc::Rc;
use std::sync::Once;
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
        config.show(&certificate.chain, &certificate.key).unwrap();
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
    let name = CString::new("localhost").unwrap();
    // SAFETY: the context lives; what it is given is copied.
    unsafe {
        check(sys::mbedtls_ssl_set_hostname(context.ssl, name.as_ptr())).unwrap();
        if wishes.connection_id {
            check(sys::mbedtls_ssl_set_cid(context.ssl, 1, ptr::null(), 0)).unwrap();
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

thread_local! {
    static HELD_BY_C: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<usize> = const { Cell::new(0) };
}

static COUNTING: Once = Once::new();

#[global_allocator]
static HEAP: Counted = Counted;

/// The system's heap, counted by thread.
struct Counted;

/// How many bytes C holds that this thread took.
pub(crate) fn held_by_c() -> usize {
    HELD_BY_C.get()
}

/// How many bytes this thread took from the heap and holds, in C and in Rust.
pub(crate) fn held() -> usize {
    HELD.get()
}

/// Counts what C takes from the heap, from the first configuration on.
pub(super) fn count_memory() {
    // SAFETY: the functions are a `calloc` and a `free` that belong together, and nothing was taken before.
    COUNTING.call_once(|| unsafe {
        sys::mbedtls_platform_set_calloc_free(Some(counting_calloc), Some(counting_free));
    });
}

// SAFETY: the system's heap does all of it; counting takes no memory.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get().wrapping_add(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, bytes: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(bytes, layout) }
    }
}

const BEFORE: usize = 16;

unsafe extern "C" fn counting_calloc(count: usize, size: usize) -> *mut c_void {
    let Some(length) = count.checked_mul(size) else { return ptr::null_mut() };
    let layout = Layout::from_size_align(length + BEFORE, BEFORE).unwrap();
    // SAFETY: the layout is not empty; the length is written into its first bytes, which are aligned for it.
    unsafe {
        let start = alloc_zeroed(layout);
        start.cast::<usize>().write(length);
        HELD_BY_C.set(HELD_BY_C.get().wrapping_add(length));
        start.add(BEFORE).cast()
    }
}

unsafe extern "C" fn counting_free(bytes: *mut c_void) {
    if bytes.is_null() {
        return;
    }
    // SAFETY: the bytes are from `counting_calloc`, which wrote the length before them.
    unsafe {
        let start = bytes.cast::<u8>().sub(BEFORE);
        let length = start.cast::<usize>().read();
        HELD_BY_C.set(HELD_BY_C.get().wrapping_sub(length));
        dealloc(start, Layout::from_size_align(length + BEFORE, BEFORE).unwrap());
    }
}
