// `frame` on the GPU: see frame.rs. shape_of: 0 left, 1 top, 2 inner width, 3 inner height of the image, 4 whether the
// border is added to it.

fn prepare(lane: u32) {
}

fn level(c: u32, y: u32, x: u32, original: f32) -> f32 {
  let left = shape_of(0u);
  let top = shape_of(1u);
  let inner_width = shape_of(2u);
  let inner_height = shape_of(3u);
  let beside = y >= top && y < top + inner_height;
  if beside && x >= left && x < left + inner_width {
    return original;
  }
  // Border pixels are numbered row by row, skipping the inside.
  var number = y * params.width + x;
  if y >= top {
    number -= min(y - top, inner_height) * inner_width;
  }
  if beside && x >= left + inner_width {
    number -= inner_width;
  }
  let border = params.height * params.width - inner_width * inner_height;
  let theta_here = perturbed_theta(c * border + number);
  if shape_of(4u) == 1u {
    return original + 255.0 * theta_here;
  }
  return 255.0 / (1.0 + exp(-theta_here));
}
