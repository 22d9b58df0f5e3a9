//! One federation and its aggregator, called by number and without awaiting: for simulations and tests.

use super::memory::Memory;
use super::participants::Join;
use super::store::{Current, Federations as _, Lines as _, NewInvite, Rounds as _, Store};
use super::{Aggregator, CommandError, Federation, Speaker, broken};
use crate::record::{Commitments, Replay};
use crate::round::client::{Action, Event};
use crate::round::messages::{
    Enrolment, FederationStatus, RoundRecord, RoundView, SumInput, SumMessage, Update,
};
use crate::round::phase::Phase;
use crate::round::refusal::Refusal;
use crate::round::server::Round;
use crate::task::Task;
use ground::hex::hex;
use ground::wire;
use secure_sum::Bytes32;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// A store whose commands can be waited for without awaiting.
pub trait Blocking: Store<Error: Into<CommandError>> {
    /// Runs a command to its end.
    fn block_on<T>(&self, command: impl Future<Output = T>) -> T;
}

impl Blocking for Memory {
    fn block_on<T>(&self, command: impl Future<Output = T>) -> T {
        let mut command = pin!(command);
        let mut context = std::task::Context::from_waker(Waker::noop());
        loop {
            // Ready at once, because nothing here waits.
            if let Poll::Ready(value) = command.as_mut().poll(&mut context) {
                return value;
            }
        }
    }
}

/// The invite with which all participants join.
const INVITE: &str = "invite";

/// One federation, its aggregator, and an auditor who reads its record. Participants are known by
/// their numbers; their tokens are kept here.
#[derive(Clone)]
pub struct Local<S = Memory> {
    aggregator: Aggregator<S>,
    federation: Federation,
    tokens: BTreeMap<u32, String>,
    joins: u32,
    /// Where the federation stood after the last command.
    at: Current,
    lines: Vec<String>,
    records: Vec<RoundRecord>,
    record: Replay,
}

impl<S: Blocking> Local<S> {
    /// Makes the federation `id` with this task, at θ₀.
    ///
    /// # Errors
    /// The task's generator cannot be built, or the store fails.
    pub fn new(store: S, id: &str, task: &Task, now: u64) -> Result<Self, CommandError> {
        let aggregator = Aggregator::new(store, Arc::new(|_, _| {}));
        let federation = Federation::new(id.to_owned(), task.clone());
        let invite = NewInvite {
            id: INVITE,
            hash: INVITE,
            now,
            expires_at: None,
            uses: None,
        };
        let store = aggregator.store();
        let (record, at) = store
            .block_on(async {
                aggregator.create(&federation, &invite, now).await?;
                let record = Replay::new(task).map_err(|faults| broken(faults.to_string()))?;
                let at = store.read(id, async |tx| tx.current(None, now).await);
                Ok::<_, S::Error>((record, at.await?))
            })
            .map_err(Into::into)?;
        let mut local = Self {
            aggregator,
            federation,
            tokens: BTreeMap::new(),
            joins: 0,
            at,
            lines: Vec::new(),
            records: Vec::new(),
            record,
        };
        local.read(now)?;
        Ok(local)
    }

    /// The task of the federation.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.federation.task
    }

    /// The store of the aggregator's state.
    pub fn store(&self) -> &S {
        self.aggregator.store()
    }

    /// The current θ_t.
    #[must_use]
    pub fn theta(&self) -> &[f32] {
        self.record.parameters()
    }

    /// Finished rounds, oldest first.
    #[must_use]
    pub fn records(&self) -> &[RoundRecord] {
        &self.records
    }

    /// The status: running, finished or closed.
    #[must_use]
    pub fn status(&self) -> FederationStatus {
        self.at.status
    }

    /// Where the federation stood after the last command, as an outsider sees it.
    #[must_use]
    pub fn current(&self) -> &Current {
        &self.at
    }

    /// The current round.
    #[must_use]
    pub fn round(&self) -> &Round {
        &self.at.round
    }

    /// Lines of the record, from number `from` (counted from 0).
    #[must_use]
    pub fn lines(&self, from: u32) -> &[String] {
        self.lines.get(from as usize..).unwrap_or_default()
    }

    /// The replay of the record so far.
    #[must_use]
    pub fn record(&self) -> &Replay {
        &self.record
    }

    /// Lets a participant join. Returns its number, which is the earlier one for a public key that
    /// joined before.
    ///
    /// # Errors
    /// The federation takes no more participants, or it has secure sums and the participant has no
    /// key.
    pub fn join(&mut self, now: u64, identity: Option<Bytes32>) -> Result<u32, CommandError> {
        self.joins += 1;
        let (token, identity) = (self.joins.to_string(), identity.map(|key| hex(&key)));
        let join = Join {
            invite: INVITE,
            identity: identity.as_deref(),
            token_hash: &token,
            most: u32::MAX,
        };
        let number = self.wait(self.aggregator.join(&self.federation, join, now))?;
        self.tokens.insert(number, token);
        self.read(now)?;
        Ok(number)
    }

    /// The round as a participant sees it.
    ///
    /// # Errors
    /// There is no such participant.
    pub fn view(&mut self, number: u32, now: u64) -> Result<RoundView, CommandError> {
        self.speak(number, now)?;
        let view = self.aggregator.view(&self.federation, Some(number), now);
        self.wait(view)
    }

    /// Enrols a participant who has an update.
    ///
    /// # Errors
    /// Those of [`Aggregator::enrol`].
    pub fn enrol(
        &mut self,
        number: u32,
        now: u64,
        round: u32,
        body: &Enrolment,
    ) -> Result<(), CommandError> {
        let speaker = self.speak(number, now)?;
        let enrolled = self
            .aggregator
            .enrol(&self.federation, &speaker, round, body, now);
        self.wait(enrolled)?;
        self.read(now)
    }

    /// Delivers a participant's update.
    ///
    /// # Errors
    /// Those of [`Aggregator::deliver`].
    pub fn deliver(&mut self, number: u32, now: u64, update: &Update) -> Result<(), CommandError> {
        let speaker = self.speak(number, now)?;
        let bytes = wire::encode(update).len() as u64;
        let delivered = self
            .aggregator
            .deliver(&self.federation, &speaker, update, bytes, now);
        self.wait(delivered)?;
        self.read(now)
    }

    /// Delivers a participant's vector for a sum without masks.
    ///
    /// # Errors
    /// Those of [`Aggregator::contribute`].
    pub fn contribute(
        &mut self,
        number: u32,
        now: u64,
        round: u32,
        vector: &[u8],
    ) -> Result<(), CommandError> {
        let speaker = self.speak(number, now)?;
        let taken = self
            .aggregator
            .contribute(&self.federation, &speaker, round, vector, now);
        self.wait(taken)?;
        self.read(now)
    }

    /// Delivers a participant's message of a secure sum.
    ///
    /// # Errors
    /// Those of [`Aggregator::send`].
    pub fn send(
        &mut self,
        number: u32,
        now: u64,
        round: u32,
        message: &SumMessage,
    ) -> Result<(), CommandError> {
        let speaker = self.speak(number, now)?;
        let body = wire::encode(message);
        let sent = self
            .aggregator
            .send(&self.federation, &speaker, round, message, &body, now);
        self.wait(sent)?;
        self.read(now)
    }

    /// What a member of the cohort needs for its message in a phase.
    ///
    /// # Errors
    /// Those of [`Aggregator::input`].
    pub fn input(
        &mut self,
        number: u32,
        now: u64,
        round: u32,
        phase: Phase,
    ) -> Result<SumInput, CommandError> {
        let speaker = self.speak(number, now)?;
        let input = self
            .aggregator
            .input(&self.federation, &speaker, round, phase, now);
        wire::decode(&self.wait(input)?).map_err(|e| broken(e.to_string()))
    }

    /// Lets a participant leave for good.
    ///
    /// # Errors
    /// There is no such participant.
    pub fn leave(&mut self, number: u32, now: u64) -> Result<(), CommandError> {
        let speaker = self.speak(number, now)?;
        self.wait(self.aggregator.leave(&self.federation, &speaker, now))?;
        self.read(now)
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// Those of the store.
    pub fn tick(&mut self, now: u64) -> Result<(), CommandError> {
        self.wait(self.aggregator.tick(&self.federation, now))?;
        self.read(now)
    }

    /// The aggregator's answer to a participant's action; `None` for an action that is not for it.
    ///
    /// # Errors
    /// The aggregator failed; a refusal is an answer.
    pub fn answer(
        &mut self,
        number: u32,
        now: u64,
        action: &Action,
    ) -> Result<Option<Event>, CommandError> {
        let accepted = |()| Event::Accepted;
        let answer = match action {
            Action::Sync { .. } => self.view(number, now).map(Event::View),
            Action::Read { from } => Ok(Event::Lines(self.lines(*from).to_vec())),
            Action::Enrol { round, body } => self.enrol(number, now, *round, body).map(accepted),
            Action::Upload(update) => self.deliver(number, now, update).map(accepted),
            Action::Contribute { round, vector } => {
                self.contribute(number, now, *round, vector).map(accepted)
            }
            Action::Fetch { round, phase } => {
                self.input(number, now, *round, *phase).map(Event::Input)
            }
            Action::Send { round, message } => {
                self.send(number, now, *round, message).map(accepted)
            }
            Action::Evaluate(_) | Action::Rest | Action::Stop(_) => return Ok(None),
        };
        match answer {
            Ok(event) => Ok(Some(event)),
            Err(error) => error.refusal().map(|refusal| Some(Event::Refused(refusal))),
        }
    }

    fn wait<T>(
        &self,
        command: impl Future<Output = Result<T, S::Error>>,
    ) -> Result<T, CommandError> {
        self.store().block_on(command).map_err(Into::into)
    }

    /// Recognises a participant, and prolongs its lease.
    fn speak(&self, number: u32, now: u64) -> Result<Speaker, CommandError> {
        let token = self.tokens.get(&number).ok_or(Refusal::Unauthorized)?;
        self.wait(async {
            let speaker = self.aggregator.recognise(&self.federation, token).await?;
            self.aggregator
                .renew(&self.federation, &speaker, now)
                .await?;
            Ok(speaker)
        })
    }

    /// Reads where the federation stands, and what is new in its record.
    fn read(&mut self, now: u64) -> Result<(), CommandError> {
        let (id, known) = (&self.federation.id, self.lines.len() as u32);
        let (at, lines, records) = self.wait(self.store().read(id, async |tx| {
            let at = tx.current(None, now).await?;
            let lines = match at.lines > known {
                true => tx.lines(known, at.lines, usize::MAX).await?.text,
                false => String::new(),
            };
            let ended = at.lines.saturating_sub(known.max(1));
            let records = match ended {
                0 => Vec::new(),
                ended => tx.records(ended).await?,
            };
            Ok((at, lines, records))
        }))?;
        for line in lines.lines() {
            let taken = self
                .record
                .take(&self.federation.task, line, Commitments::Trust);
            taken.map_err(|difference| broken(difference.to_string()))?;
            self.lines.push(line.to_owned());
        }
        self.records.extend(records);
        self.at = at;
        Ok(())
    }
}
