//! Calling a model API well, without a clock or a network: how many requests may be under way ([`pace`]), what has
//! been spent ([`tally`]), and which answers are known already ([`cache`]).
//!
//! The page and `fed-bbpt join` feed these with times and answers; both do what they say.

pub mod cache;
pub mod pace;
pub mod tally;
