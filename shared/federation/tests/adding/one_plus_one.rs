//! An optimiser: the (1+1) evolution strategy with a step of one length. It asks for θ and for one
//! point beside it, and goes there if the loss is smaller.

use ground::fault::Reader;
use ground::form::About;
use ground::rng::{Direction, Distribution};
use tuning::optimizer::{
    AskAhead, Candidate, DirectionKey, Entry, Needs, Optimizer, Plan, Space, State, TellError,
    Tries,
};

pub const ENTRY: Entry = Entry {
    about: About::of("the (1+1) evolution strategy"),
    tries: Some(Tries {
        setting: "",
        usual: Some(2),
        what: "points",
    }),
    needs: Needs {
        ask_ahead: AskAhead::Never("one-plus-one compares a point with the θ that it may replace"),
        ..Needs::NOTHING
    },
    build,
};

struct OnePlusOne {
    key: DirectionKey,
    step: f32,
}

/// Reads `step`.
fn build(reader: &mut Reader<'_>, key: DirectionKey, _: Plan, _: Space) -> Box<dyn Optimizer> {
    Box::new(OnePlusOne {
        key,
        step: reader.number("step", 1e-6..=10.0, Some(0.1)),
    })
}

impl Optimizer for OnePlusOne {
    fn ask(&self, state: &State) -> Vec<Candidate> {
        let direction = Direction {
            key: self.key.0,
            counter: [0, state.step, state.round],
            distribution: Distribution::Rademacher,
        };
        let beside = Candidate {
            direction: Some(direction),
            scale: self.step,
        };
        vec![Candidate::BASE, beside]
    }

    fn tell(&self, state: &mut State, losses: &[f32]) -> Result<(), TellError> {
        let &[here, there] = losses else {
            return Err(TellError::Count {
                asked: 2,
                got: losses.len(),
            });
        };
        if let Some(index) = losses.iter().position(|loss| !loss.is_finite()) {
            return Err(TellError::NotFinite { index });
        }
        if there < here {
            let mut theta = Vec::new();
            self.ask(state)[1].apply(&state.theta, &mut theta);
            state.theta = theta;
        }
        state.step += 1;
        Ok(())
    }

    fn batches_per_step(&self) -> usize {
        2
    }
}
