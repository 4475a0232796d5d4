//! Lays boxes in boxes and writes them as SVG. Knows nothing of machines; used by `svg`.

use std::fmt::Write as _;

/// All text is in one size of a font whose characters are equally wide.
const FONT_PX: u32 = 12;
const LINE_PX: u32 = 17;
/// Between boxes, and between a box and what is in it.
const GAP_PX: u32 = 6;

/// What a box is painted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Page,
    Socket,
    Node,
    Cache,
    Core,
    Shard,
    Shared,
    Housekeeping,
    Idle,
    NotAllowed,
    Disk,
    Network,
}

impl Colour {
    /// Light enough for black text. They differ in lightness, too, for who does not see colours.
    fn fill(self) -> &'static str {
        match self {
            Colour::Page | Colour::Core | Colour::Idle => "#ffffff",
            Colour::Socket => "#f3f4f6",
            Colour::Node => "#e3edf7",
            Colour::Cache => "#f4efe2",
            Colour::Shard => "#8fd19e",
            Colour::Shared => "#f4a582",
            Colour::Housekeeping => "#ffe08a",
            Colour::NotAllowed => "#b9bdc4",
            Colour::Disk => "#c9b3e6",
            Colour::Network => "#a6d8e8",
        }
    }
}

/// A box: lines of text, below them rows of boxes.
#[derive(Debug)]
pub(crate) struct Block {
    /// What it shows, as the class of the element.
    pub(crate) class: &'static str,
    pub(crate) colour: Colour,
    pub(crate) heading: Vec<String>,
    /// Each begins below the one before and is broken where it gets too wide.
    pub(crate) rows: Vec<Vec<Block>>,
    /// Pixels from which a row is broken.
    pub(crate) row_px_max: u32,
    /// Room for so many characters, even if the text is shorter.
    pub(crate) columns_min: usize,
}

/// A box with its place on the page.
struct Placed {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    class: &'static str,
    colour: Colour,
    heading: Vec<String>,
    within: Vec<Placed>,
}

/// Pixels that so many characters take: common fonts of this kind need 0.6 of their size for each, a few
/// a little more.
pub(crate) fn text_px(columns: usize) -> u32 {
    let columns = u32::try_from(columns).expect("a drawing has no line of 2^32 characters");
    columns * FONT_PX * 65 / 100 + 1
}

impl Block {
    /// Pixels that a core with its gap is wider than the text of its CPU.
    pub(crate) const CORE_EXTRA_PX: u32 = 5 * GAP_PX;

    pub(crate) fn new(class: &'static str, colour: Colour, heading: Vec<String>) -> Block {
        Block { class, colour, heading, rows: Vec::new(), row_px_max: u32::MAX, columns_min: 0 }
    }

    /// Places what is in it, from the inside out; its own corner is at 0, 0.
    fn place(self) -> Placed {
        let columns = self.heading.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        let mut width = text_px(columns.max(self.columns_min));
        let lines = u32::try_from(self.heading.len()).expect("a heading has a few lines");
        let mut y = GAP_PX / 2 + lines * LINE_PX;
        let mut within = Vec::new();
        for row in self.rows.into_iter().filter(|row| !row.is_empty()) {
            let (mut x, mut row_height) = (0, 0);
            for block in row {
                let mut placed = block.place();
                if x > 0 && x + placed.width > self.row_px_max {
                    y += row_height + GAP_PX;
                    (x, row_height) = (0, 0);
                }
                (placed.x, placed.y) = (GAP_PX + x, y);
                width = width.max(x + placed.width);
                x += placed.width + GAP_PX;
                row_height = row_height.max(placed.height);
                within.push(placed);
            }
            y += row_height + GAP_PX;
        }
        let height = if within.is_empty() { y + GAP_PX / 2 } else { y };
        Placed {
            x: 0,
            y: 0,
            width: width + 2 * GAP_PX,
            height,
            class: self.class,
            colour: self.colour,
            heading: self.heading,
            within,
        }
    }
}

/// The file. `title`: what is shown by programs that read pages aloud.
pub(crate) fn render(page: Block, title: &str) -> String {
    let page = page.place();
    let (width, height) = (page.width, page.height);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"{FONT_PX}\">\n\
         <title>{}</title>\n",
        escaped(title)
    );
    write(&page, 0, 0, &mut text);
    text.push_str("</svg>\n");
    text
}

fn write(placed: &Placed, left: u32, top: u32, text: &mut String) {
    let Placed { width, height, class, .. } = *placed;
    let (x, y) = (left + placed.x, top + placed.y);
    let mut push = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("writing to a String cannot fail");
    };
    push(format_args!(
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"3\" fill=\"{}\" \
         stroke=\"#6b7280\"/>\n",
        placed.colour.fill()
    ));
    for (line, number) in placed.heading.iter().zip(1..) {
        push(format_args!(
            "<text class=\"{class}\" xml:space=\"preserve\" x=\"{}\" y=\"{}\">{}</text>\n",
            x + GAP_PX,
            y + number * LINE_PX - LINE_PX / 4 + GAP_PX / 2,
            escaped(line)
        ));
    }
    for inner in &placed.within {
        write(inner, x, y, text);
    }
}

/// Text between tags. What XML has no characters for is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ if c.is_control() => {}
            _ => escaped.push(c),
        }
    }
    escaped
}
