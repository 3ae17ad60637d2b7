//! Checks the layer table and the licences.
