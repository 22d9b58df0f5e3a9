//! The aggregator over a live port and a real database file.

// Here `unwrap` is the assertion; clippy's exemption for tests does not reach the helpers beside them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod counting;
mod headers;
mod identities;
mod invites;
mod kill;
mod kill_sums;
mod limits;
mod live;
mod logs;
mod models;
mod pages;
mod player;
mod record;
mod refusals;
mod rounds;
mod schemas;
mod secure;
mod sum_refusals;
mod support;
mod time;
mod tls;
mod upgrade;
