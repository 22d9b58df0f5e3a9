//! The network, the clocks and the aggregator's process; and the checks after every message.

use super::disk::{DEATH, Disk, FEDERATION, Mortal};
use super::ops::{Forgery, Moment, Op};
use super::oracle::Oracle;
use super::participant::Participant;
use super::scenario::Scenario;
use federation::engine::CommandError;
use federation::engine::local::Local;
use federation::engine::store::{EVERY, Federations as _, StoredTheta, Timers as _};
use federation::round::client::{Action, Client, Evaluation, Event, Purpose, StopReason};
use federation::round::draw::is_drawn;
use federation::round::messages::{
    Enrolment, FederationStatus, FederationSummary, Metrics, RoundRecord, RoundView, SumInput,
    SumMessage, Update,
};
use federation::round::phase::{Phase, RoundKind};
use federation::round::refusal::Refusal;
use federation::round::server::Round;
use federation::task::Task;
use ground::hash::theta_hash;
use ground::rng::{Stream, purpose};
use privacy::Ledger;
use secure_sum::Bytes32;
use secure_sum::messages::{Confirmation, Masked, RoundKeys, Shares, Signature, Unmask};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Interval at which the aggregator looks at its clock, in milliseconds.
const TICK_MS: u64 = 100;
/// Time without an answer after which a driver sends again, in milliseconds.
const TIME_OUT_MS: u64 = 2_500;
/// Time after which a view without news is asked for again, in milliseconds.
const SYNC_MS: u64 = 150;
/// Duration of an evaluation, in milliseconds.
const EVALUATE_MS: u64 = 80;
/// Maximum number of lines of the record in one answer.
const LINES: usize = 2;
/// The aggregator's clock at the start, in milliseconds since 1970.
const EPOCH: u64 = 1_800_000_000_000;

/// A request to the aggregator.
#[derive(Clone, Debug)]
enum Request {
    Join(Option<Bytes32>),
    View,
    Read(u32),
    Enrol(u32, Enrolment),
    Deliver(Update),
    Fetch(u32, Phase),
    Send(u32, SumMessage),
    Leave,
}

#[derive(Clone, Debug)]
enum Answer {
    Joined(u32),
    View(RoundView),
    Lines(Vec<String>),
    Input(SumInput),
    Accepted,
    Refused(Refusal),
}

/// Something that is on its way.
#[derive(Clone, Debug)]
enum Packet {
    ToAggregator {
        from: usize,
        number: u32,
        id: u64,
        request: Request,
    },
    ToParticipant {
        to: usize,
        id: u64,
        answer: Answer,
    },
    /// The model has answered.
    Evaluated {
        to: usize,
        id: u64,
        evaluation: Evaluation,
    },
    /// No answer came.
    TimeOut {
        to: usize,
        id: u64,
    },
    Tick,
    AggregatorStarts,
}

struct Network {
    loss: u32,
    duplicate: u32,
    delay: u32,
}

const CALM: Network = Network {
    loss: 0,
    duplicate: 0,
    delay: 0,
};

/// What lists, downloads and timers are told.
#[derive(Debug, PartialEq)]
pub struct Shown {
    task: Option<String>,
    theta: StoredTheta,
    summaries: Vec<FederationSummary>,
    pub ticking: Vec<(String, Round)>,
    /// The clocks of phases, and the list, after a time without an aggregator.
    forgiven: (Vec<(String, Round)>, Vec<FederationSummary>),
}

/// A whole federation and its surroundings.
pub struct World<D> {
    scenario: Scenario,
    task: Task,
    participants: Vec<Participant>,
    aggregator: Local<Mortal<D>>,
    aggregator_up: bool,
    aggregator_crash: Option<(Moment, u64)>,
    oracle: Oracle,
    queue: BTreeMap<(u64, u64), Packet>,
    sent: u64,
    /// True time, which no clock shows.
    now: u64,
    jumped: i64,
    network: Network,
    dice: Stream,
    /// The number of the current round, and how long its clock has run while it could be looked at.
    running_for: ((u32, bool), u64),
}

impl<D: Disk> World<D> {
    pub fn new(scenario: &Scenario) -> Self {
        let task = scenario.task();
        let aggregator = Local::new(Mortal::new(), FEDERATION, &task, EPOCH).expect("a federation");
        let mut world = Self {
            oracle: Oracle::new(&task, &aggregator),
            aggregator,
            aggregator_up: true,
            task,
            participants: Vec::new(),
            aggregator_crash: None,
            queue: BTreeMap::new(),
            sent: 0,
            now: 0,
            jumped: 0,
            network: CALM,
            dice: Stream::new(scenario.seed, purpose::FAULT),
            running_for: ((0, false), 0),
            scenario: scenario.clone(),
        };
        world.schedule(TICK_MS, Packet::Tick);
        (0..scenario.participants).for_each(|_| world.join());
        world
    }

    /// Finished rounds.
    pub fn records(&self) -> &[RoundRecord] {
        self.aggregator.records()
    }

    /// The federation's record, line by line.
    pub fn record(&self) -> Vec<String> {
        self.aggregator.lines(0).to_vec()
    }

    /// What the store shows of the federation, and of all federations; and what it would show after a time without an
    /// aggregator.
    pub fn shown(&self) -> Shown {
        let (store, now) = (&self.aggregator.store().disk, self.clock());
        let (before, forgiven) = (store.rows(), RefCell::default());
        let taken_back = store.block_on(store.run_tx(FEDERATION, "shown", async |tx| {
            tx.forgive(now, 250).await?;
            *forgiven.borrow_mut() = (tx.ticking().await?, tx.summaries(now + 249).await?);
            Err::<(), _>(CommandError::Broken(DEATH.to_owned()).into())
        }));
        assert!(taken_back.is_err());
        assert_eq!(
            store.rows(),
            before,
            "a failed transaction changed something"
        );
        let of_one = store.read(FEDERATION, async |tx| {
            Ok((tx.task().await?, tx.theta().await?, tx.summary(now).await?))
        });
        let (task, theta, summary) = self.told(store.block_on(of_one));
        let of_all = store.read(EVERY, async |tx| {
            assert!(tx.unrecorded().await?.is_empty());
            Ok((
                tx.summaries(now).await?,
                tx.versions().await?,
                tx.ticking().await?,
            ))
        });
        let (summaries, versions, ticking) = self.told(store.block_on(of_all));
        assert_eq!(theta.hash, theta_hash(self.aggregator.theta()));
        assert_eq!(summaries, [summary]);
        assert_eq!(
            versions,
            [(FEDERATION.to_owned(), self.aggregator.current().version)]
        );
        Shown {
            task,
            theta,
            summaries,
            ticking,
            forgiven: forgiven.into_inner(),
        }
    }

    fn told<T>(&self, answer: Result<T, D::Error>) -> T {
        answer.map_err(Into::into).expect("the store answers")
    }

    /// True time since the start, in milliseconds.
    pub fn elapsed(&self) -> u64 {
        self.now
    }

    fn clock(&self) -> u64 {
        (EPOCH + self.now).saturating_add_signed(self.jumped)
    }

    fn schedule(&mut self, after: u64, packet: Packet) {
        self.sent += 1;
        self.queue.insert((self.now + after, self.sent), packet);
    }

    /// Sends a packet over the network, which may do anything to it but change it.
    fn send(&mut self, packet: &Packet) {
        let copies = 1 + u32::from(self.dice.below(100) < self.network.duplicate);
        for _ in 0..copies {
            let delay = u64::from(self.dice.below(self.network.delay + 1));
            if self.dice.below(100) >= self.network.loss {
                self.schedule(5 + delay, packet.clone());
            }
        }
    }

    fn join(&mut self) {
        let json = self.participants.len().is_multiple_of(2);
        self.participants.push(Participant::new(json));
        self.ask_to_join(self.participants.len() - 1);
    }

    fn ask_to_join(&mut self, who: usize) {
        let identity = self.scenario.secure.as_ref();
        let identity = identity.map(|_| self.scenario.identity(who).public());
        self.request(who, Action::Rest, Request::Join(identity));
    }

    /// Sends a request whose answer the participant now waits for.
    fn request(&mut self, who: usize, action: Action, request: Request) {
        self.sent += 1;
        let id = self.sent;
        let number = self.participants[who]
            .machine
            .as_ref()
            .map_or(u32::MAX, |m| m.participant());
        self.participants[who].open = Some((id, action));
        self.send(&Packet::ToAggregator {
            from: who,
            number,
            id,
            request,
        });
        self.schedule(TIME_OUT_MS, Packet::TimeOut { to: who, id });
    }

    fn who(&self, who: usize) -> usize {
        who % self.participants.len()
    }

    /// Lets an event happen.
    pub fn apply(&mut self, op: &Op) {
        match *op {
            Op::Pass { ms } => self.pass(ms),
            Op::Network {
                loss,
                duplicate,
                delay,
            } => {
                self.network = Network {
                    loss,
                    duplicate,
                    delay,
                }
            }
            Op::Crash { who, moment } => {
                let participant = self.who(who);
                match moment {
                    Moment::Now => self.participants[participant].crash(),
                    later => self.participants[participant].crash = Some(later),
                }
            }
            Op::Restart { who } => self.restart(self.who(who)),
            Op::Vanish { who } => {
                let who = self.who(who);
                self.participants[who].crash();
                self.participants[who].gone = true;
            }
            Op::Leave { who } => {
                let who = self.who(who);
                self.participants[who].gone = true;
                if let Some(machine) = &self.participants[who].machine {
                    let packet = Packet::ToAggregator {
                        from: who,
                        number: machine.participant(),
                        id: 0,
                        request: Request::Leave,
                    };
                    self.send(&packet);
                    self.event(who, Event::Leave);
                }
            }
            Op::Join => self.join(),
            Op::Pause { who } => self.event(self.who(who), Event::Pause),
            Op::Resume { who } => self.event(self.who(who), Event::Resume),
            Op::AggregatorCrash {
                moment: Moment::Now,
                down,
            } => self.aggregator_dies(down),
            Op::AggregatorCrash { moment, down } => self.aggregator_crash = Some((moment, down)),
            Op::ClockJump { ms } => {
                self.jumped += ms;
                // A phase's clock may begin again then, but never more often.
                self.running_for.1 = 0;
            }
            Op::Trap { who, phase, trap } => {
                let who = self.who(who);
                self.participants[who].trap = Some((phase, trap));
            }
            Op::Forge { who, forgery } => self.forge(self.who(who), forgery),
        }
    }

    fn restart(&mut self, who: usize) {
        let participant = &mut self.participants[who];
        if participant.gone || participant.up {
            return;
        }
        participant.restart();
        if participant.machine.is_some() {
            self.event(who, Event::Start)
        } else {
            self.ask_to_join(who)
        }
    }

    /// Lets time pass, in which packets arrive.
    fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= until) {
            self.now = entry.key().0;
            let packet = entry.remove();
            self.arrive(packet);
        }
        self.now = until;
    }

    fn arrive(&mut self, packet: Packet) {
        match packet {
            Packet::ToAggregator {
                from,
                number,
                id,
                request,
            } => self.aggregator_takes(from, number, id, &request),
            Packet::ToParticipant { to, id, answer } => self.participant_takes(to, id, answer),
            Packet::Evaluated { to, id, evaluation } => {
                if self.awaits(to, id) {
                    let event = self.participants[to].ask(&self.scenario, &evaluation);
                    self.event(to, event);
                }
            }
            Packet::TimeOut { to, id } => {
                if self.awaits(to, id) {
                    if self.participants[to].machine.is_some() {
                        self.event(to, Event::Start)
                    } else {
                        self.ask_to_join(to)
                    }
                }
            }
            Packet::Tick => {
                self.schedule(TICK_MS, Packet::Tick);
                let now = self.clock();
                self.aggregator_does(|aggregator| aggregator.tick(now));
                self.every_round_ends();
            }
            Packet::AggregatorStarts => {
                if !self.aggregator_up {
                    self.aggregator.store().disk.reopen();
                    self.aggregator_up = true;
                }
            }
        }
    }

    fn awaits(&self, who: usize, id: u64) -> bool {
        let participant = &self.participants[who];
        participant.up
            && participant
                .open
                .as_ref()
                .is_some_and(|(open, _)| *open == id)
    }

    // ---- participants

    fn participant_takes(&mut self, to: usize, id: u64, answer: Answer) {
        let expected = self.awaits(to, id);
        let event = match answer {
            Answer::Joined(number) => {
                if expected && self.participants[to].machine.is_none() {
                    let bench = self.scenario.bench(&self.task, number, to);
                    self.participants[to].joined(bench, number);
                    self.event(to, Event::Start);
                }
                return;
            }
            // It is too late to join, and there is nothing left to do.
            Answer::Refused(Refusal::FederationFinished)
                if expected && self.participants[to].machine.is_none() =>
            {
                self.participants[to].crash();
                self.participants[to].gone = true;
                return;
            }
            // Views are welcome at any time: those that answer a heartbeat, or an older request.
            Answer::View(view) => {
                if expected {
                    self.participants[to].open = None;
                }
                Event::View(view)
            }
            // Anything else belongs to its own request: HTTP drops the answer with the connection.
            _ if !expected => return,
            Answer::Lines(lines) => Event::Lines(lines),
            Answer::Input(input) => Event::Input(input),
            Answer::Accepted => Event::Accepted,
            Answer::Refused(refusal) => Event::Refused(refusal),
        };
        if self.participants[to].up {
            self.event(to, event);
        }
    }

    fn event(&mut self, who: usize, event: Event) {
        let view = matches!(event, Event::View(_));
        let Some(action) = self.participants[who].step(event) else {
            return;
        };
        // A view that was not asked for and changes nothing neither interrupts a driver nor makes
        // it ask again.
        let open = &self.participants[who].open;
        if view && open.as_ref().is_some_and(|(_, same)| *same == action) {
            return;
        }
        self.carry_out(who, action);
    }

    fn carry_out(&mut self, who: usize, action: Action) {
        self.check_client(who, &action);
        let request = match &action {
            Action::Sync { after: None } => Request::View,
            Action::Sync { after: Some(_) } => {
                // This takes the place of the long poll.
                self.sent += 1;
                let id = self.sent;
                let number = self.participants[who]
                    .machine
                    .as_ref()
                    .map_or(u32::MAX, |m| m.participant());
                self.participants[who].open = Some((id, action));
                self.schedule(
                    SYNC_MS,
                    Packet::ToAggregator {
                        from: who,
                        number,
                        id,
                        request: Request::View,
                    },
                );
                self.schedule(TIME_OUT_MS + SYNC_MS, Packet::TimeOut { to: who, id });
                return;
            }
            Action::Read { from } => Request::Read(*from),
            Action::Enrol { round, body } => Request::Enrol(*round, body.clone()),
            Action::Upload(update) => Request::Deliver(update.clone()),
            Action::Fetch { round, phase } => Request::Fetch(*round, *phase),
            Action::Send { round, message } => Request::Send(*round, message.clone()),
            Action::Contribute { .. } => panic!("an update without masks"),
            Action::Evaluate(evaluation) => {
                self.sent += 1;
                let (id, evaluation) = (self.sent, evaluation.clone());
                self.participants[who].open = Some((id, action));
                let time = EVALUATE_MS + u64::from(self.dice.below(40));
                self.schedule(
                    time,
                    Packet::Evaluated {
                        to: who,
                        id,
                        evaluation,
                    },
                );
                return;
            }
            Action::Rest | Action::Stop(_) => {
                self.participants[who].open = None;
                return;
            }
        };
        self.request(who, action, request);
        // The message is on its way; its sender may be gone.
        if self.participants[who].gone {
            self.participants[who].crash();
        }
    }

    /// Checks what must hold for every participant at every moment.
    fn check_client(&self, who: usize, action: &Action) {
        let participant = &self.participants[who];
        let Some(machine) = &participant.machine else {
            return;
        };
        assert!(
            machine.spent() <= participant.asked,
            "{} of {} queries",
            machine.spent(),
            participant.asked
        );
        let reported = self
            .oracle
            .reported
            .get(&machine.participant())
            .copied()
            .unwrap_or(0);
        // Under masks, a number of queries is rounded, by less than a quarter.
        let most = match self.scenario.secure {
            Some(_) => participant.asked + participant.asked / 4,
            None => participant.asked,
        };
        assert!(
            reported <= most,
            "participant {who} asked {} but {reported} were counted",
            participant.asked
        );
        if let Action::Stop(reason) = action {
            let spent = *reason == StopReason::PrivacySpent && self.has_spent(machine);
            let fine = matches!(reason, StopReason::Finished | StopReason::Left)
                || participant.gone
                || spent
                || (*reason == StopReason::Inconsistent && participant.has_sent_enough());
            assert!(
                fine,
                "participant {who} stopped: {reason:?}: {:?}",
                machine.suspicion()
            );
        }
        if let Some(privacy) = machine.privacy(&self.task) {
            assert!(privacy.epsilon <= privacy.limit, "{privacy:?}");
        }
        let taken = self.oracle.taken(machine.participant());
        assert!(
            machine.delivered() <= taken,
            "participant {who} counts {} of {taken} updates",
            machine.delivered()
        );
        if let (Action::Evaluate(evaluation), Some(view)) = (action, machine.view())
            && evaluation.purpose != Purpose::Mapping
            && view.status == FederationStatus::Running
        {
            let round = (view.registered, view.attempt);
            let (policy, number) = (&self.task.federation.policy, machine.participant());
            assert!(
                is_drawn(policy, self.task.seed, view.step, round, number),
                "participant {who} asks although others were drawn"
            );
        }
        if let Action::Evaluate(evaluation) = action
            && !(evaluation.purpose == Purpose::Measure && evaluation.candidates.is_empty())
        {
            let (Some(theta), Some(view)) = (machine.theta(), machine.view()) else {
                panic!("no θ to evaluate")
            };
            let hash = theta_hash(theta);
            assert_eq!(
                hash, view.theta,
                "participant {who} works with a θ that was not announced"
            );
            assert_eq!(
                self.oracle.hashes.get(view.step as usize),
                Some(&hash),
                "step {}",
                view.step
            );
        }
    }

    /// Whether one more update would exceed the participant's own limit of ε.
    fn has_spent(&self, machine: &Client) -> bool {
        let contribution = self.task.contribution();
        let (Some(spent), Some(contribution)) = (machine.privacy(&self.task), contribution) else {
            return false;
        };
        // The ledger adds the same number each time, so ε shows how often it did.
        let epsilon = |sums: u32| {
            let mut ledger = Ledger::new();
            (0..sums).for_each(|_| ledger.compose(contribution.rho()).expect("a cost"));
            ledger.epsilon(spent.delta)
        };
        let sums = (0..1_000).find(|n| epsilon(*n) >= spent.epsilon);
        epsilon(sums.expect("so many sums") + 1) > spent.limit
    }

    // ---- the aggregator

    fn aggregator_dies(&mut self, down: u64) {
        self.aggregator_up = false;
        self.schedule(down, Packet::AggregatorStarts);
    }

    /// Lets the aggregator handle something. Returns its answer, and whether it is alive to send
    /// it; `None` if it is down, or dies before it could store.
    fn aggregator_does<T>(
        &mut self,
        handle: impl FnOnce(&mut Local<Mortal<D>>) -> Result<T, CommandError>,
    ) -> Option<(Result<T, Refusal>, bool)> {
        if !self.aggregator_up {
            return None;
        }
        let before = self.aggregator.current().version;
        let early = matches!(self.aggregator_crash, Some((Moment::BeforeStoring, _)));
        self.aggregator.store().dies.set(early);
        let answer = match handle(&mut self.aggregator) {
            Ok(value) => Ok(value),
            Err(CommandError::Broken(why)) if why.contains(DEATH) => {
                let (_, down) = self.aggregator_crash.take().expect("it was to die");
                self.aggregator_dies(down);
                return None;
            }
            Err(error) => Err(error.refusal().expect("an answer")),
        };
        self.aggregator.store().dies.set(false);
        // A request that changes nothing is no event.
        if !early
            && self.aggregator.current().version != before
            && let Some((_, down)) = self.aggregator_crash.take()
        {
            self.aggregator_dies(down);
        }
        Some((answer, self.aggregator_up))
    }

    /// Compares the stored state with the oracle's.
    fn check_aggregator(&mut self) {
        if self.oracle.check(&self.task, &self.aggregator) {
            self.check_ledgers();
        }
        let round = self.aggregator.round();
        let over = self.aggregator.status() != FederationStatus::Running;
        assert!(
            over || !round.phase.is_terminal(),
            "an ended round stays: {round:?}"
        );
        assert!(
            round.delivered + round.gone <= round.cohort || round.phase == Phase::Open,
            "{round:?}"
        );
    }

    /// Checks that no participant's own ledger states less than the record does.
    fn check_ledgers(&self) {
        let machines = self.participants.iter().filter_map(Participant::state);
        for machine in machines {
            let Some(spent) = machine.privacy(&self.task) else {
                return;
            };
            let told = self.oracle.epsilon(&self.task, machine.participant());
            assert!(
                spent.epsilon >= told,
                "participant {}: own ε {}, by the record {told}",
                machine.participant(),
                spent.epsilon
            );
        }
    }

    fn aggregator_takes(&mut self, from: usize, number: u32, id: u64, request: &Request) {
        let now = self.clock();
        let accepted = |()| Answer::Accepted;
        let done = self.aggregator_does(|aggregator| match request {
            Request::Join(identity) => aggregator.join(now, *identity).map(Answer::Joined),
            Request::View => aggregator.view(number, now).map(Answer::View),
            Request::Read(from) => {
                let lines = aggregator.lines(*from);
                Ok(Answer::Lines(lines[..lines.len().min(LINES)].to_vec()))
            }
            Request::Enrol(round, body) => {
                aggregator.enrol(number, now, *round, body).map(accepted)
            }
            Request::Deliver(update) => aggregator.deliver(number, now, update).map(accepted),
            Request::Fetch(round, phase) => aggregator
                .input(number, now, *round, *phase)
                .map(Answer::Input),
            Request::Send(round, message) => {
                aggregator.send(number, now, *round, message).map(accepted)
            }
            Request::Leave => aggregator.leave(number, now).map(accepted),
        });
        let Some((answer, alive)) = done else { return };
        let answer = answer.unwrap_or_else(Answer::Refused);
        match (request, &answer) {
            (Request::Deliver(update), Answer::Accepted) => {
                self.oracle.accept(number, update.clone());
            }
            (Request::Send(round, message), Answer::Accepted) => {
                let plain = self.participants[from].plain.get(round).cloned();
                self.oracle.accept_sum(number, *round, message, plain);
            }
            _ => {}
        }
        self.check_aggregator();
        if alive {
            self.send(&Packet::ToParticipant {
                to: from,
                id,
                answer,
            });
        }
    }

    /// Checks that no round lasts longer than its phases may, once its clock runs and somebody
    /// looks.
    fn every_round_ends(&mut self) {
        self.check_aggregator();
        if !self.aggregator_up {
            return;
        }
        if self.aggregator.status() != FederationStatus::Running {
            return;
        }
        let round = self.aggregator.round();
        // It begins again when the first participant enrols, if it ran because others waited.
        let now = (round.number, round.enrolled > 0);
        if now != self.running_for.0 || round.since.is_none() {
            self.running_for = (now, 0);
            return;
        }
        self.running_for.1 += TICK_MS;
        // One tick at the end of each phase.
        let most = self.scenario.longest_round() + 7 * TICK_MS;
        assert!(
            self.running_for.1 <= most,
            "round {} does not end: {round:?}",
            round.number
        );
    }

    /// Sends a forged message straight to the aggregator: it must be refused with the right reason,
    /// and change nothing but a lease.
    fn forge(&mut self, who: usize, forgery: Forgery) {
        let (now, task) = (self.clock(), self.task.clone());
        let Some(number) = self.participants[who].state().map(|m| m.participant()) else {
            return;
        };
        if !self.aggregator_up {
            return;
        }
        let aggregator = &mut self.aggregator;
        // A participant who has left is a stranger too; a federation that is over refuses
        // everything.
        if aggregator.view(number, now).is_err() || aggregator.status() != FederationStatus::Running
        {
            return;
        }
        let before = aggregator.store().disk.rows();
        if forgery == Forgery::FalseSum {
            let round = aggregator.round().number;
            let kind = aggregator.record().kind(&task);
            let layout = task.contribution_of(kind).map(|c| c.layout().bytes());
            let bytes = vec![0; layout.unwrap_or(64)];
            let signature = Signature([1; 64]);
            let rubbish = [
                SumMessage::Keys(RoundKeys {
                    encryption: [9; 32],
                    masking: [8; 32],
                    signature,
                }),
                SumMessage::Shares(Shares {
                    roster: [0; 32],
                    envelopes: Vec::new(),
                }),
                SumMessage::Masked(Masked {
                    senders: [0; 32],
                    vector: bytes.clone(),
                    signature,
                }),
                SumMessage::Confirmation(Confirmation {
                    survivors: [0; 32],
                    signature,
                }),
                SumMessage::Unmask(Unmask {
                    survivors: [0; 32],
                    shares: Vec::new(),
                }),
            ];
            for message in rubbish {
                let answer = aggregator.send(number, now, round, &message);
                assert!(answer.is_err(), "{message:?} was taken");
            }
            let answer = aggregator.contribute(number, now, round, &bytes);
            assert!(answer.is_err(), "a vector without masks was taken");
            let after = aggregator.store().disk.rows();
            assert_eq!(after, before, "a refused message changed something");
            return;
        }
        let dim = task.length_of(aggregator.record().kind(&task));
        let good = Update {
            round: aggregator.round().number,
            theta: theta_hash(aggregator.theta()),
            examples: 1,
            delta: vec![0.5; dim],
            metrics: Metrics {
                correct: 1,
                total: 1,
                loss: 0.5,
                queries: 1,
                unprompted: Some(1),
            },
        };
        let entry = |value: f32| Update {
            delta: vec![value; dim],
            ..good.clone()
        };
        let metrics = |metrics: Metrics| Update {
            metrics,
            ..good.clone()
        };
        let (update, refusal) = match forgery {
            Forgery::WrongLength => (
                Update {
                    delta: vec![0.0; dim + 1],
                    ..good
                },
                Refusal::Malformed,
            ),
            Forgery::NotANumber => (entry(f32::NAN), Refusal::NotFinite),
            Forgery::Infinite => (entry(f32::NEG_INFINITY), Refusal::NotFinite),
            Forgery::TooLarge => (entry(2e6), Refusal::OutOfRange),
            Forgery::NoExamples => (
                Update {
                    examples: 0,
                    ..good
                },
                Refusal::OutOfRange,
            ),
            Forgery::ImpossibleMetrics => (
                metrics(Metrics {
                    correct: 2,
                    ..good.metrics
                }),
                Refusal::OutOfRange,
            ),
            Forgery::HugeLoss => (
                metrics(Metrics {
                    loss: f64::MAX,
                    ..good.metrics
                }),
                Refusal::OutOfRange,
            ),
            Forgery::ForeignRound => (
                Update {
                    round: good.round + 1,
                    ..good
                },
                Refusal::WrongRound,
            ),
            Forgery::ForeignTheta => (
                Update {
                    theta: "0".repeat(64),
                    ..good
                },
                Refusal::WrongTheta,
            ),
            Forgery::Stranger | Forgery::FalseSum => (good, Refusal::Unauthorized),
        };
        let sender = if forgery == Forgery::Stranger {
            u32::MAX
        } else {
            number
        };
        // If updates are summed, none may be sent here.
        let summed = task.contribution().is_some() && forgery != Forgery::Stranger;
        let refusal = if summed { Refusal::Malformed } else { refusal };
        let answer = aggregator.deliver(sender, now, &update);
        let answer = answer.map_err(|error| error.refusal().expect("an answer"));
        assert_eq!(answer, Err(refusal), "{forgery:?}");
        let after = aggregator.store().disk.rows();
        assert_eq!(after, before, "a refused message changed something");
    }

    // ---- the end

    /// Ends all faults, brings back everyone who is not gone for good, and runs the federation to
    /// its end.
    pub fn heal_and_finish(&mut self) {
        self.network = CALM;
        self.aggregator_crash = None;
        for who in 0..self.participants.len() {
            self.participants[who].crash = None;
            self.participants[who].trap = None;
            self.restart(who);
            if self.participants[who]
                .machine
                .as_ref()
                .is_some_and(|m| m.is_paused())
            {
                self.event(who, Event::Resume);
            }
        }
        let round = self.scenario.longest_round() + 10_000;
        // A round may be spoilt by earlier events, and the next by participants who came too late
        // for it. A draw of participants who are gone is widened at most three times, until it
        // includes everyone.
        let attempts = if self.scenario.active > 0 { 5 } else { 1 };
        let most = (attempts * u64::from(self.scenario.rounds) + 4) * round + 30_000;
        let until = self.now + most;
        while self.now < until && !self.is_over() {
            self.make_up_numbers();
            self.pass(200);
        }
        let stuck: Vec<_> = self
            .participants
            .iter()
            .filter(|p| !p.gone && p.stopped().is_none())
            .filter_map(Participant::state)
            .collect();
        assert!(self.aggregator_up, "the aggregator is up again");
        let aggregator = &self.aggregator;
        assert_eq!(
            aggregator.status(),
            FederationStatus::Finished,
            "after {most} ms; {:?}; participants: {stuck:?}",
            aggregator.current()
        );
        assert!(
            stuck.is_empty(),
            "the federation is over, but these go on: {stuck:?}"
        );
        let records = self.records().iter();
        let done = records.filter(|r| r.phase == Phase::Done && r.kind == RoundKind::Training);
        let (done, rounds) = (done.count(), self.scenario.rounds as usize);
        // Without ε there are no further rounds, and without patience neither.
        let early = aggregator.record().is_over(&self.task) && done < rounds;
        let may = self.scenario.patience > 0 || aggregator.record().is_spent(&self.task);
        assert!(
            done == rounds || (early && may),
            "{done} of {rounds} rounds"
        );
        // All participants that are left have the same mapping, the record's, and would keep the
        // same.
        for machine in self.participants.iter().filter(|p| !p.gone) {
            let machine = machine.state().expect("it joined");
            if self.task.learnt_together().is_some() && machine.theta().is_some() {
                let mappings = aggregator.record().mappings(&self.task);
                assert_eq!(machine.mappings(&self.task), mappings);
            }
            let finished = machine
                .record()
                .is_some_and(|r| r.head() == aggregator.record().head());
            assert!(!finished || machine.choice() == aggregator.record().choice());
        }
        self.check_aggregator();
    }

    /// Adds participants until a round is possible, for those that are gone or have no ε left.
    fn make_up_numbers(&mut self) {
        if self.aggregator.status() == FederationStatus::Finished {
            return;
        }
        let private = self
            .scenario
            .secure
            .as_ref()
            .is_some_and(|s| s.privacy.is_some());
        let can = |p: &&Participant| match p.stopped() {
            Some(StopReason::PrivacySpent) => !(p.gone || private),
            Some(StopReason::Inconsistent) => false,
            _ => !p.gone,
        };
        let count = self.participants.iter().filter(can).count();
        for _ in count..self.scenario.least() as usize {
            self.join();
        }
    }

    fn is_over(&self) -> bool {
        let over = self.aggregator_up && self.aggregator.status() == FederationStatus::Finished;
        over && self
            .participants
            .iter()
            .all(|p| p.gone || p.stopped().is_some())
    }
}
