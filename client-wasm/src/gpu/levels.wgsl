// Work::Levels: a workgroup does a piece of an image's words. The prompt generator's text must define
//
//   fn prepare(lane: u32)
//       Called once by all WORKGROUP invocations together, before any `level`; may fill `var<workgroup>`
//       memory of its own (at most 12 KiB) and may use workgroupBarrier(). The caller adds a barrier.
//   fn level(c: u32, y: u32, x: u32, original: f32) -> f32
//       The prompted value of channel c, row y, column x on the scale 0..255, before clipping. `original` is
//       the prepared image's value there.

// Words of output that one invocation writes; more of them share the work of `prepare`.
const WORDS_EACH: u32 = 16u;

// x: pieces of an image; y: images; z: candidates.
@compute @workgroup_size(WORKGROUP)
fn render_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  candidate = candidates[params.first_candidate + group.z];
  image = params.first_image + group.y;
  block_number = 0xffffffffu;
  prepare(lane);
  workgroupBarrier();
  let plane = params.height * params.width;
  let slot = (group.z * params.images + group.y) * params.words;
  for (var turn = 0u; turn < WORDS_EACH; turn++) {
    let word = (group.x * WORDS_EACH + turn) * WORKGROUP + lane;
    if word < params.words {
      let original = pixels[image * params.words + word];
      var packed = 0u;
      for (var k = 0u; k < 4u; k++) {
        let at = word * 4u + k;
        // An image's last word may reach beyond its last byte.
        if at < params.bytes {
          let c = at / plane;
          let rest = at - c * plane;
          let y = rest / params.width;
          let value = level(c, y, rest - y * params.width, f32((original >> (8u * k)) & 0xffu));
          packed |= quantised(value) << (8u * k);
        }
      }
      output[slot + word] = packed;
    }
  }
}
