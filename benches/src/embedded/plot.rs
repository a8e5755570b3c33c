//! Owns the pictures: nanoseconds by fill, usable permille, single calls from the usual to the worst.

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::Comparison;
use super::lines::curve;
use super::plan::{Group, Load};
use super::worker::Heap;
use crate::drawing::{self, ACE, Drawn, FAINT, INK, LARGE, MUTED, SIZE, SMALL, style, write};

/// Width of the legend.
const LEGEND: u32 = 180;
/// Ours, the boldest first.
const OURS: [RGBColor; 6] = [
    ACE,
    RGBColor(240, 150, 60),
    RGBColor(170, 60, 20),
    RGBColor(235, 180, 120),
    RGBColor(225, 30, 80),
    RGBColor(245, 130, 165),
];
/// Of the peers.
const THEIRS: [RGBColor; 10] = [
    RGBColor(0, 92, 150),
    RGBColor(64, 160, 215),
    RGBColor(0, 150, 110),
    RGBColor(120, 190, 60),
    RGBColor(150, 110, 150),
    RGBColor(205, 100, 160),
    RGBColor(90, 90, 200),
    RGBColor(140, 140, 140),
    RGBColor(90, 60, 40),
    RGBColor(0, 170, 180),
];

/// One heap's line or bars.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    colour: RGBColor,
    ours: bool,
}

/// Every picture that there are figures for: file names and SVGs.
pub fn all(comparison: &Comparison) -> Drawn<Vec<(String, String)>> {
    let mut drawings = Vec::new();
    let speed = loads(comparison, |load| load.group == Group::Speed && load.fill.is_some());
    let mut families = Vec::from_iter(speed.iter().filter_map(|load| load.name.rsplit_once(", ")));
    families.dedup_by_key(|(family, _)| *family);
    for (family, _) in families {
        let own =
            Vec::from_iter(speed.iter().copied().filter(|load| load.name.starts_with(family)));
        if own.len() > 1 {
            let name = format!("speed-{}.svg", family.replace("..", "-").replace(' ', "-"));
            drawings.push((name, by_fill(comparison, family, &own)?));
        }
    }
    for load in loads(comparison, |load| load.group == Group::Latency) {
        let name = load.name.replace("..", "-").replace(", ", "-").replace(' ', "-");
        for call in ["alloc", "free"] {
            drawings.push((format!("latency-{call}-{name}.svg"), latency(comparison, load, call)?));
        }
    }
    let bars_of = [
        (
            Group::Usable,
            "churned ‰",
            Labels {
                title: "Live bytes at the first failure, after churn".to_owned(),
                about: "a random half freed, filled again, many times; means over seeds".to_owned(),
                across: String::new(),
                up: "‰ of the arena".to_owned(),
            },
        ),
        (
            Group::Fragments,
            "again ‰ of free",
            Labels {
                title: "After a million steps in a heap half full".to_owned(),
                about: "blocks of the mix that could be had before a failure; means over seeds"
                    .to_owned(),
                across: String::new(),
                up: "‰ of the free bytes".to_owned(),
            },
        ),
    ];
    for (group, figure, labels) in bars_of {
        let own = loads(comparison, |load| load.group == group);
        if !own.is_empty() {
            let name = format!("{}.svg", group.word());
            drawings.push((name, bars(comparison, &own, figure, &labels)?));
        }
    }
    Ok(drawings)
}

fn loads(comparison: &Comparison, which: impl Fn(&Load) -> bool) -> Vec<&Load> {
    comparison.loads.iter().filter(|load| which(load)).collect()
}

/// The heaps with locks, each with the figures that `points` finds; grey where no colour is left.
fn series(comparison: &Comparison, points: impl Fn(&Heap) -> Vec<(f64, f64)>) -> Vec<Series> {
    let (mut ours, mut theirs) = (OURS.iter(), THEIRS.iter());
    let shown = comparison.heaps.iter().filter(|heap| heap.is_floor() || !heap.is_bare());
    let one = |heap: &Heap| {
        let colour = match heap.is_floor() {
            true => Some(&FAINT),
            false if heap.is_ace() => ours.next(),
            false => theirs.next(),
        };
        let (name, colour) = (heap.name.clone(), colour.copied().unwrap_or(MUTED));
        Series { name, points: points(heap), colour, ours: heap.is_ace() }
    };
    Vec::from_iter(shown.map(one)).into_iter().filter(|one| !one.points.is_empty()).collect()
}

/// Nanoseconds a pair, by how full the heap is.
fn by_fill(comparison: &Comparison, family: &str, loads: &[&Load]) -> Drawn<String> {
    let points = |heap: &Heap| {
        let point = |load: &&Load| {
            let line = comparison.lines.find(load, &heap.name, "ns")?;
            Some((load.fill? as f64 / 10.0, line.median))
        };
        loads.iter().filter_map(point).collect()
    };
    let labels = Labels {
        title: family.to_owned(),
        about: "a pair of alloc and free, each heap with its lock; medians over the rounds"
            .to_owned(),
        across: "live bytes in % of the arena".to_owned(),
        up: "ns (logarithmic)".to_owned(),
    };
    draw(comparison, &labels, &series(comparison, points), 20.0..95.0, &|x| format!("{x:.0}"))
}

/// What one call in so many costs.
fn latency(comparison: &Comparison, load: &Load, call: &str) -> Drawn<String> {
    let points = |heap: &Heap| {
        let cost = |halvings: usize| {
            let line = comparison.lines.find(load, &heap.name, &curve(call, halvings))?;
            // A logarithmic axis has no place for what costs nothing.
            Some((halvings as f64, line.median.max(1.0)))
        };
        (0..20).map_while(cost).collect()
    };
    let labels = Labels {
        title: format!("{call}, {}", load.name),
        about: "what one call in so many costs at least, from the fresh heap on".to_owned(),
        across: "one call in".to_owned(),
        up: "cost of the call (logarithmic)".to_owned(),
    };
    let rarity = |x: &f64| format!("{}", 1_u64 << (x.round() as u32).min(63));
    draw(comparison, &labels, &series(comparison, points), 0.0..15.0, &rarity)
}

struct Labels {
    title: String,
    about: String,
    across: String,
    up: String,
}

/// Lines over a logarithmic scale.
fn draw(
    comparison: &Comparison,
    labels: &Labels,
    series: &[Series],
    across: std::ops::Range<f64>,
    format: &dyn Fn(&f64) -> String,
) -> Drawn<String> {
    let values = || series.iter().flat_map(|one| one.points.iter().map(|point| point.1));
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(1.0, f64::max));
    let up = (low.max(0.5) * 0.8..high * 1.3).log_scale();
    let formats: (Format<'_>, Format<'_>) = (format, &|value| short(*value));
    page(comparison, labels, series, (across, up), formats, |chart| {
        for one in series {
            let width = if one.ours { 3 } else { 1 };
            let style = one.colour.stroke_width(width);
            let points = one.points.iter().copied();
            chart.draw_series(LineSeries::new(points, style).point_size(width + 1))?;
        }
        Ok(())
    })
}

/// Permille: a group of bars for each load.
fn bars(comparison: &Comparison, loads: &[&Load], figure: &str, labels: &Labels) -> Drawn<String> {
    let points = |heap: &Heap| {
        let point = |(at, load): (usize, &&Load)| {
            let line = comparison.lines.find(load, &heap.name, figure)?;
            Some((at as f64, line.median))
        };
        loads.iter().enumerate().filter_map(point).collect()
    };
    let series = series(comparison, points);
    let names = |x: &f64| {
        let at = ((x - x.round()).abs() < 1e-6).then_some(x.round() as usize);
        at.and_then(|at| loads.get(at)).map_or(String::new(), |load| load.name.clone())
    };
    let (width, across) = (0.84 / series.len().max(1) as f64, -0.5..loads.len() as f64 - 0.5);
    page(
        comparison,
        labels,
        &series,
        (across, 0.0..1000.0),
        (&names, &|value| short(*value)),
        |chart| {
            for (at, one) in series.iter().enumerate() {
                let bar = |&(x, y): &(f64, f64)| {
                    let left = x - 0.42 + at as f64 * width;
                    Rectangle::new([(left, 0.0), (left + width * 0.9, y)], one.colour.filled())
                };
                chart.draw_series(one.points.iter().map(bar))?;
            }
            Ok(())
        },
    )
}

type Chart<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedF64, Y>>;
type RangedF64 = plotters::coord::types::RangedCoordf64;

/// How numbers are written on an axis.
type Format<'a> = &'a dyn Fn(&f64) -> String;

/// Heading, axes, what `fill` draws, and the legend.
fn page<Y>(
    comparison: &Comparison,
    labels: &Labels,
    series: &[Series],
    (across, up): (std::ops::Range<f64>, Y),
    (format_x, format_y): (Format<'_>, Format<'_>),
    fill: impl Fn(&mut Chart<'_, '_, Y::CoordDescType>) -> Drawn,
) -> Drawn<String>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    drawing::picture(&labels.title, &labels.about, &comparison.machine, |_, below| {
        let (left, legend) = below.split_horizontally(SIZE.0 - LEGEND);
        let mut builder = ChartBuilder::on(&left);
        builder.margin(14).x_label_area_size(56).y_label_area_size(70);
        let mut chart = builder.build_cartesian_2d(across, up)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(&labels.across).y_desc(&labels.up).x_labels(16);
        mesh.x_label_formatter(&format_x).y_label_formatter(&format_y);
        mesh.label_style(style(SMALL, INK, HPos::Center, VPos::Top))
            .axis_desc_style(("sans-serif", LARGE).into_font().color(&INK));
        mesh.light_line_style(TRANSPARENT).bold_line_style(FAINT);
        mesh.axis_style(MUTED).draw()?;
        fill(&mut chart)?;
        for (one, y) in series.iter().zip((16..).step_by(22)) {
            legend.draw(&Rectangle::new([(8, y + 2), (26, y + 12)], one.colour.filled()))?;
            write(&legend, &one.name, SMALL, INK, (34, y))?;
        }
        Ok(())
    })
}

/// As few digits as say it.
fn short(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
