//! `fed-bbpt relay` as a process between a page and a model API, attacked from both sides. After every test all that
//! it ever said is searched for the key, the token and what was in the bodies.

#![cfg(unix)] // It is ended by a signal.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

mod attacks;
mod flow;
mod passing;
mod start;
mod support;
