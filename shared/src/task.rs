//! The federation file: one training task, parsed and validated, with all of its faults reported at once.
//!
//! `docs/task-file.md` lists every setting. A task travels as JSON; people write it as TOML.

use crate::fault::{Fault, Faults, Reader};
pub use crate::federation::settings::{Federation, Rule};
use crate::generator::{self, Generator, Shape};
use crate::image::Fit;
use crate::model_api::{Datatype, InputSpec, Layout, ModelSpec, OutputKind, OutputSpec};
use crate::objective::{Objective, loss::Loss, mapping::MappingSpec};
use crate::optimizer::{self, Identity, Optimizer, Plan};
use crate::privacy::Ledger;
use crate::rng::{derive_key, purpose};
use crate::round::contribution::Contribution;
use crate::sort::sort;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A SHA-256 in lower-case hexadecimal.
pub type Hash = String;

/// The hash of some bytes.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// The hash of θ: of its little-endian f32 bytes.
#[must_use]
pub fn theta_hash(theta: &[f32]) -> Hash {
    sha256_hex(&theta_bytes(theta))
}

/// θ as it travels: little-endian f32.
#[must_use]
pub fn theta_bytes(theta: &[f32]) -> Vec<u8> {
    theta.iter().flat_map(|t| t.to_le_bytes()).collect()
}

/// θ from its bytes: the right length, and finite.
pub fn theta_from_bytes(bytes: &[u8], dim: usize) -> Result<Vec<f32>, String> {
    if bytes.len() != 4 * dim {
        return Err(format!(
            "θ has {dim} parameters ({} bytes), but {} bytes came",
            4 * dim,
            bytes.len()
        ));
    }
    let theta: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    if theta.iter().all(|t| t.is_finite()) {
        Ok(theta)
    } else {
        Err("θ holds a number that is not finite".to_owned())
    }
}

/// A validated task. Everything here follows from [`Task::source`].
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    source: Value,
    /// The hash of the announced task, where this is the same with another address.
    announced: Option<Hash>,
    /// A line for people.
    pub name: String,
    /// A paragraph for data owners: what this is for.
    pub description: String,
    /// The black box.
    pub model: ModelSpec,
    /// The task's labels, in order.
    pub labels: Vec<String>,
    /// How an owner's image becomes the model's input.
    pub fit: Fit,
    /// Share of each owner's examples that is only measured with.
    pub holdout: f32,
    /// Model classes → labels.
    pub mapping: MappingSpec,
    loss: Loss,
    temperature: f32,
    /// How many rounds and how they end.
    pub federation: Federation,
    /// Seed of everything random that all must agree on.
    pub seed: u64,
    dim: usize,
    length: usize,
    contribution: Option<Contribution>,
}

impl Task {
    /// From TOML, as people write it.
    #[cfg(feature = "toml")]
    pub fn from_toml(text: &str) -> Result<Self, Faults> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            Faults(vec![Fault {
                path: "file".to_owned(),
                message: format!("is not TOML: {e}"),
            }])
        })?;
        let value = serde_json::to_value(table).map_err(|e| {
            Faults(vec![Fault {
                path: "file".to_owned(),
                message: format!("holds a value that a task cannot hold: {e}"),
            }])
        })?;
        Self::from_value(value)
    }

    /// From JSON, as it travels.
    pub fn from_value(source: Value) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let mut task = Self::read(&source, &mut faults);
        // A generator or an optimiser is read where it is built; here to see its faults.
        let shape = Shape {
            height: task.model.input.height,
            width: task.model.input.width,
        };
        let empty = Value::Object(serde_json::Map::new());
        match generator::build(source.get("generator").unwrap_or(&empty), shape) {
            Ok(generator) => task.dim = generator.dim(),
            Err(Faults(more)) => faults.extend(more),
        }
        let identity = Identity { key: [0, 0] };
        let optimizer = source.get("optimizer").unwrap_or(&empty);
        match optimizer::build(optimizer, identity, task.plan()) {
            // Of settings that hold something else than was meant, nothing follows.
            Ok(optimizer) if faults.is_empty() => task.measure_updates(&*optimizer, &mut faults),
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
    fn measure_updates(&mut self, optimizer: &dyn Optimizer, faults: &mut Vec<Fault>) {
        let mut fault = |path: &str, message: String| {
            faults.push(Fault {
                path: path.to_owned(),
                message,
            });
        };
        self.length = match (self.federation.rule, optimizer.scalars_per_step()) {
            (Rule::FedAvg, _) => self.dim,
            (Rule::Scalars, Some(each)) => each * self.federation.local_steps as usize,
            (Rule::Scalars, None) => {
                let message =
                    "\"scalars\" needs an optimiser whose steps are sums of its directions: zo-sgd";
                fault("federation.rule", message.to_owned());
                0
            }
        };
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

    fn read(source: &Value, faults: &mut Vec<Fault>) -> Self {
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
        let model = r.table("model", read_model);
        let (labels, fit, holdout) = r.table("data", |r| read_data(r, &model.input));
        let mapping = r.table("mapping", |r| {
            MappingSpec::read(r, labels.len(), model.output.classes)
        });
        let (loss, temperature) = r.table("loss", Objective::read_loss);
        // SPSA-GC is compared as it was released: in step, unless the file says otherwise.
        let in_step = source["optimizer"]["kind"] == "spsa-gc";
        let federation = r.table("federation", |r| Federation::read(r, !in_step));
        let _ = (r.raw("generator"), r.raw("optimizer"));
        r.finish();
        Self {
            source: Value::Null,
            announced: None,
            name,
            description,
            model,
            labels,
            fit,
            holdout,
            mapping,
            loss,
            temperature,
            federation,
            seed,
            dim: 0,
            length: 0,
            contribution: None,
        }
    }

    /// Parameters d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Numbers in one participant's update: d, or as many as [`Rule::Scalars`] has directions in a round.
    #[must_use]
    pub fn update_length(&self) -> usize {
        self.length
    }

    /// How an update is encoded for a secure sum; nothing where updates are sent as they are.
    #[must_use]
    pub fn contribution(&self) -> Option<&Contribution> {
        self.contribution.as_ref()
    }

    /// The task as JSON.
    #[must_use]
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Identifies the task: the hash of its JSON with sorted keys.
    #[must_use]
    pub fn hash(&self) -> Hash {
        match &self.announced {
            Some(hash) => hash.clone(),
            None => Self::hash_of(&self.source),
        }
    }

    /// The same of a task's JSON, valid or not.
    #[must_use]
    pub fn hash_of(source: &Value) -> Hash {
        let mut text = String::new();
        canonical(source, &mut text);
        sha256_hex(text.as_bytes())
    }

    /// The same task with another model API address: an owner may run the model themselves. It is still known by
    /// the announced task's hash, to which the record and all keys are bound.
    pub fn with_model_url(&self, url: &str) -> Result<Self, Faults> {
        let mut source = self.source.clone();
        source["model"]["url"] = Value::String(url.to_owned());
        Ok(Self {
            announced: Some(self.hash()),
            ..Self::from_value(source)?
        })
    }

    /// The model input's size.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            height: self.model.input.height,
            width: self.model.input.width,
        }
    }

    /// The run's length.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            rounds: self.federation.rounds,
            local_steps: self.federation.local_steps,
        }
    }

    /// The prompt generator.
    pub fn generator(&self) -> Result<Box<dyn Generator>, Faults> {
        generator::build(
            self.source
                .get("generator")
                .unwrap_or(&Value::Object(serde_json::Map::new())),
            self.shape(),
        )
    }

    /// The optimiser of participant number `participant`. Each has directions of its own, but for
    /// [`Rule::Scalars`], under which all share them.
    pub fn optimizer(&self, participant: u32) -> Result<Box<dyn Optimizer>, Faults> {
        let participant = match self.federation.rule {
            Rule::FedAvg => participant,
            Rule::Scalars => u32::MAX,
        };
        let key = derive_key(&[
            self.seed as u32,
            (self.seed >> 32) as u32,
            purpose::DIRECTION,
            participant,
        ]);
        let spec = self
            .source
            .get("optimizer")
            .cloned()
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        optimizer::build(&spec, Identity { key }, self.plan())
    }

    /// The objective, given the mapping in use.
    #[must_use]
    pub fn objective(&self, mapping: crate::objective::mapping::Mapping) -> Objective {
        Objective {
            mapping,
            loss: self.loss,
            temperature: self.temperature,
            output: self.model.output.kind,
        }
    }

    /// Queries that one participant spends if they train in every round (measuring comes on top).
    pub fn training_queries(&self) -> Result<u64, Faults> {
        let steps = u64::from(self.federation.rounds) * u64::from(self.federation.local_steps);
        Ok(steps * self.optimizer(0)?.batches_per_step() as u64 * u64::from(self.federation.batch))
    }

    /// The number of the label called `label`.
    #[must_use]
    pub fn label_index(&self, label: &str) -> Option<usize> {
        self.labels.iter().position(|l| l == label.trim())
    }
}

fn read_model(r: &mut Reader<'_>) -> ModelSpec {
    let dialects = ["open-inference"];
    let dialect = dialects[r.choice("dialect", &dialects, Some(dialects[0]))].to_owned();
    let url = r.text("url", None).trim_end_matches('/').to_owned();
    if r.has("url") && origin_of(&url).is_none() {
        r.fault(
            "url",
            "must be an http:// or https:// address with a host, such as http://127.0.0.1:8701",
        );
    }
    let name = r.text("name", None);
    if r.has("name")
        && (name.is_empty()
            || name.len() > 200
            || !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.:@".contains(c)))
    {
        r.fault("name", "must be 1 to 200 letters, digits, or - _ . : @");
    }
    let input = r.table("input", |r| InputSpec {
        name: r.text("name", Some("image")),
        datatype: [Datatype::Uint8, Datatype::Fp32]
            [r.choice("datatype", &["UINT8", "FP32"], Some("UINT8"))],
        layout: [Layout::Nchw, Layout::Nhwc][r.choice("layout", &["nchw", "nhwc"], Some("nchw"))],
        height: r.whole("height", 4..=1024, None) as usize,
        width: r.whole("width", 4..=1024, None) as usize,
        low: r.number("low", -1e4..=1e4, Some(0.0)),
        high: r.number("high", -1e4..=1e4, Some(1.0)),
    });
    let output = r.table("output", |r| OutputSpec {
        name: r.text("name", Some("logits")),
        kind: [OutputKind::Logits, OutputKind::Probabilities]
            [r.choice("kind", &["logits", "probabilities"], Some("logits"))],
        classes: r.whole("classes", 2..=100_000, None) as usize,
    });
    ModelSpec {
        dialect,
        url,
        name,
        input,
        output,
    }
}

/// `scheme://host[:port]` of an http(s) address; nothing for anything else. Small on purpose: the browser
/// and the native client parse the whole address again with libraries.
#[must_use]
pub fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url
        .split_once("://")
        .filter(|(s, _)| *s == "http" || *s == "https")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    let has_host =
        !authority.is_empty() && !authority.starts_with(':') && authority.chars().all(allowed);
    has_host.then(|| format!("{scheme}://{authority}").to_ascii_lowercase())
}

fn read_data(r: &mut Reader<'_>, input: &InputSpec) -> (Vec<String>, Fit, f32) {
    let labels = r.list("labels", None, "texts", |v| {
        v.as_str().map(|s| s.trim().to_owned())
    });
    if r.has("labels") {
        let mut sorted = labels.clone();
        sort(&mut sorted);
        sorted.dedup();
        if labels.len() < 2
            || labels.len() > 10_000
            || sorted.len() != labels.len()
            || labels.iter().any(String::is_empty)
        {
            r.fault(
                "labels",
                "must hold 2 to 10,000 different, non-empty labels",
            );
        }
    }
    let inner = r.list(
        "inner",
        Some(vec![input.height as u64, input.width as u64]),
        "two whole numbers (height, width)",
        serde_json::Value::as_u64,
    );
    let (inner_height, inner_width) = match inner[..] {
        [h, w] if h >= 1 && w >= 1 && h <= input.height as u64 && w <= input.width as u64 => {
            (h as usize, w as usize)
        }
        _ => {
            r.fault(
                "inner",
                format!(
                    "must be [height, width] within the model's {}×{}",
                    input.height, input.width
                ),
            );
            (input.height, input.width)
        }
    };
    let fit = Fit {
        width: input.width,
        height: input.height,
        inner_width,
        inner_height,
        background: r.whole("background", 0..=255, Some(0)) as u8,
        invert: r.flag("invert", false),
        keep_aspect: r.flag("keep_aspect", true),
    };
    (labels, fit, r.number("holdout", 0.0..=0.9, Some(0.2)))
}

/// JSON with sorted keys and no space, whatever the map type of the build.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                canonical(&map[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn minimal() -> Value {
        json!({
            "name": "Digits",
            "model": { "url": "http://127.0.0.1:8701", "name": "printed-digits", "input": { "height": 32, "width": 32 }, "output": { "classes": 3 } },
            "data": { "labels": ["a", "b", "c"] },
        })
    }

    #[test]
    fn the_least_task_is_whole() {
        let task = Task::from_value(minimal()).unwrap();
        assert_eq!(task.federation.rounds, 50);
        assert_eq!(task.generator().unwrap().dim(), 576);
        assert_eq!(task.hash().len(), 64);
        assert_eq!(Task::from_value(task.source().clone()).unwrap(), task);
    }

    #[test]
    fn steps_are_asked_ahead_but_for_spsa_gc() {
        let ahead = |change: Value| {
            let mut value = minimal();
            for (key, section) in change.as_object().unwrap() {
                value[key] = section.clone();
            }
            Task::from_value(value).unwrap().federation.ask_ahead
        };
        let released = json!({ "kind": "spsa-gc" });
        assert!(ahead(json!({})));
        assert!(ahead(json!({ "optimizer": { "kind": "zo-sgd" } })));
        assert!(!ahead(json!({ "federation": { "ask_ahead": false } })));
        assert!(!ahead(json!({ "optimizer": released })));
        assert!(ahead(
            json!({ "optimizer": released, "federation": { "ask_ahead": true } })
        ));
    }

    #[test]
    fn the_hash_does_not_depend_on_the_order_of_keys() {
        let a: Value = serde_json::from_str(r#"{"b":1,"a":[{"y":2,"x":3}]}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"a":[{"x":3,"y":2}],"b":1}"#).unwrap();
        let text = |v: &Value| {
            let mut s = String::new();
            canonical(v, &mut s);
            s
        };
        assert_eq!(text(&a), text(&b));
        assert_eq!(text(&a), r#"{"a":[{"x":3,"y":2}],"b":1}"#);
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let value = json!({
            "name": "",
            "colour": 1,
            "seed": -1,
            "model": { "url": "ftp://x", "name": "a b", "dialect": "soap", "input": { "height": 0, "width": "wide" }, "output": { "classes": 1 } },
            "data": { "labels": ["a", "a"], "inner": [99, 1], "holdout": 2.0, "background": 300 },
            "mapping": { "kind": "groups" },
            "loss": { "kind": "hinge" },
            "generator": { "kind": "statistic", "epsilon": 0.0, "basis": { "size": 1 }, "grid": 99, "colour": 1 },
            "optimizer": { "kind": "sgd" },
            "federation": { "rounds": 0, "open": { "count_min": 5, "count_max": 2 }, "server": { "kind": "lion" } },
        });
        let Faults(faults) = Task::from_value(value).unwrap_err();
        let paths: Vec<_> = faults.iter().map(|f| f.path.as_str()).collect();
        for expected in [
            "name",
            "colour",
            "seed",
            "model.url",
            "model.name",
            "model.dialect",
            "model.input.height",
            "model.input.width",
            "model.output.classes",
            "data.labels",
            "data.inner",
            "data.holdout",
            "data.background",
            "mapping.groups",
            "loss.kind",
            "generator.epsilon",
            "generator.basis",
            "generator.grid",
            "generator.colour",
            "optimizer.kind",
            "federation.rounds",
            "federation.open.count_max",
            "federation.server.kind",
        ] {
            assert!(
                paths.contains(&expected),
                "{expected} is not among {paths:?}"
            );
        }
    }

    #[test]
    fn origins() {
        assert_eq!(
            origin_of("http://127.0.0.1:8701/v2").as_deref(),
            Some("http://127.0.0.1:8701")
        );
        assert_eq!(
            origin_of("https://Host.example").as_deref(),
            Some("https://host.example")
        );
        for bad in [
            "ftp://x",
            "http://",
            "http://:80",
            "http://a b",
            "x",
            "http://user@host",
            "http://a;b",
        ] {
            assert_eq!(origin_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn theta_travels() {
        let theta = vec![1.5, -0.25];
        assert_eq!(theta_from_bytes(&theta_bytes(&theta), 2), Ok(theta));
        assert!(theta_from_bytes(&[0; 7], 2).is_err());
        assert!(theta_from_bytes(&f32::NAN.to_le_bytes(), 1).is_err());
    }
}
