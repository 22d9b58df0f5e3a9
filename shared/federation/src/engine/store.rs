//! What an aggregator stores, and how: transactions over a few tables. A store implements [`Store`] itself, and one trait
//! for each table on its transactions. It must supply nothing else: commands, the HTTP API, the timers and the watcher for
//! news use only these.

#![allow(async_fn_in_trait)] // An aggregator's commands are awaited where they are called, never sent to other threads.

use super::{CommandError, Federation, Speaker};
use crate::record::{Checkpoint, Replay};
use crate::round::messages::{
    FederationStatus, FederationSummary, InviteSummary, Metrics, PrivacySpent, RoundRecord,
    Standing, Update,
};
use crate::round::phase::Phase;
use crate::round::refusal::Refusal;
use crate::round::server::Round;
use crate::task::Task;
use ground::hash::Hash;
use secure_sum::Bytes32;
use secure_sum::messages::RoundKeys;

/// Stands for the federation in a transaction over all of them.
pub const EVERY: &str = "";

/// Most federations in [`Federations::summaries`].
pub const MOST_SUMMARIES: usize = 1000;

/// The store of an aggregator's state.
pub trait Store {
    /// Why a transaction failed.
    type Error: From<Refusal> + From<CommandError>;
    /// One transaction.
    type Tx: Tx<Error = Self::Error>;

    /// Runs `body` in one transaction over `federation` that may write, called `name` in counters
    /// and logs. What it reads of the round must not change before it commits. If another
    /// transaction was faster, `body` may run again from its beginning, so it must have no effect
    /// except through the transaction. On an error nothing changes.
    ///
    /// # Errors
    /// Those of `body`, or of the store.
    /// What `body` says, or the store.
    async fn run_tx<T>(
        &self,
        federation: &str,
        name: &'static str,
        body: impl AsyncFn(&mut Self::Tx) -> Result<T, Self::Error>,
    ) -> Result<T, Self::Error>;

    /// Runs `body`, which only reads, on one consistent state of `federation`.
    ///
    /// # Errors
    /// Those of `body`, or of the store.
    async fn read<T>(
        &self,
        federation: &str,
        body: impl AsyncFn(&mut Self::Tx) -> Result<T, Self::Error>,
    ) -> Result<T, Self::Error>;
}

/// A transaction over one federation's rows of all tables; or over all federations, where it was begun for [`EVERY`].
pub trait Tx: Federations + Rounds + Messages + Participants + Invites + Lines + Timers {}

impl<T: Federations + Rounds + Messages + Participants + Invites + Lines + Timers> Tx for T {}

/// What the traits of all tables share.
pub trait Table {
    /// Why a statement failed.
    type Error: From<Refusal> + From<CommandError>;
}

/// Where a federation stands, with one participant's standing in its current round. Nearly every
/// command needs this, so it is loaded once.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// The version, which grows with every change that a view can show.
    pub version: u64,
    /// The status: running, finished or closed.
    pub status: FederationStatus,
    /// Number of updates of θ so far.
    pub step: u32,
    /// Hash of θ.
    pub theta: Hash,
    /// Number of participants who ever joined, which is the next one's number.
    pub participants: u32,
    /// Number of lines in the record.
    pub lines: u32,
    /// Hash of the last line.
    pub record: Hash,
    /// Whether the counting round is concluded.
    pub counted: bool,
    /// The current round.
    pub round: Round,
    /// Number of participants whose lease is valid.
    pub live: u32,
    /// The participant's standing in the current round; idle for an outsider.
    pub standing: Standing,
}

/// A new federation at θ₀, with the first line of its record.
pub struct NewFederation<'a> {
    /// The federation's id and task.
    pub federation: &'a Federation,
    /// The federation's record.
    pub record: &'a Replay,
    /// The time in milliseconds since 1970.
    pub now: u64,
}

impl NewFederation<'_> {
    /// How it is shown before anybody has joined.
    #[must_use]
    pub fn summary(&self) -> FederationSummary {
        let task = &self.federation.task;
        let limits = task.contribution().and_then(|c| c.limits());
        let spent = limits.zip(self.record.epsilon(task));
        FederationSummary {
            id: self.federation.id.clone(),
            name: task.name.clone(),
            description: task.description.clone(),
            status: FederationStatus::Running,
            step: 0,
            steps: task.federation.rounds,
            participants: 0,
            live: 0,
            dim: self.record.parameters().len() as u32,
            model_origin: self.federation.model_origin.clone(),
            created_at: self.now,
            task_hash: self.federation.task_hash.clone(),
            secure: task.federation.secure.is_some(),
            privacy: spent.map(|(limits, epsilon)| PrivacySpent {
                epsilon,
                limit: limits.epsilon,
                delta: limits.delta,
            }),
        }
    }
}

/// θ as it travels, and what its headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTheta {
    /// The numbers, four bytes each, little-endian.
    pub bytes: Vec<u8>,
    /// Hash of the bytes.
    pub hash: Hash,
    /// Updates that led to it.
    pub step: u32,
    /// Hash of the federation's task.
    pub task_hash: Hash,
}

/// The table of federations and their θ.
pub trait Federations: Table {
    /// Adds a federation at version 1, with its θ₀.
    async fn insert_federation(&mut self, new: &NewFederation<'_>) -> Result<(), Self::Error>;

    /// Where the federation stands, as `participant` sees it at `now`. In a transaction that
    /// writes, the round is locked until the end.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if there is no such federation.
    async fn current(&mut self, participant: Option<u32>, now: u64)
    -> Result<Current, Self::Error>;

    /// Counts a change that views can show.
    async fn bump(&mut self) -> Result<(), Self::Error>;

    /// Sets the status: running, finished or closed.
    async fn set_status(&mut self, status: FederationStatus) -> Result<(), Self::Error>;

    /// The position in the record: θ of `dim` numbers with its moments, and what the next line
    /// follows from.
    async fn checkpoint(&mut self, dim: usize) -> Result<Checkpoint, Self::Error>;

    /// Stores the position after another line; `moved` means with another θ.
    async fn advance(
        &mut self,
        task: &Task,
        record: &Replay,
        moved: bool,
    ) -> Result<(), Self::Error>;

    /// The task's JSON, if there is such a federation.
    async fn task(&mut self) -> Result<Option<String>, Self::Error>;

    /// The current θ; its bytes and its hash belong together. [`Refusal::NotFound`] if there is no such federation.
    async fn theta(&mut self) -> Result<StoredTheta, Self::Error>;

    /// The federation's entry in the list, at `now` (ms since 1970). [`Refusal::NotFound`] if there is none.
    async fn summary(&mut self, now: u64) -> Result<FederationSummary, Self::Error>;

    /// Of all federations: the list, newest first, of those created at the same time by id; the first
    /// [`MOST_SUMMARIES`].
    async fn summaries(&mut self, now: u64) -> Result<Vec<FederationSummary>, Self::Error>;

    /// Of all federations: their ids and versions, in any order.
    async fn versions(&mut self) -> Result<Vec<(String, u64)>, Self::Error>;

    /// Of all federations: the ids of those that are running and whose record has no line, from before there were records.
    /// A store without such a past has none.
    async fn unrecorded(&mut self) -> Result<Vec<String>, Self::Error>;
}

/// The totals of a round's updates, besides their vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Their summed metrics.
    pub metrics: Metrics,
    /// Total size in bytes of the bodies in which they came.
    pub bytes: u64,
}

/// The tables of current rounds, standings, updates and finished rounds.
pub trait Rounds: Table {
    /// Stores the current round.
    async fn store_round(&mut self, round: &Round) -> Result<(), Self::Error>;

    /// A participant's standing in round `round`, which may be one of the last few that ended.
    async fn standing(&mut self, round: u32, participant: u32) -> Result<Standing, Self::Error>;

    /// Sets a participant's standing.
    async fn set_standing(
        &mut self,
        round: u32,
        participant: u32,
        standing: Standing,
    ) -> Result<(), Self::Error>;

    /// Makes all enrolled participants the cohort; returns their number.
    async fn freeze_cohort(&mut self, round: u32) -> Result<u64, Self::Error>;

    /// Makes the participants who delivered the cohort of the next phase, and drops the others;
    /// returns the number of those who remain.
    async fn narrow_cohort(&mut self, round: u32) -> Result<u64, Self::Error>;

    /// Participants who are enrolled, or for whom the round waits, although their lease ran out;
    /// ascending.
    async fn expired(&mut self, round: u32, now: u64) -> Result<Vec<u32>, Self::Error>;

    /// Keeps an update until its round ends. `bytes` is the size of the body in which it came.
    async fn insert_update(
        &mut self,
        participant: u32,
        update: &Update,
        bytes: u64,
    ) -> Result<(), Self::Error>;

    /// Passes the round's updates, `length` numbers each, one by one to `add` with their examples,
    /// ascending by participant, so that the sum is always the same bit for bit.
    async fn for_each_update(
        &mut self,
        round: u32,
        length: usize,
        add: impl FnMut(Vec<f32>, u32),
    ) -> Result<Totals, Self::Error>;

    /// Ends a round: what is shown of it is kept, and its updates are deleted.
    async fn finish_round(&mut self, record: &RoundRecord) -> Result<(), Self::Error>;

    /// The last `limit` finished rounds, oldest first.
    async fn records(&mut self, limit: u32) -> Result<Vec<RoundRecord>, Self::Error>;
}

/// The tables of the current round's messages of a secure sum, and of the sets that were frozen
/// from phase to phase.
pub trait Messages: Table {
    /// Keeps a message as it came, until its round ends.
    async fn insert_message(
        &mut self,
        round: u32,
        phase: Phase,
        participant: u32,
        body: &[u8],
    ) -> Result<(), Self::Error>;

    /// Keeps the public keys for the roster. Returns false if one of them is there already.
    async fn insert_keys(&mut self, keys: &RoundKeys) -> Result<bool, Self::Error>;

    /// Whether a participant sent a message in a phase.
    async fn has_message(
        &mut self,
        round: u32,
        phase: Phase,
        participant: u32,
    ) -> Result<bool, Self::Error>;

    /// The participants who sent a message in a phase, ascending.
    async fn senders(&mut self, round: u32, phase: Phase) -> Result<Vec<u32>, Self::Error>;

    /// Passes a phase's messages one by one to `take`, ascending by participant. Only one need be
    /// in memory at a time.
    async fn for_each_message(
        &mut self,
        round: u32,
        phase: Phase,
        take: impl FnMut(u32, &[u8]) -> Result<(), CommandError>,
    ) -> Result<(), Self::Error>;

    /// Long-term public keys of the participants who published round keys, ascending by
    /// participant.
    async fn identities(&mut self, round: u32) -> Result<Vec<(u32, Bytes32)>, Self::Error>;

    /// Keeps a set that is frozen when `phase` begins.
    async fn insert_frozen(&mut self, phase: Phase, body: Vec<u8>) -> Result<(), Self::Error>;

    /// All sets of the current round that are frozen so far, each with the phase that began with
    /// it.
    async fn frozen(&mut self) -> Result<Vec<(Phase, Vec<u8>)>, Self::Error>;

    /// The set that was frozen when `phase` of the current round began.
    async fn frozen_in(&mut self, phase: Phase) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Keeps what was dealt to a participant, in the form in which it will be sent.
    async fn insert_inbox(&mut self, participant: u32, body: Vec<u8>) -> Result<(), Self::Error>;

    /// What was dealt to a participant in the current round.
    async fn inbox(&mut self, participant: u32) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Deletes the round's messages.
    async fn clear_messages(&mut self) -> Result<(), Self::Error>;
}

/// A participant who is about to join.
pub struct NewParticipant<'a> {
    /// The number that the participant gets.
    pub number: u32,
    /// Hash of the participant's token.
    pub token_hash: &'a str,
    /// The participant's Ed25519 public key in hexadecimal; `None` for none.
    pub identity: Option<&'a str>,
    /// Hash of the invite that was used.
    pub invite: &'a str,
    /// The time in milliseconds since 1970.
    pub now: u64,
    /// Time at which the participant counts as gone unless it is heard from again, in milliseconds
    /// since 1970.
    pub lease_until: u64,
}

/// A participant who joined before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The participant's number.
    pub number: u32,
    /// Hash of the invite that the participant first used.
    pub invite: String,
}

/// The table of participants, with their tokens and leases.
pub trait Participants: Table {
    /// Adds a participant.
    async fn insert_participant(&mut self, new: &NewParticipant<'_>) -> Result<(), Self::Error>;

    /// The participant with this identity, even if it has left.
    async fn by_identity(&mut self, identity: &str) -> Result<Option<Member>, Self::Error>;

    /// A participant's public key, if it has one.
    async fn identity(&mut self, number: u32) -> Result<Option<Bytes32>, Self::Error>;

    /// Takes a participant back, with a new token in place of the old one.
    async fn readmit(
        &mut self,
        number: u32,
        token_hash: &str,
        lease_until: u64,
    ) -> Result<(), Self::Error>;

    /// The participant with this token, unless it has left.
    async fn by_token(&mut self, token_hash: &str) -> Result<Option<Speaker>, Self::Error>;

    /// Prolongs a participant's lease.
    async fn renew(&mut self, number: u32, lease_until: u64) -> Result<(), Self::Error>;

    /// Notes that a participant left for good.
    async fn depart(&mut self, number: u32) -> Result<(), Self::Error>;
}

/// A new invite.
#[derive(Clone, Copy, Debug)]
pub struct NewInvite<'a> {
    /// The invite's id in lists and addresses.
    pub id: &'a str,
    /// Hash of the invite's secret.
    pub hash: &'a str,
    /// The time in milliseconds since 1970.
    pub now: u64,
    /// Time of expiry in milliseconds since 1970; `None` for never.
    pub expires_at: Option<u64>,
    /// Maximum number of participants who may join with it; `None` for any number.
    pub uses: Option<u32>,
}

/// The table of invites. Only the hashes of their secrets are stored.
pub trait Invites: Table {
    /// Adds an invite.
    async fn insert_invite(&mut self, new: &NewInvite<'_>) -> Result<(), Self::Error>;

    /// Number of invites that this federation ever had.
    async fn count_invites(&mut self) -> Result<u32, Self::Error>;

    /// The invite whose secret has this hash.
    async fn invite_by_hash(&mut self, hash: &str) -> Result<Option<InviteSummary>, Self::Error>;

    /// Counts a newcomer who joined with an invite.
    async fn count_use(&mut self, hash: &str) -> Result<(), Self::Error>;

    /// Revokes an invite, and returns its state. Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if there is no such invite.
    async fn revoke_invite(&mut self, id: &str, now: u64) -> Result<InviteSummary, Self::Error>;

    /// A federation's invites, newest first.
    async fn invites(&mut self) -> Result<Vec<InviteSummary>, Self::Error>;
}

/// Consecutive lines of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// The lines, each with its line end.
    pub text: String,
    /// Number of the first line after them.
    pub next: u32,
}

/// The table of the records' lines, which are added and never change.
pub trait Lines: Table {
    /// Adds line `number`, counted from 0.
    async fn append_line(&mut self, number: u32, line: &str) -> Result<(), Self::Error>;

    /// Lines from number `from` up to, but not including, `until`: as many as fit into `most`
    /// bytes, but at least one if there is one.
    async fn lines(&mut self, from: u32, until: u32, most: usize) -> Result<Excerpt, Self::Error>;
}

/// Who drives the timers of all federations, and until when they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// A name of the process.
    pub holder: String,
    /// Milliseconds since 1970.
    pub until: u64,
}

/// Time, in all federations at once. One process drives it, as long as it holds the lease.
pub trait Timers: Table {
    /// The lease as it stands; nothing if nobody ever held it.
    async fn lease(&mut self) -> Result<Option<Lease>, Self::Error>;

    /// Takes or prolongs the lease for `ttl` ms. False if another process holds it. A lease that reaches further than `ttl`
    /// from `now` was written under another clock and counts as expired.
    async fn acquire_lease(
        &mut self,
        holder: &str,
        now: u64,
        ttl: u64,
    ) -> Result<bool, Self::Error>;

    /// Gives the lease back, if `holder` has it.
    async fn release_lease(&mut self, holder: &str, now: u64) -> Result<(), Self::Error>;

    /// Writes something that nobody reads, to see whether the store takes writes.
    async fn trial(&mut self, now: u64) -> Result<(), Self::Error>;

    /// Federations in which time matters, in any order: running, and the clock of their phase runs.
    async fn ticking(&mut self) -> Result<Vec<(String, Round)>, Self::Error>;

    /// After `gap` ms in which no aggregator ran, since `stopped`: phases that had begun, and participants' leases that
    /// held, last for as much longer, since nobody could have delivered or renewed anything.
    async fn forgive(&mut self, stopped: u64, gap: u64) -> Result<(), Self::Error>;
}
