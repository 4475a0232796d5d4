//! A picture: lines, areas and words at places, before it is known what it becomes.

use ab_glyph::{Font, FontRef};

/// The face of all words; see `font/README.md`.
const FACE: &[u8] = include_bytes!("../font/sans.ttf");
/// Words are that high, pixels an em.
pub const TEXT_SIZE: f32 = 13.0;
/// Colours that lines take in turn.
pub const COLOURS: usize = 8;

/// What something is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Words.
    Text,
    /// Words that matter less, and axes.
    Pale,
    /// Lines to read by.
    Grid,
    /// One of the colours, counted from 0; beyond [`COLOURS`] they begin again.
    Series(usize),
}

/// Where words stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// They begin there.
    Start,
    /// Their middle is there.
    Middle,
    /// They end there.
    End,
}

/// Something in a picture. Places are pixels from the upper left.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A line through points.
    Line {
        /// The points.
        points: Vec<(f32, f32)>,
        /// Its colour.
        ink: Ink,
        /// How wide it is.
        width: f32,
        /// Lengths of a dash and of the gap behind it; 0: none.
        dash: f32,
        /// Its number among the curves, if it is one: a page shows and hides it by that.
        curve: Option<usize>,
    },
    /// An area, seen through.
    Area {
        /// Its corners.
        points: Vec<(f32, f32)>,
        /// Its colour.
        ink: Ink,
        /// The curve that it belongs to.
        curve: Option<usize>,
    },
    /// Words.
    Words {
        /// Where their base line is.
        at: (f32, f32),
        /// How they stand there.
        anchor: Anchor,
        /// Their colour.
        ink: Ink,
        /// The words.
        text: String,
    },
}

/// Shapes on a ground, the later ones above the earlier.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// The shapes.
    pub shapes: Vec<Shape>,
}

impl Picture {
    /// Nothing but the ground.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, shapes: Vec::new() }
    }

    /// Adds a straight line.
    pub fn rule(&mut self, from: (f32, f32), to: (f32, f32), ink: Ink) {
        self.shapes.push(Shape::Line { points: vec![from, to], ink, width: 1.0, dash: 0.0, curve: None });
    }

    /// Adds words.
    pub fn words(&mut self, at: (f32, f32), anchor: Anchor, ink: Ink, text: impl Into<String>) {
        self.shapes.push(Shape::Words { at, anchor, ink, text: text.into() });
    }
}

/// The face of all words.
pub fn face() -> FontRef<'static> {
    FontRef::try_from_slice(FACE).expect("the font that is built in is good")
}

/// Pixels in one unit of the face.
pub fn face_scale(face: &impl Font) -> f32 {
    TEXT_SIZE / face.units_per_em().expect("the font that is built in has a scale")
}

/// How wide words are, in pixels.
pub fn width_of(text: &str) -> f32 {
    let face = face();
    let advance = |character| face.h_advance_unscaled(face.glyph_id(character));
    text.chars().map(advance).sum::<f32>() * face_scale(&face)
}

/// Cuts words off so that they are no wider than that.
pub fn fit(text: &str, width: f32) -> String {
    if width_of(text) <= width {
        return text.into();
    }
    let mut short: String = text.into();
    while !short.is_empty() && width_of(&short) + width_of("…") > width {
        short.pop();
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_measured_and_cut() {
        assert!(width_of("latency µs") > width_of("latency"));
        assert_eq!(fit("core 3", 100.0), "core 3");
        let cut = fit("/a/very/long/path/to/histograms.hlog", 100.0);
        assert!(cut.ends_with('…') && width_of(&cut) <= 100.0, "{cut}");
        let face = face();
        for character in (' '..='~').chain("µ×–…".chars()) {
            assert_ne!(face.glyph_id(character).0, 0, "{character:?} has no shape");
        }
    }
}
