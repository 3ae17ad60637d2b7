//! Authenticates, opens sessions, routes, and keeps messages until acknowledged.
