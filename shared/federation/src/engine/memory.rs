//! A store in memory, for simulations and tests. A transaction works on a copy whose tables are
//! shared until it writes to them; the copy replaces the state when the transaction commits.

use super::store::{
    Current, Excerpt, Federations, Invites, Lease, Lines, MOST_SUMMARIES, Member, Messages,
    NewFederation, NewInvite, NewParticipant, Participants, Rounds, Store, StoredTheta, Table,
    Timers, Totals,
};
use super::{CommandError, Speaker, broken};
use crate::record::{Checkpoint, Replay};
use crate::round::messages::{
    FederationStatus, FederationSummary, InviteSummary, RoundRecord, Standing, Update,
};
use crate::round::phase::Phase;
use crate::round::refusal::Refusal;
use crate::round::server::Round;
use crate::task::Task;
use ground::hash::theta_bytes;
use ground::hex::unhex;
use secure_sum::Bytes32;
use secure_sum::messages::RoundKeys;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The bodies of a sum's messages, by phase and sender.
type Bodies = BTreeMap<(Phase, u32), Arc<[u8]>>;

/// Number of past rounds whose standings are kept, to distinguish an update that is sent again from
/// one that is late.
const REMEMBERED_ROUNDS: u32 = 8;

/// A store in memory. A clone is a separate store with the same present state.
#[derive(Debug, Default)]
pub struct Memory {
    /// The number of transactions that were committed, and the state.
    state: Mutex<(u64, State)>,
}

/// The tables of all federations, by id. Two states are equal if all rows are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    federations: BTreeMap<String, Tables>,
    lease: Option<Lease>,
}

#[derive(Clone, Debug, PartialEq)]
struct Tables {
    /// The task's JSON.
    task: Arc<str>,
    /// As it was shown when it was created, with what has been spent since.
    shown: Arc<FederationSummary>,
    version: u64,
    status: FederationStatus,
    checkpoint: Arc<Checkpoint>,
    theta: String,
    round: Round,
    participants: Arc<Vec<Participant>>,
    invites: Arc<BTreeMap<String, InviteSummary>>,
    standings: Arc<BTreeMap<(u32, u32), Standing>>,
    updates: Arc<BTreeMap<u32, Arc<(Update, u64)>>>,
    messages: Arc<Bodies>,
    keys: Arc<BTreeSet<Bytes32>>,
    frozen: Arc<BTreeMap<Phase, Vec<u8>>>,
    inboxes: Arc<BTreeMap<u32, Arc<[u8]>>>,
    lines: Arc<Vec<Arc<str>>>,
    records: Arc<Vec<RoundRecord>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Participant {
    token_hash: String,
    identity: Option<String>,
    invite: String,
    lease_until: u64,
    departed: bool,
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        Self {
            state: Mutex::new(self.now()),
        }
    }
}

impl Memory {
    /// The present state.
    #[must_use]
    pub fn state(&self) -> State {
        self.now().1
    }

    fn now(&self) -> (u64, State) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Store for Memory {
    type Error = CommandError;
    type Tx = MemoryTx;

    async fn run_tx<T>(
        &self,
        federation: &str,
        _name: &'static str,
        body: impl AsyncFn(&mut MemoryTx) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        loop {
            let (commits, state) = self.now();
            let mut tx = MemoryTx {
                federation: federation.to_owned(),
                state,
            };
            let value = body(&mut tx).await?;
            let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            // Another transaction may have committed while this one was awaited.
            if now.0 == commits {
                *now = (commits + 1, tx.state);
                return Ok(value);
            }
        }
    }

    async fn read<T>(
        &self,
        federation: &str,
        body: impl AsyncFn(&mut MemoryTx) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        body(&mut MemoryTx {
            federation: federation.to_owned(),
            state: self.state(),
        })
        .await
    }
}

/// A transaction of [`Memory`].
pub struct MemoryTx {
    federation: String,
    state: State,
}

impl MemoryTx {
    fn tables(&mut self) -> Result<&mut Tables, CommandError> {
        let found = self.state.federations.get_mut(&self.federation);
        Ok(found.ok_or(Refusal::NotFound)?)
    }

    fn participant(&mut self, number: u32) -> Result<&mut Participant, CommandError> {
        let found = Arc::make_mut(&mut self.tables()?.participants).get_mut(number as usize);
        found.ok_or_else(|| broken(format!("no participant {number}")))
    }
}

impl Table for MemoryTx {
    type Error = CommandError;
}

impl Federations for MemoryTx {
    async fn insert_federation(&mut self, new: &NewFederation<'_>) -> Result<(), CommandError> {
        let record = new.record;
        let tables = Tables {
            task: new.federation.task.source().to_string().into(),
            shown: Arc::new(new.summary()),
            version: 1,
            status: FederationStatus::Running,
            checkpoint: Arc::new(Checkpoint::of(record)),
            theta: record.theta().clone(),
            round: Round::open(0),
            participants: Arc::default(),
            invites: Arc::default(),
            standings: Arc::default(),
            updates: Arc::default(),
            messages: Arc::default(),
            keys: Arc::default(),
            frozen: Arc::default(),
            inboxes: Arc::default(),
            lines: Arc::default(),
            records: Arc::default(),
        };
        self.state
            .federations
            .insert(self.federation.clone(), tables);
        Ok(())
    }

    async fn current(
        &mut self,
        participant: Option<u32>,
        now: u64,
    ) -> Result<Current, CommandError> {
        let tables = self.tables()?;
        let checkpoint = &tables.checkpoint;
        let standing = participant.and_then(|p| tables.standings.get(&(tables.round.number, p)));
        Ok(Current {
            version: tables.version,
            status: tables.status,
            step: checkpoint.step,
            theta: tables.theta.clone(),
            participants: tables.participants.len() as u32,
            lines: checkpoint.lines,
            record: checkpoint.head.clone(),
            counted: checkpoint.counted,
            round: tables.round.clone(),
            live: tables.live(now),
            standing: standing.copied().unwrap_or(Standing::Idle),
        })
    }

    async fn bump(&mut self) -> Result<(), CommandError> {
        self.tables()?.version += 1;
        Ok(())
    }

    async fn set_status(&mut self, status: FederationStatus) -> Result<(), CommandError> {
        self.tables()?.status = status;
        Ok(())
    }

    async fn checkpoint(&mut self, _dim: usize) -> Result<Checkpoint, CommandError> {
        Ok((*self.tables()?.checkpoint).clone())
    }

    async fn advance(
        &mut self,
        task: &Task,
        record: &Replay,
        _moved: bool,
    ) -> Result<(), CommandError> {
        let tables = self.tables()?;
        if let (Some(epsilon), Some(spent)) = (
            record.epsilon(task),
            &mut Arc::make_mut(&mut tables.shown).privacy,
        ) {
            spent.epsilon = epsilon;
        }
        tables.checkpoint = Arc::new(Checkpoint::of(record));
        tables.theta.clone_from(record.theta());
        Ok(())
    }

    async fn task(&mut self) -> Result<Option<String>, CommandError> {
        let tables = self.state.federations.get(&self.federation);
        Ok(tables.map(|tables| tables.task.to_string()))
    }

    async fn theta(&mut self) -> Result<StoredTheta, CommandError> {
        let tables = self.tables()?;
        Ok(StoredTheta {
            bytes: theta_bytes(&tables.checkpoint.state.theta),
            hash: tables.theta.clone(),
            step: tables.checkpoint.step,
            task_hash: tables.shown.task_hash.clone(),
        })
    }

    async fn summary(&mut self, now: u64) -> Result<FederationSummary, CommandError> {
        Ok(self.tables()?.summary(now))
    }

    async fn summaries(&mut self, now: u64) -> Result<Vec<FederationSummary>, CommandError> {
        let all = self.state.federations.values();
        let mut all: Vec<_> = all.map(|tables| tables.summary(now)).collect();
        // The sort is stable, and so those of one time stay in the order of their ids.
        all.sort_by_key(|summary| std::cmp::Reverse(summary.created_at));
        all.truncate(MOST_SUMMARIES);
        Ok(all)
    }

    async fn versions(&mut self) -> Result<Vec<(String, u64)>, CommandError> {
        let all = self.state.federations.iter();
        Ok(all
            .map(|(id, tables)| (id.clone(), tables.version))
            .collect())
    }

    async fn unrecorded(&mut self) -> Result<Vec<String>, CommandError> {
        // Nothing in memory is older than records are.
        Ok(Vec::new())
    }
}

impl Timers for MemoryTx {
    async fn lease(&mut self) -> Result<Option<Lease>, CommandError> {
        Ok(self.state.lease.clone())
    }

    async fn acquire_lease(
        &mut self,
        holder: &str,
        now: u64,
        ttl: u64,
    ) -> Result<bool, CommandError> {
        let held =
            |lease: &Lease| lease.holder != holder && lease.until > now && lease.until <= now + ttl;
        if self.state.lease.as_ref().is_some_and(held) {
            return Ok(false);
        }
        self.state.lease = Some(Lease {
            holder: holder.to_owned(),
            until: now + ttl,
        });
        Ok(true)
    }

    async fn release_lease(&mut self, holder: &str, now: u64) -> Result<(), CommandError> {
        if let Some(lease) = self.state.lease.as_mut().filter(|l| l.holder == holder) {
            lease.until = now;
        }
        Ok(())
    }

    async fn trial(&mut self, _: u64) -> Result<(), CommandError> {
        Ok(())
    }

    async fn ticking(&mut self) -> Result<Vec<(String, Round)>, CommandError> {
        let ticks = |tables: &Tables| {
            tables.status == FederationStatus::Running && tables.round.since.is_some()
        };
        let all = self
            .state
            .federations
            .iter()
            .filter(|(_, tables)| ticks(tables));
        Ok(all
            .map(|(id, tables)| (id.clone(), tables.round.clone()))
            .collect())
    }

    async fn forgive(&mut self, stopped: u64, gap: u64) -> Result<(), CommandError> {
        for tables in self.state.federations.values_mut() {
            if let Some(since) = tables.round.since.as_mut().filter(|s| **s <= stopped) {
                *since += gap;
            }
            for participant in Arc::make_mut(&mut tables.participants) {
                if participant.lease_until > stopped && !participant.departed {
                    participant.lease_until += gap;
                }
            }
        }
        Ok(())
    }
}

impl Tables {
    fn live(&self, now: u64) -> u32 {
        let live = self.participants.iter().filter(|p| p.lease_until > now);
        live.count() as u32
    }

    fn summary(&self, now: u64) -> FederationSummary {
        FederationSummary {
            status: self.status,
            step: self.checkpoint.step,
            participants: self.participants.len() as u32,
            live: self.live(now),
            ..(*self.shown).clone()
        }
    }
}

impl Rounds for MemoryTx {
    async fn store_round(&mut self, round: &Round) -> Result<(), CommandError> {
        self.tables()?.round = round.clone();
        Ok(())
    }

    async fn standing(&mut self, round: u32, participant: u32) -> Result<Standing, CommandError> {
        let standing = self.tables()?.standings.get(&(round, participant));
        Ok(standing.copied().unwrap_or(Standing::Idle))
    }

    async fn set_standing(
        &mut self,
        round: u32,
        participant: u32,
        standing: Standing,
    ) -> Result<(), CommandError> {
        let standings = Arc::make_mut(&mut self.tables()?.standings);
        if standing == Standing::Idle {
            standings.remove(&(round, participant));
        } else {
            standings.insert((round, participant), standing);
        }
        Ok(())
    }

    async fn freeze_cohort(&mut self, round: u32) -> Result<u64, CommandError> {
        let standings = Arc::make_mut(&mut self.tables()?.standings);
        let mut frozen = 0;
        for (_, standing) in standings.range_mut((round, 0)..=(round, u32::MAX)) {
            if *standing == Standing::Enrolled {
                *standing = Standing::InCohort;
                frozen += 1;
            }
        }
        Ok(frozen)
    }

    async fn narrow_cohort(&mut self, round: u32) -> Result<u64, CommandError> {
        let standings = Arc::make_mut(&mut self.tables()?.standings);
        let mut left = 0;
        for (_, standing) in standings.range_mut((round, 0)..=(round, u32::MAX)) {
            if *standing == Standing::Delivered {
                *standing = Standing::InCohort;
                left += 1;
            } else {
                *standing = Standing::Dropped;
            }
        }
        Ok(left)
    }

    async fn expired(&mut self, round: u32, now: u64) -> Result<Vec<u32>, CommandError> {
        let tables = self.tables()?;
        let standings = tables.standings.range((round, 0)..=(round, u32::MAX));
        let expired = standings.filter(|((_, number), standing)| {
            let participant = tables.participants.get(*number as usize);
            matches!(standing, Standing::Enrolled | Standing::InCohort)
                && participant.is_some_and(|p| p.lease_until <= now)
        });
        Ok(expired.map(|((_, number), _)| *number).collect())
    }

    async fn insert_update(
        &mut self,
        participant: u32,
        update: &Update,
        bytes: u64,
    ) -> Result<(), CommandError> {
        let updates = Arc::make_mut(&mut self.tables()?.updates);
        let row = Arc::new((update.clone(), bytes));
        match updates.insert(participant, row) {
            None => Ok(()),
            Some(_) => Err(broken(format!("two updates of {participant}"))),
        }
    }

    async fn for_each_update(
        &mut self,
        _round: u32,
        _length: usize,
        mut add: impl FnMut(Vec<f32>, u32),
    ) -> Result<Totals, CommandError> {
        let mut totals = Totals::default();
        for row in self.tables()?.updates.values() {
            let (update, bytes) = &**row;
            add(update.delta.clone(), update.examples);
            totals.metrics.add(&update.metrics);
            totals.bytes += bytes;
        }
        Ok(totals)
    }

    async fn finish_round(&mut self, record: &RoundRecord) -> Result<(), CommandError> {
        let tables = self.tables()?;
        Arc::make_mut(&mut tables.records).push(record.clone());
        tables.updates = Arc::default();
        let oldest = record.round.saturating_sub(REMEMBERED_ROUNDS);
        Arc::make_mut(&mut tables.standings).retain(|(round, _), _| *round >= oldest);
        Ok(())
    }

    async fn records(&mut self, limit: u32) -> Result<Vec<RoundRecord>, CommandError> {
        let records = &self.tables()?.records;
        let skipped = records.len().saturating_sub(limit as usize);
        Ok(records.iter().skip(skipped).cloned().collect())
    }
}

impl Messages for MemoryTx {
    async fn insert_message(
        &mut self,
        _round: u32,
        phase: Phase,
        participant: u32,
        body: &[u8],
    ) -> Result<(), CommandError> {
        let messages = Arc::make_mut(&mut self.tables()?.messages);
        match messages.insert((phase, participant), body.into()) {
            None => Ok(()),
            Some(_) => Err(broken(format!("two messages of {participant}"))),
        }
    }

    async fn insert_keys(&mut self, keys: &RoundKeys) -> Result<bool, CommandError> {
        let taken = Arc::make_mut(&mut self.tables()?.keys);
        Ok(taken.insert(keys.encryption) & taken.insert(keys.masking))
    }

    async fn has_message(
        &mut self,
        _round: u32,
        phase: Phase,
        participant: u32,
    ) -> Result<bool, CommandError> {
        let messages = &self.tables()?.messages;
        Ok(messages.contains_key(&(phase, participant)))
    }

    async fn senders(&mut self, _round: u32, phase: Phase) -> Result<Vec<u32>, CommandError> {
        let messages = &self.tables()?.messages;
        let sent = messages.range((phase, 0)..=(phase, u32::MAX));
        Ok(sent.map(|((_, number), _)| *number).collect())
    }

    async fn for_each_message(
        &mut self,
        _round: u32,
        phase: Phase,
        mut take: impl FnMut(u32, &[u8]) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        let messages = &self.tables()?.messages;
        let mut sent = messages.range((phase, 0)..=(phase, u32::MAX));
        sent.try_for_each(|((_, number), body)| take(*number, body))
    }

    async fn identities(&mut self, round: u32) -> Result<Vec<(u32, Bytes32)>, CommandError> {
        let mut identities = Vec::new();
        for number in self.senders(round, Phase::Keys).await? {
            let identity = self.identity(number).await?;
            let none = || broken(format!("participant {number} has no identity"));
            identities.push((number, identity.ok_or_else(none)?));
        }
        Ok(identities)
    }

    async fn insert_frozen(&mut self, phase: Phase, body: Vec<u8>) -> Result<(), CommandError> {
        Arc::make_mut(&mut self.tables()?.frozen).insert(phase, body);
        Ok(())
    }

    async fn frozen(&mut self) -> Result<Vec<(Phase, Vec<u8>)>, CommandError> {
        let frozen = &*self.tables()?.frozen;
        Ok(frozen.clone().into_iter().collect())
    }

    async fn frozen_in(&mut self, phase: Phase) -> Result<Option<Vec<u8>>, CommandError> {
        Ok(self.tables()?.frozen.get(&phase).cloned())
    }

    async fn insert_inbox(&mut self, participant: u32, body: Vec<u8>) -> Result<(), CommandError> {
        Arc::make_mut(&mut self.tables()?.inboxes).insert(participant, body.into());
        Ok(())
    }

    async fn inbox(&mut self, participant: u32) -> Result<Option<Vec<u8>>, CommandError> {
        let inbox = self.tables()?.inboxes.get(&participant);
        Ok(inbox.map(|body| body.to_vec()))
    }

    async fn clear_messages(&mut self) -> Result<(), CommandError> {
        let tables = self.tables()?;
        tables.messages = Arc::default();
        tables.keys = Arc::default();
        tables.frozen = Arc::default();
        tables.inboxes = Arc::default();
        Ok(())
    }
}

impl Participants for MemoryTx {
    async fn insert_participant(&mut self, new: &NewParticipant<'_>) -> Result<(), CommandError> {
        Arc::make_mut(&mut self.tables()?.participants).push(Participant {
            token_hash: new.token_hash.to_owned(),
            identity: new.identity.map(str::to_owned),
            invite: new.invite.to_owned(),
            lease_until: new.lease_until,
            departed: false,
        });
        Ok(())
    }

    async fn by_identity(&mut self, identity: &str) -> Result<Option<Member>, CommandError> {
        let mut all = (0..).zip(self.tables()?.participants.iter());
        let found = all.find(|(_, p)| p.identity.as_deref() == Some(identity));
        Ok(found.map(|(number, participant)| Member {
            number,
            invite: participant.invite.clone(),
        }))
    }

    async fn identity(&mut self, number: u32) -> Result<Option<Bytes32>, CommandError> {
        let participant = self.tables()?.participants.get(number as usize);
        Ok(participant.and_then(|p| unhex(p.identity.as_deref()?)))
    }

    async fn readmit(
        &mut self,
        number: u32,
        token_hash: &str,
        lease_until: u64,
    ) -> Result<(), CommandError> {
        let participant = self.participant(number)?;
        token_hash.clone_into(&mut participant.token_hash);
        (participant.lease_until, participant.departed) = (lease_until, false);
        Ok(())
    }

    async fn by_token(&mut self, token_hash: &str) -> Result<Option<Speaker>, CommandError> {
        let mut all = (0..).zip(self.tables()?.participants.iter());
        let found = all.find(|(_, p)| p.token_hash == token_hash && !p.departed);
        Ok(found.map(|(number, participant)| Speaker {
            number,
            token_hash: token_hash.to_owned(),
            lease_until: participant.lease_until,
        }))
    }

    async fn renew(&mut self, number: u32, lease_until: u64) -> Result<(), CommandError> {
        let participant = self.participant(number)?;
        if !participant.departed {
            participant.lease_until = lease_until;
        }
        Ok(())
    }

    async fn depart(&mut self, number: u32) -> Result<(), CommandError> {
        let participant = self.participant(number)?;
        (participant.lease_until, participant.departed) = (0, true);
        Ok(())
    }
}

impl Invites for MemoryTx {
    async fn insert_invite(&mut self, new: &NewInvite<'_>) -> Result<(), CommandError> {
        let invite = InviteSummary {
            id: new.id.to_owned(),
            created_at: new.now,
            expires_at: new.expires_at,
            uses: new.uses,
            used: 0,
            revoked: false,
        };
        Arc::make_mut(&mut self.tables()?.invites).insert(new.hash.to_owned(), invite);
        Ok(())
    }

    async fn count_invites(&mut self) -> Result<u32, CommandError> {
        Ok(self.tables()?.invites.len() as u32)
    }

    async fn invite_by_hash(&mut self, hash: &str) -> Result<Option<InviteSummary>, CommandError> {
        Ok(self.tables()?.invites.get(hash).cloned())
    }

    async fn count_use(&mut self, hash: &str) -> Result<(), CommandError> {
        let invites = Arc::make_mut(&mut self.tables()?.invites);
        if let Some(invite) = invites.get_mut(hash) {
            invite.used += 1;
        }
        Ok(())
    }

    async fn revoke_invite(&mut self, id: &str, _now: u64) -> Result<InviteSummary, CommandError> {
        let invites = Arc::make_mut(&mut self.tables()?.invites);
        let invite = invites.values_mut().find(|invite| invite.id == id);
        let invite = invite.ok_or(Refusal::NotFound)?;
        invite.revoked = true;
        Ok(invite.clone())
    }

    async fn invites(&mut self) -> Result<Vec<InviteSummary>, CommandError> {
        let mut invites: Vec<_> = self.tables()?.invites.values().cloned().collect();
        invites.sort_by(|a, b| (b.created_at, &a.id).cmp(&(a.created_at, &b.id)));
        Ok(invites)
    }
}

impl Lines for MemoryTx {
    async fn append_line(&mut self, number: u32, line: &str) -> Result<(), CommandError> {
        let lines = Arc::make_mut(&mut self.tables()?.lines);
        if lines.len() != number as usize {
            return Err(broken(format!("line {number} is out of place")));
        }
        lines.push(line.into());
        Ok(())
    }

    async fn lines(&mut self, from: u32, until: u32, most: usize) -> Result<Excerpt, CommandError> {
        let lines = self.tables()?.lines.iter();
        let mut excerpt = Excerpt {
            text: String::new(),
            next: from,
        };
        let wanted = until.saturating_sub(from) as usize;
        for line in lines.skip(from as usize).take(wanted) {
            if !excerpt.text.is_empty() && excerpt.text.len() + line.len() >= most {
                break;
            }
            excerpt.text.push_str(line);
            excerpt.text.push('\n');
            excerpt.next += 1;
        }
        Ok(excerpt)
    }
}
