// `coordinator` on the GPU: see coordinator.rs, whose formulas and parameters' order these are. A workgroup decodes one
// cell: its maps stay in workgroup memory up to 8×8 pixels; the last two stages are done by each invocation for
// itself, two pixels of the 16×16 map and so 4×2 pixels of the image.
// shape_of: 0 cells of an image, 1 parameters of the trigger. constants: 255·ε.

var<workgroup> seed: array<f32, 32>;
// 2×2 pixels of 64 channels; 4×4 of 32; 8×8 of 32: first the sums, for the norm, then the values.
var<workgroup> first: array<f32, 256>;
var<workgroup> second: array<f32, 512>;
var<workgroup> third: array<f32, 2048>;

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

// What stage 4 makes of one pixel of the 8×8 map, at one of its four places.
fn fourth(pixel: u32, place: u32, weights: u32) -> array<f32, 16> {
  var mixed: array<f32, 32>;
  for (var i = 0u; i < 32u; i++) {
    mixed[i] = perturbed_theta(weights + 4u * i + place) * third[pixel * 32u + i];
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
      seed[lane] = statistic(at);
    } else {
      seed[lane] = perturbed_theta(at - params.statistics);
    }
  }
  workgroupBarrier();

  // Stage 1: 4 pixels of 64 channels, a value for each invocation. Sums, then (after all have read them) values.
  {
    let place = lane / 64u;
    let o = lane % 64u;
    let weights = trigger + STAGE_1;
    var sum = 0.0;
    for (var i = 0u; i < 64u; i++) {
      let mixed = perturbed_theta(weights + 4u * i + place) * seed[i / 2u] + perturbed_theta(weights + 256u + i);
      sum += mixed * perturbed_theta(weights + 320u + o * 64u + i);
    }
    first[lane] = sum;
    workgroupBarrier();
    var mean = 0.0;
    for (var i = 0u; i < 64u; i++) {
      mean += first[place * 64u + i];
    }
    mean /= 64.0;
    var variance = 0.0;
    for (var i = 0u; i < 64u; i++) {
      let away = first[place * 64u + i] - mean;
      variance += away * away;
    }
    let scaled = (sum - mean) * factor_of(variance / 64.0) * perturbed_theta(weights + 4416u + o);
    workgroupBarrier();
    // Pixel (place / 2, place % 2) of a map of 2×2 is number `place`.
    first[lane] = gelu(scaled + perturbed_theta(weights + 4480u + o));
  }
  workgroupBarrier();

  // Stage 2: 16 pixels of 32 channels, two values for each invocation.
  {
    let weights = trigger + STAGE_2;
    var sums: array<f32, 2>;
    for (var turn = 0u; turn < 2u; turn++) {
      let value = turn * WORKGROUP + lane;
      let pixel = value / 32u;
      let o = value % 32u;
      let y = pixel / 4u;
      let x = pixel % 4u;
      let below = (y / 2u) * 2u + x / 2u;
      let place = 2u * (y % 2u) + x % 2u;
      var sum = 0.0;
      for (var i = 0u; i < 64u; i++) {
        let mixed = perturbed_theta(weights + 4u * i + place) * first[below * 64u + i]
          + perturbed_theta(weights + 256u + i);
        sum += mixed * perturbed_theta(weights + 320u + o * 64u + i);
      }
      second[value] = sum;
      sums[turn] = sum;
    }
    workgroupBarrier();
    for (var turn = 0u; turn < 2u; turn++) {
      let value = turn * WORKGROUP + lane;
      let start = value / 32u * 32u;
      let o = value % 32u;
      var mean = 0.0;
      for (var i = 0u; i < 32u; i++) {
        mean += second[start + i];
      }
      mean /= 32.0;
      var variance = 0.0;
      for (var i = 0u; i < 32u; i++) {
        let away = second[start + i] - mean;
        variance += away * away;
      }
      let scaled = (sums[turn] - mean) * factor_of(variance / 32.0) * perturbed_theta(weights + 2368u + o);
      sums[turn] = gelu(scaled + perturbed_theta(weights + 2400u + o));
    }
    workgroupBarrier();
    for (var turn = 0u; turn < 2u; turn++) {
      second[turn * WORKGROUP + lane] = sums[turn];
    }
  }
  workgroupBarrier();

  // Stage 3: 64 pixels of 32 channels, eight values for each invocation.
  {
    let weights = trigger + STAGE_3;
    var sums: array<f32, 8>;
    for (var turn = 0u; turn < 8u; turn++) {
      let value = turn * WORKGROUP + lane;
      let pixel = value / 32u;
      let o = value % 32u;
      let y = pixel / 8u;
      let x = pixel % 8u;
      let below = (y / 2u) * 4u + x / 2u;
      let place = 2u * (y % 2u) + x % 2u;
      var sum = 0.0;
      for (var i = 0u; i < 32u; i++) {
        let mixed = perturbed_theta(weights + 4u * i + place) * second[below * 32u + i]
          + perturbed_theta(weights + 128u + i);
        sum += mixed * perturbed_theta(weights + 160u + o * 32u + i);
      }
      third[value] = sum;
      sums[turn] = sum;
    }
    workgroupBarrier();
    for (var turn = 0u; turn < 8u; turn++) {
      let value = turn * WORKGROUP + lane;
      let start = value / 32u * 32u;
      let o = value % 32u;
      var mean = 0.0;
      for (var i = 0u; i < 32u; i++) {
        mean += third[start + i];
      }
      mean /= 32.0;
      var variance = 0.0;
      for (var i = 0u; i < 32u; i++) {
        let away = third[start + i] - mean;
        variance += away * away;
      }
      let scaled = (sums[turn] - mean) * factor_of(variance / 32.0) * perturbed_theta(weights + 1184u + o);
      sums[turn] = gelu(scaled + perturbed_theta(weights + 1216u + o));
    }
    workgroupBarrier();
    for (var turn = 0u; turn < 8u; turn++) {
      third[turn * WORKGROUP + lane] = sums[turn];
    }
  }
  workgroupBarrier();

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
