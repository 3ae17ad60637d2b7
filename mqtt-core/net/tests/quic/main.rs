//! MQTT over QUIC, with quinn's client against a listener of our own.

mod early;
mod peers;
mod streams;
