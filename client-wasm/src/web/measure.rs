//! Measures a step's time inside wasm, for tests and benchmarks of the module that visitors load.

use ground::rng::{Direction, Distribution};
use serde_json::json;
use tuning::generator;
use tuning::generator::Shape;
use tuning::optimizer::Candidate;
use wasm_bindgen::prelude::*;

use super::timer::now;
use crate::renderer::{self, Hint, Wish, Workload};

/// Measures one step (K directions, both signs, generator `statistic`) on CPU and GPU and says which would be
/// used: `Backend` of `protocol.ts` as JSON. `wish` is `auto`, `cpu` or `webgpu`.
#[wasm_bindgen(js_name = measureStep)]
pub async fn measure_step(
    wish: String,
    side: usize,
    images: usize,
    directions: u32,
) -> Result<String, String> {
    let wish = Wish::named(&wish).ok_or("the wish is auto, cpu or webgpu")?;
    let shape = Shape {
        height: side,
        width: side,
    };
    let generator = generator::build(&json!({ "kind": "statistic" }), shape)
        .map_err(|faults| faults.to_string())?;
    let candidates: Vec<Candidate> = (0..directions)
        .flat_map(|index| {
            let direction = Some(Direction {
                key: [1, 2],
                counter: [index, 0, 0],
                distribution: Distribution::Rademacher,
            });
            [0.05, -0.05].map(|scale| Candidate { direction, scale })
        })
        .collect();
    let work = Workload {
        generator: &*generator,
        shape,
        candidates: &candidates,
        images,
    };
    let (_, choice) = renderer::choose(wish, &Hint::default(), &work, now).await;
    Ok(json!(choice).to_string())
}
