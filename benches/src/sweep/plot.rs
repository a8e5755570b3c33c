//! Owns the picture: memory to the right, throughput upwards, the front, and the named points.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::grid;
use super::labels::{self, Area, Label};
use super::plane::{Kind, Plane, Spot};
use crate::drawing::{self, ACE, Drawn, FAINT, INK, LARGE, MUTED, Page, SIZE, SMALL, style, write};
use crate::machine::Machine;
use crate::rounds::Bench;

/// Width of the legend.
const LEGEND: u32 = 250;
/// Of the trims, from the leanest to the one that keeps everything.
const SHADES: [RGBColor; 5] = [
    RGBColor(0, 92, 150),
    RGBColor(64, 160, 215),
    RGBColor(0, 150, 110),
    RGBColor(205, 160, 20),
    RGBColor(150, 110, 150),
];
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// What the picture shows.
pub struct Scene<'a> {
    pub plane: &'a Plane,
    pub benches: &'a [Bench],
    pub machine: &'a Machine,
}

impl Scene<'_> {
    /// The SVG.
    pub fn draw(&self) -> Drawn<String> {
        let names = self.benches.iter().map(|b| format!("{} {}", b.name, b.words()));
        let about = format!("means over {}", Vec::from_iter(names).join(", "));
        drawing::picture("Throughput against memory", &about, self.machine, |page, below| {
            let (left, legend) = below.split_horizontally(SIZE.0 - LEGEND);
            let anchors = self.chart(&left)?;
            self.names(page, &anchors)?;
            self.legend(&legend)
        })
    }

    /// Draws axes and points; returns what the labels have to know.
    fn chart(&self, area: &Page) -> Drawn<Anchors> {
        let ([left, right], [low, high]) =
            (self.range(|spot| spot.mib), self.range(|spot| spot.mops));
        let mut builder = ChartBuilder::on(area);
        builder.margin_left(16).margin_right(12).margin_top(8).margin_bottom(14);
        builder.x_label_area_size(50).y_label_area_size(70);
        let mut chart = builder.build_cartesian_2d(left..right, low..high)?;
        let letters = style(SMALL, INK, HPos::Center, VPos::Top);
        let (wide, tall) = (right - left, high - low);
        let mut mesh = chart.configure_mesh();
        let (across, up) = (move |x: &f64| short(*x, wide), move |y: &f64| short(*y, tall));
        mesh.x_label_formatter(&across).y_label_formatter(&up);
        mesh.x_labels(9).y_labels(9);
        mesh.x_desc("mean resident memory in MiB")
            .y_desc("throughput in million operations a second (geometric mean)");
        mesh.label_style(letters.clone())
            .axis_desc_style(("sans-serif", LARGE).into_font().color(&INK));
        mesh.light_line_style(TRANSPARENT).bold_line_style(FAINT).axis_style(MUTED);
        mesh.draw()?;
        self.points(&mut chart)?;
        let place = |spot: &Spot| chart.backend_coord(&(spot.mib, spot.mops));
        let (corner, end) =
            (chart.backend_coord(&(left, high)), chart.backend_coord(&(right, low)));
        let frame = Area { left: corner.0, top: corner.1, right: end.0, bottom: end.1 };
        let spots = self.plane.spots.iter().map(place).collect();
        Ok(Anchors { spots, frame })
    }

    /// The front, and every point in the order of its weight.
    fn points(&self, chart: &mut Chart) -> Drawn {
        let spots = &self.plane.spots;
        let at = |spot: &Spot| (spot.mib, spot.mops);
        let front = stairs(self.plane.front.iter().map(|&front| at(&spots[front])));
        chart.draw_series(LineSeries::new(front, INK.mix(0.55).stroke_width(2)))?;
        for spot in spots.iter().filter(|spot| spot.kind == Kind::Grid) {
            let shade = self.shade(spot).mix(0.8).filled();
            chart.draw_series([Circle::new(at(spot), 4, shade)])?;
        }
        for &front in &self.plane.front {
            let ring = INK.mix(0.55).stroke_width(1);
            chart.draw_series([Circle::new(at(&spots[front]), 6, ring)])?;
        }
        for spot in spots.iter().filter(|spot| spot.kind == Kind::Profile) {
            let dot = EmptyElement::at(at(spot)) + diamond(9, WHITE) + diamond(7, INK);
            chart.draw_series([dot])?;
        }
        for spot in spots.iter().filter(|spot| spot.kind == Kind::Ace) {
            chart.draw_series([Circle::new(at(spot), 11, WHITE.filled())])?;
            chart.draw_series([Circle::new(at(spot), 9, ACE.filled())])?;
        }
        Ok(())
    }

    /// The names of profiles, of ACE and of the front's ends.
    fn names(&self, page: &Page, anchors: &Anchors) -> Drawn {
        let spots = &self.plane.spots;
        let named = (0..spots.len()).filter(|&at| spots[at].kind != Kind::Grid);
        let ends = [self.plane.front.first(), self.plane.front.last()].into_iter().flatten();
        let ends = ends.copied().filter(|&at| spots[at].kind == Kind::Grid);
        // The weightiest first: it has the free choice.
        let mut all = Vec::from_iter(named.rev().chain(ends));
        all.dedup();
        let size = |at: usize| if spots[at].kind == Kind::Grid { SMALL } else { LARGE };
        let extent = |at: usize| (width(&spots[at].name, size(at)), size(at) + 4);
        let label = |&at: &usize| Label { point: anchors.spots[at], size: extent(at) };
        let labels = Vec::from_iter(all.iter().map(label));
        let areas = labels::place(&labels, &self.obstacles(anchors), anchors.frame);
        for (&at, area) in all.iter().zip(areas) {
            let colour = match spots[at].kind {
                Kind::Grid => MUTED,
                Kind::Profile => INK,
                Kind::Ace => ACE,
            };
            let point = anchors.spots[at];
            let near = (point.0.clamp(area.left, area.right), point.1.clamp(area.top, area.bottom));
            let far = (near.0 - point.0).abs().max((near.1 - point.1).abs()) > 16;
            if far {
                page.draw(&PathElement::new([point, near], colour.mix(0.5).stroke_width(1)))?;
            }
            write(page, &spots[at].name, size(at), colour, (area.left, area.top + 2))?;
        }
        Ok(())
    }

    /// What labels should not cover: the points, and the front's line as a row of points.
    fn obstacles(&self, anchors: &Anchors) -> Vec<(i32, i32)> {
        const PITCH: usize = 10;
        let front = stairs(self.plane.front.iter().map(|&at| anchors.spots[at]));
        let mut obstacles = anchors.spots.clone();
        for ends in front.windows(2) {
            // One of the two ranges is a single number: a stair is level or upright.
            let ((left, right), (top, bottom)) =
                (ordered(ends[0].0, ends[1].0), ordered(ends[0].1, ends[1].1));
            for x in (left..=right).step_by(PITCH) {
                obstacles.extend((top..=bottom).step_by(PITCH).map(|y| (x, y)));
            }
        }
        obstacles
    }

    fn legend(&self, area: &Page) -> Drawn {
        let mut top = 16;
        let mut row = |height: i32| {
            top += height;
            top - height
        };
        let has = |kind| self.plane.spots.iter().any(|spot| spot.kind == kind);
        let title = |text: &str, y| write(area, text, LARGE, INK, (8, y));
        let entry = |text: &str, y| write(area, text, SMALL, INK, (40, y));
        write(area, "better: up and to the left", SMALL, MUTED, (8, row(34)))?;
        if has(Kind::Ace) {
            let y = row(26);
            area.draw(&Circle::new((22, y + 7), 9, ACE.filled()))?;
            entry("ACE, tuning itself", y)?;
        }
        if has(Kind::Profile) {
            let y = row(26);
            area.draw(&(EmptyElement::at((22, y + 7)) + diamond(7, INK)))?;
            entry("fixed profiles, ACE off", y)?;
        }
        let y = row(34);
        let line = [(10, y + 7), (34, y + 7)];
        area.draw(&PathElement::new(line, INK.mix(0.55).stroke_width(2)))?;
        area.draw(&Circle::new((22, y + 7), 6, INK.mix(0.55).stroke_width(1)))?;
        entry("Pareto front of the fixed", y)?;
        title("Grid points by trim", row(20))?;
        write(area, "free memory that may stay:", SMALL, MUTED, (8, row(18)))?;
        write(area, "at least / ‰ of the used", SMALL, MUTED, (8, row(24)))?;
        for (trim, shade) in self.trims().iter().zip(SHADES) {
            let y = row(22);
            area.draw(&Circle::new((22, y + 7), 4, shade.mix(0.8).filled()))?;
            entry(&grid::trim(*trim), y)?;
        }
        Ok(())
    }

    /// The trims of the grid, from the leanest to the one that keeps everything.
    fn trims(&self) -> Vec<(u32, u32)> {
        let spots = self.plane.spots.iter();
        let mut trims =
            Vec::from_iter(spots.filter_map(|spot| spot.dials.map(|dials| dials.dirty)));
        trims.sort_unstable();
        trims.dedup();
        trims
    }

    fn shade(&self, spot: &Spot) -> RGBColor {
        let trim = spot.dials.map(|dials| dials.dirty);
        let at = self.trims().iter().position(|other| Some(*other) == trim);
        at.and_then(|at| SHADES.get(at)).copied().unwrap_or(MUTED)
    }

    /// From the smallest to the largest value, with room at both ends.
    fn range(&self, of: impl Fn(&Spot) -> f64) -> [f64; 2] {
        let values = || self.plane.spots.iter().map(&of);
        let (low, high) =
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        let room = ((high - low) * 0.08).max(high * 0.01);
        [(low - room).max(0.0), high + room]
    }
}

/// The front as a line: between two of its points there is nothing better than the leaner one.
fn stairs<N: Copy>(front: impl Iterator<Item = (N, N)>) -> Vec<(N, N)> {
    let mut line = Vec::<(N, N)>::new();
    for point in front {
        // From the faster point straight down to the level of the leaner one.
        let corner = line.last().map(|faster| (faster.0, point.1));
        line.extend(corner.into_iter().chain([point]));
    }
    line
}

fn ordered(a: i32, b: i32) -> (i32, i32) {
    (a.min(b), a.max(b))
}

/// Where things are on the page.
struct Anchors {
    /// Of each point of the plane.
    spots: Vec<(i32, i32)>,
    /// The inside of the axes.
    frame: Area,
}

/// A square on its corner, around the point that it is added to.
fn diamond(radius: i32, colour: RGBColor) -> Polygon<(i32, i32)> {
    let corners = [(0, -radius), (radius, 0), (0, radius), (-radius, 0)];
    Polygon::new(corners, colour.filled())
}

/// About how wide a text will be; fonts differ from viewer to viewer.
fn width(text: &str, size: i32) -> i32 {
    text.chars().count() as i32 * size * 47 / 100
}

/// As few digits as tell the axis's labels apart.
fn short(value: f64, range: f64) -> String {
    match range {
        range if range >= 20.0 => format!("{value:.0}"),
        range if range >= 2.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
