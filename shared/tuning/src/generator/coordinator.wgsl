// `coordinator` on the GPU: see coordinator.rs, whose formulas and parameters' order these are. A workgroup decodes one
// cell: its maps stay in workgroup memory up to 8×8 pixels; the last two stages are done by each invocation for
// itself, two pixels of the 16×16 map and so 4×2 pixels of the image.
// shape_of: 0 cells of an image, 1 parameters of the trigger. constants: 255·ε.

// The cell's maps, one after the other: a pixel of 32 channels, 2×2 of 64, 4×4 of 32, 8×8 of 32.
var<workgroup> maps: array<f32, 2848>;

const MAP_0: u32 = 0u;
const MAP_1: u32 = 32u;
const MAP_2: u32 = 288u;
const MAP_3: u32 = 800u;

// Where a stage's parameters begin, after the trigger.
const STAGE_1: u32 = 0u;
const STAGE_2: u32 = 4544u;
const STAGE_3: u32 = 6976u;
const STAGE_4: u32 = 8224u;
const STAGE_5: u32 = 8928u;

fn gelu(x: f32) -> f32 {
  let z = abs(x) * 0.70710678;
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let series = t * (0.2548296 + t * (-0.28449674 + t * (1.4214138 + t * (-1.453152 + t * 1.0614054))));
  let erf = 1.0 - series * exp(-z * z);
  return 0.5 * x * (1.0 + select(erf, -erf, x < 0.0));
}

fn factor_of(variance: f32) -> f32 {
  return 1.0 / sqrt(variance + 1e-5);
}

// Makes the map at `to` of the one at `from`, which has side² pixels: all invocations together, a value of the new map
// for each at a time. Its values are as many as 1 to 8 times WORKGROUP; first the sums, for the norm, then the values.
fn stage(lane: u32, weights: u32, from_map: u32, to_map: u32, side: u32, input: u32, middle: u32, outputs: u32) {
  let count = 4u * side * side * outputs;
  var sums: array<f32, 8>;
  for (var turn = 0u; turn * WORKGROUP < count; turn++) {
    let value = turn * WORKGROUP + lane;
    let pixel = value / outputs;
    let o = value % outputs;
    let y = pixel / (2u * side);
    let x = pixel % (2u * side);
    let below = from_map + ((y / 2u) * side + x / 2u) * input;
    let place = 2u * (y % 2u) + x % 2u;
    var sum = 0.0;
    for (var i = 0u; i < middle; i++) {
      let mixed = perturbed_theta(weights + 4u * i + place) * maps[below + i * input / middle]
        + perturbed_theta(weights + 4u * middle + i);
      sum += mixed * perturbed_theta(weights + 5u * middle + o * middle + i);
    }
    maps[to_map + value] = sum;
    sums[turn] = sum;
  }
  workgroupBarrier();
  let norm = weights + 5u * middle + outputs * middle;
  for (var turn = 0u; turn * WORKGROUP < count; turn++) {
    let value = turn * WORKGROUP + lane;
    let o = value % outputs;
    let start = to_map + value - o;
    var mean = 0.0;
    for (var i = 0u; i < outputs; i++) {
      mean += maps[start + i];
    }
    mean /= f32(outputs);
    var variance = 0.0;
    for (var i = 0u; i < outputs; i++) {
      let away = maps[start + i] - mean;
      variance += away * away;
    }
    let scaled = (sums[turn] - mean) * factor_of(variance / f32(outputs)) * perturbed_theta(norm + o);
    sums[turn] = gelu(scaled + perturbed_theta(norm + outputs + o));
  }
  workgroupBarrier();
  for (var turn = 0u; turn * WORKGROUP < count; turn++) {
    maps[to_map + turn * WORKGROUP + lane] = sums[turn];
  }
  workgroupBarrier();
}

// What stage 4 makes of one pixel of the 8×8 map, at one of its four places.
fn fourth(pixel: u32, place: u32, weights: u32) -> array<f32, 16> {
  var mixed: array<f32, 32>;
  for (var i = 0u; i < 32u; i++) {
    mixed[i] = perturbed_theta(weights + 4u * i + place) * maps[MAP_3 + pixel * 32u + i];
  }
  for (var i = 0u; i < 32u; i++) {
    mixed[i] += perturbed_theta(weights + 128u + i);
  }
  var out: array<f32, 16>;
  var mean = 0.0;
  for (var o = 0u; o < 16u; o++) {
    var sum = 0.0;
    for (var i = 0u; i < 32u; i++) {
      sum += mixed[i] * perturbed_theta(weights + 160u + o * 32u + i);
    }
    out[o] = sum;
    mean += sum;
  }
  mean /= 16.0;
  var variance = 0.0;
  for (var o = 0u; o < 16u; o++) {
    variance += (out[o] - mean) * (out[o] - mean);
  }
  let factor = factor_of(variance / 16.0);
  for (var o = 0u; o < 16u; o++) {
    let scaled = (out[o] - mean) * factor * perturbed_theta(weights + 672u + o);
    out[o] = gelu(scaled + perturbed_theta(weights + 688u + o));
  }
  return out;
}

fn render_cell(lane: u32, cell: u32, slot: u32) {
  let cells = shape_of(0u);
  let trigger = shape_of(1u);
  if lane < 32u {
    let at = lane * cells + cell;
    if at < params.statistics {
      maps[MAP_0 + lane] = statistic(at);
    } else {
      maps[MAP_0 + lane] = perturbed_theta(at - params.statistics);
    }
  }
  workgroupBarrier();

  stage(lane, trigger + STAGE_1, MAP_0, MAP_1, 1u, 32u, 64u, 64u);
  stage(lane, trigger + STAGE_2, MAP_1, MAP_2, 2u, 64u, 64u, 32u);
  stage(lane, trigger + STAGE_3, MAP_2, MAP_3, 4u, 32u, 32u, 32u);

  // Stages 4 and 5: half of the invocations, each two neighbours of the 16×16 map, which are 4×2 pixels of the image.
  if lane < 128u {
    let y = lane / 8u;
    let x = 2u * (lane % 8u);
    let below = (y / 2u) * 8u + x / 2u;
    let weights = trigger + STAGE_4;
    let left = fourth(below, 2u * (y % 2u), weights);
    let right = fourth(below, 2u * (y % 2u) + 1u, weights);
    let across = params.width / 32u;
    let top = cell / across * 32u + 2u * y;
    let column = (cell % across * 32u + 2u * x) / 4u;
    for (var colour = 0u; colour < 3u; colour++) {
      for (var dy = 0u; dy < 2u; dy++) {
        let word = ((colour * params.height + top + dy) * params.width) / 4u + column;
        let original = pixels[image * params.words + word];
        var packed = 0u;
        for (var k = 0u; k < 4u; k++) {
          let kernel = trigger + STAGE_5 + ((colour * 2u + dy) * 2u + k % 2u) * 16u;
          var sum = 0.0;
          for (var i = 0u; i < 16u; i++) {
            sum += perturbed_theta(kernel + i) * select(left[i], right[i], k >= 2u);
          }
          let value = f32((original >> (8u * k)) & 0xffu) + constants[0] * sum;
          packed |= quantised(value) << (8u * k);
        }
        output[slot + word] = packed;
      }
    }
  }
}
