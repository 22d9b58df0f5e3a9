//! The two loops over pixels in which a step on the CPU spends its time.
//!
//! Natively the compiler vectorises the plain loops. The wasm module is optimised for size, where it does not;
//! there the same operations are written with SIMD, and give the same bits (tests compare vectors).

use super::quantise;

/// `row = above + (below − above)·weight`, all of one length.
#[inline]
pub(super) fn blend(row: &mut [f32], above: &[f32], below: &[f32], weight: f32) {
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    let done = simd::blend(row, above, below, weight);
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    let done = 0;
    for ((v, a), b) in row[done..].iter_mut().zip(&above[done..]).zip(&below[done..]) {
        *v = a + (b - a) * weight;
    }
}

/// `out = quantise(image + levels)`, all of one length.
#[inline]
pub(super) fn add_quantised(out: &mut [u8], image: &[u8], levels: &[f32]) {
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    let done = simd::add_quantised(out, image, levels);
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    let done = 0;
    for ((o, x), h) in out[done..].iter_mut().zip(&image[done..]).zip(&levels[done..]) {
        *o = quantise(f32::from(*x) + h);
    }
}

/// Each function gives the number of values that it did; the caller does the rest.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd {
    use core::arch::wasm32::*;

    pub fn blend(row: &mut [f32], above: &[f32], below: &[f32], weight: f32) -> usize {
        let weight = f32x4_splat(weight);
        let parts = row.chunks_exact_mut(4).zip(above.chunks_exact(4)).zip(below.chunks_exact(4));
        let mut done = 0;
        for ((row, above), below) in parts {
            let (a, b) = (load(above), load(below));
            let blended = f32x4_add(a, f32x4_mul(f32x4_sub(b, a), weight));
            // SAFETY: `row` is 4 floats long, 16 bytes; the store needs no alignment.
            unsafe { v128_store(row.as_mut_ptr().cast(), blended) };
            done += 4;
        }
        done
    }

    pub fn add_quantised(out: &mut [u8], image: &[u8], levels: &[f32]) -> usize {
        let parts = out.chunks_exact_mut(16).zip(image.chunks_exact(16)).zip(levels.chunks_exact(16));
        let mut done = 0;
        for ((out, image), levels) in parts {
            // SAFETY: `image` is 16 bytes long; the load needs no alignment.
            let bytes = unsafe { v128_load(image.as_ptr().cast()) };
            let (low, high) = (u16x8_extend_low_u8x16(bytes), u16x8_extend_high_u8x16(bytes));
            let first = quantised(u32x4_extend_low_u16x8(low), &levels[..4]);
            let second = quantised(u32x4_extend_high_u16x8(low), &levels[4..8]);
            let third = quantised(u32x4_extend_low_u16x8(high), &levels[8..12]);
            let fourth = quantised(u32x4_extend_high_u16x8(high), &levels[12..]);
            let packed = u8x16_narrow_i16x8(i16x8_narrow_i32x4(first, second), i16x8_narrow_i32x4(third, fourth));
            // SAFETY: `out` is 16 bytes long; the store needs no alignment.
            unsafe { v128_store(out.as_mut_ptr().cast(), packed) };
            done += 16;
        }
        done
    }

    /// As [`super::quantise`]: NaN passes through minimum and maximum and becomes 0.
    fn quantised(pixels: v128, levels: &[f32]) -> v128 {
        let sum = f32x4_add(f32x4_convert_u32x4(pixels), load(levels));
        let clipped = f32x4_min(f32x4_max(sum, f32x4_splat(0.0)), f32x4_splat(255.0));
        i32x4_trunc_sat_f32x4(f32x4_add(clipped, f32x4_splat(0.5)))
    }

    fn load(values: &[f32]) -> v128 {
        f32x4(values[0], values[1], values[2], values[3])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_every_edge() {
        for length in 0..40 {
            let image: Vec<u8> = (0..length).map(|i| (i * 37 % 256) as u8).collect();
            let levels: Vec<f32> = (0..length).map(|i| [0.0, -300.0, 300.0, 0.5, -0.5, f32::NAN, 17.25][i % 7]).collect();
            let mut out = vec![1; length];
            add_quantised(&mut out, &image, &levels);
            for i in 0..length {
                assert_eq!(out[i], quantise(f32::from(image[i]) + levels[i]));
            }
            let (above, below) = (vec![1.0; length], vec![3.0; length]);
            let mut row = vec![0.0; length];
            blend(&mut row, &above, &below, 0.25);
            assert!(row.iter().all(|v| *v == 1.5));
        }
    }
}
