//! Policies side by side. Floor: tool.

use super::{Figure, SIZE, colour};
use crate::{
    agents::output::Findings,
    style::{self, Area, Drawn, FAINT, INK, MUTED},
};
use ace_alloc_cuda_sim::experiment::Row;
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, VPos},
};

/// Space for the policies' names, and for the figures beside the bars.
const NAMES: i32 = 90;
const NUMBERS: i32 = 60;
const TOP: i32 = 46;
const BOTTOM: i32 = 24;

/// A panel for each figure.
pub fn bars(findings: &Findings, figures: [Figure; 2]) -> Drawn<String> {
    let rows = findings.groups.first().map_or(&[][..], |group| &group.rows);
    let mut drawing = String::new();
    {
        let area = SVGBackend::with_string(&mut drawing, SIZE).into_drawing_area();
        let title = "Policies compared with what none can beat";
        let below = style::page(&area, title, &findings.title, &findings.device)?;
        for (panel, figure) in below.split_evenly((1, figures.len())).iter().zip(figures) {
            draw_panel(panel, rows, figure)?;
        }
        area.present()?;
    }
    Ok(drawing)
}

fn draw_panel(panel: &Area, rows: &[Row], figure: Figure) -> Drawn {
    let (width, height) = panel.dim_in_pixel();
    let (width, height) = (width.cast_signed(), height.cast_signed());
    let values: Vec<f64> = rows.iter().map(figure.of).collect();
    let most = values.iter().copied().filter(|value| value.is_finite()).fold(1.0, f64::max);
    let room = f64::from(width - NAMES - NUMBERS);
    let across = |value: f64| NAMES + (value.min(most) / most * room).round() as i32;
    let pitch = (height - TOP - BOTTOM) / (rows.len().max(1) as i32);
    let thick = (pitch * 7 / 10).clamp(2, 40);
    let heading = style::letters(15, INK, HPos::Left, VPos::Top);
    panel.draw_text(figure.title, &heading, (NAMES, 12))?;
    for ((nth, row), value) in (0..).zip(rows).zip(&values) {
        let top = TOP + nth * pitch + (pitch - thick) / 2;
        let middle = top + thick / 2;
        let ends = [(NAMES, top), (across(*value), top + thick)];
        panel.draw(&Rectangle::new(ends, colour(row.policy).filled()))?;
        let name = style::letters(14, INK, HPos::Right, VPos::Center);
        panel.draw_text(row.policy, &name, (NAMES - 8, middle))?;
        let number = style::letters(13, INK, HPos::Left, VPos::Center);
        let beside = (across(*value) + 6, middle);
        let written = if value.is_finite() { format!("{value:.2}") } else { "-".to_owned() };
        panel.draw_text(&written, &number, beside)?;
    }
    let bottom = TOP + rows.len() as i32 * pitch;
    let axis = PathElement::new([(NAMES, TOP), (NAMES, bottom)], FAINT.stroke_width(1));
    panel.draw(&axis)?;
    if let Some(floor) = figure.floor {
        let at = across(floor);
        let line = [(at, TOP - 4), (at, bottom)];
        panel.draw(&PathElement::new(line, INK.stroke_width(1)))?;
        let note = style::letters(12, MUTED, HPos::Center, VPos::Top);
        panel.draw_text("the bound", &note, (at, bottom + 4))?;
    }
    Ok(())
}
