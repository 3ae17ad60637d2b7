//! LwM2M on CoAP, driven by JSON commands over the bus.
