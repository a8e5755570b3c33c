//! Dials over time: steps for each dial, and a row for each class where classes have their own. Floor: tool.

use super::{LEFT, NAMES, Panel, RIGHT, Time, USED, draw_scale};
use crate::{
    explain::{
        decisions::{class_value, counted, value},
        lines::Trace,
    },
    report::bytes,
    style::{Area, Drawn, INK, MUTED, letters},
};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, VPos},
};
use std::collections::BTreeMap;

/// Most strips; those that were turned most.
const MOST: usize = 8;
const HEIGHT: i32 = 40;
/// Height of a class's row.
const ROW: i32 = 3;
const GAP: i32 = 22;

/// A dial: values from some moment on, for each class that has one.
pub struct Strip {
    name: String,
    orders: usize,
    curves: BTreeMap<Option<u64>, Vec<(u64, u64)>>,
}

/// The dials that orders turned, those that were turned most first.
pub fn steps(trace: &Trace) -> Vec<Strip> {
    let mut strips: Vec<Strip> = Vec::new();
    let begin = trace.turns.first().map_or(0, |turn| turn.ms);
    for turn in &trace.turns {
        for order in turn.orders.iter().filter(|order| order.applied) {
            let class = match order.act.as_str() {
                "set" => None,
                "set_class" => Some(order.class_bytes),
                _ => continue,
            };
            let known = strips.iter().position(|strip| strip.name == order.dial);
            let at = known.unwrap_or_else(|| {
                let (name, curves) = (order.dial.clone(), BTreeMap::new());
                strips.push(Strip { name, orders: 0, curves });
                strips.len() - 1
            });
            let real = |value| class_value(&trace.head, &order.dial, class, value).unwrap_or(value);
            let strip = &mut strips[at];
            strip.orders += 1;
            let curve =
                strip.curves.entry(class).or_insert_with(|| vec![(begin, real(order.from))]);
            curve.push((turn.ms, real(order.to)));
        }
    }
    strips.sort_by_key(|strip| usize::MAX - strip.orders);
    strips.truncate(MOST);
    strips
}

impl Strip {
    /// A dial that each class has is drawn as a row for each class.
    fn has_classes(&self) -> bool {
        self.curves.keys().any(Option::is_some)
    }

    fn height(&self) -> i32 {
        if self.has_classes() { (self.curves.len() as i32 * ROW).max(HEIGHT) } else { HEIGHT }
    }
}

/// Of all strips, with the space below each.
pub fn height(strips: &[Strip]) -> i32 {
    strips.iter().map(|strip| strip.height() + GAP).sum()
}

pub fn draw(area: &Area, strips: &[Strip], time: Time, top: i32) -> Drawn {
    let mut top = top;
    for strip in strips {
        let middle = top + strip.height() / 2;
        let more = if strip.has_classes() {
            draw_rows(area, strip, time, top)?
        } else {
            draw_steps(area, strip, time, top)?
        };
        let name = letters(13, INK, HPos::Left, VPos::Center);
        area.draw_text(&strip.name, &name, (NAMES, middle - 8))?;
        let small = letters(11, MUTED, HPos::Left, VPos::Center);
        area.draw_text(&more, &small, (NAMES, middle + 8))?;
        top += strip.height() + GAP;
    }
    Ok(())
}

fn draw_steps(area: &Area, strip: &Strip, time: Time, top: i32) -> Drawn<String> {
    let values = || strip.curves.values().flatten().map(|step| step.1);
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let above = high.max(low + 1);
    let panel = Panel { top, height: HEIGHT, low: low as f64, high: above as f64 };
    draw_scale(area, &panel, (&value(&strip.name, low), &value(&strip.name, above)))?;
    for steps in strip.curves.values() {
        area.draw(&PathElement::new(path(steps, &panel, time), INK.stroke_width(2)))?;
    }
    Ok(counted(strip.orders as u64, "order"))
}

/// A row for each class, small ones on top: the darker, the closer to the largest value the class had.
fn draw_rows(area: &Area, strip: &Strip, time: Time, top: i32) -> Drawn<String> {
    let height = strip.height() / strip.curves.len().max(1) as i32;
    let number = letters(11, MUTED, HPos::Right, VPos::Center);
    for (nth, (class, steps)) in (0..).zip(&strip.curves) {
        let y = top + nth * height;
        let most = steps.iter().map(|step| step.1).max().unwrap_or(0).max(1) as f64;
        let ends = steps.iter().skip(1).map(|step| time.x(step.0)).chain([RIGHT]);
        for (&(ms, value), end) in steps.iter().zip(ends) {
            let colour = USED.mix(0.06 + 0.8 * value as f64 / most);
            let corners = [(time.x(ms), y), (end, y + height - 1)];
            area.draw(&Rectangle::new(corners, colour.filled()))?;
        }
        let is_edge = nth == 0 || nth + 1 == strip.curves.len() as i32;
        if let Some(class) = class.filter(|_| is_edge) {
            area.draw_text(&bytes(class), &number, (LEFT - 8, y + height / 2))?;
        }
    }
    Ok(format!("rows: {} classes; dark: large", strip.curves.len()))
}

/// Steps, each value until the next; the last one until the end.
fn path(steps: &[(u64, u64)], panel: &Panel, time: Time) -> Vec<(i32, i32)> {
    let mut path: Vec<(i32, i32)> = Vec::new();
    for &(ms, value) in steps {
        let (x, y) = (time.x(ms).max(LEFT), panel.y(value as f64));
        if let Some(&(_, before)) = path.last() {
            path.push((x, before));
        }
        path.push((x, y));
    }
    if let Some(&(_, last)) = path.last() {
        path.push((RIGHT, last));
    }
    path
}
