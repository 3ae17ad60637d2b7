//! Connects out: the MQTT client on TCP, TLS, WebSocket, QUIC and Unix sockets.
