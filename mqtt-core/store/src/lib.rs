//! Records by key that survive kill -9 and power loss.
