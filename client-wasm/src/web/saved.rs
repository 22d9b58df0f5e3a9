//! What survives a reload, in four records: the key that we sign with and who we are (once each), the data
//! (once), the state (after each step). Keys of APIs are never among them.

use federation::round::client::Client;
use ground::wire;
use model_client::tally::Tally;
use secure_sum::identity::Identity;
use serde::{Deserialize, Serialize};

use super::host::Host;

/// The names of the records.
pub mod record {
    /// [`super::Membership`].
    pub const MEMBERSHIP: &str = "membership";
    /// The seed of our [`Identity`](secure_sum::identity::Identity).
    pub const IDENTITY: &str = "identity";
    /// [`super::State`].
    pub const STATE: &str = "state";
    /// [`super::super::examples::Examples`].
    pub const DATA: &str = "data";
}

/// Who we are.
#[derive(Clone, Serialize, Deserialize)]
pub struct Membership {
    /// Our number.
    pub participant: u32,
    /// Our bearer token.
    pub token: String,
    /// The hash of the aggregator's task: another one is another federation.
    pub task_hash: String,
}

/// Where we are.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    /// The machine.
    pub client: Client,
    /// Queries that the machine does not know of (pictures, checks).
    pub other_queries: u64,
    /// What calling the model has cost so far.
    pub tally: Tally,
    /// Bytes to and from the model, to and from the aggregator.
    pub bytes: [u64; 4],
}

/// What was found in the storage.
#[derive(Default)]
pub struct Found {
    /// The key that we joined with.
    pub identity: Option<Identity>,
    /// The membership, if it is of this task.
    pub membership: Option<Membership>,
    /// The state.
    pub state: Option<State>,
    /// The data's bytes.
    pub data: Option<Vec<u8>>,
}

impl Found {
    /// Reads the records. What does not parse (an older version of this page wrote it) is as if it were not
    /// there, but for data, which stay usable without a membership.
    ///
    /// A membership without the key that it was made with is none: its rounds could not be signed.
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

/// Saves a record. The error is what the browser says.
pub async fn save(host: &Host, key: &str, bytes: &[u8]) -> Result<(), String> {
    match host.save(key, js_sys::Uint8Array::from(bytes)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(js_sys::Error::from(error).message().into()),
    }
}
