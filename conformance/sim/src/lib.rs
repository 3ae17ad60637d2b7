//! Several connections over a seeded, faulty network on a virtual clock.
