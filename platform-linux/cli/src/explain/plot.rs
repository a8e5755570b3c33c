//! The story as a timeline: memory, what was given back and wanted again, decisions, dials, all over the
//! same time. Floor: tool.
//!
//! Panels are placed by hand on one page, so that a moment stands at the same place in all of them.

mod dials;
mod marks;
mod memory;

use super::{lines::Trace, story::Story, text};
use crate::style::{self, Area, Drawn, FAINT, INK, MUTED, letters};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, VPos},
};

const WIDTH: i32 = 1120;
/// Where time begins and ends.
const LEFT: i32 = 84;
const RIGHT: i32 = WIDTH - 210;
/// The column of names.
const NAMES: i32 = RIGHT + 16;
const MARGIN: i32 = 24;
const HEADING: i32 = 78;
/// The axis of time and its numbers.
const AXIS: i32 = 52;
/// Most numbers on the axis.
const TICKS: u64 = 9;

const RESIDENT: RGBColor = RGBColor(213, 94, 0);
const USED: RGBColor = RGBColor(0, 114, 178);
const DIRTY: RGBColor = RGBColor(0, 158, 115);
const WANTED: RGBColor = RGBColor(204, 121, 167);

/// Time, from left to right.
#[derive(Clone, Copy)]
struct Time {
    from: u64,
    to: u64,
}

impl Time {
    fn x(self, ms: u64) -> i32 {
        let part = ms.saturating_sub(self.from) as f64 / (self.to - self.from) as f64;
        LEFT + (part.min(1.0) * f64::from(RIGHT - LEFT)).round() as i32
    }
}

/// A panel's place on the page, below the heading, and the values at its edges.
#[derive(Clone, Copy)]
struct Panel {
    top: i32,
    height: i32,
    low: f64,
    high: f64,
}

impl Panel {
    fn y(&self, value: f64) -> i32 {
        let part = (value - self.low) / (self.high - self.low);
        self.top + self.height - (part * f64::from(self.height)).round() as i32
    }

    const fn bottom(&self) -> i32 {
        self.top + self.height
    }
}

/// The timeline.
pub fn plot(story: &Story, trace: &Trace) -> Result<String, String> {
    let (Some(first), Some(last)) = (story.points.first(), story.points.last()) else {
        return Err("there is nothing to draw: the trace has no turn".to_owned());
    };
    let time = Time { from: first.ms, to: last.ms.max(first.ms + 1) };
    draw(story, trace, time).map_err(|error| format!("the drawing failed: {error}"))
}

fn draw(story: &Story, trace: &Trace, time: Time) -> Drawn<String> {
    let steps = dials::steps(trace);
    let mut at = MARGIN;
    let mut take = |height: i32, gap: i32| {
        let top = at;
        at += height + gap;
        top
    };
    let memory_top = take(memory::HEIGHT, MARGIN);
    let flow_top = memory::has_flow(story).then(|| take(memory::FLOW_HEIGHT, MARGIN));
    let marks_height = marks::height(story);
    let marks_top = (marks_height > 0).then(|| take(marks_height, MARGIN));
    let steps_top = (!steps.is_empty()).then(|| take(dials::height(&steps), 0));
    let bottom = at;
    let mut drawing = String::new();
    {
        let size = (WIDTH.cast_unsigned(), (HEADING + bottom + AXIS).cast_unsigned());
        let area = SVGBackend::with_string(&mut drawing, size).into_drawing_area();
        let below =
            style::page(&area, &text::title(story), &text::subtitle(story), &outcome(story))?;
        memory::draw_phases(&below, story, time, (memory_top, bottom))?;
        draw_axis(&below, time, (memory_top, bottom))?;
        memory::draw(&below, story, time, memory_top)?;
        if let Some(top) = flow_top {
            memory::draw_flow(&below, story, time, top)?;
        }
        if let Some(top) = marks_top {
            marks::draw(&below, story, trace, time, top)?;
        }
        if let Some(top) = steps_top {
            dials::draw(&below, &steps, time, top)?;
        }
        area.present()?;
    }
    Ok(drawing)
}

/// What came of it, in a line.
fn outcome(story: &Story) -> String {
    use crate::report::bytes;
    let totals = &story.totals;
    let back = format!(
        "{} given back in {} purges, {} of it wanted again",
        bytes(totals.purged_bytes),
        totals.purges,
        bytes(totals.refaulted_bytes)
    );
    match totals.last_rss_bytes {
        Some(last) => format!("{back}; {} resident at the end", bytes(last)),
        None => back,
    }
}

/// Seconds at the bottom, and a faint line for each through all panels.
fn draw_axis(area: &Area, time: Time, (top, bottom): (i32, i32)) -> Drawn {
    let step = tick_ms(time.to - time.from);
    let style = letters(12, MUTED, HPos::Center, VPos::Top);
    let mut ms = time.from.next_multiple_of(step);
    while ms <= time.to {
        let x = time.x(ms);
        area.draw(&PathElement::new([(x, top), (x, bottom)], FAINT.mix(0.6).stroke_width(1)))?;
        let seconds = ms as f64 / 1000.0;
        area.draw_text(&format!("{seconds}"), &style, (x, bottom + 6))?;
        ms += step;
    }
    let name = letters(12, MUTED, HPos::Center, VPos::Top);
    area.draw_text("seconds since the program began", &name, ((LEFT + RIGHT) / 2, bottom + 24))
}

/// 1, 2 or 5 of a power of ten milliseconds, so that there are not too many.
fn tick_ms(length: u64) -> u64 {
    let mut power = 1;
    loop {
        for step in [power, power * 2, power * 5] {
            if length / step <= TICKS {
                return step;
            }
        }
        power *= 10;
    }
}

/// A panel's edges: the largest value, zero or the smallest, and their numbers.
fn draw_scale(area: &Area, panel: &Panel, (low, high): (&str, &str)) -> Drawn {
    let line = |y: i32, colour: RGBColor| {
        PathElement::new([(LEFT, y), (RIGHT, y)], colour.stroke_width(1))
    };
    area.draw(&line(panel.bottom(), MUTED))?;
    area.draw(&line(panel.top, FAINT))?;
    let number = |down| letters(11, MUTED, HPos::Right, down);
    area.draw_text(high, &number(VPos::Center), (LEFT - 8, panel.top))?;
    area.draw_text(low, &number(VPos::Center), (LEFT - 8, panel.bottom()))
}

/// A name in the right column, and a smaller line below it.
fn draw_name(area: &Area, y: i32, name: &str, more: &str) -> Drawn {
    area.draw_text(name, &letters(13, INK, HPos::Left, VPos::Center), (NAMES + 18, y))?;
    area.draw_text(more, &letters(11, MUTED, HPos::Left, VPos::Center), (NAMES + 18, y + 15))
}
