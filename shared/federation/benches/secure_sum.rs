//! One participant's whole work in a secure sum (keys, shares, masked vector, revealed shares), and
//! the aggregator's opening of it when every tenth participant has dropped out after dealing
//! shares.

mod cohort;

use std::hint::black_box;

use cohort::{Cohort, vector};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const COHORTS: [u32; 3] = [10, 100, 300];
const ENTRIES: [usize; 2] = [576, 9_920];

fn secure_sum(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("secure_sum");
    group.sample_size(10);
    for n in COHORTS {
        let cohort = Cohort::new(n);
        let inbox = cohort.inbox(1);
        for d in ENTRIES {
            let id = BenchmarkId::new("participant", format!("n={n}, d={d}"));
            let (vector, answers) = (vector(d), cohort.answers(d));
            group.bench_function(id, |bencher| {
                bencher.iter(|| black_box(cohort.take_part(&inbox, vector.clone(), &answers)));
            });
        }
        for d in ENTRIES {
            let answers = cohort.answers(d);
            // The measured work also gives the right sum.
            cohort.aggregate(d, &answers);
            let sum = cohort.masked_sum(d, &answers);
            let id = BenchmarkId::new("opening", format!("n={n}, d={d}"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| cohort.open(d, &answers, sum.clone()));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, secure_sum);
criterion_main!(benches);
