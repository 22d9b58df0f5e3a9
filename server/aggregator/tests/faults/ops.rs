//! What can go wrong, and when.

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
    /// A crash, at that moment.
    Crash(Moment),
    /// Gone for good; the message was stored, but is not sent.
    Vanish,
    /// Gone for good as soon as the message is on its way.
    SendAndVanish,
}

/// A message that no honest client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// An entry too many.
    WrongLength,
    /// NaN.
    NotANumber,
    /// Infinity.
    Infinite,
    /// An entry beyond all sense.
    TooLarge,
    /// No examples: no weight.
    NoExamples,
    /// More right answers than answers.
    ImpossibleMetrics,
    /// A loss that makes the sum overflow.
    HugeLoss,
    /// For a round that is not on.
    ForeignRound,
    /// From another θ.
    ForeignTheta,
    /// By somebody unknown.
    Stranger,
    /// Of a secure sum, and worth nothing.
    FalseSum,
}

/// One thing that happens. Numbers of participants are taken modulo how many there are.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Time passes.
    Pass {
        /// So long.
        ms: u64,
    },
    /// From now on the network is like this.
    Network {
        /// Percent of the packets that are lost.
        loss: u32,
        /// Percent that arrive twice.
        duplicate: u32,
        /// Longest delay in ms: packets overtake each other.
        delay: u32,
    },
    /// A participant's process dies.
    Crash {
        /// Whose.
        who: usize,
        /// When.
        moment: Moment,
    },
    /// And is started again.
    Restart {
        /// Whose.
        who: usize,
    },
    /// Gone for good, without a word.
    Vanish {
        /// Who.
        who: usize,
    },
    /// Leaves, and says so.
    Leave {
        /// Who.
        who: usize,
    },
    /// One more joins.
    Join,
    /// The owner pauses.
    Pause {
        /// Who.
        who: usize,
    },
    /// And goes on.
    Resume {
        /// Who.
        who: usize,
    },
    /// The aggregator's process dies and is started again.
    AggregatorCrash {
        /// When.
        moment: Moment,
        /// How long it is away.
        down: u64,
    },
    /// The aggregator's clock jumps.
    ClockJump {
        /// Forwards, or back.
        ms: i64,
    },
    /// A participant is struck when it next makes the message of a phase.
    Trap {
        /// Who.
        who: usize,
        /// In which phase.
        phase: Phase,
        /// How.
        trap: Trap,
    },
    /// Somebody sends rubbish.
    Forge {
        /// In whose name.
        who: usize,
        /// What.
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

/// A history of them, with strokes in the middle of secure sums.
pub fn secure_ops() -> impl Strategy<Value = Vec<Op>> {
    let phase = prop::sample::select(vec![
        Phase::Keys,
        Phase::Shares,
        Phase::Masked,
        Phase::Unmask,
    ]);
    let trap =
        (0..8_usize, phase, trap()).prop_map(|(who, phase, trap)| Op::Trap { who, phase, trap });
    prop::collection::vec(prop_oneof![4 => op(), 1 => trap], 0..50)
}

/// A history of them.
pub fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 0..50)
}
