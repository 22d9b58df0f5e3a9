use image::{ImageFormat, Rgb};

use super::*;

fn info(layout: Layout, kind: &'static str) -> ModelInfo {
    ModelInfo {
        name: "a".into(),
        kind,
        input: "image".into(),
        output: "logits".into(),
        layout,
        image: match layout {
            Layout::Nchw => [3, 2, 4],
            Layout::Nhwc => [2, 4, 3],
        },
        classes: 2,
        labels: vec![],
        template: (kind == "clip").then(|| "{}".into()),
        max_batch: 2,
    }
}

fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    image
        .write_to(&mut Cursor::new(&mut bytes), format)
        .unwrap();
    bytes
}

fn ramp(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([10 * x as u8, 100 + (y % 2) as u8, 200])
    })
}

#[test]
fn an_image_of_the_right_size_is_not_touched() {
    let image = ramp(4, 2);
    let interleaved = image.as_raw().clone();
    let planar = [
        [0, 10, 20, 30, 0, 10, 20, 30],
        [100, 100, 100, 100, 101, 101, 101, 101],
        [200; 8],
    ]
    .concat();
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let bytes = encoded(&image, format);
        assert!(is_image(&bytes));
        for kind in ["classifier", "clip"] {
            assert_eq!(
                pixels(&bytes, &info(Layout::Nhwc, kind)).unwrap(),
                interleaved
            );
            assert_eq!(pixels(&bytes, &info(Layout::Nchw, kind)).unwrap(), planar);
        }
        let text = STANDARD.encode(&bytes);
        let url = format!("data:image/png;base64,{text}");
        for text in [text, url] {
            let file = from_text(&text).unwrap();
            assert_eq!(pixels(&file, &info(Layout::Nchw, "clip")).unwrap(), planar);
        }
    }
    let jpeg = pixels(
        &encoded(&image, ImageFormat::Jpeg),
        &info(Layout::Nhwc, "clip"),
    )
    .unwrap();
    assert_eq!(jpeg.len(), interleaved.len());
}

#[test]
fn others_are_squeezed_or_cut() {
    // The left half is black, the right half white, and it is twice as high as the model wants.
    let image = RgbImage::from_fn(8, 8, |x, _| Rgb([if x < 4 { 0 } else { 255 }; 3]));
    let bytes = encoded(&image, ImageFormat::Png);
    let squeezed = pixels(&bytes, &info(Layout::Nchw, "classifier")).unwrap();
    assert_eq!(squeezed.len(), 24);
    assert!(squeezed[0] < 40 && squeezed[3] > 215, "{squeezed:?}");
    // The top and bottom quarters are red: only the middle is left.
    let striped = RgbImage::from_fn(8, 8, |_, y| {
        Rgb(if (2..6).contains(&y) {
            [0, 255, 0]
        } else {
            [255, 0, 0]
        })
    });
    let cut = pixels(
        &encoded(&striped, ImageFormat::Png),
        &info(Layout::Nchw, "clip"),
    )
    .unwrap();
    assert!(cut[..8].iter().all(|&red| red < 30), "{cut:?}");
    // Proportions far from the model's do not overflow.
    let thin = encoded(&ramp(1, 300), ImageFormat::Png);
    assert_eq!(
        pixels(&thin, &info(Layout::Nchw, "clip")).unwrap().len(),
        24
    );
}

#[test]
fn what_is_no_image_is_named() {
    let info = info(Layout::Nchw, "classifier");
    let wide = encoded(&RgbImage::new(MAX_SIDE + 1, 1), ImageFormat::Png);
    let read = |text: &str| from_text(text).map(Cow::into_owned);
    for (result, text) in [
        (pixels(b"GIF89a", &info), "cannot be read"),
        (pixels(&wide, &info), "cannot be read"),
        (read("https://example.org/a.png"), "fetches nothing"),
        (read("data:image/png,abc"), "must be like data:"),
        (read("?"), "no base64"),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(text), "`{text}` is not in `{error}`");
    }
}

/// The beginning of a PNG that says how large it is, and no more.
fn header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut crc = 0xffff_ffff_u32;
    for byte in &chunk {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    let signature = b"\x89PNG\r\n\x1a\n\0\0\0\x0d";
    // The next chunk begins; its data never come.
    [
        signature,
        &chunk[..],
        &(!crc).to_be_bytes(),
        b"\0\x10\0\0IDAT",
    ]
    .concat()
}

#[test]
fn pixels_are_bounded_before_they_are_decoded_or_charged() {
    let info = info(Layout::Nchw, "classifier");
    let caller = Caller::new(None, Decoder::new(1000).into());
    let refused = |files: &[Vec<u8>]| {
        let files: Vec<_> = files.iter().map(|file| Cow::from(&file[..])).collect();
        let Err(error) = decode(&caller, &info, &files) else {
            panic!("it was taken");
        };
        (error.to_string(), caller.queries())
    };
    let small = encoded(&ramp(20, 20), ImageFormat::Png);
    let (error, charged) = refused(&[small.clone(), small.clone(), small.clone()]);
    assert!(
        error.contains("1200 pixels") && error.contains("--max-pixels"),
        "{error}"
    );
    assert_eq!(charged, 0);
    let (error, charged) = refused(&[small.clone(), header(8000, 8000)]);
    assert!(error.contains("64000000 pixels"), "{error}");
    assert_eq!(charged, 0);
    // One whose data are broken was work, and so was the one before it; those after it were none.
    let (error, charged) = refused(&[small.clone(), header(4, 4), small]);
    assert!(error.contains("cannot be read"), "{error}");
    assert_eq!(charged, 2);
}

#[test]
fn nothing_is_decoded_for_nobody() {
    let info = info(Layout::Nchw, "classifier");
    let caller = std::sync::Arc::new(Caller::default());
    let file = encoded(&ramp(4, 2), ImageFormat::Png);
    let waits = caller.waits();
    assert!(decode(&caller, &info, &[Cow::from(&file[..])]).is_ok());
    drop(waits);
    let refused = decode(&caller, &info, &[Cow::from(&file[..])]);
    assert!(matches!(refused, Err(ApiError::Lost)));
}
