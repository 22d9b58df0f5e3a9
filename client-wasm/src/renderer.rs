//! Chooses what renders a task's steps: the GPU only if it is correct and faster for this very
//! task.

use ground::rng::Stream;
use ground::text::Short;
use serde::Serialize;
use tuning::generator;
use tuning::generator::{Generator, Prepared, Shape};
use tuning::optimizer::Candidate;

use crate::gpu::{Gpu, GpuError, GpuStep, check};

/// What the owner chose to render with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Whichever is faster.
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU, even a software adapter.
    WebGpu,
}

impl Wish {
    /// Reads `auto`, `cpu` or `webgpu`, as in the page's messages.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::Cpu),
            "webgpu" => Some(Self::WebGpu),
            _ => None,
        }
    }
}

/// What only JavaScript can find out about the GPU (`web/src/worker/gpu.ts`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// Why the GPU must not even be tried.
    pub refusal: Option<String>,
    /// The adapter's name, for use if wgpu gives none.
    pub name: String,
    /// Whether the adapter computes on the CPU.
    pub software: bool,
}

/// The choice, as the page shows it (`Backend` in `protocol.ts`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// `cpu` or `webgpu`.
    pub name: &'static str,
    /// One sentence that explains the choice.
    pub reason: String,
    /// Milliseconds of this task's own step on the CPU, if measured.
    pub cpu_ms: Option<f64>,
    /// Milliseconds of this task's own step on the GPU, if measured.
    pub webgpu_ms: Option<f64>,
    /// Name of the GPU's adapter.
    pub adapter: Option<String>,
}

/// The step that is measured and rendered.
pub struct Workload<'a> {
    /// The prompt generator.
    pub generator: &'a dyn Generator,
    /// Size of its images.
    pub shape: Shape,
    /// The candidates of one step.
    pub candidates: &'a [Candidate],
    /// Number of images of one step.
    pub images: usize,
}

/// Maximum ratio of the GPU's time to the CPU's: a tie is not worth a driver.
const MARGIN: f64 = 0.9;
/// If a whole step would take longer than this on the CPU, its time is extrapolated from one
/// candidate.
const PATIENCE_MS: f64 = 120.0;

/// Opens the adapter and its device, checks the known answers, and measures this task's own step on
/// CPU and GPU.
///
/// `now` returns milliseconds since any fixed time.
pub async fn choose(
    wish: Wish,
    hint: &Hint,
    work: &Workload<'_>,
    now: fn() -> f64,
) -> (Option<GpuStep>, Choice) {
    let cpu = |reason: String, cpu_ms, webgpu_ms, adapter| Choice {
        name: "cpu",
        reason,
        cpu_ms,
        webgpu_ms,
        adapter,
    };
    if wish == Wish::Cpu {
        return (None, cpu("The CPU, as set.".to_owned(), None, None, None));
    }
    let opened = open(wish, hint, work).await;
    let measured = Sample::new(work);
    let cpu_ms = measured.on_cpu(work, now);
    let (step, adapter) = match opened {
        Ok(step) => {
            let adapter = if step.adapter().is_empty() {
                "unnamed adapter".to_owned()
            } else {
                step.adapter().to_owned()
            };
            (step, adapter)
        }
        Err(NotUsed { why, adapter }) => {
            return (
                None,
                cpu(format!("The CPU: {why}."), Some(cpu_ms), None, adapter),
            );
        }
    };
    match measured.on_gpu(&step, work, now).await {
        Err(error) => (
            None,
            cpu(
                format!("The CPU: {error}."),
                Some(cpu_ms),
                None,
                Some(adapter),
            ),
        ),
        Ok(gpu_ms) if wish == Wish::WebGpu || gpu_ms < MARGIN * cpu_ms => {
            let reason = match wish {
                Wish::WebGpu => {
                    "WebGPU, as set; its answers were checked against the CPU's.".to_owned()
                }
                _ => format!(
                    "WebGPU: a step takes {} ms on it and {} ms on the CPU.",
                    tenths(gpu_ms),
                    tenths(cpu_ms)
                ),
            };
            let choice = Choice {
                name: "webgpu",
                reason,
                cpu_ms: Some(cpu_ms),
                webgpu_ms: Some(gpu_ms),
                adapter: Some(adapter),
            };
            (Some(step), choice)
        }
        Ok(gpu_ms) => {
            let reason = format!(
                "The CPU: a step takes {} ms on it and {} ms on the graphics device.",
                tenths(cpu_ms),
                tenths(gpu_ms)
            );
            (None, cpu(reason, Some(cpu_ms), Some(gpu_ms), Some(adapter)))
        }
    }
}

fn tenths(milliseconds: f64) -> Short {
    Short((milliseconds * 10.0 + 0.5).floor() / 10.0)
}

struct NotUsed {
    why: String,
    adapter: Option<String>,
}

impl From<GpuError> for NotUsed {
    fn from(error: GpuError) -> Self {
        Self {
            why: error.to_string(),
            adapter: None,
        }
    }
}

async fn open(wish: Wish, hint: &Hint, work: &Workload<'_>) -> Result<GpuStep, NotUsed> {
    if let Some(why) = &hint.refusal {
        return Err(NotUsed {
            why: why.clone(),
            adapter: None,
        });
    }
    let mut gpu = Gpu::open().await?;
    gpu.software |= hint.software;
    if gpu.adapter.is_empty() {
        gpu.adapter.clone_from(&hint.name);
    }
    let adapter = Some(gpu.adapter.clone());
    if gpu.software && wish == Wish::Auto {
        return Err(NotUsed {
            why: "the graphics adapter is itself software on the CPU".to_owned(),
            adapter,
        });
    }
    let tested = async {
        let step = gpu
            .prepare(
                work.generator,
                work.shape,
                work.candidates.len(),
                work.images,
            )
            .await?;
        check::known_answers(&step).await?;
        check::same_as_cpu(&step, work.generator, work.shape).await?;
        Ok::<_, GpuError>(step)
    };
    tested.await.map_err(|error| NotUsed {
        why: error.to_string(),
        adapter,
    })
}

/// Pictures of noise for the measurement: their content does not change a step's speed.
struct Sample {
    theta: Vec<f32>,
    prepared: Vec<Prepared>,
}

impl Sample {
    fn new(work: &Workload<'_>) -> Self {
        let mut stream = Stream::with_key([0x0A11, 2]);
        let image: Vec<u8> = (0..work.shape.bytes())
            .map(|_| stream.below(256) as u8)
            .collect();
        let theta = (0..work.generator.dim())
            .map(|_| 0.1 * stream.normal())
            .collect();
        Self {
            theta,
            prepared: vec![work.generator.prepare(&image); work.images],
        }
    }

    fn batch(&self) -> Vec<&Prepared> {
        self.prepared.iter().collect()
    }

    fn on_cpu(&self, work: &Workload<'_>, now: fn() -> f64) -> f64 {
        let (batch, mut out) = (self.batch(), Vec::new());
        let mut time = |candidates: &[Candidate]| {
            let before = now();
            generator::render(work.generator, &self.theta, candidates, &batch, &mut out);
            now() - before
        };
        let first = &work.candidates[..work.candidates.len().min(1)];
        // The first run grows the memory; the second is timed.
        time(first);
        let estimate = time(first) * work.candidates.len() as f64;
        if estimate > PATIENCE_MS {
            return estimate;
        }
        time(work.candidates);
        time(work.candidates)
    }

    async fn on_gpu(
        &self,
        step: &GpuStep,
        work: &Workload<'_>,
        now: fn() -> f64,
    ) -> Result<f64, GpuError> {
        let (batch, mut out) = (self.batch(), Vec::new());
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let before = now();
            step.render(&self.theta, work.candidates, &batch, &mut out)
                .await?;
            best = best.min(now() - before);
        }
        Ok(best)
    }
}
