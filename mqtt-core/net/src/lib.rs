//! Runs connections on sockets.
