//! Certificates and keys for TLS: read from files, chosen by name, renewed while connections live.
