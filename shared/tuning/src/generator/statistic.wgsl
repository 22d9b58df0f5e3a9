// `statistic` on the GPU: see statistic.rs, whose formulas and order of operations these are.
// shape_of: 0 grid side r, 1 channels, 2 statistics q, 3 whether the output is spanned by patterns, 4 rows of W.
// constants: 255·ε, then the patterns, q rows of r² values.

// At most 1024 cells (channels·r²) and 192 coordinates (channels·q).
var<workgroup> cells: array<f32, 1024>;
var<workgroup> coordinates: array<f32, 192>;

// One row of W z + b, moved as the candidate says.
fn row_of_w(row: u32) -> f32 {
  let count = shape_of(2u);
  let start = row * (count + 1u);
  var sum = perturbed_theta(start + count);
  for (var i = 0u; i < count; i++) {
    sum += perturbed_theta(start + i) * statistic(i);
  }
  return sum + node_movement(row, shape_of(4u));
}

// tanh by WGSL overflows on some drivers for large arguments; beyond 9 it is ±1 in 32 bits anyway.
fn squash(u: f32) -> f32 {
  return tanh(clamp(u, -9.0, 9.0));
}

fn prepare(lane: u32) {
  let side = shape_of(0u);
  let area = side * side;
  let channels = shape_of(1u);
  let count = shape_of(2u);
  if shape_of(3u) == 0u {
    for (var cell = lane; cell < channels * area; cell += WORKGROUP) {
      cells[cell] = squash(row_of_w(cell));
    }
  } else {
    for (var row = lane; row < channels * count; row += WORKGROUP) {
      coordinates[row] = row_of_w(row);
    }
    workgroupBarrier();
    for (var cell = lane; cell < channels * area; cell += WORKGROUP) {
      let plane = cell / area;
      var sum = 0.0;
      for (var i = 0u; i < count; i++) {
        sum += coordinates[plane * count + i] * constants[1u + i * area + cell % area];
      }
      cells[cell] = squash(sum);
    }
  }
}

// The grid node before a pixel and the weight of the one after.
fn node(pixel: u32, to: u32, side: u32) -> vec2<f32> {
  let position = clamp((f32(pixel) + 0.5) * f32(side) / f32(to) - 0.5, 0.0, f32(side - 1u));
  let first = min(floor(position), f32(side - 2u));
  return vec2<f32>(first, position - first);
}

fn level(c: u32, y: u32, x: u32, original: f32) -> f32 {
  let side = shape_of(0u);
  let across = node(x, params.width, side);
  let down = node(y, params.height, side);
  let plane = select(0u, c, shape_of(1u) == 3u);
  let corner = plane * side * side + u32(down.x) * side + u32(across.x);
  let strength = constants[0];
  let above = strength * mix_exactly(cells[corner], cells[corner + 1u], across.y);
  let below = strength * mix_exactly(cells[corner + side], cells[corner + side + 1u], across.y);
  return original + mix_exactly(above, below, down.y);
}

fn mix_exactly(a: f32, b: f32, weight: f32) -> f32 {
  return a + (b - a) * weight;
}
