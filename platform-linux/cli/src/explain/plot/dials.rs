//! Dials over time, as steps: a strip for each dial, and one for all classes where each has its own.
//! Floor: tool.

use super::{LEFT, NAMES, Panel, RESIDENT, RIGHT, Time, USED, draw_scale};
use crate::{
    explain::{
        decisions::{class_value, value},
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

/// Of all strips, without the space below the last.
pub fn height(strips: &[Strip]) -> i32 {
    strips.len() as i32 * (HEIGHT + GAP)
}

pub fn draw(area: &Area, strips: &[Strip], time: Time, top: i32) -> Drawn {
    for (nth, strip) in (0..).zip(strips) {
        draw_strip(area, strip, time, top + nth * (HEIGHT + GAP))?;
    }
    Ok(())
}

fn draw_strip(area: &Area, strip: &Strip, time: Time, top: i32) -> Drawn {
    let values = || strip.curves.values().flatten().map(|step| step.1);
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let above = high.max(low + 1);
    let panel = Panel { top, height: HEIGHT, low: low as f64, high: above as f64 };
    draw_scale(area, &panel, (&value(&strip.name, low), &value(&strip.name, above)))?;
    let classes: Vec<u64> = strip.curves.keys().flatten().copied().collect();
    for (class, steps) in &strip.curves {
        let colour = class.map_or(INK.to_rgba(), |class| shade(&classes, class));
        area.draw(&PathElement::new(path(steps, &panel, time), colour.stroke_width(2)))?;
    }
    let name = letters(13, INK, HPos::Left, VPos::Center);
    area.draw_text(&strip.name, &name, (NAMES, top + HEIGHT / 2 - 8))?;
    let more = match (classes.first(), classes.last()) {
        (Some(first), Some(last)) if first != last => {
            let (first, last) = (bytes(*first), bytes(*last));
            format!("{} classes, {first} to {last}", classes.len())
        }
        (Some(only), _) => format!("blocks of {}", bytes(*only)),
        _ if strip.orders == 1 => "1 order".to_owned(),
        _ => format!("{} orders", strip.orders),
    };
    let small = letters(11, MUTED, HPos::Left, VPos::Center);
    area.draw_text(&more, &small, (NAMES, top + HEIGHT / 2 + 8))
}

/// Small classes are blue, large ones orange.
fn shade(classes: &[u64], class: u64) -> RGBAColor {
    let place = classes.iter().position(|known| *known == class).unwrap_or(0);
    let part = place as f64 / classes.len().saturating_sub(1).max(1) as f64;
    let mix = |small: u8, large: u8| {
        (f64::from(small) * (1.0 - part) + f64::from(large) * part).round() as u8
    };
    let (small, large) = (USED, RESIDENT);
    RGBColor(mix(small.0, large.0), mix(small.1, large.1), mix(small.2, large.2)).mix(0.8)
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
