//! Fuzz targets of every decoder, runnable as stable tests.
