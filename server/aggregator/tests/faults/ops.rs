//! The faults that can happen, and when.

use federation::round::phase::Phase;
use proptest::prelude::*;

/// When a crash happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// At once.
    Now,
    /// After the next event was taken, before the new state is stored.
    BeforeStoring,
    /// After the new state was stored, before anything is done about it.
    AfterStoring,
}

/// What happens to a participant when it has made its message of one phase of a secure sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// The process crashes at this moment.
    Crash(Moment),
    /// The participant vanishes for good; the message was stored, but is not sent.
    Vanish,
    /// The participant vanishes for good as soon as the message is sent.
    SendAndVanish,
}

/// A message that no honest client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// One entry too many.
    WrongLength,
    /// An entry that is NaN.
    NotANumber,
    /// An entry that is infinite.
    Infinite,
    /// An entry far beyond the bound.
    TooLarge,
    /// No examples, and so no weight.
    NoExamples,
    /// More right answers than answers.
    ImpossibleMetrics,
    /// A loss so large that the sum overflows.
    HugeLoss,
    /// An update for another round than the current one.
    ForeignRound,
    /// An update that started from another θ.
    ForeignTheta,
    /// An update by an unknown sender.
    Stranger,
    /// A worthless message of a secure sum.
    FalseSum,
}

/// One event. Numbers of participants are taken modulo the number of participants.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Time passes.
    Pass {
        /// Milliseconds that pass.
        ms: u64,
    },
    /// The network changes.
    Network {
        /// Percentage of packets that are lost.
        loss: u32,
        /// Percentage of packets that arrive twice.
        duplicate: u32,
        /// Maximum delay in milliseconds, in which packets overtake one another.
        delay: u32,
    },
    /// A participant's process dies.
    Crash {
        /// The participant.
        who: usize,
        /// The moment of the crash.
        moment: Moment,
    },
    /// A participant's process is started again.
    Restart {
        /// The participant.
        who: usize,
    },
    /// A participant vanishes for good, without a word.
    Vanish {
        /// The participant.
        who: usize,
    },
    /// A participant leaves, and says so.
    Leave {
        /// The participant.
        who: usize,
    },
    /// Another participant joins.
    Join,
    /// An owner pauses.
    Pause {
        /// The participant.
        who: usize,
    },
    /// An owner continues after a pause.
    Resume {
        /// The participant.
        who: usize,
    },
    /// The aggregator's process dies and is started again.
    AggregatorCrash {
        /// The moment of the crash.
        moment: Moment,
        /// Milliseconds until it is started again.
        down: u64,
    },
    /// The aggregator's clock jumps.
    ClockJump {
        /// Milliseconds of the jump, forwards or backwards.
        ms: i64,
    },
    /// A participant meets a trap when it next makes the message of a phase.
    Trap {
        /// The participant.
        who: usize,
        /// The phase.
        phase: Phase,
        /// What happens to the participant.
        trap: Trap,
    },
    /// A forged message arrives.
    Forge {
        /// The participant in whose name it is sent.
        who: usize,
        /// The kind of forgery.
        forgery: Forgery,
    },
}

fn moment() -> impl Strategy<Value = Moment> {
    prop::sample::select(vec![
        Moment::Now,
        Moment::BeforeStoring,
        Moment::AfterStoring,
    ])
}

fn forgery() -> impl Strategy<Value = Forgery> {
    use Forgery::*;
    prop::sample::select(vec![
        WrongLength,
        NotANumber,
        Infinite,
        TooLarge,
        NoExamples,
        ImpossibleMetrics,
        HugeLoss,
        ForeignRound,
        ForeignTheta,
        Stranger,
        FalseSum,
    ])
}

fn trap() -> impl Strategy<Value = Trap> {
    prop_oneof![
        moment().prop_map(Trap::Crash),
        Just(Trap::Vanish),
        Just(Trap::SendAndVanish),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let who = 0..8_usize;
    prop_oneof![
        10 => prop_oneof![1..200_u64, 200..3_000_u64].prop_map(|ms| Op::Pass { ms }),
        2 => (0..60_u32, 0..60_u32, 0..4_000_u32).prop_map(|(loss, duplicate, delay)| Op::Network { loss, duplicate, delay }),
        4 => (who.clone(), moment()).prop_map(|(who, moment)| Op::Crash { who, moment }),
        3 => who.clone().prop_map(|who| Op::Restart { who }),
        1 => who.clone().prop_map(|who| Op::Vanish { who }),
        1 => who.clone().prop_map(|who| Op::Leave { who }),
        1 => Just(Op::Join),
        1 => who.clone().prop_map(|who| Op::Pause { who }),
        1 => who.clone().prop_map(|who| Op::Resume { who }),
        3 => (moment(), 1..2_000_u64).prop_map(|(moment, down)| Op::AggregatorCrash { moment, down }),
        2 => (-20_000..20_000_i64).prop_map(|ms| Op::ClockJump { ms }),
        2 => (who, forgery()).prop_map(|(who, forgery)| Op::Forge { who, forgery }),
    ]
}

/// A history of events, with traps in the middle of secure sums.
pub fn secure_ops() -> impl Strategy<Value = Vec<Op>> {
    let phase = prop::sample::select(vec![
        Phase::Keys,
        Phase::Shares,
        Phase::Masked,
        Phase::Confirm,
        Phase::Unmask,
    ]);
    let trap =
        (0..8_usize, phase, trap()).prop_map(|(who, phase, trap)| Op::Trap { who, phase, trap });
    prop::collection::vec(prop_oneof![4 => op(), 1 => trap], 0..50)
}

/// A history of events.
pub fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 0..50)
}
