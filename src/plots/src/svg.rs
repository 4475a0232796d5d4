//! Pictures as SVG: a file of its own, or a part of a page, whose style then gives the colours.

use crate::page::escape;
use crate::picture::{Anchor, COLOURS, Ink, Picture, Shape, TEXT_SIZE};
use std::fmt::Write as _;

/// The colours of lines on white, told apart by people who don't see all colours alike.
pub const SERIES: [&str; COLOURS] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7b3294", "#555555"];
/// The ground.
pub const GROUND: &str = "#ffffff";

/// The colour of an ink on white.
pub fn colour(ink: Ink) -> &'static str {
    match ink {
        Ink::Text => "#1b1f24",
        Ink::Pale => "#57606a",
        Ink::Grid => "#e2e5e9",
        Ink::Series(number) => SERIES[number % COLOURS],
    }
}

/// A whole file.
pub fn file(picture: &Picture) -> String {
    let Picture { width, height, .. } = picture;
    let ground = format!("<rect width=\"{width}\" height=\"{height}\" fill=\"{GROUND}\"/>\n");
    element(picture, "", &ground, |ink| colour(ink).into())
}

/// An element of a page. Colours are the page's: `--text`, `--pale`, `--grid`, `--c0` and so on.
pub fn part(picture: &Picture, id: &str) -> String {
    let attributes = format!(" id=\"{id}\" role=\"img\"");
    element(picture, &attributes, "", |ink| match ink {
        Ink::Text => "var(--text)".into(),
        Ink::Pale => "var(--pale)".into(),
        Ink::Grid => "var(--grid)".into(),
        Ink::Series(number) => format!("var(--c{})", number % COLOURS),
    })
}

fn element(picture: &Picture, attributes: &str, ground: &str, colour: impl Fn(Ink) -> String) -> String {
    let Picture { width, height, shapes } = picture;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\"{attributes} viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"{TEXT_SIZE}\">\n{ground}"
    );
    for shape in shapes {
        // Writing to a string can't fail.
        let _ = match shape {
            Shape::Line { points, ink, width, dash, curve } => {
                let dash = if *dash > 0.0 { format!(" stroke-dasharray=\"{dash}\"") } else { String::new() };
                writeln!(
                    svg,
                    "<polyline{} points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}/>",
                    class(*curve),
                    list(points),
                    colour(*ink)
                )
            }
            Shape::Area { points, ink, curve } => writeln!(
                svg,
                "<polygon{} points=\"{}\" fill=\"{}\" fill-opacity=\"0.18\"/>",
                class(*curve),
                list(points),
                colour(*ink)
            ),
            Shape::Words { at: (x, y), anchor, ink, text } => {
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{}\">{}</text>",
                    colour(*ink),
                    escape(text)
                )
            }
        };
    }
    svg + "</svg>\n"
}

/// The class by which a page's script finds what belongs to a curve.
fn class(curve: Option<usize>) -> String {
    curve.map_or(String::new(), |number| format!(" class=\"curve k{number}\""))
}

fn list(points: &[(f32, f32)]) -> String {
    let mut text = String::with_capacity(points.len() * 12);
    for (x, y) in points {
        let _ = write!(text, "{x:.1},{y:.1} ");
    }
    text.trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let mut picture = Picture::new(100, 50);
        picture.rule((0.0, 1.0), (10.0, 20.5), Ink::Grid);
        picture.words((5.0, 6.0), Anchor::End, Ink::Text, "a < b");
        let points = vec![(1.0, 2.0), (3.0, 4.0), (5.0, 6.0)];
        picture.shapes.push(Shape::Area { points: points.clone(), ink: Ink::Series(0), curve: Some(0) });
        picture.shapes.push(Shape::Line {
            points,
            ink: Ink::Series(9),
            width: 2.0,
            dash: 3.0,
            curve: Some(9),
        });
        picture
    }

    #[test]
    fn a_file_stands_alone() {
        let svg = file(&picture());
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 100 50\""), "{svg}");
        for part in [
            "points=\"0.0,1.0 10.0,20.5\"",
            "a &lt; b",
            "stroke-dasharray=\"3\"",
            SERIES[1],
            "text-anchor=\"end\"",
        ] {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
        assert!(!svg.contains("var("), "{svg}");
    }

    #[test]
    fn a_part_has_the_pages_colours() {
        let svg = part(&picture(), "plot");
        for part in ["id=\"plot\"", "var(--grid)", "class=\"curve k9\"", "var(--c1)"] {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
        assert!(!svg.contains('#'), "no colour of its own: {svg}");
    }
}
