// One optimiser step's images, in one pass: for every candidate θ + scale·Δ and every image of the batch the
// prompted image as bytes, ready for the request. θ + scale·Δ is never written anywhere: code that needs
// parameter i calls `perturbed_theta(i)`, which draws Δ_i from the counter-based generator.
//
// After this file comes how the work is cut (levels.wgsl or cells.wgsl, which say what a prompt generator's text must
// define), then the generator's own text. It may call `perturbed_theta(i)`, `node_movement(i, nodes)`, `statistic(i)` (of the workgroup's image),
// `shape_of(i)` (the kernel's integers), `constants[i]`, and read `params.height`, `params.width`.

const WORKGROUP: u32 = 256u;

struct Params {
  height: u32,
  width: u32,
  // Bytes of one image, 3·H·W, and the words that hold them.
  bytes: u32,
  words: u32,
  // Images of this pass, and where they begin in the batch.
  images: u32,
  first_image: u32,
  first_candidate: u32,
  statistics: u32,
  integers: array<vec4<u32>, 2>,
}

// 32 bytes, as client-wasm/src/gpu/layout.rs writes them.
struct Candidate {
  key: vec2<u32>,
  counter: vec2<u32>,
  round: u32,
  // 0: Δ = 0, 1: Rademacher, 2: segmented uniform, 3: Rademacher for each picture's node values.
  distribution: u32,
  scale: f32,
  // The number in the batch of the first image in `pixels`.
  first_picture: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> theta: array<f32>;
@group(0) @binding(2) var<storage, read> candidates: array<Candidate>;
@group(0) @binding(3) var<storage, read> pixels: array<u32>;
@group(0) @binding(4) var<storage, read> statistics: array<f32>;
@group(0) @binding(5) var<storage, read> constants: array<f32>;
@group(0) @binding(6) var<storage, read_write> output: array<u32>;

// The invocation's candidate and image.
var<private> candidate: Candidate;
var<private> image: u32;
// The block of the direction that was drawn last: neighbouring parameters mostly share it.
var<private> block_number: u32;
var<private> block: vec4<u32>;

// The 64-bit product of two words as (high, low). WGSL has no 64-bit integers: schoolbook on 16-bit halves.
fn multiply(a: u32, b: u32) -> vec2<u32> {
  let a0 = a & 0xffffu;
  let a1 = a >> 16u;
  let b0 = b & 0xffffu;
  let b1 = b >> 16u;
  let low = a0 * b0;
  let middle = a1 * b0 + (low >> 16u);
  let cross = a0 * b1 + (middle & 0xffffu);
  return vec2<u32>(a1 * b1 + (middle >> 16u) + (cross >> 16u), a * b);
}

// Philox4x32-10, as shared/ground/src/rng.rs.
fn philox(start: vec4<u32>, start_key: vec2<u32>) -> vec4<u32> {
  var counter = start;
  var key = start_key;
  for (var round = 0u; round < 10u; round++) {
    let first = multiply(0xD2511F53u, counter.x);
    let second = multiply(0xCD9E8D57u, counter.z);
    counter = vec4<u32>(second.x ^ counter.y ^ key.x, second.y, first.x ^ counter.w ^ key.y, first.y);
    key += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
  }
  return counter;
}

fn direction_block(number: u32) -> vec4<u32> {
  if number != block_number {
    block_number = number;
    block = philox(vec4<u32>(number, candidate.counter, candidate.round), candidate.key);
  }
  return block;
}

fn perturbed_theta(i: u32) -> f32 {
  switch candidate.distribution {
    case 1u: {
      let word = direction_block(i / 128u)[(i / 32u) % 4u];
      let minus = ((word >> (i % 32u)) & 1u) == 1u;
      return theta[i] + candidate.scale * select(1.0, -1.0, minus);
    }
    case 2u: {
      let word = direction_block(i / 4u)[i % 4u];
      let magnitude = 0.5 + f32((word >> 8u) & 0x7fffffu) * (1.0 / 16777216.0);
      return theta[i] + candidate.scale * select(magnitude, -magnitude, (word >> 31u) == 1u);
    }
    default: {
      return theta[i];
    }
  }
}

// What is added to node value i of the invocation's image, of `nodes`; each image begins with a block of its own.
fn node_movement(i: u32, nodes: u32) -> f32 {
  if candidate.distribution != 3u {
    return 0.0;
  }
  let first = (candidate.first_picture + image) * ((nodes + 127u) / 128u);
  let word = direction_block(first + i / 128u)[(i / 32u) % 4u];
  return candidate.scale * select(1.0, -1.0, ((word >> (i % 32u)) & 1u) == 1u);
}

fn statistic(i: u32) -> f32 {
  return statistics[image * params.statistics + i];
}

fn shape_of(i: u32) -> u32 {
  return params.integers[i / 4u][i % 4u];
}

// Clipped, then rounded half up, as `quantise` in shared/tuning/src/generator.rs.
fn quantised(value: f32) -> u32 {
  return u32(clamp(value, 0.0, 255.0) + 0.5);
}

// The generator alone, for the known answers: candidate i holds a counter (counter, round, distribution) and
// a key; its block goes to words 4i..4i+3.
@compute @workgroup_size(1)
fn known_answers(@builtin(global_invocation_id) id: vec3<u32>) {
  let known = candidates[id.x];
  let answer = philox(vec4<u32>(known.counter, known.round, known.distribution), known.key);
  for (var k = 0u; k < 4u; k++) {
    output[id.x * 4u + k] = answer[k];
  }
}
