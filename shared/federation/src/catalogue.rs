//! Everything that a task file can choose by name.

use ground::registry::Registry;
use model_client::dialects;
use tuning::objective::mapping;
use tuning::{generator, optimizer};

/// The registries with which a task is read. The default holds what is built in; a program that has
/// a generator, an optimiser, a mapping or a dialect of its own adds it with [`Registry::with`],
/// and reads tasks with [`crate::task::Task::from_value_with`]. All parties to a federation need
/// the same entries.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Prompt generators for images.
    pub generators: Registry<generator::ImageEntry>,
    /// Prompt generators for texts.
    pub text_generators: Registry<generator::TextEntry>,
    /// Optimisers.
    pub optimizers: Registry<optimizer::Entry>,
    /// Mappings from the model's classes to the task's labels.
    pub mappings: Registry<mapping::Build>,
    /// Dialects of model APIs.
    pub dialects: Registry<dialects::Entry>,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            generators: generator::registry(),
            text_generators: generator::text_registry(),
            optimizers: optimizer::registry(),
            mappings: mapping::registry(),
            dialects: dialects::registry(),
        }
    }
}
