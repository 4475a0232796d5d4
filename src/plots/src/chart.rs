//! Charts: curves between two axes, with a legend.

use crate::axis::{Axis, Unit};
use crate::picture::{Anchor, COLOURS, Ink, Picture, Shape, fit, width_of};

/// Size of a chart, pixels.
const WIDTH: u32 = 960;
const HEIGHT: u32 = 440;
/// Room around the plot.
const LEFT: f32 = 72.0;
const TOP: f32 = 56.0;
const BOTTOM: f32 = 52.0;
const LEGEND: f32 = 188.0;
/// Height of a line of the legend, and how many there are at most.
const LEGEND_LINE: f32 = 19.0;
const LEGEND_LINES: usize = 17;
/// Room between the names of marks, and the least that a name is cut to, pixels.
const MARK_GAP: f32 = 8.0;
const MARK_WIDTH_MIN: f32 = 48.0;
/// The most that a name takes that reaches over other marks.
const MARK_WIDTH_MAX: f32 = 120.0;
/// Dashes of the curves that come when all colours are used.
const DASHES: [f32; 4] = [0.0, 6.0, 3.0, 10.0];

/// A curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What the legend says.
    pub name: String,
    /// Its points, by growing x.
    pub points: Vec<(f64, f64)>,
    /// Of repeated measurements: the least and the largest value at each point; or nothing.
    pub spread: Vec<(f64, f64)>,
    /// A value holds until the next point's.
    pub steps: bool,
    /// It is drawn in dashes: what lies beneath is seen, too.
    pub dashed: bool,
}

impl Curve {
    /// A line through points.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, spread: Vec::new(), steps: false, dashed: false }
    }
}

/// Curves between two axes.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// The curves.
    pub curves: Vec<Curve>,
    /// Places on the x axis that have a line and a name, by growing x: where something begins.
    pub marks: Vec<(f64, String)>,
}

/// The plot's edges in the picture.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Left edge.
    pub left: f32,
    /// Upper edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Lower edge.
    pub bottom: f32,
}

/// The plot's edges, the same in every chart.
pub const FRAME: Frame =
    Frame { left: LEFT, top: TOP, right: WIDTH as f32 - LEGEND, bottom: HEIGHT as f32 - BOTTOM };

impl Chart {
    /// Latency over percentiles.
    pub fn percentiles(title: &str, curves: Vec<Curve>, logarithmic: bool) -> Self {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let x = Axis::percentiles(points().map(|(inverse, _)| *inverse).fold(1.0, f64::max));
        let outer =
            curves.iter().flat_map(|curve| &curve.spread).flat_map(|(least, largest)| [*least, *largest]);
        let y = latency_axis(points().map(|(_, value)| *value).chain(outer), logarithmic);
        Self { title: title.into(), x, y, curves, marks: Vec::new() }
    }

    /// Something about every interval, over time.
    pub fn over_time(title: &str, y: Axis, curves: Vec<Curve>) -> Self {
        let ends = curves.iter().filter_map(|curve| curve.points.last());
        let x = Axis::time(ends.map(|(end, _)| *end).fold(0.0, f64::max));
        Self { title: title.into(), x, y, curves, marks: Vec::new() }
    }

    /// Where a point lies in the picture.
    pub fn place(&self, (x, y): (f64, f64)) -> (f32, f32) {
        let Frame { left, top, right, bottom } = FRAME;
        (left + (right - left) * self.x.place(x) as f32, bottom - (bottom - top) * self.y.place(y) as f32)
    }

    /// Draws it.
    pub fn draw(&self) -> Picture {
        let mut picture = Picture::new(WIDTH, HEIGHT);
        self.draw_axes(&mut picture);
        self.draw_marks(&mut picture);
        for (number, curve) in self.curves.iter().enumerate() {
            self.draw_curve(number, curve, &mut picture);
        }
        self.draw_legend(&mut picture);
        picture
    }

    fn draw_axes(&self, picture: &mut Picture) {
        let Frame { left, top, right, bottom } = FRAME;
        picture.words((left, 22.0), Anchor::Start, Ink::Text, &self.title);
        picture.words((left, top - 10.0), Anchor::Start, Ink::Pale, &self.y.title);
        picture.words((right, bottom + 43.0), Anchor::End, Ink::Pale, &self.x.title);
        for tick in self.y.ticks() {
            let y = self.place((0.0, tick)).1;
            picture.rule((left, y), (right, y), Ink::Grid);
            picture.words((left - 8.0, y + 4.5), Anchor::End, Ink::Pale, self.y.text(tick));
        }
        let mut free_from = 0.0;
        for tick in self.x.ticks() {
            let x = self.place((tick, 0.0)).0;
            picture.rule((x, top), (x, bottom), Ink::Grid);
            let text = self.x.text(tick);
            let half = width_of(&text) / 2.0;
            if x - half >= free_from {
                free_from = x + half + 6.0;
                picture.words((x, bottom + 20.0), Anchor::Middle, Ink::Pale, text);
            }
        }
        picture.rule((left, bottom), (right, bottom), Ink::Pale);
    }

    /// Lines of marks, and their names in the row of the x axis' title. Where marks are close to each other, those that find no room
    /// for a name are small ticks.
    fn draw_marks(&self, picture: &mut Picture) {
        let Frame { left, top, right, bottom } = FRAME;
        let end = right - width_of(&self.x.title) - MARK_GAP;
        let mut free_from = left;
        for (number, (x, name)) in self.marks.iter().enumerate() {
            let x = self.place((*x, 0.0)).0;
            let next = self.marks.get(number + 1).map_or(end, |(next, _)| self.place((*next, 0.0)).0);
            // A name ends at the next mark, unless that is so near that it has none itself.
            let own = next.min(end) - x - 2.0 * MARK_GAP;
            let room = if own < MARK_WIDTH_MIN { MARK_WIDTH_MAX.min(end - x - 2.0 * MARK_GAP) } else { own };
            if x < free_from || room < MARK_WIDTH_MIN.min(width_of(name)) {
                picture.rule((x, bottom), (x, bottom + 5.0), Ink::Pale);
                continue;
            }
            let points = vec![(x, top), (x, bottom)];
            picture.shapes.push(Shape::Line { points, ink: Ink::Pale, width: 1.0, dash: 3.0, curve: None });
            let name = fit(name, room);
            free_from = x + width_of(&name) + 2.0 * MARK_GAP;
            picture.rule((x, bottom + 32.0), (x, bottom + 45.0), Ink::Pale);
            picture.words((x + MARK_GAP / 2.0, bottom + 43.0), Anchor::Start, Ink::Pale, name);
        }
    }

    fn draw_curve(&self, number: usize, curve: &Curve, picture: &mut Picture) {
        let ink = Ink::Series(number);
        if !curve.spread.is_empty() {
            let side = |pick: fn(&(f64, f64)) -> f64| {
                let places = curve.points.iter().zip(&curve.spread);
                places.map(move |((x, _), both)| self.place((*x, pick(both)))).collect::<Vec<_>>()
            };
            let mut points = side(|both| both.1);
            points.extend(side(|both| both.0).into_iter().rev());
            picture.shapes.push(Shape::Area { points, ink, curve: Some(number) });
        }
        let mut points: Vec<(f32, f32)> = Vec::with_capacity(curve.points.len() * 2);
        for point in &curve.points {
            let place = self.place(*point);
            if let Some(before) = points.last().filter(|_| curve.steps) {
                points.push((place.0, before.1));
            }
            points.push(place);
        }
        let dash = dash(number, curve);
        picture.shapes.push(Shape::Line { points, ink, width: 2.0, dash, curve: Some(number) });
    }

    /// What finds no room in the legend is counted there.
    fn draw_legend(&self, picture: &mut Picture) {
        let left = FRAME.right + 16.0;
        let shown = if self.curves.len() > LEGEND_LINES { LEGEND_LINES - 1 } else { self.curves.len() };
        for (number, curve) in self.curves.iter().take(shown).enumerate() {
            let y = TOP + 8.0 + LEGEND_LINE * number as f32;
            let points = vec![(left, y - 4.5), (left + 22.0, y - 4.5)];
            let (ink, dash) = (Ink::Series(number), dash(number, curve));
            picture.shapes.push(Shape::Line { points, ink, width: 2.0, dash, curve: Some(number) });
            let name = fit(&curve.name, LEGEND - 16.0 - 28.0 - 4.0);
            picture.words((left + 28.0, y), Anchor::Start, Ink::Text, name);
        }
        if shown < self.curves.len() {
            let y = TOP + 8.0 + LEGEND_LINE * shown as f32;
            let more = format!("and {} more", self.curves.len() - shown);
            picture.words((left + 28.0, y), Anchor::Start, Ink::Pale, more);
        }
    }
}

/// The axis of latencies.
pub fn latency_axis(values: impl Iterator<Item = f64>, logarithmic: bool) -> Axis {
    match logarithmic {
        true => Axis::logarithmic("latency, logarithmic", Unit::Nanoseconds, values),
        false => Axis::linear("latency", Unit::Nanoseconds, values),
    }
}

fn dash(number: usize, curve: &Curve) -> f32 {
    let repeats = number / COLOURS + usize::from(curve.dashed);
    DASHES[repeats % DASHES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(curves: usize) -> Chart {
        let curves: Vec<Curve> = (0..curves)
            .map(|n| Curve::new(format!("run {n}"), vec![(0.0, 1.0), (5.0, 2.0 + n as f64), (10.0, 3.0)]))
            .collect();
        let values = curves.iter().flat_map(|c| &c.points).map(|(_, y)| *y);
        let y = Axis::linear("requests a second", Unit::Amount, values);
        Chart::over_time("Throughput", y, curves)
    }

    fn lines(picture: &Picture) -> Vec<&Vec<(f32, f32)>> {
        let mut lines = Vec::new();
        for shape in &picture.shapes {
            if let Shape::Line { points, curve: Some(_), .. } = shape
                && points.len() > 2
            {
                lines.push(points);
            }
        }
        lines
    }

    fn words(picture: &Picture) -> Vec<&str> {
        let mut words = Vec::new();
        for shape in &picture.shapes {
            if let Shape::Words { text, .. } = shape {
                words.push(text.as_str());
            }
        }
        words
    }

    #[test]
    fn curves_lie_in_the_frame_and_have_a_legend() {
        let picture = chart(3).draw();
        assert_eq!(lines(&picture).len(), 3);
        for (x, y) in lines(&picture).into_iter().flatten() {
            assert!(
                (FRAME.left..=FRAME.right).contains(x) && (FRAME.top..=FRAME.bottom).contains(y),
                "{x} {y}"
            );
        }
        for text in ["Throughput", "requests a second", "time", "run 0", "run 2", "10 s"] {
            assert!(words(&picture).contains(&text), "{text} is missing in {:?}", words(&picture));
        }
    }

    #[test]
    fn a_legend_says_what_it_leaves_out() {
        let picture = chart(100).draw();
        assert_eq!(lines(&picture).len(), 100);
        assert!(words(&picture).contains(&"and 84 more"), "{:?}", words(&picture));
        let inside = |shape: &Shape| match shape {
            Shape::Words { at, .. } => at.1 < HEIGHT as f32,
            _ => true,
        };
        assert!(picture.shapes.iter().all(inside));
    }

    #[test]
    fn marks_have_names_where_there_is_room() {
        let mut chart = chart(1);
        chart.marks = [(0.0, "warm-up"), (4.0, "ramp"), (4.1, "spike"), (4.2, "a long name of a phase")]
            .map(|(x, name)| (x, name.to_string()))
            .into();
        let picture = chart.draw();
        let found = words(&picture);
        assert!(found.contains(&"warm-up") && found.contains(&"ramp"), "{found:?}");
        assert!(
            !found.contains(&"spike") && !found.iter().any(|name| name.starts_with("a long")),
            "{found:?}"
        );
        let dashed = |shape: &&Shape| matches!(shape, Shape::Line { dash, .. } if *dash == 3.0);
        assert_eq!(picture.shapes.iter().filter(dashed).count(), 2, "those that have a name");
        chart.marks = (0..40).map(|step| (f64::from(step) / 4.0, format!("step {step}/40"))).collect();
        let picture = chart.draw();
        let named = words(&picture).into_iter().filter(|name| name.starts_with("step")).count();
        assert!((5..=20).contains(&named), "{named} of 40 names are told");
    }

    #[test]
    fn a_curve_may_be_dashed() {
        let mut chart = chart(2);
        chart.curves[1].dashed = true;
        let dashes: Vec<f32> = chart
            .draw()
            .shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Line { dash, curve: Some(_), points, .. } if points.len() > 2 => Some(*dash),
                _ => None,
            })
            .collect();
        assert!(dashes[0] == 0.0 && dashes[1] > 0.0, "{dashes:?}");
    }

    #[test]
    fn a_spread_is_an_area_and_steps_have_corners() {
        let mut chart = chart(1);
        chart.curves[0].spread = vec![(0.5, 1.5), (1.5, 3.0), (2.0, 3.0)];
        chart.curves[0].steps = true;
        let picture = chart.draw();
        let areas = picture
            .shapes
            .iter()
            .filter(|shape| matches!(shape, Shape::Area { points, .. } if points.len() == 6));
        assert_eq!(areas.count(), 1);
        assert_eq!(lines(&picture)[0].len(), 5);
    }
}
