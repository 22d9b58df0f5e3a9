//! The two loops over pixels in which a step on the CPU spends its time.
//!
//! The wasm module is optimised for size, where the compiler does not vectorise; natively it
//! vectorises everything except the saturating conversion to bytes. So the same operations are
//! written here with SIMD, for wasm and for the SSE2 that every x86-64 has. They give the same bits
//! as the plain loops, which serve all other targets (tests compare vectors).

use super::quantise;

/// Computes `row = above + (below − above)·weight`; all three have the same length.
#[inline]
pub(super) fn blend(row: &mut [f32], above: &[f32], below: &[f32], weight: f32) {
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    let done = simd::blend(row, above, below, weight);
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    let done = 0;
    for ((v, a), b) in row[done..]
        .iter_mut()
        .zip(&above[done..])
        .zip(&below[done..])
    {
        *v = a + (b - a) * weight;
    }
}

/// Computes `sums += factor·row`; both have the same length.
#[inline]
pub(super) fn add_scaled(sums: &mut [f32], row: &[f32], factor: f32) {
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    let done = simd::add_scaled(sums, row, factor);
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    let done = 0;
    for (s, r) in sums[done..].iter_mut().zip(&row[done..]) {
        *s += factor * r;
    }
}

/// Computes `out = quantise(image + levels)`; all three have the same length.
#[inline]
pub(super) fn add_quantised(out: &mut [u8], image: &[u8], levels: &[f32]) {
    #[cfg(any(
        all(target_arch = "wasm32", target_feature = "simd128"),
        all(target_arch = "x86_64", target_feature = "sse2")
    ))]
    let done = simd::add_quantised(out, image, levels);
    #[cfg(not(any(
        all(target_arch = "wasm32", target_feature = "simd128"),
        all(target_arch = "x86_64", target_feature = "sse2")
    )))]
    let done = 0;
    for ((o, x), h) in out[done..]
        .iter_mut()
        .zip(&image[done..])
        .zip(&levels[done..])
    {
        *o = quantise(f32::from(*x) + h);
    }
}

/// Each function returns the number of values that it handled; the caller does the rest. It uses
/// plain indices and pointers, because iterators would remain calls in code that is optimised for
/// size.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd {
    use core::arch::wasm32::*;

    pub fn blend(row: &mut [f32], above: &[f32], below: &[f32], weight: f32) -> usize {
        let length = row.len().min(above.len()).min(below.len());
        let weight = f32x4_splat(weight);
        let mut at = 0;
        while at + 4 <= length {
            // SAFETY: all three slices reach to at + 4; loads and stores need no alignment.
            unsafe {
                let a = v128_load(above.as_ptr().add(at).cast());
                let b = v128_load(below.as_ptr().add(at).cast());
                let blended = f32x4_add(a, f32x4_mul(f32x4_sub(b, a), weight));
                v128_store(row.as_mut_ptr().add(at).cast(), blended);
            }
            at += 4;
        }
        at
    }

    pub fn add_scaled(sums: &mut [f32], row: &[f32], factor: f32) -> usize {
        let length = sums.len().min(row.len());
        let factor = f32x4_splat(factor);
        let mut at = 0;
        while at + 4 <= length {
            // SAFETY: both slices reach to at + 4; loads and stores need no alignment.
            unsafe {
                let place = sums.as_mut_ptr().add(at).cast();
                let scaled = f32x4_mul(factor, v128_load(row.as_ptr().add(at).cast()));
                v128_store(place, f32x4_add(v128_load(place), scaled));
            }
            at += 4;
        }
        at
    }

    pub fn add_quantised(out: &mut [u8], image: &[u8], levels: &[f32]) -> usize {
        let length = out.len().min(image.len()).min(levels.len());
        let mut at = 0;
        while at + 16 <= length {
            // SAFETY: all three slices reach to at + 16; loads and stores need no alignment.
            unsafe {
                let bytes = v128_load(image.as_ptr().add(at).cast());
                let levels: *const v128 = levels.as_ptr().add(at).cast();
                let (low, high) = (
                    u16x8_extend_low_u8x16(bytes),
                    u16x8_extend_high_u8x16(bytes),
                );
                let first = quantised(u32x4_extend_low_u16x8(low), v128_load(levels));
                let second = quantised(u32x4_extend_high_u16x8(low), v128_load(levels.add(1)));
                let third = quantised(u32x4_extend_low_u16x8(high), v128_load(levels.add(2)));
                let fourth = quantised(u32x4_extend_high_u16x8(high), v128_load(levels.add(3)));
                let (left, right) = (
                    i16x8_narrow_i32x4(first, second),
                    i16x8_narrow_i32x4(third, fourth),
                );
                v128_store(
                    out.as_mut_ptr().add(at).cast(),
                    u8x16_narrow_i16x8(left, right),
                );
            }
            at += 16;
        }
        at
    }

    /// Quantises as [`super::quantise`] does: NaN passes through minimum and maximum and becomes 0.
    #[inline(always)]
    fn quantised(pixels: v128, levels: v128) -> v128 {
        let sum = f32x4_add(f32x4_convert_u32x4(pixels), levels);
        let clipped = f32x4_min(f32x4_max(sum, f32x4_splat(0.0)), f32x4_splat(255.0));
        i32x4_trunc_sat_f32x4(f32x4_add(clipped, f32x4_splat(0.5)))
    }
}

/// The same for x86-64 with SSE2. `blend` is missing: the compiler vectorises it.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod simd {
    use core::arch::x86_64::*;

    #[inline]
    pub fn add_quantised(out: &mut [u8], image: &[u8], levels: &[f32]) -> usize {
        let length = out.len().min(image.len()).min(levels.len());
        let mut at = 0;
        while at + 16 <= length {
            // SAFETY: all three slices reach to at + 16; loads and stores are the unaligned ones;
            // SSE2 is there.
            unsafe {
                let zero = _mm_setzero_si128();
                let bytes = _mm_loadu_si128(image.as_ptr().add(at).cast());
                let levels = levels.as_ptr().add(at);
                let (low, high) = (
                    _mm_unpacklo_epi8(bytes, zero),
                    _mm_unpackhi_epi8(bytes, zero),
                );
                let first = quantised(_mm_unpacklo_epi16(low, zero), _mm_loadu_ps(levels));
                let second = quantised(_mm_unpackhi_epi16(low, zero), _mm_loadu_ps(levels.add(4)));
                let third = quantised(_mm_unpacklo_epi16(high, zero), _mm_loadu_ps(levels.add(8)));
                let fourth =
                    quantised(_mm_unpackhi_epi16(high, zero), _mm_loadu_ps(levels.add(12)));
                let (left, right) = (
                    _mm_packs_epi32(first, second),
                    _mm_packs_epi32(third, fourth),
                );
                _mm_storeu_si128(
                    out.as_mut_ptr().add(at).cast(),
                    _mm_packus_epi16(left, right),
                );
            }
            at += 16;
        }
        at
    }

    /// Quantises as [`super::quantise`] does: where the sum is NaN, the maximum gives its second
    /// operand, 0.
    #[inline]
    fn quantised(pixels: __m128i, levels: __m128) -> __m128i {
        // SAFETY: SSE2 is there.
        unsafe {
            let sum = _mm_add_ps(_mm_cvtepi32_ps(pixels), levels);
            let clipped = _mm_min_ps(_mm_max_ps(sum, _mm_setzero_ps()), _mm_set1_ps(255.0));
            _mm_cvttps_epi32(_mm_add_ps(clipped, _mm_set1_ps(0.5)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_every_edge() {
        for length in 0..40 {
            let image: Vec<u8> = (0..length).map(|i| (i * 37 % 256) as u8).collect();
            let levels: Vec<f32> = (0..length)
                .map(|i| [0.0, -300.0, 300.0, 0.5, -0.5, f32::NAN, 17.25][i % 7])
                .collect();
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
