use super::*;

fn pace(calls: Calls) -> Pace {
    Pace::new(&calls, 32, 256)
}

/// A server that takes `room` requests at once, each in `each_ms`, and refuses the others.
fn against(pace: &mut Pace, room: usize, each_ms: f64, rounds: usize) -> Vec<usize> {
    let mut windows = Vec::new();
    let mut now = 0.0;
    for _ in 0..rounds {
        let under_way = pace.window();
        let tickets: Vec<_> = (0..under_way).filter_map(|_| pace.take(now).ok()).collect();
        now += each_ms;
        for (at, ticket) in tickets.into_iter().enumerate() {
            if at < room {
                pace.answered(each_ms, under_way, 32);
            } else {
                pace.pushed_back(ticket, now, None);
            }
        }
        windows.push(pace.window());
    }
    windows
}

#[test]
fn it_finds_the_servers_room_and_stays_around_it() {
    let mut pace = pace(Calls::default());
    let windows = against(&mut pace, 20, 50.0, 200);
    let late = &windows[50..];
    assert!(late.iter().all(|w| (9..=21).contains(w)), "{late:?}");
    let mean = late.iter().sum::<usize>() as f64 / late.len() as f64;
    assert!(mean > 13.0, "{mean}");
}

#[test]
fn one_refused_burst_halves_once() {
    let mut pace = pace(Calls::default());
    against(&mut pace, 100, 50.0, 3);
    let before = pace.window();
    let tickets: Vec<_> = (0..before).map(|_| pace.take(0.0).unwrap()).collect();
    tickets
        .into_iter()
        .for_each(|ticket| pace.pushed_back(ticket, 1.0, None));
    assert_eq!(pace.window(), before / 2);
    let ticket = pace.take(2.0).unwrap();
    pace.pushed_back(ticket, 3.0, None);
    assert_eq!(pace.window(), before / 4);
    (0..20).for_each(|_| {
        let ticket = pace.take(4.0).unwrap();
        pace.pushed_back(ticket, 5.0, None);
    });
    assert_eq!(pace.window(), 1);
}

#[test]
fn answers_that_queue_do_not_widen_the_window() {
    let mut pace = pace(Calls::default());
    // With six connections, the more are asked, the longer each waits.
    for _ in 0..100 {
        let under_way = pace.window();
        for at in 0..under_way {
            pace.answered(20.0 * (1 + at / 6) as f64, under_way, 32);
        }
    }
    assert!((6..=30).contains(&pace.window()), "{}", pace.window());
}

#[test]
fn nothing_is_learnt_without_work() {
    let mut pace = pace(Calls::default());
    (0..100).for_each(|_| pace.answered(10.0, 1, 32));
    // Nor is anything learnt from requests that are smaller than others.
    (0..100).for_each(|_| pace.answered(0.1, 9, 1));
    assert_eq!(pace.window(), 4);
}

#[test]
fn limits_hold() {
    let mut few = pace(Calls {
        concurrency: 3,
        batch: 8,
        ..Calls::default()
    });
    against(&mut few, 100, 10.0, 50);
    assert_eq!((few.window(), few.batch()), (3, 8));
}

#[test]
fn a_rate_is_kept_over_time() {
    let mut pace = pace(Calls {
        per_second: 10.0,
        ..Calls::default()
    });
    let (mut now, mut sent) = (0.0, 0);
    while now < 10_000.0 {
        match pace.take(now) {
            Ok(_) => sent += 1,
            Err(wait) => now += wait.max(1e-6),
        }
    }
    assert!((100..=104).contains(&sent), "{sent}");
}

#[test]
fn a_pause_that_is_asked_for_is_everyones() {
    let mut pace = pace(Calls::default());
    let ticket = pace.take(0.0).unwrap();
    pace.pushed_back(ticket, 100.0, Some(2_000));
    assert_eq!(pace.take(600.0), Err(1_500.0));
    assert!(pace.take(2_100.0).is_ok());
}

/// Asks `total` inputs once, six requests at a time, each answered after `way_ms` and a millisecond
/// for each input.
fn evaluation(pace: &mut Pace, total: usize, way_ms: f64) -> Vec<usize> {
    let (mut left, mut sizes) = (total, Vec::new());
    while left > 0 {
        let together: Vec<_> = (0..6)
            .map(|_| {
                let size = pace.cut(total).min(left);
                left -= size;
                size
            })
            .filter(|size| *size > 0)
            .collect();
        for size in &together {
            pace.answered(way_ms + *size as f64, together.len(), *size);
        }
        sizes.extend(together);
    }
    sizes
}

#[test]
fn requests_grow_while_there_is_more_than_goes_out_together() {
    let mut pace = pace(Calls::default());
    // A small evaluation: two requests.
    assert_eq!(evaluation(&mut pace, 64, 10.0), [32, 32]);
    // Within one large evaluation they grow up to the limit.
    let sizes = evaluation(&mut pace, 5_000, 10.0);
    assert!(sizes[..sizes.len() - 1].is_sorted(), "{sizes:?}");
    assert_eq!((sizes[0], pace.batch()), (32, 256));
    // As many as leave together, all of the same size; and a small evaluation gets small ones
    // again.
    assert_eq!(
        evaluation(&mut pace, 1_024, 10.0),
        [171, 171, 171, 171, 171, 169]
    );
    assert_eq!(evaluation(&mut pace, 64, 10.0), [32, 32]);
}

#[test]
fn a_failure_undoes_what_was_only_tried() {
    let mut pace = pace(Calls::default());
    // Nothing has grown yet, so it is not the size, whatever was answered before.
    pace.answered(1.0, 1, 1);
    assert!(!pace.too_large(32, false));
    evaluation(&mut pace, 1_000, 10.0);
    assert!(pace.batch() > 32);
    let most = pace.proven;
    assert!(!pace.too_large(most, false));
    assert!(pace.too_large(most + 1, false));
    assert_eq!(pace.batch(), most);
}

#[test]
fn preparing_changes_nothing() {
    let mut pace = pace(Calls::default());
    evaluation(&mut pace, 5_000, 10.0);
    assert_eq!((pace.cut(1_024), pace.size_of(64)), (171, 32));
    assert_eq!(pace.size, 171);
}

#[test]
fn requests_of_a_slow_model_stay_as_they_are() {
    let mut pace = pace(Calls::default());
    evaluation(&mut pace, 5_000, 2_000.0);
    assert_eq!(pace.batch(), 32);
}

#[test]
fn batches_shrink_when_refused() {
    let mut pace = pace(Calls::default());
    evaluation(&mut pace, 5_000, 10.0);
    // What was too large was a request of 100 and not the maximum. If several were under way
    // together, each failure is reported.
    assert_eq!(pace.cut(600), 100);
    assert!(pace.too_large(100, true) && pace.too_large(100, true));
    assert_eq!(pace.batch(), 50);
    evaluation(&mut pace, 5_000, 10.0);
    assert_eq!(pace.batch(), 50);
    while pace.too_large(pace.batch(), true) {}
    assert_eq!(pace.batch(), 1);
    pace.limit_batch(0);
    assert_eq!(pace.batch(), 1);
}
