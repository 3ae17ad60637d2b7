//! What C takes from the heap, counted.

use std::alloc::{GlobalAlloc, Layout, System, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::Once;

use mbedtls_rs_sys as sys;

pub(crate) use super::client::{Ticket, Wishes, client, ticket};

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
