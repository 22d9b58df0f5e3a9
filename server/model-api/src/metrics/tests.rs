use super::*;

#[test]
fn neither_servers_nor_models_share_numbers() {
    let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
    let (first, second) = (one.model("a", Unit::Images), one.model("b", Unit::Images));
    first.ran(3, Duration::from_millis(2));
    second.ran(5, Duration::from_millis(2));
    // As after a reload.
    one.model("a", Unit::Images)
        .ran(1, Duration::from_millis(2));
    one.answered("a", 200, Duration::from_millis(3));
    other.rejected("", "full");
    let text = one.render().unwrap();
    for line in [
        "model_api_images_total{model=\"a\"} 4",
        "model_api_images_total{model=\"b\"} 5",
        "model_api_requests_total{model=\"a\",status=\"200\"} 1",
        "model_api_request_seconds_count{model=\"a\"} 1",
        "model_api_batch_images_bucket{model=\"a\",le=\"4\"} 2",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("reason=\"full\""));
    let text = other.render().unwrap();
    assert!(text.contains("model_api_rejected_total{model=\"\",reason=\"full\"} 1"));
    assert!(!text.contains("model_api_images_total{"));
}

#[test]
fn texts_have_their_own_names() {
    let all = Metrics::new().unwrap();
    let metrics = all.model("a", Unit::Texts);
    metrics.ran(3, Duration::from_millis(2));
    for (encodes, cache_hits) in [(2, 7), (5, 7), (4, 6)] {
        let stats = TextStats {
            encodes,
            cache_hits,
        };
        all.encoded("a", stats);
    }
    let text = all.render().unwrap();
    for line in [
        "model_api_texts_total{model=\"a\"} 3",
        "model_api_batch_texts_bucket{model=\"a\",le=\"4\"} 1",
        "model_api_encodes_total{model=\"a\"} 5",
        "model_api_cache_hits_total{model=\"a\"} 7",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
