//! Divides the data into training and test examples.

use super::{SimulateArgs, SimulateError};
use crate::commands::join::built_in;
use crate::data;
use crate::data::split::Split;
use federation::round::workbench::Labelled;
use federation::task::Task;
use ground::rng::{Stream, derive_key, purpose};
use std::path::Path;

/// The name of the built-in data, unless a file is called so.
const HANDWRITING: &str = "handwriting";
/// Number of built-in writers to test on, none of whom takes part.
const TEST_WRITERS: u64 = 100;

/// Whether every participant has data of their own, which are not to be divided.
pub fn is_own(args: &SimulateArgs) -> bool {
    args.data.as_os_str() == HANDWRITING && !args.data.exists()
}

/// The built-in handwriting: `--each` examples of each participant, one after the other, and those
/// to test on. Which people they are follows from the seed.
fn handwriting(
    args: &SimulateArgs,
    task: &Task,
) -> Result<(Vec<Labelled>, Vec<Labelled>), SimulateError> {
    let first = args.seed.wrapping_mul(1 << 32);
    let of = |writers: std::ops::Range<u64>| -> Result<Vec<Labelled>, SimulateError> {
        let mut all = Vec::new();
        for writer in writers {
            let drawn = built_in(task, first.wrapping_add(writer), args.each as usize);
            all.extend(drawn.map_err(|error| SimulateError::BuiltIn(error.message().to_owned()))?);
        }
        Ok(all)
    };
    let people = args.clients as u64;
    Ok((of(0..people)?, of(people..people + TEST_WRITERS)?))
}

/// The training and the test examples that the arguments describe.
pub fn split(
    args: &SimulateArgs,
    task: &Task,
) -> Result<(Vec<Labelled>, Vec<Labelled>), SimulateError> {
    if is_own(args) {
        return handwriting(args, task);
    }
    let test = test_of(args)?;
    let mut examples = load(&args.data, task, test.training)?;
    let mut stream = Stream::new(args.seed, purpose::HOLDOUT);
    let (mut training, mut test) = match (test.path, args.shots) {
        (Some(path), None) => (examples, load(path, task, test.split)?),
        (Some(path), Some(shots)) => {
            stream.shuffle(&mut examples);
            let training = few(examples, shots, task)?.0;
            (training, load(path, task, test.split)?)
        }
        (None, Some(shots)) => {
            stream.shuffle(&mut examples);
            let (train, have) = (shots as usize * task.labels.len(), examples.len());
            let (training, test) = few(examples, shots, task)?;
            if test.is_empty() {
                return Err(SimulateError::NoTest { train, have });
            }
            (training, test)
        }
        (None, None) => {
            let have = examples.len();
            let train = args.train.unwrap_or(have * 4 / 5);
            if train == 0 || train >= have {
                return Err(SimulateError::NoTest { train, have });
            }
            stream.shuffle(&mut examples);
            let test = examples.split_off(train);
            (examples, test)
        }
    };
    if let Some(count) = args.test_count.filter(|c| (*c as usize) < test.len()) {
        // A stream of its own, because the first examples of a file seldom cover all classes.
        let seed = [args.seed as u32, (args.seed >> 32) as u32];
        let key = derive_key(&[seed[0], seed[1], purpose::HOLDOUT, 1]);
        Stream::with_key(key).shuffle(&mut test);
        test.truncate(count as usize);
    }
    if let Some(shift) = args.shift {
        shift.apply(&mut training, task.shape());
        shift.apply(&mut test, task.shape());
    }
    Ok((training, test))
}

/// The data to measure with, and the part to train on.
struct Test<'a> {
    /// The test data; `None` if the rest of the training data is the test.
    path: Option<&'a Path>,
    split: Option<Split>,
    training: Option<Split>,
}

/// For a single folder with parts: trains on `train` and measures with `test`, unless the arguments
/// name other parts.
fn test_of(args: &SimulateArgs) -> Result<Test<'_>, SimulateError> {
    let in_data = args.test_split.map(|_| args.data.as_path());
    let path = args.test.as_deref().or(in_data);
    let (mut split, mut training) = (args.test_split, args.split);
    if path == Some(args.data.as_path()) {
        (split, training) = (split.or(Some(Split::Test)), training.or(Some(Split::Train)));
        if let (Some(split), true) = (split, split == training) {
            return Err(SimulateError::SameSplit(split));
        }
    }
    Ok(Test {
        path,
        split,
        training,
    })
}

/// The first `shots` examples of each class, and the rest.
fn few(
    examples: Vec<Labelled>,
    shots: u32,
    task: &Task,
) -> Result<(Vec<Labelled>, Vec<Labelled>), SimulateError> {
    let mut counts = vec![0; task.labels.len()];
    let (chosen, rest): (Vec<_>, Vec<_>) = examples.into_iter().partition(|example| {
        let count = &mut counts[example.label];
        *count += 1;
        *count <= shots as usize
    });
    match counts.iter().position(|count| *count < shots as usize) {
        None => Ok((chosen, rest)),
        Some(label) => Err(SimulateError::TooFewShots {
            shots,
            label: task.labels[label].clone(),
            have: counts[label],
        }),
    }
}

fn load(path: &Path, task: &Task, split: Option<Split>) -> Result<Vec<Labelled>, SimulateError> {
    let loaded = data::load_split(path, task, split)?;
    loaded
        .notes
        .iter()
        .for_each(|note| tracing::warn!("{note}"));
    Ok(loaded.examples)
}
