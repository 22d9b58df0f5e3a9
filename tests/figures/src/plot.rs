//! Curves as an SVG file for the docs.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// One line of a plot: its name, and its points (queries, accuracy) in order.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (760, 420);
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x1b, 0x6e, 0xc2),
    RGBColor(0xd1, 0x49, 0x2b),
    RGBColor(0x2e, 0x8b, 0x57),
    RGBColor(0x8a, 0x4f, 0xb0),
    RGBColor(0xb8, 0x86, 0x0b),
    RGBColor(0x55, 0x55, 0x55),
];

/// Draws accuracy (0 to 1) against the number of queries of one participant.
///
/// # Errors
/// There is nothing to draw, or the file cannot be written.
pub fn accuracy_over_queries(path: &Path, title: &str, lines: &[Line]) -> Result<()> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = points().map(|(queries, _)| *queries).fold(0.0, f64::max);
    let top = points().map(|(_, accuracy)| *accuracy).fold(0.0, f64::max);
    if most <= 0.0 {
        return Err(anyhow!("there is no point to draw in {title}"));
    }
    let failed = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(|e| failed(&e))?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..most, 0.0..(top + 0.05).min(1.0))
        .map_err(|e| failed(&e))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("queries of one participant")
        .y_desc("test accuracy")
        .y_label_formatter(&|accuracy| format!("{:.0}%", 100.0 * accuracy))
        .x_label_formatter(&|queries| format!("{queries:.0}"))
        .draw()
        .map_err(|e| failed(&e))?;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let style = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), style))
            .map_err(|e| failed(&e))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.9))
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .draw()
        .map_err(|e| failed(&e))?;
    area.present().map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::{Line, accuracy_over_queries};

    #[test]
    fn every_line_is_named_in_the_picture() {
        let path = std::env::temp_dir().join(format!("plot-{}.svg", std::process::id()));
        let line = |name: &str| Line {
            name: name.to_owned(),
            points: vec![(0.0, 0.1), (640.0, 0.5)],
        };
        accuracy_over_queries(&path, "two ways", &[line("first way"), line("second way")]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        for wanted in [
            "two ways",
            "first way",
            "second way",
            "queries of one participant",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
        assert!(accuracy_over_queries(&path, "nothing", &[]).is_err());
    }
}
