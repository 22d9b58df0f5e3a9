use ground::hash::sha256_hex;
use model_client::ModelFile;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::*;

/// Words are tokens, with <s> (1) before every text and </s> (2) after it.
const TOKENIZER: &str = r#"{ "version": "1.0", "truncation": { "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0 },
    "padding": null, "added_tokens": [], "normalizer": null, "pre_tokenizer": { "type": "Whitespace" },
    "post_processor": { "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }, { "SpecialToken": { "id": "</s>", "type_id": 0 } }],
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
        "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] }, "</s>": { "id": "</s>", "ids": [2], "tokens": ["</s>"] } } },
    "decoder": null, "model": { "type": "WordLevel", "vocab": { "<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "good": 4, "film": 5, "more": 6 }, "unk_token": "<unk>" } }"#;

/// A file whose row `i` of six is (i, −i), among other tensors.
fn file(dtype: Dtype) -> Vec<u8> {
    let element = match dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        _ => Element::F32,
    };
    let (mut rows, other) = (Vec::new(), [1_u8; 12]);
    for at in 0..6_u8 {
        encode(element, at.into(), &mut rows);
        encode(element, -f32::from(at), &mut rows);
    }
    let tensors = [
        ("a", TensorView::new(Dtype::U8, vec![12], &other).unwrap()),
        ("e", TensorView::new(dtype, vec![6, 2], &rows).unwrap()),
    ];
    safetensors::serialize(tensors, None).unwrap()
}

fn load(table: &[u8], tensor: &str, hidden: usize) -> Result<Embeddings, EmbeddingsError> {
    let named = |path: &str, bytes: &[u8]| ModelFile {
        path: path.to_owned(),
        address: path.to_owned(),
        sha256: sha256_hex(bytes),
    };
    let wanted = PromptEmbeds {
        url: "https://h".to_owned(),
        files: [
            named("tokenizer.json", TOKENIZER.as_bytes()),
            named("table", table),
        ],
        tensor: tensor.to_owned(),
    };
    let mut fetched = Fetched::new(wanted, hidden);
    fetched.add(0, TOKENIZER.as_bytes().to_vec())?;
    fetched.add(1, table.to_vec())?;
    fetched.load()
}

fn numbers(found: &Embedded) -> Vec<f32> {
    let size = found.element.size();
    let numbers = found.bytes.chunks_exact(size);
    numbers.map(|x| decode(found.element, x)).collect()
}

#[test]
fn rows_are_the_texts_with_the_prompt_behind_the_beginning() {
    for (dtype, element, third) in [
        (Dtype::F32, Element::F32, 0.1),
        (Dtype::F16, Element::F16, 0.099_975_586),
        (Dtype::BF16, Element::Bf16, 0.100_097_656),
    ] {
        let embeddings = load(&file(dtype), "e", 2).unwrap();
        let found = embeddings
            .rows("a good film", &[0.5, 0.25, 0.1, -8.0])
            .unwrap();
        assert_eq!((found.element, found.tokens()), (element, 7));
        // Longer than the tokenizer's own limit, which is for training.
        let rows = [
            1.0, -1.0, 0.5, 0.25, third, -8.0, 3.0, -3.0, 4.0, -4.0, 5.0, -5.0, 2.0, -2.0,
        ];
        assert_eq!(numbers(&found), rows);
        assert_eq!(
            numbers(&embeddings.rows("", &[]).unwrap()),
            [1.0, -1.0, 2.0, -2.0]
        );
        assert!((embeddings.table.deviation() - (55.0_f64 / 6.0).sqrt()).abs() < 1e-6);
    }
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let embeddings = load(&file(dtype), "e", 2).unwrap();
        let large = embeddings.rows("a", &[f32::INFINITY, -1e38]).unwrap();
        assert!(numbers(&large).iter().all(|x| x.is_finite()), "{dtype:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_cure() {
    let refused = |table: &[u8], tensor, hidden| load(table, tensor, hidden).unwrap_err();
    let whole = file(Dtype::F32);
    let hidden = refused(&whole, "e", 3);
    assert_eq!(hidden.code(), "model_unusable");
    assert!(
        hidden.to_string().contains("generator.hidden is 3"),
        "{hidden}"
    );
    let missing = refused(&whole, "model.embed_tokens.weight", 2);
    assert!(
        missing.to_string().contains("its tensors are a, e"),
        "{missing}"
    );
    let bytes = refused(&whole, "a", 2);
    assert!(bytes.to_string().contains("quantised"), "{bytes}");
    for broken in [&b"hello"[..], &whole[..20], &[]] {
        assert!(matches!(
            refused(broken, "e", 2),
            EmbeddingsError::File { .. }
        ));
    }
    // The other tensor, which follows the table, and the table's last byte.
    let cut_off = refused(&whole[..whole.len() - 13], "e", 2);
    assert!(cut_off.to_string().contains("cut off"), "{cut_off}");
    // A token of the tokenizer has no row.
    let embeddings = load(&whole, "e", 2).unwrap();
    assert!(embeddings.rows("more", &[]).unwrap_err().contains("6 rows"));
    assert!(embeddings.rows("a", &[1.0]).is_err());
    let tokenizer = Embeddings::new("tokenizer.json", b"{}", embeddings.table);
    assert!(matches!(tokenizer, Err(EmbeddingsError::File { .. })));
}

#[test]
fn other_files_are_refused() {
    let wanted = PromptEmbeds {
        url: String::new(),
        files: Default::default(),
        tensor: String::new(),
    };
    let mut fetched = Fetched::new(wanted.clone(), 2);
    assert_eq!(fetched.add(0, vec![1]).unwrap_err().code(), "model_hash");
    assert_eq!(
        Fetched::new(wanted, 2).load().unwrap_err().code(),
        "model_missing"
    );
}
