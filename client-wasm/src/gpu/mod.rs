//! The fused step on the GPU: [`tuning::generator::render`] as one WebGPU kernel (`step.wgsl`).
//!
//! Buffers are made once for a task and reused; a step is one submission and one mapping, unless
//! its output exceeds what the device binds: then it takes several passes ([`passes`]). Nothing
//! here is trusted before [`check::known_answers`] and [`check::same_as_cpu`] have agreed with the
//! CPU.

pub mod check;
mod layout;
pub mod passes;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::channel::oneshot;
use tuning::generator::{Generator, Kernel, Prepared, Shape, Work};
use tuning::optimizer::Candidate;

use layout::{CANDIDATE_BYTES, PARAMS_BYTES};
use passes::{Limits, Pass};

/// Invocations of a workgroup times words that each writes, as in `levels.wgsl`.
const WORDS_PER_GROUP: u32 = 256 * 16;

/// Why the GPU is not used, or no longer used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// There is no adapter.
    #[error("this browser or machine offers no WebGPU adapter")]
    NoAdapter,
    /// The adapter gives no device.
    #[error("the graphics adapter gives no device: {0}")]
    NoDevice(String),
    /// The generator has no kernel.
    #[error("the task's prompt generator has no GPU kernel")]
    NoKernel,
    /// The device cannot hold the task.
    #[error("the task does not fit the graphics device: {0}")]
    TooLarge(String),
    /// The known answers came out wrong.
    #[error("the graphics device computes wrongly ({0}); its driver may need an update")]
    Wrong(String),
    /// The device was lost, or reported an error.
    #[error("the graphics device failed: {0}")]
    Failed(String),
}

/// A device and what is known about it.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// The adapter's own name; empty in browsers that hide it.
    pub adapter: String,
    /// Whether the adapter computes on the CPU, as SwiftShader and llvmpipe do.
    pub software: bool,
    uncaptured: Arc<UncapturedError>,
}

/// The first failure that the device reported outside a call.
#[derive(Default)]
struct UncapturedError {
    happened: AtomicBool,
    text: Mutex<String>,
}

impl UncapturedError {
    fn report(&self, text: String) {
        if !self.happened.swap(true, Ordering::SeqCst)
            && let Ok(mut kept) = self.text.lock()
        {
            *kept = text;
        }
    }

    fn check(&self) -> Result<(), GpuError> {
        if self.happened.load(Ordering::SeqCst) {
            let text = self
                .text
                .lock()
                .map(|text| text.clone())
                .unwrap_or_default();
            return Err(GpuError::Failed(text));
        }
        Ok(())
    }
}

impl Gpu {
    /// Asks for the fastest adapter and its device.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`] or [`GpuError::NoDevice`].
    pub async fn open() -> Result<Self, GpuError> {
        // `Instance::new` would panic without a backend in the build, or outside browsers.
        if wgpu::Instance::enabled_backend_features().is_empty() || !offered_here() {
            return Err(GpuError::NoAdapter);
        }
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = instance
            .request_adapter(&options)
            .await
            .map_err(|_| GpuError::NoAdapter)?;
        let info = adapter.get_info();
        let offered = adapter.limits();
        // The defaults are what every WebGPU device has. Larger buffers are requested if available,
        // because they save passes.
        let required_limits = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size.min(MOST_BYTES),
            max_storage_buffer_binding_size: offered
                .max_storage_buffer_binding_size
                .min(MOST_BYTES),
            ..wgpu::Limits::default()
        };
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("fed-bbpt"),
                required_limits,
                ..Default::default()
            })
            .await
            .map_err(|error| GpuError::NoDevice(error.to_string()))?;
        let uncaptured = Arc::new(UncapturedError::default());
        let on_loss = Arc::clone(&uncaptured);
        device.set_device_lost_callback(move |reason, text| {
            on_loss.report(format!("device lost ({reason:?}) {text}"))
        });
        let on_error = Arc::clone(&uncaptured);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            on_error.report(error.to_string())
        }));
        let name = info.name.to_ascii_lowercase();
        let software = info.device_type == wgpu::DeviceType::Cpu
            || ["swiftshader", "llvmpipe", "lavapipe", "basic render"]
                .iter()
                .any(|known| name.contains(known));
        Ok(Self {
            device,
            queue,
            adapter: info.name,
            software,
            uncaptured,
        })
    }

    /// Destroys the device, as a driver's reset would; the next step fails.
    pub fn destroy(&self) {
        self.uncaptured.report("device destroyed".to_owned());
        self.device.destroy();
    }

    /// Compiles a generator's kernel and makes the buffers for steps of up to `candidates`
    /// candidates and `images` images.
    ///
    /// # Errors
    /// [`GpuError::NoKernel`], [`GpuError::TooLarge`], or [`GpuError::Failed`] if it does not
    /// compile.
    pub async fn prepare(
        self,
        generator: &dyn Generator,
        shape: Shape,
        candidates: usize,
        images: usize,
    ) -> Result<GpuStep, GpuError> {
        let kernel = generator.kernel().ok_or(GpuError::NoKernel)?;
        let limits = self.limits();
        let size = Size::new(generator, shape, candidates, images, limits)?;
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let buffers = Buffers::new(&self.device, &kernel, &size);
        let pipelines = Pipelines::new(&self.device, &kernel, &buffers);
        if let Some(error) = scope.pop().await {
            return Err(GpuError::Failed(error.to_string()));
        }
        self.queue.write_buffer(
            &buffers.constants,
            0,
            bytemuck::cast_slice(&kernel.constants),
        );
        self.uncaptured.check()?;
        Ok(GpuStep {
            gpu: self,
            kernel,
            shape,
            size,
            buffers,
            pipelines,
        })
    }

    fn limits(&self) -> Limits {
        let limits = self.device.limits();
        Limits {
            bytes: limits
                .max_storage_buffer_binding_size
                .min(limits.max_buffer_size)
                .min(MOST_BYTES),
            groups: limits.max_compute_workgroups_per_dimension,
        }
    }
}

#[cfg(target_family = "wasm")]
fn offered_here() -> bool {
    let global = js_sys::global();
    let member = |object: &wasm_bindgen::JsValue, name: &str| {
        js_sys::Reflect::get(object, &name.into()).unwrap_or_default()
    };
    let navigator = member(&global, "navigator");
    navigator.is_object() && member(&navigator, "gpu").is_object()
}

#[cfg(not(target_family = "wasm"))]
fn offered_here() -> bool {
    true
}

/// Maximum size of a buffer: a step's output is copied through mapped memory.
const MOST_BYTES: u64 = 256 << 20;

/// The sizes for which the buffers are made.
#[derive(Clone, Copy, Debug)]
struct Size {
    dim: usize,
    statistics: usize,
    candidates: usize,
    images: usize,
    words: usize,
    limits: Limits,
}

impl Size {
    fn new(
        generator: &dyn Generator,
        shape: Shape,
        candidates: usize,
        images: usize,
        limits: Limits,
    ) -> Result<Self, GpuError> {
        let words = shape.bytes().div_ceil(4);
        let fits = |what: &str, bytes: usize| {
            (bytes as u64 <= limits.bytes).then_some(()).ok_or_else(|| {
                GpuError::TooLarge(format!(
                    "{what} need {bytes} bytes, {} is the most",
                    limits.bytes
                ))
            })
        };
        fits("the parameters", generator.dim() * 4)?;
        fits("one image", words * 4)?;
        // A larger batch is rendered in several passes.
        let images = images.clamp(
            1,
            (limits.bytes as usize / (words * 4)).min(limits.groups as usize),
        );
        Ok(Self {
            dim: generator.dim(),
            statistics: generator.statistics(),
            candidates: candidates.max(1),
            images,
            words,
            limits,
        })
    }
}

struct Buffers {
    params: wgpu::Buffer,
    theta: wgpu::Buffer,
    candidates: wgpu::Buffer,
    pixels: wgpu::Buffer,
    statistics: wgpu::Buffer,
    constants: wgpu::Buffer,
    output: wgpu::Buffer,
    readback: wgpu::Buffer,
}

impl Buffers {
    fn new(device: &wgpu::Device, kernel: &Kernel, size: &Size) -> Self {
        use wgpu::BufferUsages as Usage;
        let make = |label: &'static str, bytes: usize, usage: Usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                // An empty binding is an error.
                size: (bytes.max(16).next_multiple_of(4)) as u64,
                usage,
                mapped_at_creation: false,
            })
        };
        let input = Usage::STORAGE | Usage::COPY_DST;
        let output = passes::largest(
            size.candidates,
            size.images,
            size.words as u64 * 4,
            size.limits,
        ) as usize;
        let output = output.max(check::MOST_KNOWN_ANSWERS * 16);
        Self {
            params: make("params", PARAMS_BYTES, Usage::UNIFORM | Usage::COPY_DST),
            theta: make("theta", size.dim * 4, input),
            candidates: make(
                "candidates",
                size.candidates.max(check::MOST_KNOWN_ANSWERS) * CANDIDATE_BYTES,
                input,
            ),
            pixels: make("pixels", size.images * size.words * 4, input),
            statistics: make("statistics", size.images * size.statistics * 4, input),
            constants: make("constants", kernel.constants.len() * 4, input),
            output: make("output", output, Usage::STORAGE | Usage::COPY_SRC),
            readback: make("readback", output, Usage::MAP_READ | Usage::COPY_DST),
        }
    }

    fn in_order(&self) -> [&wgpu::Buffer; 7] {
        [
            &self.params,
            &self.theta,
            &self.candidates,
            &self.pixels,
            &self.statistics,
            &self.constants,
            &self.output,
        ]
    }

    fn destroy(&self) {
        self.in_order()
            .into_iter()
            .chain([&self.readback])
            .for_each(wgpu::Buffer::destroy);
    }
}

/// The part of the kernel's text that says how the work is divided.
fn cut(kernel: &Kernel) -> &'static str {
    match kernel.work {
        Work::Cells { .. } => {
            include_str!("cells.wgsl")
        }
        _ => include_str!("levels.wgsl"),
    }
}

struct Pipelines {
    step: wgpu::ComputePipeline,
    known_answers: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
}

impl Pipelines {
    fn new(device: &wgpu::Device, kernel: &Kernel, buffers: &Buffers) -> Self {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("step"),
            source: wgpu::ShaderSource::Wgsl(
                format!(
                    "{}\n{}\n{}",
                    include_str!("step.wgsl"),
                    cut(kernel),
                    kernel.wgsl
                )
                .into(),
            ),
        });
        let types = [
            wgpu::BufferBindingType::Uniform,
            wgpu::BufferBindingType::Storage { read_only: true },
            wgpu::BufferBindingType::Storage { read_only: true },
            wgpu::BufferBindingType::Storage { read_only: true },
            wgpu::BufferBindingType::Storage { read_only: true },
            wgpu::BufferBindingType::Storage { read_only: true },
            wgpu::BufferBindingType::Storage { read_only: false },
        ];
        let entries: Vec<_> = (0u32..)
            .zip(types)
            .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty,
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("step"),
            entries: &entries,
        });
        let entries: Vec<_> = (0u32..)
            .zip(buffers.in_order())
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("step"),
            layout: &layout,
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("step"),
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let make = |entry: &'static str| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(entry),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        };
        Self {
            step: make("render_step"),
            known_answers: make("known_answers"),
            bindings,
        }
    }
}

/// The kernel of one task, ready to run.
pub struct GpuStep {
    gpu: Gpu,
    kernel: Kernel,
    shape: Shape,
    size: Size,
    buffers: Buffers,
    pipelines: Pipelines,
}

impl GpuStep {
    /// The adapter's own name.
    #[must_use]
    pub fn adapter(&self) -> &str {
        &self.gpu.adapter
    }

    /// Whether the adapter computes on the CPU.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.gpu.software
    }

    /// Destroys the device, as a driver's reset would; the next step fails.
    pub fn destroy(&self) {
        self.gpu.destroy();
    }

    /// Renders like [`tuning::generator::render`], in the same order. `out` is resized. One call at
    /// a time; a call whose future is dropped leaves the buffers usable.
    ///
    /// # Errors
    /// [`GpuError::Failed`] when the device is lost or reports an error, and [`GpuError::TooLarge`]
    /// for more candidates than the buffers were made for; the content of `out` is then
    /// meaningless.
    pub async fn render(
        &self,
        theta: &[f32],
        candidates: &[Candidate],
        batch: &[&Prepared],
        out: &mut Vec<u8>,
    ) -> Result<(), GpuError> {
        self.gpu.uncaptured.check()?;
        if candidates.len() > self.size.candidates || theta.len() != self.size.dim {
            return Err(GpuError::TooLarge(
                "the step has more candidates or parameters than were planned".to_owned(),
            ));
        }
        let bytes = self.shape.bytes();
        if batch
            .iter()
            .any(|p| p.image.len() != bytes || p.statistics.len() != self.size.statistics)
        {
            return Err(GpuError::TooLarge(
                "an image of another size than was planned".to_owned(),
            ));
        }
        out.resize(candidates.len() * batch.len() * bytes, 0);
        let queue = &self.gpu.queue;
        queue.write_buffer(&self.buffers.theta, 0, bytemuck::cast_slice(theta));
        // As many images at a time as the buffers hold: all of them, unless the batch is enormous.
        for (part, images) in batch.chunks(self.size.images).enumerate() {
            self.upload(images);
            let first = part * self.size.images;
            let candidate_bytes = layout::candidates(candidates, first);
            queue.write_buffer(&self.buffers.candidates, 0, &candidate_bytes);
            for pass in passes::plan(
                candidates.len(),
                images.len(),
                self.size.words as u64 * 4,
                self.size.limits,
            ) {
                let mapped = self.run(pass).await?;
                let offset = BatchOffset {
                    all: batch.len(),
                    first,
                };
                self.collect(&mapped, pass, offset, out)?;
            }
        }
        self.gpu.uncaptured.check()
    }

    fn upload(&self, images: &[&Prepared]) {
        let (words, queue) = (self.size.words, &self.gpu.queue);
        for (i, prepared) in images.iter().enumerate() {
            let offset = (i * words * 4) as u64;
            let whole = prepared.image.len() / 4 * 4;
            queue.write_buffer(&self.buffers.pixels, offset, &prepared.image[..whole]);
            if whole < prepared.image.len() {
                let mut last = [0; 4];
                last[..prepared.image.len() - whole].copy_from_slice(&prepared.image[whole..]);
                queue.write_buffer(&self.buffers.pixels, offset + whole as u64, &last);
            }
        }
        let statistics: Vec<f32> = images
            .iter()
            .flat_map(|p| p.statistics.iter().copied())
            .collect();
        queue.write_buffer(
            &self.buffers.statistics,
            0,
            bytemuck::cast_slice(&statistics),
        );
    }

    async fn run(&self, pass: Pass) -> Result<Mapped<'_>, GpuError> {
        let params = layout::params(
            self.shape,
            pass,
            self.size.statistics,
            &self.kernel.integers,
        );
        self.gpu
            .queue
            .write_buffer(&self.buffers.params, 0, &params);
        let pieces = match self.kernel.work {
            Work::Levels => (self.size.words as u32).div_ceil(WORDS_PER_GROUP),
            Work::Cells { side } => {
                (self.shape.height * self.shape.width) as u32 / (side * side).max(1)
            }
        };
        let groups = [
            pieces,
            pass.images.len() as u32,
            pass.candidates.len() as u32,
        ];
        self.dispatch(&self.pipelines.step, groups, self.pass_bytes(pass))
            .await
    }

    fn pass_bytes(&self, pass: Pass) -> u64 {
        (pass.images.len() * pass.candidates.len() * self.size.words * 4) as u64
    }

    /// Runs a pipeline and maps `bytes` of its output.
    async fn dispatch(
        &self,
        pipeline: &wgpu::ComputePipeline,
        groups: [u32; 3],
        bytes: u64,
    ) -> Result<Mapped<'_>, GpuError> {
        let device = &self.gpu.device;
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor {
            label: Some("step"),
        });
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &self.pipelines.bindings, &[]);
            pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
        }
        encoder.copy_buffer_to_buffer(&self.buffers.output, 0, &self.buffers.readback, 0, bytes);
        self.gpu.queue.submit([encoder.finish()]);
        let (sender, receiver) = oneshot::channel();
        self.buffers
            .readback
            .map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
                // The receiver is gone if the step was abandoned.
                let _ = sender.send(result);
            });
        // From here on the buffer is unmapped in any case, even if this future is dropped.
        let mapping = Mapped {
            readback: &self.buffers.readback,
            bytes,
        };
        // In the browser the callback comes from the event loop, and this does nothing.
        device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|error| GpuError::Failed(error.to_string()))?;
        let mapped = receiver
            .await
            .map_err(|_| GpuError::Failed("the result was never given".to_owned()))?;
        mapped.map_err(|error| GpuError::Failed(error.to_string()))?;
        self.gpu.uncaptured.check()?;
        Ok(mapping)
    }

    /// Copies a mapped pass to its place in the output.
    fn collect(
        &self,
        mapped: &Mapped<'_>,
        pass: Pass,
        offset: BatchOffset,
        out: &mut [u8],
    ) -> Result<(), GpuError> {
        let bytes = self.shape.bytes();
        let view = mapped.view()?;
        let mut images = view.chunks_exact(self.size.words * 4);
        for candidate in pass.candidates.iter() {
            let start = (candidate * offset.all + offset.first + pass.images.start) * bytes;
            for (slot, image) in out[start..]
                .chunks_exact_mut(bytes)
                .zip(images.by_ref().take(pass.images.len()))
            {
                slot.copy_from_slice(&image[..bytes]);
            }
        }
        Ok(())
    }
}

/// A result that is mapped, or about to be. A buffer that stays mapped could not be written again.
struct Mapped<'a> {
    readback: &'a wgpu::Buffer,
    bytes: u64,
}

impl Mapped<'_> {
    fn view(&self) -> Result<wgpu::BufferView, GpuError> {
        self.readback
            .get_mapped_range(0..self.bytes)
            .map_err(|error| GpuError::Failed(error.to_string()))
    }
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        self.readback.unmap();
    }
}

/// Where a pass's images stand in the whole batch.
#[derive(Clone, Copy)]
struct BatchOffset {
    all: usize,
    first: usize,
}

impl Drop for GpuStep {
    fn drop(&mut self) {
        // On the web, buffers otherwise live until the garbage collector finds them.
        self.buffers.destroy();
    }
}
