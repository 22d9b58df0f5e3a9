use super::*;

fn texts(list: &[(&str, &str)]) -> Queries {
    Queries::Texts(TextQueries {
        texts: list.iter().map(|(text, _)| (*text).to_owned()).collect(),
        templates: list
            .iter()
            .map(|(_, template)| (*template).to_owned())
            .collect(),
        soft: None,
    })
}

/// Scores that tell the texts apart: their lengths.
fn answer(queries: &Queries) -> Scores {
    let Queries::Texts(queries) = queries else {
        panic!("images")
    };
    let rows = queries.texts.iter().zip(&queries.templates);
    Scores::new(
        2,
        rows.flat_map(|(a, b)| [a.len() as f32, b.len() as f32])
            .collect(),
    )
    .unwrap()
}

#[test]
fn only_what_is_new_is_asked_and_all_is_answered() {
    let mut cache = Cache::new(10);
    let first = texts(&[("a", "{}"), ("bb", "{}"), ("a", "{}"), ("a", "x {}")]);
    let asked = cache.split(&first).unwrap();
    let missing = asked.missing.clone().unwrap();
    assert_eq!(missing, texts(&[("a", "{}"), ("bb", "{}"), ("a", "x {}")]));
    let scores = cache.join(asked, Some(&answer(&missing)), 2).unwrap();
    assert_eq!(scores, answer(&first));

    let again = cache.split(&texts(&[("bb", "{}"), ("ccc", "{}")])).unwrap();
    assert_eq!(again.missing, Some(texts(&[("ccc", "{}")])));
    let known = cache.split(&first).unwrap();
    assert_eq!(known.missing, None);
    assert_eq!(cache.join(known, None, 2).unwrap(), answer(&first));
}

#[test]
fn the_oldest_is_forgotten() {
    let mut cache = Cache::new(2);
    for text in ["a", "b", "c"] {
        let asked = cache.split(&texts(&[(text, "{}")])).unwrap();
        let missing = asked.missing.clone().unwrap();
        cache.join(asked, Some(&answer(&missing)), 2).unwrap();
    }
    let oldest = cache.split(&texts(&[("a", "{}")])).unwrap();
    assert!(oldest.missing.is_some());
    assert!(
        cache
            .split(&texts(&[("b", "{}"), ("c", "{}")]))
            .unwrap()
            .missing
            .is_none()
    );
}

#[test]
fn what_is_under_way_is_waited_for() {
    let mut cache = Cache::new(10);
    let first = cache.split(&texts(&[("a", "{}"), ("b", "{}")])).unwrap();
    let other = texts(&[("b", "{}"), ("c", "{}")]);
    assert!(cache.split(&other).is_none());
    assert!(cache.split(&texts(&[("c", "{}")])).is_some());
    let missing = first.missing.clone().unwrap();
    cache.join(first, Some(&answer(&missing)), 2).unwrap();
    // "b" is known now, and "c" is under way.
    assert!(cache.split(&other).is_none());
    let again = Cache::new(10).split(&other).unwrap();
    cache.give_up(&again.ticket());
    assert_eq!(
        cache.split(&other).unwrap().missing,
        Some(texts(&[("c", "{}")]))
    );
}

#[test]
fn images_by_their_bytes() {
    let mut cache = Cache::new(2);
    let queries = Queries::Images {
        bytes: vec![1, 1, 2, 2, 1, 1],
        count: 3,
    };
    let asked = cache.split(&queries).unwrap();
    assert_eq!(
        asked.missing,
        Some(Queries::Images {
            bytes: vec![1, 1, 2, 2],
            count: 2
        })
    );
    let scores = Scores::new(1, vec![0.5, 0.25]).unwrap();
    assert_eq!(
        cache.join(asked, Some(&scores), 1).unwrap().values(),
        [0.5, 0.25, 0.5]
    );
}

#[test]
fn an_answer_to_something_else_is_refused() {
    let mut cache = Cache::new(2);
    let asked = cache.split(&texts(&[("a", "{}"), ("b", "{}")])).unwrap();
    let one = Scores::new(2, vec![0.0, 0.0]).unwrap();
    assert!(cache.join(asked.clone(), Some(&one), 2).is_err());
    assert!(cache.join(asked, None, 2).is_err());
}
