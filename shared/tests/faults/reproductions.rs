//! Failures that were found, kept as they were found (shrunk), so that they stay mended.
