//! Requirements of each protocol as data, with a reader.
