//! MQTT-SN 1.2 on the bus.
