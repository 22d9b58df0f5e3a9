//! A participant of a federation on any platform: in a browser, in `fed-bbpt join`, in a
//! demonstration, or in a test.
//!
//! A [`Platform`] sends, keeps time, stores and shows; everything else is the same on all of them.
//! [`run`] carries out what the participant's machine ([`federation::round::client`]) wants done,
//! [`api::Api`] speaks to the aggregator, and [`model_client::caller::Caller`] to the model API.

pub mod api;
mod driver;
mod error;
mod evaluate;
mod platform;
mod state;

pub use driver::run;
pub use error::DriveError;
pub use platform::Platform;
pub use state::{Awaited, Participant, StepTime, caller};
