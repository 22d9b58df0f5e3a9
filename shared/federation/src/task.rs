//! The federation file: one training task, parsed and validated, with all of its faults reported at
//! once.
//!
//! `docs/task-file.md` lists every setting. A task travels as JSON; people write it as TOML.

mod inputs;
mod read;
#[cfg(test)]
mod tests;

use ground::hash::{Hash, canonical, sha256_hex};
pub use inputs::Inputs;
use model_client::prompt_embeds::{self, PromptEmbeds};
use model_client::{ModelApiError, SharedEmbedder, TextDialect, name_classes, read_model};
use read::{Unworded, read_data};
use tuning::wording::{Prompt, Ranked, TextTask};

use crate::catalogue::Catalogue;
use crate::round::contribution::Contribution;
use crate::round::phase::RoundKind;
use crate::round::policy::Policy;
pub use crate::rules::settings::{Federation, Rule};
use ground::fault::{Fault, Faults, Reader};
use ground::rng::{derive_key, purpose};
use model_client::ModelSpec;
use model_client::on_device::OnDevice;
use privacy::Ledger;
use serde_json::Value;
use std::sync::Arc;
use tuning::generator;
use tuning::generator::{Generator, Shape, TextGenerator};
use tuning::objective::loss::Loss;
use tuning::objective::mapping::{Learnt, Mapping, MappingSpec, Mappings, Sizes};
use tuning::objective::{Objective, counts};
use tuning::optimizer;
use tuning::optimizer::{
    AskAhead, Built, DirectionKey, Domain, ExampleBound, Optimizer, Plan, Space,
};

/// By how much a picture must have fewer node values than θ has numbers, for perturbing them to be
/// the default. (Measured on `statistic`: with 16 statistics for each node value it needs a fraction
/// of the queries, with none it gains nothing.)
const FAR_FEWER: usize = 4;

/// A validated task. Everything here follows from [`Task::source`] and the catalogue with which it
/// was read.
#[derive(Clone, Debug)]
pub struct Task {
    source: Value,
    catalogue: Arc<Catalogue>,
    /// The hash of the announced task, where this is the same with another address.
    announced: Option<Hash>,
    /// Name of the task, a line for people.
    pub name: String,
    /// A paragraph for data owners: what this is for.
    pub description: String,
    /// The black box: the model API.
    pub model: ModelSpec,
    /// Files of a model that runs on the device, if no API is called.
    pub on_device: Option<OnDevice>,
    /// The task's labels, in order.
    pub labels: Vec<String>,
    /// Images or texts, with the settings of that kind of input.
    pub inputs: Inputs,
    /// Share of each owner's examples that is used only for measuring.
    pub holdout: f32,
    /// How the model's classes are mapped to labels.
    pub mapping: MappingSpec,
    loss: Loss,
    temperature: f32,
    /// The number of rounds and how they end.
    pub federation: Federation,
    /// Seed of everything random on which all must agree.
    pub seed: u64,
    dim: usize,
    space: Space,
    length: usize,
    searches: bool,
    counts_twice: bool,
    contribution: Option<Contribution>,
    counting: Option<Contribution>,
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.announced == other.announced
    }
}

impl Task {
    /// Reads a task from TOML, as people write it.
    pub fn from_toml(text: &str) -> Result<Self, Faults> {
        Self::from_value(Self::value_of_toml(text)?)
    }

    /// Reads the content of a task file, whether or not it is a valid task.
    ///
    /// # Errors
    /// It is not TOML, or holds what JSON cannot.
    pub fn value_of_toml(text: &str) -> Result<Value, Faults> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            Faults(vec![Fault {
                path: "file".to_owned(),
                message: format!("is not TOML: {e}"),
            }])
        })?;
        serde_json::to_value(table).map_err(|e| {
            Faults(vec![Fault {
                path: "file".to_owned(),
                message: format!("holds a value that a task cannot hold: {e}"),
            }])
        })
    }

    /// Reads a task from JSON, as it travels.
    pub fn from_value(source: Value) -> Result<Self, Faults> {
        Self::from_value_with(&Arc::default(), source)
    }

    /// Adds what a federation gets that is created without saying anything about it: secure sums
    /// with their defaults. A task that says `secure_sum = false` has none. (Simulations, in which
    /// nobody hides from anybody, and records of federations from before this was the default take
    /// a task as it is.)
    #[must_use]
    pub fn private_by_default(mut source: Value) -> Value {
        if let Some(task) = source.as_object_mut() {
            let federation = task
                .entry("federation")
                .or_insert_with(|| Value::Object(serde_json::Map::new()));
            if let Some(federation) = federation.as_object_mut() {
                let empty = || Value::Object(serde_json::Map::new());
                federation.entry("secure_sum").or_insert_with(empty);
            }
        }
        source
    }

    /// Names the optimiser of a new task that says nothing about it, where one suits its generator
    /// better than the default of its domain: node perturbation, if a picture has far fewer node
    /// values than θ has numbers. (A task that is under way keeps what it began with.)
    #[must_use]
    pub fn tuned_by_default(source: Value) -> Value {
        let says = |table: &Value| table.as_object().is_none_or(|table| !table.is_empty());
        let found = Catalogue::default().optimizers;
        let found = found.iter().find(|(_, entry)| entry.needs.nodes);
        let Some((name, _)) = found.filter(|_| !source.get("optimizer").is_some_and(says)) else {
            return source;
        };
        let mut named = source.clone();
        if let Some(task) = named.as_object_mut() {
            task.insert("optimizer".to_owned(), serde_json::json!({ "kind": name }));
        }
        match Self::from_value(named) {
            Ok(task) if task.space.nodes * FAR_FEWER <= task.dim => task.source,
            _ => source,
        }
    }

    /// Reads a task from JSON, with the choices that `catalogue` offers.
    ///
    /// # Errors
    /// All faults of the task at once.
    pub fn from_value_with(catalogue: &Arc<Catalogue>, source: Value) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let mut task = Self::read(catalogue, &source, &mut faults);
        // A generator or an optimiser is read where it is built; here to see its faults.
        let empty = Value::Object(serde_json::Map::new());
        let spec = source.get("generator").unwrap_or(&empty);
        let measured = match &task.inputs {
            Inputs::Texts(text) => {
                generator::build_text_from(&catalogue.text_generators, spec, text).map(|g| {
                    let words = g.prompt(&g.initial()) != Prompt::default();
                    (g.dim(), g.space(), g.soft(), words)
                })
            }
            Inputs::Images(_) => generator::build_from(&catalogue.generators, spec, task.shape())
                .map(|g| {
                    let space = Space {
                        nodes: g.nodes(),
                        statistics: g.statistics(),
                        labels: task.labels.len(),
                        ..Space::NUMBERS
                    };
                    (g.dim(), space, None, g.reshapes())
                }),
        };
        match measured {
            Ok((dim, space, soft, begins_prompted)) => {
                (task.dim, task.space) = (dim, space);
                task.counts_twice = begins_prompted && task.mapping.learnt.is_some();
                if soft.is_some() && !task.model.own.settings().takes_embeddings() {
                    faults.push(Fault {
                        path: "generator.kind".to_owned(),
                        message: format!(
                            "must not be {}: this dialect takes no embeddings beside a text; \"openai\" takes them in its place, with [model.openai.prompt_embeds]",
                            spec["kind"]
                        ),
                    });
                }
                if let Inputs::Texts(text) = &mut task.inputs {
                    text.soft = soft;
                }
            }
            Err(Faults(more)) => {
                faults.extend(more);
                // So that the optimiser's faults are its own.
                if let Inputs::Texts(_) = task.inputs {
                    let named = spec["kind"].as_str();
                    let kinds = &catalogue.text_generators;
                    let entry = named.and_then(|name| kinds.get(name));
                    let domain = entry.unwrap_or_else(|| kinds.first()).domain;
                    task.space = Space {
                        domain,
                        size: 2,
                        ..Space::NUMBERS
                    };
                }
            }
        }
        let key = DirectionKey([0, 0]);
        let optimizer = source.get("optimizer").unwrap_or(&empty);
        let optimizers = &catalogue.optimizers;
        match optimizer::build_from(optimizers, optimizer, key, task.plan(), task.space) {
            // Of settings that hold something else than was meant, nothing follows.
            Ok(built) if faults.is_empty() => task.measure_updates(&built, &mut faults),
            Ok(_) => {}
            Err(Faults(more)) => faults.extend(more),
        }
        if faults.is_empty() {
            Ok(Self { source, ..task })
        } else {
            Err(Faults(faults))
        }
    }

    /// How long an update is, and how it is summed.
    fn measure_updates(&mut self, built: &Built, faults: &mut Vec<Fault>) {
        let (name, optimizer) = (built.name, &*built.optimizer);
        let mut fault = |path: &str, message: String| {
            faults.push(Fault {
                path: path.to_owned(),
                message,
            });
        };
        let search = optimizer.shared_search();
        if let Some(search) = search {
            self.searches = self.federation.rule != Rule::FedAvg;
            if let Some(message) = search.refuses(self.dim) {
                fault("optimizer.covariance", message);
            }
        }
        for (path, message) in self.federation.search_faults(search.is_some()) {
            fault(path, message.to_owned());
        }
        self.length = match (self.federation.rule, optimizer.scalars_per_step()) {
            (Rule::FedAvg, _) => self.dim,
            (Rule::FedBpt, _) => self.dim + 2,
            (Rule::Scalars, Some(each)) => each * self.federation.local_steps as usize,
            (Rule::Scalars, None) => {
                let message = "\"scalars\" needs an optimiser whose steps are sums of its directions, zo-sgd or hiso, or that is told nothing but losses, cma-es";
                fault("federation.rule", message.to_owned());
                0
            }
        };
        if let AskAhead::Never(why) = built.needs.ask_ahead
            && self.federation.ask_ahead
        {
            fault("federation.ask_ahead", format!("must be false: {why}"));
        }
        if optimizer.remembers() {
            use crate::rules::server_optimizer::Rule as Server;
            if self.federation.rule != Rule::Scalars {
                let message =
                    format!("must be \"scalars\": {name} learns from the movement that all replay");
                fault("federation.rule", message);
            }
            if self.federation.server.rule == Server::Adam {
                let message = format!(
                    "must be \"sgd\" or \"momentum\": what {name} learns has the second moment's place"
                );
                fault("federation.server.kind", message);
            }
        }
        if self.federation.hides_examples() {
            if !optimizer.by_picture().is_some_and(|o| o.bounds_examples()) {
                fault(
                    "optimizer.kind",
                    format!(
                        "must be \"node-perturbation\" with privacy.unit = \"example\": {name} does not bound what one example changes"
                    ),
                );
            }
            if self.mapping.learnt.is_some() {
                let message = "learns from all examples, which privacy.unit = \"example\" does not bound: state the mapping";
                fault("mapping.kind", message.to_owned());
            }
        }
        self.plan_for_budget(optimizer, &mut fault);
        if let Some(learnt) = self.mapping.learnt
            && self.counts_length(learnt) > counts::MOST
        {
            let most = counts::MOST;
            fault(
                "mapping.kind",
                format!(
                    "learns from more numbers than the {most} that are counted at most: too many labels × classes"
                ),
            );
        } else if let Some(learnt) = self.learnt_together() {
            if self.federation.privacy.is_some() {
                let message = "\"together\" cannot be had with [federation.privacy]: counts carry no noise; choose \"alone\"";
                fault("mapping.learn", message.to_owned());
            }
            match Contribution::counting(&self.federation, self.counts_length(learnt)) {
                Ok(counting) => self.counting = counting,
                Err(error) => fault("federation.secure_sum", error.to_string()),
            }
        }
        if self.space.domain == Domain::Arms {
            let tried = optimizer.batches_per_step();
            check_arms(&self.federation, name, tried, &mut fault);
        }
        if self.length > 0 {
            match Contribution::new(&self.federation, self.length) {
                Ok(contribution) => {
                    let rho = contribution.as_ref().map_or(0.0, Contribution::rho);
                    let limits = contribution.as_ref().and_then(Contribution::limits);
                    if limits.is_some_and(|l| Ledger::new().would_exceed(rho, l.epsilon, l.delta)) {
                        let message =
                            "is so little that a single round would cost more than epsilon";
                        fault("federation.privacy.noise_multiplier", message.to_owned());
                    }
                    self.contribution = contribution;
                }
                Err(error) => fault("federation.secure_sum", error.to_string()),
            }
        }
    }

    /// If the query budget does not cover all rounds, plans only as many as it covers: schedules
    /// end with the last of them, and nobody stops on the way. If few are drawn to train, nobody
    /// knows how often anyone is.
    fn plan_for_budget(&mut self, optimizer: &dyn Optimizer, fault: &mut dyn FnMut(&str, String)) {
        let learning = self.counting_queries();
        let federation = &mut self.federation;
        if federation.query_budget == 0 || federation.policy.active > 0 {
            return;
        }
        let round = federation.training_queries(optimizer, 0);
        let mut left = federation.query_budget.saturating_sub(learning);
        let is_paid = |number: &u32| {
            let paid = left.checked_sub(federation.training_queries(optimizer, *number));
            left = paid.unwrap_or(0);
            paid.is_some()
        };
        let covered = (0..federation.rounds).take_while(is_paid).count() as u32;
        if covered == 0 {
            let message = format!(
                "does not cover a single round: that is {round} queries, and {learning} for the mapping"
            );
            fault("federation.query_budget", message);
        } else {
            federation.rounds = covered;
        }
    }

    fn read(catalogue: &Arc<Catalogue>, source: &Value, faults: &mut Vec<Fault>) -> Self {
        let mut r = Reader::new("", source, faults);
        r.whole("format", 1..=1, Some(1));
        let name = r.text("name", None);
        if r.has("name") && (name.trim().is_empty() || name.chars().count() > 120) {
            r.fault("name", "must be 1 to 120 characters");
        }
        let description = r.text("description", Some(""));
        if description.chars().count() > 4000 {
            r.fault("description", "may be at most 4,000 characters");
        }
        let seed = r.whole("seed", 0..=u64::MAX, Some(0));
        let mut on_device = None;
        let (mut model, tensors) = r.table("model", |r| {
            let (model, tensors) = read_model(&catalogue.dialects, r);
            on_device = OnDevice::read(r, &model, tensors.is_some());
            (model, tensors)
        });
        let texts = tensors.is_some();
        let (labels, inputs, holdout) = r.table("data", |r| read_data(r, &model.input, tensors));
        if texts && model.output.classes == 0 {
            model.output.classes = labels.len();
        }
        if model.own.sends_files() && !texts {
            name_classes(&mut r, &mut model.output, &labels);
        }
        let mapping = r.table("mapping", |r| {
            let sizes = Sizes {
                labels: labels.len(),
                classes: model.output.classes,
            };
            MappingSpec::read(&catalogue.mappings, r, sizes)
        });
        if texts && !mapping.kind.keeps_labels() {
            r.fault(
                "mapping.kind",
                "must be \"identity\": a text model scores the labels themselves",
            );
        }
        let inputs = match inputs {
            Unworded::Images(fit) => Inputs::Images(fit),
            Unworded::Texts(tensors) => {
                let text = r.table("text", |r| TextTask::read(r, tensors, &labels));
                Inputs::Texts(Box::new(text))
            }
        };
        if let Inputs::Texts(text) = &inputs
            && let Some((path, message)) = model.own.settings().text_faults(text)
        {
            r.fault(path, message);
        }
        let (loss, temperature) = r.table("loss", Objective::read_loss);
        // SPSA-GC is compared as it was released: in step, unless the file says otherwise. Draws,
        // the default for texts, cannot be asked ahead.
        let in_step = match source["optimizer"]["kind"].as_str() {
            Some(name) => {
                let entry = catalogue.optimizers.get(name);
                entry.is_some_and(|entry| entry.needs.ask_ahead != AskAhead::Usual)
            }
            None => texts,
        };
        let federation = r.table("federation", |r| Federation::read(r, !in_step));
        let _ = (r.raw("generator"), r.raw("optimizer"));
        r.finish();
        Self {
            source: Value::Null,
            catalogue: Arc::clone(catalogue),
            announced: None,
            name,
            description,
            model,
            on_device,
            labels,
            inputs,
            holdout,
            mapping,
            loss,
            temperature,
            federation,
            seed,
            dim: 0,
            space: Space::default(),
            length: 0,
            searches: false,
            counts_twice: false,
            contribution: None,
            counting: None,
        }
    }

    /// Returns whether all participants share one search of CMA-ES, which moves θ in place of the
    /// server's optimiser.
    #[must_use]
    pub fn searches(&self) -> bool {
        self.searches
    }

    /// Number of parameters d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of values in one participant's update: d; for [`Rule::Scalars`] the number of
    /// directions, or points, in a round; for [`Rule::FedBpt`] d + 2.
    #[must_use]
    pub fn update_length(&self) -> usize {
        self.length
    }

    /// The encoding of an update for a secure sum; `None` if updates are sent in plain.
    #[must_use]
    pub fn contribution(&self) -> Option<&Contribution> {
        self.contribution.as_ref()
    }

    /// How little one example may move θ, where noise hides single examples.
    #[must_use]
    pub fn example_bound(&self) -> Option<ExampleBound> {
        let federation = &self.federation;
        federation.hides_examples().then_some(ExampleBound {
            clip: federation.clip,
            batch: federation.batch,
        })
    }

    /// How the mapping is learnt, if the federation begins with a counting round for it.
    #[must_use]
    pub fn learnt_together(&self) -> Option<Learnt> {
        let together = |l: &Learnt| l.together;
        self.mapping.learnt.filter(together)
    }

    /// Returns whether there is a mapping to learn for prompted inputs besides that for unprompted
    /// inputs. A prompt's beginning may be a disturbance, and a mapping learnt from it would suit
    /// neither the model without a prompt nor the trained prompt. But if even θ₀ changes an input
    /// for good (a frame shrinks the image, texts get words), prompted inputs have their own
    /// mapping, from what θ₀ makes of them.
    #[must_use]
    pub fn counts_twice(&self) -> bool {
        self.counts_twice
    }

    /// Maximum number of queries that one participant spends on the mapping.
    #[must_use]
    pub fn counting_queries(&self) -> u64 {
        let learnt = self.mapping.learnt;
        learnt.map_or(0, |l| u64::from(l.examples) * self.times_counted() as u64)
    }

    fn times_counted(&self) -> usize {
        1 + usize::from(self.counts_twice())
    }

    /// Number of values that one participant counts.
    fn counts_length(&self, learnt: Learnt) -> usize {
        let classes = self.model.output.classes;
        learnt.counted.length(self.labels.len(), classes) * self.times_counted()
    }

    /// When the phases of a round of this kind end: nobody is drawn to count, all do.
    #[must_use]
    pub fn policy_of(&self, kind: RoundKind) -> Policy {
        let policy = self.federation.policy;
        match kind {
            RoundKind::Training => policy,
            RoundKind::Counting => Policy {
                active: 0,
                ..policy
            },
        }
    }

    /// Number of values in one participant's message of a round of this kind.
    #[must_use]
    pub fn length_of(&self, kind: RoundKind) -> usize {
        match (kind, self.learnt_together()) {
            (RoundKind::Counting, Some(learnt)) => self.counts_length(learnt),
            _ => self.length,
        }
    }

    /// The encoding of a message of such a round for a secure sum; `None` if it is sent in plain.
    #[must_use]
    pub fn contribution_of(&self, kind: RoundKind) -> Option<&Contribution> {
        match kind {
            RoundKind::Counting => self.counting.as_ref(),
            _ => self.contribution(),
        }
    }

    /// The mappings that follow from the means of what was counted: for unprompted inputs and then,
    /// if it is counted twice, for those that θ₀ prompts.
    #[must_use]
    pub fn fit_mappings(&self, means: &[f32]) -> Mappings {
        let fit = |means| {
            let sizes = Sizes {
                labels: self.labels.len(),
                classes: self.model.output.classes,
            };
            self.mapping.fit(means, sizes)
        };
        if self.counts_twice() {
            let (unprompted, prompted) = means.split_at(means.len() / 2);
            Mappings {
                unprompted: fit(unprompted),
                prompted: fit(prompted),
            }
        } else {
            fit(means).into()
        }
    }

    /// The task as JSON.
    #[must_use]
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// The hash of the task's JSON with sorted keys, which identifies the task.
    #[must_use]
    pub fn hash(&self) -> Hash {
        match &self.announced {
            Some(hash) => hash.clone(),
            None => Self::hash_of(&self.source),
        }
    }

    /// The hash of a task's JSON, valid or not.
    #[must_use]
    pub fn hash_of(source: &Value) -> Hash {
        let mut text = String::new();
        canonical(source, &mut text);
        sha256_hex(text.as_bytes())
    }

    /// The same task with another model API address: an owner may run the model themselves. It is
    /// still known by the announced task's hash, to which the record and all keys are bound.
    pub fn with_model_url(&self, url: &str) -> Result<Self, Faults> {
        let mut source = self.source.clone();
        source["model"]["url"] = Value::String(url.to_owned());
        Ok(Self {
            announced: Some(self.hash()),
            ..Self::from_value_with(&self.catalogue, source)?
        })
    }

    /// Size of the model's input.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            height: self.model.input.height,
            width: self.model.input.width,
        }
    }

    /// Bytes of one input on its way: of an image its tensor's, of a text that is sent as
    /// embeddings about theirs; 0 for other texts, which are small.
    #[must_use]
    pub fn input_bytes(&self) -> usize {
        if let Some(bytes) = prompt_embeds::text_bytes(&self.model, self.inputs.texts()) {
            return bytes;
        }
        self.shape().bytes() * self.model.input.datatype.size()
    }

    /// The files that must be fetched if prompts are sent as embeddings; otherwise `None`.
    #[must_use]
    pub fn prompt_embeds(&self) -> Option<&PromptEmbeds> {
        PromptEmbeds::of(&self.model, self.inputs.texts())
    }

    /// Number of values in a token of the task's soft prompts; 0 if it has none.
    #[must_use]
    pub fn hidden(&self) -> usize {
        let soft = self.inputs.texts().and_then(|text| text.soft);
        soft.map_or(0, |soft| soft.hidden)
    }

    /// The dialect of a task of texts, with what turns them into embeddings if prompts are sent as
    /// such.
    ///
    /// # Errors
    /// [`ModelApiError::InvalidSpec`] if the task's inputs are images.
    pub fn text_dialect(
        &self,
        embedder: Option<SharedEmbedder>,
    ) -> Result<Box<dyn TextDialect>, ModelApiError> {
        let Inputs::Texts(text) = &self.inputs else {
            return Err(ModelApiError::InvalidSpec {
                faults: vec!["input.kind is `image`, but texts are to be sent".to_owned()],
            });
        };
        model_client::text_dialect(&self.model, text, embedder)
    }

    /// Length of the run.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            rounds: self.federation.rounds,
            local_steps: self.federation.local_steps,
        }
    }

    fn section(&self, name: &str) -> Value {
        let section = self.source.get(name).cloned();
        section.unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    }

    /// The prompt generator of a task of images.
    ///
    /// # Errors
    /// The task is one of texts; see [`Task::text_generator`].
    pub fn generator(&self) -> Result<Box<dyn Generator>, Faults> {
        if let Inputs::Texts(_) = self.inputs {
            return Err(wrong_kind("this task's inputs are texts"));
        }
        let spec = self.section("generator");
        generator::build_from(&self.catalogue.generators, &spec, self.shape())
    }

    /// The prompt generator of a task of texts.
    ///
    /// # Errors
    /// The task is one of images; see [`Task::generator`].
    pub fn text_generator(&self) -> Result<Box<dyn TextGenerator>, Faults> {
        match &self.inputs {
            Inputs::Texts(text) => {
                let spec = self.section("generator");
                generator::build_text_from(&self.catalogue.text_generators, &spec, text)
            }
            Inputs::Images(_) => Err(wrong_kind("this task's inputs are images")),
        }
    }

    /// The words that θ stands for; `None` for a task of images.
    #[must_use]
    pub fn prompt(&self, theta: &[f32]) -> Option<Prompt> {
        self.text_generator().ok().map(|g| g.prompt(theta))
    }

    /// What θ says about the instructions among which it chooses, the best first; empty if there
    /// are none.
    #[must_use]
    pub fn ranking(&self, theta: &[f32]) -> Vec<Ranked> {
        self.text_generator()
            .map_or_else(|_| Vec::new(), |g| g.ranking(theta))
    }

    /// θ₀ of a run.
    pub fn initial(&self) -> Result<Vec<f32>, Faults> {
        let initial = match self.inputs {
            Inputs::Texts(_) => self.text_generator()?.initial(),
            Inputs::Images(_) => self.generator()?.initial(),
        };
        Ok(self.optimizer(0)?.start(initial))
    }

    /// The optimiser of participant number `participant`. Each has its own directions, except with
    /// [`Rule::Scalars`], under which all share them, and with arms, which all try together.
    pub fn optimizer(&self, participant: u32) -> Result<Box<dyn Optimizer>, Faults> {
        let participant = match self.federation.rule {
            Rule::FedAvg | Rule::FedBpt if self.space.domain != Domain::Arms => participant,
            Rule::FedAvg | Rule::FedBpt | Rule::Scalars => u32::MAX,
        };
        let key = derive_key(&[
            self.seed as u32,
            (self.seed >> 32) as u32,
            purpose::DIRECTION,
            participant,
        ]);
        let spec = self.section("optimizer");
        let (registry, key) = (&self.catalogue.optimizers, DirectionKey(key));
        let built = optimizer::build_from(registry, &spec, key, self.plan(), self.space)?;
        Ok(built.optimizer)
    }

    /// The objective, given the mapping in use.
    #[must_use]
    pub fn objective(&self, mapping: Mapping) -> Objective {
        Objective {
            mapping,
            loss: self.loss,
            temperature: self.temperature,
            output: self.model.output.kind,
        }
    }

    /// Number of queries that one participant spends if it trains in every round, without
    /// measurements.
    pub fn training_queries(&self) -> Result<u64, Faults> {
        let optimizer = self.optimizer(0)?;
        let of = |round| self.federation.training_queries(&*optimizer, round);
        Ok((0..self.federation.rounds).map(of).sum())
    }

    /// The number of the label `label`.
    #[must_use]
    pub fn label_index(&self, label: &str) -> Option<usize> {
        self.labels.iter().position(|l| l == label.trim())
    }
}

fn wrong_kind(message: &str) -> Faults {
    Faults(vec![Fault {
        path: "model.input.kind".to_owned(),
        message: message.to_owned(),
    }])
}

/// Notes what would keep the federation from adding the counts of arms up as they are. `name`: the
/// optimiser; K = `tried`.
fn check_arms(
    federation: &Federation,
    name: &str,
    tried: usize,
    fault: &mut impl FnMut(&str, String),
) {
    let server = &federation.server;
    if server.rule != crate::rules::server_optimizer::Rule::Sgd
        || server.learning_rate != 1.0
        || server.decay
    {
        let message = format!(
            "must be \"sgd\" with learning_rate = 1 and no decay: {name}'s θ are sums of what was found"
        );
        fault("federation.server.kind", message);
    }
    if federation.privacy.is_some() {
        let message = format!("does not go with {name}: its counts would carry the noise, too");
        fault("federation.privacy", message);
    }
    // K rewards of at most 1, and K ones.
    let longest = (2.0 * tried as f64).sqrt();
    if federation.clip > 0.0 && f64::from(federation.clip) < longest {
        let message = format!(
            "is less than √(2·{tried}): updates of {tried} instructions would be shortened; see optimizer.arms"
        );
        fault("federation.clip", message);
    }
}
