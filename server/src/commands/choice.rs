//! The record's choice of what is to be kept, in words.

use federation::rules::choice::{Choice, Keep};

/// One sentence about what is kept, and why.
#[must_use]
pub fn words(choice: &Choice) -> String {
    let measured = &choice.measured;
    let share = |right: u32| 100.0 * f64::from(right) / f64::from(measured.total.max(1));
    let what = match choice.keep {
        Keep::Unprompted => "keep the model without a prompt".to_owned(),
        Keep::Earlier => format!("keep θ after {} updates", measured.step),
        Keep::Last => "keep the last θ".to_owned(),
    };
    let why = match choice.keep {
        Keep::Unprompted => ": no prompt is better by more than chance",
        Keep::Earlier => ": it is better than the last by more than chance",
        Keep::Last => "",
    };
    format!(
        "{what}{why} (of {} held-out examples, {:.1}% right without a prompt, {:.1}% with θ after {} updates)",
        measured.total,
        share(measured.unprompted),
        share(measured.correct),
        measured.step
    )
}
