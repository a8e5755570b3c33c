//! What all drawings share: colours, letters, headings. Floor: tool.

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

pub const INK: RGBColor = RGBColor(34, 34, 34);
pub const FAINT: RGBColor = RGBColor(222, 222, 222);
pub const MUTED: RGBColor = RGBColor(110, 110, 110);
const HEADING: i32 = 78;

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<std::io::Error>>;

pub fn letters(size: i32, colour: RGBColor, across: HPos, down: VPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour).pos(Pos::new(across, down))
}

/// A white page with a heading of two lines; returns what is below it.
pub fn page<'a>(area: &Area<'a>, title: &str, heading: &str, device: &str) -> Drawn<Area<'a>> {
    area.fill(&WHITE)?;
    let left = |size, colour| letters(size, colour, HPos::Left, VPos::Top);
    area.draw_text(title, &left(20, INK), (24, 14))?;
    area.draw_text(heading, &left(13, MUTED), (24, 40))?;
    area.draw_text(device, &left(13, MUTED), (24, 57))?;
    Ok(area.split_vertically(HEADING).1)
}
