use super::*;
use crate::generator::{Shape, build, render};
use crate::optimizer;
use crate::optimizer::{Candidate, DirectionKey, Plan, Space, State};
use ground::fault::Faults;
use ground::hash::theta_hash;
use serde_json::{Value, json};

const SHAPE: Shape = Shape {
    height: 32,
    width: 32,
};

/// A coordinator of 9,140 parameters, whose first prompt is not zero.
fn coordinator(reparametrisation: Value) -> Result<Box<dyn Generator>, Faults> {
    build(
        &json!({ "kind": "coordinator", "reparametrisation": reparametrisation }),
        SHAPE,
    )
}

fn kinds() -> [Value; 4] {
    [
        json!({ "kind": "fastfood" }),
        json!({ "kind": "low-rank" }),
        json!({ "kind": "low-rank", "rows": 20, "columns": 457, "rank": 2 }),
        json!({ "kind": "sparse" }),
    ]
}

#[test]
fn published_sizes_are_the_defaults() {
    let dims = kinds().map(|kind| coordinator(kind).unwrap().dim());
    // ZIP's 500 and 417, the low-rank one with its own columns, and half of 9,140.
    assert_eq!(dims, [500, 417, 20 * 2 + 2 + 457 * 3, 4_570]);
    // A generator with fewer parameters trains no more than it has.
    let small = |kind: &str| {
        let spec = json!({ "statistics": 0, "grid": 4, "reparametrisation": { "kind": kind } });
        build(&spec, SHAPE).unwrap().dim()
    };
    assert_eq!(
        [small("fastfood"), small("low-rank"), small("sparse")],
        [16, 8 * 2 + 2 + 2 * 2 + 2, 8]
    );
}

#[test]
fn the_start_is_the_generators_own() {
    let plain = build(&json!({ "kind": "coordinator" }), SHAPE).unwrap();
    let image: Vec<u8> = (0..SHAPE.bytes()).map(|i| (i * 7 % 256) as u8).collect();
    let rendered = |generator: &dyn Generator, theta: &[f32]| {
        let (prepared, mut out) = (generator.prepare(&image), Vec::new());
        render(generator, theta, &[Candidate::BASE], &[&prepared], &mut out);
        out
    };
    let first = rendered(&*plain, &plain.initial());
    for kind in kinds() {
        let generator = coordinator(kind.clone()).unwrap();
        assert_eq!(generator.statistics(), plain.statistics());
        assert!(generator.kernel().is_none());
        let phi = generator.initial();
        assert_eq!(phi.len(), generator.dim());
        assert_eq!(rendered(&*generator, &phi), first, "{kind}");
        let moved: Vec<f32> = phi.iter().map(|p| p + 0.3).collect();
        assert_ne!(rendered(&*generator, &moved), first, "{kind}");
    }
}

fn wrapped(kind: &Value, dim: usize) -> Box<dyn Reparametrisation> {
    let mut faults = Vec::new();
    let mut reader = Reader::new("", kind, &mut faults);
    let names: Vec<_> = registry().iter().map(|(name, _)| *name).collect();
    let chosen = reader.choice("kind", &names, None);
    let seed = reader.whole("seed", 0..=u64::MAX, Some(0));
    let map = registry()[chosen].1(&mut reader, dim, Dice { seed });
    reader.finish();
    assert!(faults.is_empty(), "{faults:?}");
    map
}

/// R at φ₀ plus a ramp.
fn of_a_ramp(kind: &Value) -> Vec<f32> {
    let map = wrapped(kind, 200);
    let mut phi = map.initial();
    phi.iter_mut()
        .enumerate()
        .for_each(|(i, p)| *p += (i as f32 - 7.0) / 64.0);
    let mut theta = vec![0.0; 200];
    map.add(&phi, &mut Vec::new(), &mut theta);
    theta
}

/// θ follows from φ by these numbers for everyone: a change of them would break every record.
#[test]
fn the_numbers_are_frozen() {
    let hashes = [
        json!({ "kind": "fastfood", "dimensions": 30 }),
        json!({ "kind": "low-rank", "columns": 10 }),
        json!({ "kind": "sparse", "share": 0.1 }),
    ]
    .map(|kind| {
        let theta = of_a_ramp(&kind);
        assert_eq!(theta, of_a_ramp(&kind));
        let mut other = kind.clone();
        other["seed"] = json!(1);
        assert_ne!(theta, of_a_ramp(&other));
        theta_hash(&theta)
    });
    assert_eq!(
        hashes,
        [
            "34cc6e69bbba737bebb3a42401e112086c2788f94d55872279b91c8b78e48d4f",
            "4d9e9f279e4cada03eb75e97f505681b081911667982f68e640e99bb5ce1d921",
            "16db9db811b7587aae2eb811d1c0e67e02dc201ac95a973660a1eae46ab4fd0f",
        ]
    );
}

#[test]
fn every_kind_descends() {
    for kind in [
        json!({ "kind": "fastfood", "dimensions": 40 }),
        json!({ "kind": "low-rank", "columns": 12, "rank": 2 }),
        json!({ "kind": "sparse" }),
    ] {
        let map = wrapped(&kind, 200);
        // A target that can be reached: the θ of another point.
        let mut stream = Dice { seed: 9 }.stream(99);
        let mut goal = vec![0.0; 200];
        let far: Vec<f32> = map.initial().iter().map(|p| p + stream.normal()).collect();
        map.add(&far, &mut Vec::new(), &mut goal);
        let loss = |phi: &[f32]| {
            let mut theta = vec![0.0; 200];
            map.add(phi, &mut Vec::new(), &mut theta);
            let off = theta.iter().zip(&goal).map(|(t, g)| (t - g) * (t - g));
            off.sum::<f32>()
        };
        let plan = Plan {
            rounds: 1,
            local_steps: 400,
        };
        let spec = json!({ "learning_rate": 0.03, "perturbation": 0.01 });
        let key = DirectionKey([1, 2]);
        let optimizer = optimizer::build(&spec, key, plan, Space::default()).unwrap();
        let mut state = State::new(map.initial(), 0);
        let mut point = Vec::new();
        for _ in 0..plan.local_steps {
            let mut losses = Vec::new();
            for candidate in optimizer.ask(&state) {
                candidate.apply(&state.theta, &mut point);
                losses.push(loss(&point));
            }
            optimizer.tell(&mut state, &losses).unwrap();
        }
        let (before, after) = (loss(&map.initial()), loss(&state.theta));
        assert!(after < 0.2 * before, "{kind}: {before} {after}");
    }
}

#[test]
fn every_fault_is_told() {
    for (kind, paths) in [
        (json!({}), &["kind"][..]),
        (json!({ "kind": "dense" }), &["kind"]),
        (
            json!({ "kind": "fastfood", "dimensions": 9_141 }),
            &["dimensions"],
        ),
        (
            json!({ "kind": "sparse", "share": 0.0, "rank": 2 }),
            &["share", "rank"],
        ),
        (
            json!({ "kind": "low-rank", "rank": 9, "columns": 1_144 }),
            &["columns", "rank"],
        ),
        (json!("fastfood"), &[""]),
    ] {
        let Err(Faults(faults)) = coordinator(kind.clone()) else {
            panic!("{kind} was accepted");
        };
        let found: Vec<_> = faults.iter().map(|f| f.path.as_str()).collect();
        for path in paths {
            let full = format!("generator.reparametrisation.{path}");
            let full = full.trim_end_matches('.');
            assert!(found.contains(&full), "{kind}: {full} is not in {found:?}");
        }
    }
}

#[test]
fn only_a_frame_that_shrinks_images_has_its_mapping_learnt_from_prompted_ones() {
    let reshapes = |spec: Value| build(&spec, SHAPE).unwrap().reshapes();
    for kind in ["statistic", "coordinator"] {
        assert!(!reshapes(json!({ "kind": kind })), "{kind}");
    }
    assert!(!reshapes(json!({ "kind": "frame", "form": "pad" })));
    assert!(reshapes(json!({ "kind": "frame" })));
    let fewer = json!({ "kind": "sparse" });
    assert!(reshapes(
        json!({ "kind": "frame", "reparametrisation": fewer })
    ));
}
