//! Attacks on what the servers have: memory, descriptors, the processor, the disk. Real servers, on loopback.
//!
//! Whatever is tried, memory stays below twice that at rest and 256 MB more, the server answers those who watch over it within a
//! second, and an honest participant finishes its rounds.

#![cfg(target_os = "linux")] // What a process uses is read from /proc.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

mod connections;
mod disk;
mod pictures;
mod support;
