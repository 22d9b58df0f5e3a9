//! `nodes.json`: the pictures that node perturbation asks about, and the gradient that follows from
//! what it is told.

use super::{Checked, floats_hex, prompted, read_scene, same, unhex_floats};
use ground::hex::hex;
use ground::rng::Stream;
use serde_json::{Value, json};
use tuning::generator;
use tuning::generator::Shape;
use tuning::objective::loss::Loss;
use tuning::optimizer::memory::PictureMemory;
use tuning::optimizer::{self, DirectionKey, Plan, Seen, Space, State};

const KEY: DirectionKey = DirectionKey([0x243F_6A88, 0x85A3_08D3]);
const PLAN: Plan = Plan {
    rounds: 7,
    local_steps: 3,
};

/// Checks a case: the candidates that are named, the pictures, the gradient, and θ after the step.
pub(super) fn check(case: &Value) -> Checked {
    same(
        "the step",
        &step(case)?,
        &json!({ "candidates": case["candidates"], "gradient": case["gradient"], "after": case["after"] }),
    )?;
    prompted(case)
}

/// Takes the case's step: names the candidates, computes the gradient from its losses, and moves θ.
fn step(case: &Value) -> Result<Value, String> {
    let scene = read_scene(case)?;
    let space = Space {
        nodes: scene.generator.nodes(),
        ..Space::NUMBERS
    };
    let optimizer = optimizer::build(&case["optimizer"], KEY, PLAN, space);
    let optimizer = optimizer.map_err(|faults| faults.to_string())?;
    let by_picture = optimizer
        .by_picture()
        .ok_or("it does not look at pictures")?;
    let mut state = State::new(scene.theta.clone(), 2);
    let candidates = optimizer.ask(&state);
    let losses = unhex_floats(&case["losses"])?;
    let examples: Vec<u32> = (0..scene.prepared.len() as u32).collect();
    let seen = Seen {
        generator: &*scene.generator,
        theta: &scene.theta,
        pictures: scene.prepared.iter().map(|picture| (picture, 0)).collect(),
        batch: &examples,
        begun_anew: false,
        losses: &losses,
        scores: &[],
        labels: 0,
        loss: Loss::CrossEntropy,
        bound: None,
    };
    let mut nothing = PictureMemory::default();
    let gradient = by_picture.gradient(&candidates, &seen, &mut nothing);
    by_picture
        .tell_gradient(&mut state, &gradient)
        .map_err(|error| error.to_string())?;
    Ok(json!({
        "candidates": candidates, "gradient": floats_hex(&gradient), "after": floats_hex(&state.theta),
    }))
}

/// Computes `nodes.json` again.
pub fn write_nodes() -> Result<String, String> {
    let specs = [
        json!({ "kind": "statistic", "statistics": 3, "grid": 4 }),
        // More than the 128 signs of one block for each picture.
        json!({ "kind": "statistic", "statistics": 2, "grid": 7, "channels": 3, "epsilon": 0.5 }),
        json!({ "kind": "statistic", "statistics": 4, "grid": 6, "output": "basis", "channels": 3 }),
    ];
    let mut cases = Vec::new();
    for generator in specs {
        let shape = Shape {
            height: 12,
            width: 10,
        };
        let built = generator::build(&generator, shape).map_err(|faults| faults.to_string())?;
        let mut stream = Stream::with_key([0xA409_3822, 0x299F_31D0]);
        let theta: Vec<f32> = (0..built.dim()).map(|_| 0.2 * stream.normal()).collect();
        let mut image = || -> String {
            let bytes: Vec<u8> = (0..shape.bytes())
                .map(|_| stream.below(256) as u8)
                .collect();
            hex(&bytes)
        };
        let images = [image(), image(), image()];
        let settings = json!({ "kind": "node-perturbation", "directions": 2, "decay": "linear" });
        // Both points of each picture, and the unmoved one.
        let losses: Vec<f32> = (0..9).map(|_| stream.uniform()).collect();
        let mut case = json!({
            "generator": generator, "height": shape.height, "width": shape.width,
            "theta": floats_hex(&theta), "images": images, "optimizer": settings,
            "losses": floats_hex(&losses),
        });
        let done = step(&case)?;
        for name in ["candidates", "gradient", "after"] {
            case[name] = done[name].clone();
        }
        let (first, sha256) = super::render(&case)?;
        case["first"] = json!(first);
        case["sha256"] = json!(sha256);
        cases.push(case);
    }
    super::pretty(&cases)
}
