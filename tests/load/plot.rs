//! Curves over the number of tokens, as SVG. They have no background, and colours that are neither
//! dark nor light: a page may be either.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use super::report::{Known, counted, number};

/// A plot.
pub struct Plot {
    /// The name of its file, without its ending.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// The unit of all its curves.
    pub unit: &'static str,
    /// How that unit runs.
    scale: Scale,
    /// What is drawn.
    pub curves: &'static [Curve],
}

#[derive(Clone, Copy)]
enum Scale {
    Linear,
    Logarithmic,
}

/// A curve.
pub struct Curve {
    /// What it is called.
    pub label: &'static str,
    figure: &'static str,
    of: Of,
}

#[derive(Clone, Copy)]
enum Of {
    Value,
    Ceiling,
}

const fn curve(label: &'static str, figure: &'static str) -> Curve {
    Curve { label, figure, of: Of::Value }
}

/// Every plot that there is.
pub const PLOTS: [Plot; 5] = [
    Plot {
        name: "memory",
        title: "Resident memory",
        unit: "MiB",
        scale: Scale::Logarithmic,
        curves: &[
            curve("while refreshing", "steady/resident"),
            curve("at most, since a restart", "steady/peak"),
            curve("at most, while all are new", "cold-start/peak"),
            curve("after a restart", "restart/resident"),
        ],
    },
    Plot {
        name: "cold-start",
        title: "Cold start",
        unit: "/s",
        scale: Scale::Linear,
        curves: &[
            curve("tokenward", "cold-start/rate"),
            Curve { label: "ceiling", figure: "cold-start/rate", of: Of::Ceiling },
        ],
    },
    Plot {
        name: "lateness",
        title: "Lateness of refreshes",
        unit: "ms",
        scale: Scale::Logarithmic,
        curves: &[
            curve("asked, p50", "steady/start-late-p50"),
            curve("asked, p99", "steady/start-late-p99"),
            curve("Secret written, p50", "steady/written-late-p50"),
            curve("Secret written, p99", "steady/written-late-p99"),
        ],
    },
    Plot {
        name: "cpu",
        title: "CPU a refresh",
        unit: "ms",
        scale: Scale::Linear,
        curves: &[
            curve("as they fall due", "steady/cpu-per-refresh"),
            curve("of a new token", "cold-start/cpu-per-token"),
        ],
    },
    Plot {
        name: "restart",
        title: "Restart with good tokens",
        unit: "ms",
        scale: Scale::Logarithmic,
        curves: &[
            curve("caches filled", "restart/filled"),
            curve("all scheduled", "restart/scheduled"),
        ],
    },
];

const SIZE: (u32, u32) = (760, 420);
const FONT: (&str, u32) = ("sans-serif", 17);
/// Of axes and words.
const GREY: RGBColor = RGBColor(0x80, 0x80, 0x80);
const COLOURS: [RGBColor; 4] = [
    RGBColor(0x3b, 0x82, 0xf6),
    RGBColor(0xd9, 0x77, 0x06),
    RGBColor(0x10, 0x9f, 0x7b),
    RGBColor(0xc0, 0x5c, 0xc8),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Points = Vec<(f64, f64)>;

impl Curve {
    /// What it goes through.
    pub fn points(&self, known: Known<'_>) -> Vec<(u32, f64)> {
        match self.of {
            Of::Value => known.curve(self.figure),
            Of::Ceiling => known.ceilings(self.figure),
        }
    }
}

impl Plot {
    /// Where it is, from the page.
    pub fn file(&self) -> String {
        format!("performance/{}.svg", self.name)
    }

    /// Whether there is anything to draw: two sizes at least.
    pub fn is_known(&self, known: Known<'_>) -> bool {
        self.curves.iter().any(|curve| curve.points(known).len() > 1)
    }

    /// The plot itself.
    pub fn draw(&self, known: Known<'_>) -> String {
        let points = |curve: &Curve| -> Points {
            let points = curve.points(known).into_iter();
            // Nothing below is on a logarithmic axis.
            let points = points.map(|(tokens, value)| (f64::from(tokens), value));
            match self.scale {
                Scale::Linear => points.collect(),
                Scale::Logarithmic => points.filter(|(_, value)| *value > 0.0).collect(),
            }
        };
        let curves: Vec<(&str, Points)> =
            self.curves.iter().map(|curve| (curve.label, points(curve))).collect();
        let all = || curves.iter().flat_map(|(_, points)| points);
        let (tokens, values) = (range(all().map(|p| p.0)), range(all().map(|p| p.1)));
        let x = tokens.start / 1.3..tokens.end * 1.3;
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        // The words stand in the upper left.
        match self.scale {
            Scale::Linear => self.draw_on(&area, (x, 0.0..values.end * 1.4), &curves),
            Scale::Logarithmic => {
                let y = values.start / 2.0..values.end * 4.0;
                self.draw_on(&area, (x, y.log_scale().base(2.0)), &curves);
            }
        }
        drop(area);
        svg
    }

    fn draw_on<Y>(&self, area: &Area<'_>, (x, y): (Range<f64>, Y), curves: &[(&str, Points)])
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let words = FONT.into_font().color(&GREY);
        let what = if self.unit.starts_with('/') { "tokens" } else { "" };
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .caption(format!("{}, {what}{}", self.title, self.unit), words.clone())
            .set_label_area_size(LabelAreaPosition::Left, 64)
            .set_label_area_size(LabelAreaPosition::Bottom, 44)
            .build_cartesian_2d(x.log_scale(), y)
            .unwrap();
        chart
            .configure_mesh()
            .axis_style(GREY)
            .bold_line_style(GREY.mix(0.3))
            .light_line_style(TRANSPARENT)
            .label_style(words.clone())
            .x_desc("tokens")
            .x_label_formatter(&|tokens| counted(tokens.round()))
            .y_label_formatter(&|value| number(*value))
            .y_labels(8)
            .draw()
            .unwrap();
        for ((label, points), colour) in curves.iter().zip(COLOURS) {
            let line = LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(3);
            chart.draw_series(line).unwrap().label(*label).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
            });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(words)
            .draw()
            .unwrap();
    }
}

fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    values.fold(f64::MAX..f64::MIN_POSITIVE, |range, value| {
        range.start.min(value)..range.end.max(value)
    })
}
