//! Differential privacy of a sum: clipping, discrete noise, accounting.
//!
//! A participant clips its update ([`l2_clip`]), rounds it to integers without leaving a norm bound
//! ([`conditional_round`]) and adds its share of discrete Gaussian noise
//! ([`Mechanism::contribution`]). The shares of any `contributors_min` participants reach the
//! stated variance. What one such sum costs is [`Mechanism::rho`]; a [`Ledger`] adds the costs up
//! and tells ε at δ.
//!
//! Two federations are neighbours if they differ in the contribution of one participant, which is
//! replaced by zero. What ε covers and what it does not: `docs/privacy-accounting.md`.
//!
//! Randomness is any `FnMut() -> u64` whose words are uniform and secret; the caller's keystream,
//! in practice. The same words never serve two different vectors: their difference would be free of
//! noise.
//!
//! Sources: Bun and Steinke 2016, "Concentrated Differential Privacy" (zCDP and its composition);
//! Canonne, Kamath and Steinke 2020, "The Discrete Gaussian for Differential Privacy" (sampler,
//! conversion to ε and δ); Kairouz, Liu and Steinke 2021, "The Distributed Discrete Gaussian
//! Mechanism for Federated Learning with Secure Aggregation" (rounding, sums of discrete
//! Gaussians).

mod accountant;
mod calibrate;
mod clip;
mod error;
mod gaussian;
mod mechanism;
mod rounding;

pub use accountant::{Ledger, epsilon_of};
pub use calibrate::noise_multiplier;
pub use clip::l2_clip;
pub use error::PrivacyError;
pub use gaussian::DiscreteGaussian;
pub use mechanism::Mechanism;
pub use rounding::{conditional_round, rounded_norm_squared};
