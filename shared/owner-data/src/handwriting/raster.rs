//! Draws pen strokes into a grey image, with soft edges.

/// A piece of a stroke: a straight line between two points, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub from: (f32, f32),
    pub to: (f32, f32),
    /// Half the pen's width on this segment, in pixels.
    pub radius: f32,
    /// Brightness of the ink on this segment, 0..1.
    pub ink: f32,
}

/// Draws into size×size pixels (row by row, 0 = no ink). `edge` is the width in pixels over which
/// the ink fades at the stroke's border: 1 is a sharp pen, more is a soft one.
///
/// A pixel's coverage is computed from the distance between its middle and the segment. Where
/// segments overlap the brightest counts, so that a line that crosses itself does not glow.
pub(super) fn rasterise(segments: &[Segment], size: usize, edge: f32) -> Vec<u8> {
    let mut light = vec![0f32; size * size];
    for segment in segments {
        let reach = segment.radius + 0.5 * edge + 1.0;
        let (x0, x1) = span(segment.from.0, segment.to.0, reach, size);
        let (y0, y1) = span(segment.from.1, segment.to.1, reach, size);
        for y in y0..y1 {
            for x in x0..x1 {
                let away = distance(segment, x as f32 + 0.5, y as f32 + 0.5);
                let covered = ((segment.radius - away) / edge + 0.5).clamp(0.0, 1.0);
                let pixel = &mut light[y * size + x];
                *pixel = pixel.max(covered * segment.ink);
            }
        }
    }
    light.iter().map(|v| (v * 255.0 + 0.5) as u8).collect()
}

/// The pixels within `reach` of the line from `a` to `b`, along one axis.
fn span(a: f32, b: f32, reach: f32, size: usize) -> (usize, usize) {
    // Casts saturate: anything left of the image becomes 0.
    let low = (a.min(b) - reach) as usize;
    let high = (a.max(b) + reach) as usize + 1;
    (low.min(size), high.min(size))
}

fn distance(segment: &Segment, x: f32, y: f32) -> f32 {
    let (dx, dy) = (segment.to.0 - segment.from.0, segment.to.1 - segment.from.1);
    let (px, py) = (x - segment.from.0, y - segment.from.1);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 {
        ((px * dx + py * dy) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let (ex, ey) = (px - along * dx, py - along * dy);
    (ex * ex + ey * ey).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_covers_its_width() {
        let line = Segment {
            from: (-5.0, 4.0),
            to: (20.0, 4.0),
            radius: 1.0,
            ink: 1.0,
        };
        let image = rasterise(&[line], 8, 1.0);
        let column: Vec<u8> = (0..8).map(|y| image[y * 8 + 3]).collect();
        assert_eq!(column, [0, 0, 0, 255, 255, 0, 0, 0]);
        assert!(image.chunks(8).all(|row| row.iter().all(|v| v == &row[0])));
    }

    #[test]
    fn half_covered_is_half_bright_and_overlap_does_not_glow() {
        let dot = Segment {
            from: (1.5, 1.5),
            to: (1.5, 1.5),
            radius: 1.0,
            ink: 0.5,
        };
        let once = rasterise(&[dot], 3, 1.0);
        assert_eq!(
            once,
            [0, 64, 0, 64, 128, 64, 0, 64, 0].map(|v: u8| if v == 0 { once[0] } else { v })
        );
        assert_eq!(rasterise(&[dot, dot], 3, 1.0), once);
    }

    #[test]
    fn far_outside_draws_nothing() {
        let far = Segment {
            from: (-1e9, 1e9),
            to: (-1e9, 2e9),
            radius: 1.0,
            ink: 1.0,
        };
        assert!(rasterise(&[far], 4, 1.0).iter().all(|&v| v == 0));
    }
}
