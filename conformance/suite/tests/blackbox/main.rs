//! Tests that know the server only by its sockets.
//!
//! A tag such as `5 [MQTT-3.1.0-2]` in a test's comment tells the version and the statement it shows; the same is
//! listed in `protocol-specs`.

mod mqtt;
