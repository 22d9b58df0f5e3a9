//! A participant of a federation, wherever it runs: in a browser, in `fed-bbpt join`, in a demonstration or a test.
//!
//! A [`Platform`] sends, keeps time, stores and shows; everything else is the same for all: [`run`] carries out what the
//! participant's machine ([`federation::round::client`]) wants done, [`api::Api`] speaks to the aggregator, and
//! [`model_client::caller::Caller`] to the model API.

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
