//! Owns what all pictures share: the page, its heading, colours and letters.

use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::machine::Machine;

/// Width and height.
pub const SIZE: (u32, u32) = (1200, 760);
/// Height of the heading.
const HEADING: i32 = 84;
pub const INK: RGBColor = RGBColor(34, 34, 34);
pub const MUTED: RGBColor = RGBColor(105, 105, 105);
pub const FAINT: RGBColor = RGBColor(228, 228, 228);
/// Ours.
pub const ACE: RGBColor = RGBColor(213, 94, 0);
/// Text sizes.
const TITLE: i32 = 26;
pub const LARGE: i32 = 17;
pub const SMALL: i32 = 15;

pub type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<io::Error>>;
pub type Page<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An SVG: the title, what is shown, the machine; below, what `fill` draws there. It also gets the whole
/// page.
pub fn picture(
    title: &str,
    about: &str,
    machine: &Machine,
    fill: impl FnOnce(&Page, &Page) -> Drawn,
) -> Drawn<String> {
    let mut drawing = String::new();
    {
        let page = SVGBackend::with_string(&mut drawing, SIZE).into_drawing_area();
        page.fill(&WHITE)?;
        write(&page, title, TITLE, INK, (28, 16))?;
        write(&page, about, SMALL, MUTED, (28, 44))?;
        write(&page, &machine.describe(), SMALL, MUTED, (28, 61))?;
        fill(&page, &page.split_vertically(HEADING).1)?;
        page.present()?;
    }
    Ok(drawing)
}

/// Letters, and what of the text its point is.
pub fn style(size: i32, colour: RGBColor, across: HPos, down: VPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour).pos(Pos::new(across, down))
}

/// A text by its upper left corner.
pub fn write(page: &Page, text: &str, size: i32, colour: RGBColor, at: (i32, i32)) -> Drawn {
    page.draw_text(text, &style(size, colour, HPos::Left, VPos::Top), at)
}
