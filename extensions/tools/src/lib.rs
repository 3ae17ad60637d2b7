//! The commands that are clients: pub, sub, rr and bench.
