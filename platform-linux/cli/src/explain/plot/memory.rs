//! Memory over time, the phases behind it, and what went to the system and came back. Floor: tool.

use super::{
    DIRTY, LEFT, NAMES, Panel, RESIDENT, RIGHT, Time, USED, WANTED, draw_name, draw_scale,
};
use crate::{
    explain::story::{Point, Story},
    report::bytes,
    style::{Area, Drawn, FAINT, MUTED, letters},
};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, VPos},
};

pub const HEIGHT: i32 = 290;
pub const FLOW_HEIGHT: i32 = 90;
/// Narrower phases have no name.
const NAMED: i32 = 56;
/// Numbers of the scale above zero.
const MOST_NUMBERS: u64 = 6;
const PHASE: RGBColor = RGBColor(247, 247, 250);

/// Bands behind all panels, every other one tinted, with their names on top.
pub fn draw_phases(area: &Area, story: &Story, time: Time, (top, bottom): (i32, i32)) -> Drawn {
    let style = letters(11, MUTED, HPos::Center, VPos::Bottom);
    for (nth, phase) in story.phases.iter().enumerate() {
        let (from, to) = (time.x(phase.from_ms), time.x(phase.to_ms));
        if nth % 2 == 0 {
            area.draw(&Rectangle::new([(from, top), (to, bottom)], PHASE.filled()))?;
        }
        if to - from >= NAMED {
            area.draw_text(phase.kind.name(), &style, ((from + to) / 2, top - 3))?;
        }
    }
    Ok(())
}

/// A line of the panel.
struct Curve {
    name: &'static str,
    colour: RGBColor,
    width: u32,
    of: fn(&Point) -> Option<u64>,
}

const CURVES: [Curve; 3] = [
    Curve { name: "in use", colour: USED, width: 2, of: |point| Some(point.used) },
    Curve { name: "free, not given back", colour: DIRTY, width: 2, of: |point| Some(point.dirty) },
    Curve { name: "resident", colour: RESIDENT, width: 2, of: |point| point.rss },
];

pub fn draw(area: &Area, story: &Story, time: Time, top: i32) -> Drawn {
    let most = |curve: &Curve| story.points.iter().filter_map(curve.of).max();
    let high = CURVES.iter().filter_map(most).max().unwrap_or(0).max(1);
    let panel = Panel { top, height: HEIGHT, low: 0.0, high: high as f64 * 1.04 };
    let step = step(high);
    for value in (1..).map(|times| times * step).take_while(|value| *value <= high) {
        let y = panel.y(value as f64);
        area.draw(&PathElement::new([(LEFT, y), (RIGHT, y)], FAINT.stroke_width(1)))?;
        let number = letters(11, MUTED, HPos::Right, VPos::Center);
        area.draw_text(&bytes(value), &number, (LEFT - 8, y))?;
    }
    draw_scale(area, &panel, ("0", ""))?;
    for (nth, curve) in (0..).zip(&CURVES) {
        let Some(peak) = most(curve) else { continue };
        let line = thinned(story, time, &panel, curve.of);
        if nth == 0 {
            draw_under(area, &line, &panel, curve.colour)?;
        }
        area.draw(&PathElement::new(line, curve.colour.stroke_width(curve.width)))?;
        let y = top + 14 + nth * 44;
        let swatch = [(NAMES, y), (NAMES + 12, y)];
        area.draw(&PathElement::new(swatch, curve.colour.stroke_width(3)))?;
        draw_name(area, y, curve.name, &format!("up to {}", bytes(peak)))?;
    }
    Ok(())
}

/// Between two numbers of the scale: 1, 2 or 5 of a power of ten of KiB, MiB or GiB.
fn step(high: u64) -> u64 {
    let unit = [1 << 30, 1 << 20, 1 << 10].into_iter().find(|unit| high / unit >= 2).unwrap_or(1);
    let powers = (0..).map(|power| 10_u64.pow(power) * unit);
    let mut steps = powers.flat_map(|power| [power, 2 * power, 5 * power]);
    steps.find(|step| high / step <= MOST_NUMBERS).unwrap_or(high)
}

fn draw_under(area: &Area, line: &[(i32, i32)], panel: &Panel, colour: RGBColor) -> Drawn {
    let (Some(first), Some(last)) = (line.first(), line.last()) else { return Ok(()) };
    let ends = [(last.0, panel.bottom()), (first.0, panel.bottom())];
    let outline: Vec<(i32, i32)> = line.iter().copied().chain(ends).collect();
    area.draw(&Polygon::new(outline, colour.mix(0.12).filled()))
}

/// The curve with at most four points for each column of the page: a trace of hours has more lines than a
/// page has columns.
fn thinned(
    story: &Story,
    time: Time,
    panel: &Panel,
    of: fn(&Point) -> Option<u64>,
) -> Vec<(i32, i32)> {
    let mut line: Vec<(i32, i32)> = Vec::new();
    let mut column: Vec<(i32, i32)> = Vec::new();
    let mut close = |column: &mut Vec<(i32, i32)>| {
        let (low, high) = (column.iter().map(|at| at.1).max(), column.iter().map(|at| at.1).min());
        for (nth, &at) in column.iter().enumerate() {
            let ends = nth == 0 || nth + 1 == column.len();
            if (ends || Some(at.1) == low || Some(at.1) == high) && line.last() != Some(&at) {
                line.push(at);
            }
        }
        column.clear();
    };
    for point in &story.points {
        let Some(value) = of(point) else { continue };
        let x = time.x(point.ms);
        if column.last().is_some_and(|last| last.0 != x) {
            close(&mut column);
        }
        column.push((x, panel.y(value as f64)));
    }
    close(&mut column);
    line
}

/// Whether anything was given back or wanted again.
pub fn has_flow(story: &Story) -> bool {
    story.points.iter().any(|point| point.purged > 0 || point.refaulted > 0)
}

/// Given back: up. Wanted again: down.
pub fn draw_flow(area: &Area, story: &Story, time: Time, top: i32) -> Drawn {
    let columns = columns(story, time);
    let most = columns.iter().map(|(_, up, down)| (*up).max(*down)).max().unwrap_or(0).max(1);
    let has_down = columns.iter().any(|column| column.2 > 0);
    let low = if has_down { -(most as f64) } else { 0.0 };
    let panel = Panel { top, height: FLOW_HEIGHT, low, high: most as f64 };
    let zero = panel.y(0.0);
    let number = if has_down { bytes(most) } else { "0".to_owned() };
    draw_scale(area, &panel, (&number, &bytes(most)))?;
    area.draw(&PathElement::new([(LEFT, zero), (RIGHT, zero)], MUTED.stroke_width(1)))?;
    for (x, up, down) in columns {
        for (value, colour) in [(up as f64, USED), (-(down as f64), WANTED)] {
            if value != 0.0 {
                // What is small beside the largest is still seen.
                let least = zero - 2 * value.signum() as i32;
                let y = panel.y(value);
                let y = if value > 0.0 { y.min(least) } else { y.max(least) };
                area.draw(&PathElement::new([(x, zero), (x, y)], colour.stroke_width(2)))?;
            }
        }
    }
    let rows = [
        (USED, "given back", bytes(story.points.iter().map(|point| point.purged).sum())),
        (WANTED, "wanted again", bytes(story.points.iter().map(|point| point.refaulted).sum())),
    ];
    for (nth, (colour, name, sum)) in (0..).zip(rows) {
        let y = top + 14 + nth * 44;
        area.draw(&Rectangle::new([(NAMES, y - 5), (NAMES + 11, y + 5)], colour.filled()))?;
        draw_name(area, y, name, &format!("{sum} in all"))?;
    }
    Ok(())
}

/// Sums for each column of the page: where, given back, wanted again.
fn columns(story: &Story, time: Time) -> Vec<(i32, u64, u64)> {
    let mut columns: Vec<(i32, u64, u64)> = Vec::new();
    for point in story.points.iter().filter(|point| point.purged > 0 || point.refaulted > 0) {
        let x = time.x(point.ms);
        match columns.last_mut() {
            Some(last) if last.0 == x => {
                last.1 += point.purged;
                last.2 += point.refaulted;
            }
            _ => columns.push((x, point.purged, point.refaulted)),
        }
    }
    columns
}
