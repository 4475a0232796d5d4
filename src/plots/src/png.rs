//! Pictures as PNG, painted here: no font and no library of the machine is needed.

use crate::picture::{Anchor, Ink, Picture, Shape, face, face_scale, width_of};
use crate::svg;
use ab_glyph::{Font, OutlineCurve, Point};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash, Transform,
};

/// Pixels of the file for each one of the picture, across and down.
const SCALE: f32 = 2.0;

/// A file. Pictures must have a size.
pub fn file(picture: &Picture) -> Vec<u8> {
    let (width, height) = (picture.width as f32 * SCALE, picture.height as f32 * SCALE);
    let mut pixels = Pixmap::new(width as u32, height as u32).expect("a picture has a size");
    pixels.fill(parse(svg::GROUND, 1.0));
    for shape in &picture.shapes {
        match shape {
            Shape::Line { points, ink, width, dash, .. } => {
                let dash = if *dash > 0.0 { StrokeDash::new(vec![*dash, *dash], 0.0) } else { None };
                let (line_cap, line_join) = (LineCap::Butt, LineJoin::Round);
                let stroke = Stroke { width: *width, dash, line_cap, line_join, ..Stroke::default() };
                if let Some(path) = through(points, false) {
                    pixels.stroke_path(&path, &paint(*ink, 1.0), &stroke, scaled(), None);
                }
            }
            Shape::Area { points, ink, .. } => {
                if let Some(path) = through(points, true) {
                    pixels.fill_path(&path, &paint(*ink, 0.18), FillRule::Winding, scaled(), None);
                }
            }
            Shape::Words { at, anchor, ink, text } => {
                if let Some(path) = write(text, *at, *anchor) {
                    pixels.fill_path(&path, &paint(*ink, 1.0), FillRule::Winding, scaled(), None);
                }
            }
        }
    }
    pixels.encode_png().expect("memory takes it")
}

fn scaled() -> Transform {
    Transform::from_scale(SCALE, SCALE)
}

fn paint(ink: Ink, opacity: f32) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color(parse(svg::colour(ink), opacity));
    paint
}

/// `#rrggbb`
fn parse(colour: &str, opacity: f32) -> Color {
    let number = u32::from_str_radix(&colour[1..], 16).expect("colours are written #rrggbb");
    let [_, red, green, blue] = number.to_be_bytes();
    Color::from_rgba8(red, green, blue, (opacity * 255.0) as u8)
}

/// None if there is nothing to draw.
fn through(points: &[(f32, f32)], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (number, (x, y)) in points.iter().enumerate() {
        match number {
            0 => path.move_to(*x, *y),
            _ => path.line_to(*x, *y),
        }
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// The outline of words; none if they are blank.
fn write(text: &str, (mut x, y): (f32, f32), anchor: Anchor) -> Option<Path> {
    x -= match anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => width_of(text) / 2.0,
        Anchor::End => width_of(text),
    };
    let face = face();
    let scale = face_scale(&face);
    let mut path = PathBuilder::new();
    for character in text.chars() {
        let glyph = face.glyph_id(character);
        if let Some(outline) = face.outline(glyph) {
            let at = |point: Point| (x + point.x * scale, y - point.y * scale);
            trace(&outline.curves, at, &mut path);
        }
        x += face.h_advance_unscaled(glyph) * scale;
    }
    path.finish()
}

/// Follows the outline of a letter. A curve that doesn't begin where the last one ended begins a new contour.
fn trace(curves: &[OutlineCurve], at: impl Fn(Point) -> (f32, f32), path: &mut PathBuilder) {
    let mut end = None;
    for curve in curves {
        let (from, to) = match curve {
            OutlineCurve::Line(a, b) | OutlineCurve::Quad(a, _, b) | OutlineCurve::Cubic(a, _, _, b) => {
                (*a, *b)
            }
        };
        if end != Some(from) {
            if end.is_some() {
                path.close();
            }
            let (x, y) = at(from);
            path.move_to(x, y);
        }
        let (x, y) = at(to);
        match curve {
            OutlineCurve::Line(..) => path.line_to(x, y),
            OutlineCurve::Quad(_, control, _) => {
                let (a, b) = at(*control);
                path.quad_to(a, b, x, y);
            }
            OutlineCurve::Cubic(_, first, second, _) => {
                let ((a, b), (c, d)) = (at(*first), at(*second));
                path.cubic_to(a, b, c, d, x, y);
            }
        }
        end = Some(to);
    }
    if end.is_some() {
        path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(picture: &Picture) -> Pixmap {
        Pixmap::decode_png(&file(picture)).expect("what was written is a PNG")
    }

    /// How many pixels of a part, in the picture's measures, are not the ground.
    fn painted(pixels: &Pixmap, x: std::ops::Range<u32>, y: std::ops::Range<u32>) -> usize {
        let scale = SCALE as u32;
        let of = |x: u32, y: u32| pixels.pixel(x, y).expect("inside");
        let rows = y.start * scale..y.end * scale;
        let all = rows.flat_map(|y| (x.start * scale..x.end * scale).map(move |x| (x, y)));
        all.filter(|(x, y)| of(*x, *y).red() < 250).count()
    }

    #[test]
    fn lines_and_words_are_painted_where_they_belong() {
        let mut picture = Picture::new(200, 100);
        assert_eq!(painted(&pixels(&picture), 0..200, 0..100), 0);
        picture.rule((10.0, 50.0), (190.0, 50.0), Ink::Text);
        let line = pixels(&picture);
        assert_eq!((line.width(), line.height()), (400, 200));
        assert!(painted(&line, 10..190, 49..52) >= 360, "{}", painted(&line, 10..190, 49..52));
        assert_eq!(painted(&line, 0..200, 0..45) + painted(&line, 0..200, 55..100), 0);
        picture.words((100.0, 30.0), Anchor::Middle, Ink::Text, "99.9% of µs");
        let words = pixels(&picture);
        assert!(painted(&words, 50..150, 15..35) > 200);
        assert_eq!(
            painted(&words, 0..50, 0..45) + painted(&words, 150..200, 0..45),
            0,
            "the middle is in the middle"
        );
    }
}
