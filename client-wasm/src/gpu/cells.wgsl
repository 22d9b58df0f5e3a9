// Work::Cells: a workgroup does one square cell of an image, all three channels. The prompt generator's text must define
//
//   fn render_cell(lane: u32, cell: u32, slot: u32)
//       Called once by all WORKGROUP invocations together; may use at most 12 KiB of `var<workgroup>` memory and
//       workgroupBarrier(). Cells are numbered row by row. The prompted image's words go to `output` from `slot`
//       on, in the order of `pixels`, each with its bytes `quantised`; a cell's words are its own.

// x: cells; y: images; z: candidates.
@compute @workgroup_size(WORKGROUP)
fn render_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  candidate = candidates[params.first_candidate + group.z];
  image = params.first_image + group.y;
  block_number = 0xffffffffu;
  render_cell(lane, group.x, (group.z * params.images + group.y) * params.words);
}
