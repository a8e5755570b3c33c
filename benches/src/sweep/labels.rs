//! Owns where labels stand: near their points, not on each other, and on as few points as can be.

/// A rectangle in pixels: left, top, right, bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
}

/// A text and the point that it belongs to.
pub struct Label {
    pub point: (i32, i32),
    /// Width and height.
    pub size: (i32, i32),
}

/// Distances between a point and its label, the best first.
const GAPS: [i32; 4] = [12, 24, 44, 72];
/// What a covered point costs, in pixels of distance.
const COVERED: i32 = 30;

impl Area {
    fn contains(&self, (x, y): (i32, i32)) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }

    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn holds(&self, other: &Self) -> bool {
        self.contains((other.left, other.top)) && self.contains((other.right, other.bottom))
    }

    /// A little larger on all sides.
    fn wider(&self, by: i32) -> Self {
        Self {
            left: self.left - by,
            top: self.top - by,
            right: self.right + by,
            bottom: self.bottom + by,
        }
    }
}

/// The areas of the labels, in their order, inside `frame` as far as there is room.
pub fn place(labels: &[Label], points: &[(i32, i32)], frame: Area) -> Vec<Area> {
    let mut placed = Vec::<Area>::new();
    for label in labels {
        let free = |area: &Area| {
            let own = |other: &&Label| !std::ptr::eq(*other, label);
            let clear = |other: &Label| !area.wider(6).contains(other.point);
            frame.holds(area)
                && !placed.iter().any(|other| area.wider(2).meets(other))
                && labels.iter().filter(own).all(clear)
        };
        let cost = |(gap, area): &(i32, Area)| {
            gap + COVERED
                * points.iter().filter(|&&point| area.wider(7).contains(point)).count() as i32
        };
        let places = || GAPS.into_iter().flat_map(|gap| around(label, gap).map(|area| (gap, area)));
        let best = places().filter(|(_, area)| free(area)).min_by_key(cost);
        placed.extend(best.or_else(|| places().next()).map(|(_, area)| area));
    }
    placed
}

/// The eight places at this distance: beside, above and below first.
fn around(label: &Label, gap: i32) -> [Area; 8] {
    let ((x, y), (width, height)) = (label.point, label.size);
    let (middle, centre) = (y - height / 2, x - width / 2);
    let (right, left, above, below) = (x + gap, x - gap - width, y - gap - height, y + gap);
    [
        (right, middle),
        (left, middle),
        (centre, above),
        (centre, below),
        (right, above),
        (left, above),
        (right, below),
        (left, below),
    ]
    .map(|(left, top)| Area { left, top, right: left + width, bottom: top + height })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Area = Area { left: 0, top: 0, right: 400, bottom: 300 };

    #[test]
    fn labels_of_close_points_stay_apart_and_in_the_frame() {
        let points = [(100, 100), (104, 101), (110, 96), (395, 5), (3, 298)];
        let labels = points.map(|point| Label { point, size: (70, 16) });
        let areas = place(&labels, &points, FRAME);
        assert_eq!(areas.len(), points.len());
        for (at, area) in areas.iter().enumerate() {
            assert!(FRAME.holds(area), "{area:?}");
            assert!(!areas[..at].iter().any(|other| area.meets(other)), "{areas:?}");
            assert!(!points.iter().any(|&point| area.contains(point)), "{area:?}");
        }
    }

    #[test]
    fn a_label_avoids_points_where_it_can() {
        let crowd = [(130, 100), (140, 98), (150, 104)];
        let label = Label { point: (100, 100), size: (60, 16) };
        let areas = place(&[label], &crowd, FRAME);
        assert!(areas[0].right <= 100, "to the left of its point: {areas:?}");
    }

    #[test]
    fn without_room_a_label_still_has_a_place() {
        let label = Label { point: (5, 5), size: (900, 900) };
        assert_eq!(place(&[label], &[], FRAME).len(), 1);
    }
}
