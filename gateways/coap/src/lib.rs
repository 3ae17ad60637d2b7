//! CoAP messages, exchanges, observe and pub/sub resources on the bus.
