//! Decisions over time: a lane for each reason. Floor: tool.

use super::{LEFT, NAMES, RIGHT, Time};
use crate::{
    explain::{lines::Trace, story::Story},
    style::{Area, Drawn, FAINT, INK, MUTED, letters},
};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, VPos},
};

/// Most lanes; rarer reasons stand in the text only.
const MOST: usize = 12;
const LANE: i32 = 20;
const HEADING: i32 = 20;
const MARK: RGBColor = RGBColor(60, 60, 60);

fn lanes(story: &Story) -> usize {
    story.reasons.len().min(MOST)
}

pub fn height(story: &Story) -> i32 {
    match lanes(story) {
        0 => 0,
        lanes => HEADING + LANE * lanes as i32,
    }
}

pub fn draw(area: &Area, story: &Story, trace: &Trace, time: Time, top: i32) -> Drawn {
    let heading = letters(12, MUTED, HPos::Left, VPos::Top);
    area.draw_text("decisions, by reason", &heading, (LEFT, top))?;
    for (nth, reason) in (0..).zip(story.reasons.iter().take(lanes(story))) {
        let y = top + HEADING + nth * LANE + LANE / 2;
        area.draw(&PathElement::new([(LEFT, y), (RIGHT, y)], FAINT.stroke_width(1)))?;
        let mut last = None;
        for turn in &trace.turns {
            let mut orders = turn.orders.iter().filter(|order| order.reason == reason.reason);
            let Some(order) = orders.next() else { continue };
            let x = time.x(turn.ms);
            // One mark is enough where several would lie on each other.
            if last.replace(x) == Some(x) {
                continue;
            }
            // Filled: carried out. Hollow: only decided.
            let pen = if order.applied { MARK.filled() } else { MARK.stroke_width(1) };
            area.draw(&Circle::new((x, y), 4, pen))?;
        }
        let name = letters(13, INK, HPos::Left, VPos::Center);
        let label = format!("{} ({})", reason.reason, reason.orders);
        area.draw_text(&label, &name, (NAMES, y))?;
    }
    Ok(())
}
