//! `--template`: which of several label templates is taken, by the training examples alone.

use super::measure::measure;
use super::{SimulateArgs, SimulateError, model::Model};
use federation::round::workbench::{Labelled, Workbench};
use federation::task::Task;
use serde::{Deserialize, Serialize};
use tuning::objective::mapping::{Mapping, Mappings};

/// What a template is worth without a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateReport {
    /// With `{}` where the label word goes.
    pub template: String,
    /// Mean loss on all participants' training examples; the least is taken, of equals the first.
    pub train_loss: f64,
    /// Accuracy on them.
    pub train_accuracy: f64,
    /// Accuracy on the test data, which chooses nothing.
    pub test_accuracy: f64,
    /// Whether it was taken.
    pub taken: bool,
}

/// The settings that put a template into a task: JSON, as `{}` alone would be read as an empty table.
pub fn setting(template: &str) -> String {
    format!("text.template={}", serde_json::Value::from(template))
}

/// Measures every template of `args`, each with the task that `load` makes of it, and marks the one that is taken.
/// Federated, this is a sum of the participants' losses for each template: one query for each of them and each
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
