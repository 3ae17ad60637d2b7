use std::ffi::c_void;
use std::ops::Deref;
use std::ptr::NonNull;

/// A value to which C has a pointer: it stays where it is, and nobody has it to himself, until it is dropped.
///
/// A `Box` would not do: whoever moves one asserts that no other pointer to its content is used.
pub(super) struct Fixed<T>(NonNull<T>);

impl<T> Fixed<T> {
    pub(super) fn new(value: T) -> Self {
        Self(NonNull::from(Box::leak(Box::new(value))))
    }

    /// What C is given: good as long as this lives, and for shared use only.
    pub(super) fn pointer(&self) -> *mut c_void {
        self.0.as_ptr().cast()
    }
}

impl<T> Deref for Fixed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value lives until `drop`, and only shared references to it are ever made.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Fixed<T> {
    fn drop(&mut self) {
        // SAFETY: the box was given away in `new` and by nothing else, and what has a pointer to its content was freed
        // before, as whoever holds this owes.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}
