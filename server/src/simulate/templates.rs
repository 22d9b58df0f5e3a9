//! `--template`: chooses one of several label templates by the training examples alone.

use super::measure::measure;
use super::{SimulateArgs, SimulateError, model::Model};
use federation::round::workbench::{Labelled, Workbench};
use federation::task::Task;
use serde::{Deserialize, Serialize};
use tuning::objective::mapping::{Mapping, Mappings};

/// The results of a template without a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateReport {
    /// The template, with `{}` in the label word's place.
    pub template: String,
    /// Mean loss on the training examples of all participants. The template with the least is
    /// chosen; ties go to the first.
    pub train_loss: f64,
    /// Accuracy on the training examples, from 0 to 1.
    pub train_accuracy: f64,
    /// Accuracy on the test data, which plays no part in the choice.
    pub test_accuracy: f64,
    /// Whether the template was chosen.
    pub taken: bool,
}

/// The setting that puts a template into a task, as JSON, because a bare `{}` would be read as an
/// empty table.
pub fn setting(template: &str) -> String {
    format!("text.template={}", serde_json::Value::from(template))
}

/// Measures every template in `args`, each with the task that `load` makes of it, and marks the
/// chosen one. A federation would do this with a sum of the participants' losses for each template,
/// at one query for each template and training example.
/// training example.
pub fn compare(
    args: &SimulateArgs,
    model: &Model,
    training: &[Labelled],
    test: &[Labelled],
    load: impl Fn(&str) -> Result<Task, SimulateError>,
) -> Result<Vec<TemplateReport>, SimulateError> {
    let mut found = Vec::new();
    for template in &args.templates {
        let task = load(template)?;
        let measured = |examples: &[Labelled]| {
            let bench = Workbench::new(task.clone(), 0, Vec::new(), examples.to_vec())?;
            measure(model, &bench, &Mappings::from(Mapping::Identity), None)
        };
        let (train_accuracy, train_loss) = measured(training)?;
        let (test_accuracy, _) = measured(test)?;
        found.push(TemplateReport {
            template: template.clone(),
            train_loss,
            train_accuracy,
            test_accuracy,
            taken: false,
        });
    }
    let least =
        (0..found.len()).min_by(|a, b| found[*a].train_loss.total_cmp(&found[*b].train_loss));
    if let Some(taken) = least.and_then(|at| found.get_mut(at)) {
        taken.taken = true;
    }
    Ok(found)
}
