//! What operators see: $SYS, presence, and why connections ended.
