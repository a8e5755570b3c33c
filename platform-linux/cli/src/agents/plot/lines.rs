//! A figure against what varies, a line for each policy. Floor: tool.

use super::{Figure, SIZE, THROUGHPUT, colour};
use crate::{
    agents::{output::Findings, sweep::Point},
    style::{self, Area, Drawn, FAINT, INK},
};
use plotters::{
    coord::{
        ranged1d::{Ranged, ValueFormatter},
        types::RangedCoordf64,
    },
    prelude::*,
    style::text_anchor::{HPos, VPos},
};

/// Space for the legend.
const LEGEND: i32 = 150;
/// The product's policy.
const OWN: &str = "ace";
/// Above the highest value.
const HEADROOM: f64 = 1.06;

/// The values of a policy, by what varies.
struct Line {
    policy: &'static str,
    points: Vec<(f64, f64)>,
}

pub fn lines(findings: &Findings, figure: Figure) -> Drawn<String> {
    let lines = collect(findings, figure);
    let point = findings.groups.first().and_then(|group| group.point);
    let (axis, subject) = point.map_or(("", ""), names);
    let mut drawing = String::new();
    {
        let area = SVGBackend::with_string(&mut drawing, SIZE).into_drawing_area();
        let what = figure.title.split(" in ").next().unwrap_or(figure.title);
        let title = format!("{}{} against {subject}", what[..1].to_uppercase(), &what[1..]);
        let below = style::page(&area, &title, &findings.title, &findings.device)?;
        let (chart, legend) = below.split_horizontally(SIZE.0.cast_signed() - LEGEND);
        draw_chart(&chart, &lines, figure, axis)?;
        draw_legend(&legend, &lines)?;
        area.present()?;
    }
    Ok(drawing)
}

/// The axis, and the title's word for it.
fn names(point: Point) -> (&'static str, &'static str) {
    match point.name {
        "agents" => ("agents", "the number of agents"),
        "memory_percent" => ("device memory in percent of the states", "memory"),
        "memory_bytes" => ("device memory in GB", "memory"),
        _ => (
            "time to copy a state over time to compute a request",
            "the ratio of link and processor",
        ),
    }
}

fn collect(findings: &Findings, figure: Figure) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for group in &findings.groups {
        let Some(point) = group.point else { continue };
        let scale = if point.name == "memory_bytes" { 1e9 } else { 1.0 };
        for row in &group.rows {
            let value = (point.value / scale, (figure.of)(row));
            match lines.iter_mut().find(|line| line.policy == row.policy) {
                Some(line) => line.points.push(value),
                None => lines.push(Line { policy: row.policy, points: vec![value] }),
            }
        }
    }
    for line in &mut lines {
        line.points.retain(|(_, value)| value.is_finite());
        line.points.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    lines
}

fn draw_chart(area: &Area, lines: &[Line], figure: Figure, axis: &str) -> Drawn {
    let all = || lines.iter().flat_map(|line| &line.points);
    let first = all().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let last = all().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
    let high = all().map(|point| point.1).fold(0.0, f64::max).max(1e-9) * HEADROOM;
    // A single value is drawn in the middle; of ratios, equal factors are equally far apart.
    let (first, last) =
        if first < last { (first, last) } else { (first * 0.5, first * 1.5 + 1e-9) };
    let low = if figure.title == THROUGHPUT.title { 0.0 } else { 0.9 };
    let mut builder = ChartBuilder::on(area);
    builder.margin_left(16).margin_right(8).margin_top(10).margin_bottom(10);
    builder.x_label_area_size(46).y_label_area_size(64);
    let values = low..high;
    if axis.starts_with("time") {
        draw_on(builder.build_cartesian_2d((first..last).log_scale(), values)?, lines, figure, axis)
    } else {
        draw_on(builder.build_cartesian_2d(first..last, values)?, lines, figure, axis)
    }
}

fn draw_on<X>(
    mut chart: ChartContext<SVGBackend, Cartesian2d<X, RangedCoordf64>>,
    lines: &[Line],
    figure: Figure,
    axis: &str,
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let letters = style::letters(13, INK, HPos::Center, VPos::Top);
    let mut mesh = chart.configure_mesh();
    mesh.x_label_formatter(&short).y_label_formatter(&short);
    mesh.x_desc(axis).y_desc(figure.title).label_style(letters.clone()).axis_desc_style(letters);
    mesh.light_line_style(TRANSPARENT).bold_line_style(FAINT).axis_style(INK).draw()?;
    // The widest first, so that what lies on it is seen.
    let own = |line: &&Line| line.policy == OWN;
    for line in lines.iter().filter(own).chain(lines.iter().filter(|line| !own(line))) {
        let (stroke, dot) = pens(line);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), stroke))?;
        chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 3, dot)))?;
    }
    Ok(())
}

/// As few digits as it takes, and no more than three after the point.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as it is called")]
fn short(value: &f64) -> String {
    format!("{}", (value * 1000.0).round() / 1000.0)
}

/// The product's own line is wide.
fn pens(line: &Line) -> (ShapeStyle, ShapeStyle) {
    let colour = colour(line.policy);
    (colour.stroke_width(if line.policy == OWN { 7 } else { 2 }), colour.filled())
}

/// In the order of the lines' ends, so that a name is near its line.
fn draw_legend(area: &Area, lines: &[Line]) -> Drawn {
    let end = |line: &Line| line.points.last().map_or(0.0, |point| point.1);
    let mut sorted: Vec<&Line> = lines.iter().collect();
    sorted.sort_by(|one, other| end(other).total_cmp(&end(one)));
    for (at, line) in (0..).zip(sorted) {
        let (stroke, dot) = pens(line);
        let middle = 24 + at * 24;
        area.draw(&PathElement::new([(10, middle), (38, middle)], stroke))?;
        area.draw(&Circle::new((24, middle), 3, dot))?;
        let name = style::letters(14, INK, HPos::Left, VPos::Center);
        area.draw_text(line.policy, &name, (46, middle))?;
    }
    Ok(())
}
