//! The aggregator over a live port and a real database file.

mod kill;
mod live;
mod pages;
mod refusals;
mod rounds;
mod support;
mod time;
