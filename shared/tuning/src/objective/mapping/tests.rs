use super::*;
use crate::objective::counts::Counts;
use serde_json::json;

const SIZES: Sizes = Sizes {
    labels: 3,
    classes: 4,
};

#[test]
fn groups_average_logits_and_add_probabilities() {
    let mapping = Mapping::Groups {
        groups: vec![vec![0, 2], vec![1]],
        offset: vec![],
        scale: vec![],
    };
    assert_eq!(
        mapping.apply(&[1.0, 5.0, 3.0], OutputKind::Logits),
        [2.0, 5.0]
    );
    let p = mapping.apply(&[0.25, 0.5, 0.25], OutputKind::Probabilities);
    assert!((p[0] - p[1]).abs() < 1e-6);
}

fn spec(source: serde_json::Value) -> MappingSpec {
    let spec = ground::fault::section("mapping", &source, |r| {
        MappingSpec::read(&registry(), r, SIZES)
    });
    spec.unwrap()
}

#[test]
fn frequency_finds_the_permutation() {
    // The model calls label 0 class 2, label 1 class 0, label 2 class 1.
    for rank in ["probability", "lift"] {
        let spec = spec(json!({ "kind": "frequency", "rank": rank }));
        let mut counts = Counts::new(spec.learnt.unwrap().counted, 3, 4);
        for (label, class) in [(0, 2), (1, 0), (2, 1), (0, 2), (1, 0), (2, 3)] {
            let mut row = [0.0; 4];
            row[class] = 4.0;
            counts.count(&row, label, OutputKind::Logits);
        }
        let Mapping::Groups {
            groups,
            offset,
            scale,
        } = spec.fit(&counts.means(), SIZES)
        else {
            panic!()
        };
        assert_eq!((groups[0][0], groups[1][0]), (2, 0));
        assert!(groups[2][0] == 1 || groups[2][0] == 3);
        if rank == "lift" {
            assert!((offset[0] - 8.0 / 6.0).abs() < 1e-4, "{offset:?}");
            // The values are 4 twice and 0 four times.
            assert!((scale[0] - (32.0_f32 / 9.0).sqrt()).abs() < 1e-4);
        }
    }
}

#[test]
fn a_label_that_one_participant_lacks_is_mapped_together() {
    // Each participant has seen one label only. Alone, either would give away the other's class.
    let spec = spec(json!({ "kind": "frequency" }));
    let of = |label: usize, row: [f32; 4]| {
        let mut counts = Counts::new(Counted::Probabilities, 3, 4);
        counts.count(&row, label, OutputKind::Logits);
        counts.means()
    };
    let (a, b, c) = (
        of(0, [1.0, 9.0, 0.0, 0.0]),
        of(1, [9.0, 0.0, 0.0, 0.0]),
        of(2, [0.0, 1.0, 0.0, 9.0]),
    );
    let all: Vec<f32> = (0..a.len()).map(|i| (a[i] + b[i] + c[i]) / 3.0).collect();
    let Mapping::Groups { groups, .. } = spec.fit(&all, SIZES) else {
        panic!()
    };
    assert_eq!(groups, [[1], [0], [3]]);
}

#[test]
fn calibration_subtracts_what_every_class_gets_anyway() {
    let sizes = Sizes {
        labels: 2,
        classes: 2,
    };
    let spec = ground::fault::section("mapping", &json!({ "calibrate": true }), |r| {
        MappingSpec::read(&registry(), r, sizes)
    });
    let spec = spec.unwrap();
    let mut counts = Counts::new(Counted::Means, 2, 2);
    counts.count(&[5.0, 1.0], 0, OutputKind::Logits);
    counts.count(&[3.0, 1.0], 1, OutputKind::Logits);
    let mapping = spec.fit(&counts.means(), sizes);
    let scores = mapping.apply(&[4.5, 1.0], OutputKind::Logits);
    assert!((scores[0] - 0.5).abs() < 1e-4 && scores[1].abs() < 1e-4);
    // Probabilities are calibrated by the mean of their logarithms.
    let mut counts = Counts::new(Counted::Means, 2, 2);
    counts.count(&[0.8, 0.2], 0, OutputKind::Probabilities);
    let mapping = spec.fit(&counts.means(), sizes);
    let scores = mapping.apply(&[0.8, 0.2], OutputKind::Probabilities);
    assert!(
        scores[0].abs() < 1e-3 && scores[1].abs() < 1e-3,
        "{scores:?}"
    );
}

#[test]
fn any_numbers_give_a_mapping() {
    let spec = spec(json!({ "kind": "frequency", "rank": "lift" }));
    let length = Counted::Logits.length(3, 4);
    for number in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let Mapping::Groups { groups, .. } = spec.fit(&vec![number; length], SIZES) else {
            panic!()
        };
        assert!(groups.iter().all(|g| g.len() == 1));
    }
    assert_eq!(spec.fit(&[], SIZES), Mapping::Identity);
}

#[test]
fn settings_of_what_is_learnt() {
    let learnt = |source| spec(source).learnt;
    let together = Learnt {
        counted: Counted::Probabilities,
        together: true,
        examples: 512,
    };
    assert_eq!(learnt(json!({ "kind": "frequency" })), Some(together));
    let source = json!({ "kind": "frequency", "rank": "lift", "learn": "alone", "examples": 9 });
    assert_eq!(
        learnt(source),
        Some(Learnt {
            counted: Counted::Logits,
            together: false,
            examples: 9
        })
    );
    let groups = json!({ "kind": "groups", "groups": [[0], [1], [2, 3]] });
    assert_eq!(learnt(groups.clone()), None);
    let mut calibrated = groups;
    calibrated["calibrate"] = json!(true);
    assert_eq!(learnt(calibrated).map(|l| l.counted), Some(Counted::Means));
}
