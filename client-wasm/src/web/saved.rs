//! What survives a reload, in four records: the key for signing and the membership (each written
//! once), the data (once), and the state (after each step). API keys are never among them.

use federation::round::client::Client;
use ground::wire;
use model_client::tally::Tally;
use secure_sum::identity::Identity;
use serde::{Deserialize, Serialize};

use super::host::Host;

/// The names of the four records.
pub mod record {
    /// The [`super::Membership`].
    pub const MEMBERSHIP: &str = "membership";
    /// The seed of our [`Identity`](secure_sum::identity::Identity).
    pub const IDENTITY: &str = "identity";
    /// The [`super::State`].
    pub const STATE: &str = "state";
    /// The [`super::super::examples::Examples`].
    pub const DATA: &str = "data";
}

/// The owner's membership of a federation.
#[derive(Clone, Serialize, Deserialize)]
pub struct Membership {
    /// The participant's number.
    pub participant: u32,
    /// The participant's bearer token.
    pub token: String,
    /// The hash of the aggregator's task. If it changes, the membership is of another federation.
    pub task_hash: String,
}

/// The owner's progress.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    /// The client's machine.
    pub client: Client,
    /// Number of queries of which the machine does not know (pictures, checks).
    pub other_queries: u64,
    /// The calls to the model so far.
    pub tally: Tally,
    /// Numbers of bytes sent to and received from the model, then the aggregator.
    pub bytes: [u64; 4],
}

/// What was found in storage.
#[derive(Default)]
pub struct Found {
    /// The key with which the owner joined.
    pub identity: Option<Identity>,
    /// The membership, if it is of this task.
    pub membership: Option<Membership>,
    /// The progress.
    pub state: Option<State>,
    /// The stored data.
    pub data: Option<Vec<u8>>,
}

impl Found {
    /// Reads the records. A record that does not parse (because an older version of this page wrote
    /// it) counts as missing; data stay usable without a membership.
    ///
    /// A membership without the key with which it was made counts as missing too, because its
    /// rounds could not be signed.
    pub fn read(
        identity: Option<Vec<u8>>,
        membership: Option<Vec<u8>>,
        state: Option<Vec<u8>>,
        data: Option<Vec<u8>>,
        task_hash: &str,
    ) -> Self {
        let identity = identity
            .and_then(|bytes| bytes.try_into().ok())
            .map(Identity::from_seed);
        let membership = membership
            .filter(|_| identity.is_some())
            .and_then(|bytes| wire::decode::<Membership>(&bytes).ok())
            .filter(|m| m.task_hash == task_hash);
        let state = state
            .filter(|_| membership.is_some())
            .and_then(|bytes| wire::decode(&bytes).ok());
        Self {
            identity,
            membership,
            state,
            data,
        }
    }
}

/// Saves a record. The error is the browser's message.
pub async fn save(host: &Host, key: &str, bytes: &[u8]) -> Result<(), String> {
    match host.save(key, js_sys::Uint8Array::from(bytes)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(js_sys::Error::from(error).message().into()),
    }
}
