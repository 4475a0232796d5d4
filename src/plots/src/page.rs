//! One self-contained page: charts and tables in a file of HTML that needs no network, no server and no other file.

use crate::chart::{Chart, FRAME};
use crate::svg;
use crate::table::Table;
use serde_json::{Value, json};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A part of a page.
#[derive(Clone, Debug)]
pub enum Section {
    /// A heading.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A chart.
    Chart(Chart),
    /// A table.
    Table(Table),
    /// What came out, in a box: good, or bad.
    Verdict(bool, String),
    /// Names and values.
    Pairs(Vec<(String, String)>),
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// Its parts, from top to bottom.
    pub sections: Vec<Section>,
}

impl Page {
    /// The file. Without its script everything is there to read; the script adds what is under the pointer and hides curves.
    pub fn html(&self) -> String {
        let mut body = format!("<h1>{}</h1>\n", escape(&self.title));
        let mut charts = Vec::new();
        for section in &self.sections {
            match section {
                Section::Heading(text) => body += &format!("<h2>{}</h2>\n", escape(text)),
                Section::Text(text) => body += &format!("<p>{}</p>\n", escape(text)),
                Section::Table(table) => body += &format!("<div class=\"table\">{}</div>\n", table.html()),
                Section::Verdict(good, text) => {
                    let class = if *good { "good" } else { "bad" };
                    body += &format!("<p class=\"verdict {class}\">{}</p>\n", escape(text));
                }
                Section::Pairs(pairs) => body += &pairs_of(pairs),
                Section::Chart(chart) => {
                    let id = format!("chart{}", charts.len());
                    body += &format!(
                        "<figure>\n<div class=\"plot\">{}</div>\n</figure>\n",
                        svg::part(&chart.draw(), &id)
                    );
                    charts.push(points_of(&id, chart));
                }
            }
        }
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
             <script type=\"application/json\" id=\"charts\">{}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
            escape(&self.title),
            Value::Array(charts).to_string().replace('<', "\\u003c")
        )
    }
}

/// Long values are broken, so that they need no scrolling.
fn pairs_of(pairs: &[(String, String)]) -> String {
    let row = |(name, value): &(String, String)| {
        format!("<tr><th class=\"name\">{}</th><td>{}</td></tr>\n", escape(name), escape(value))
    };
    format!("<table class=\"pairs\"><tbody>\n{}</tbody></table>\n", pairs.iter().map(row).collect::<String>())
}

/// What the script shows under the pointer: places in the picture, and what they say.
fn points_of(id: &str, chart: &Chart) -> Value {
    let curve = |curve: &crate::chart::Curve| {
        let point = |point: &(f64, f64)| {
            let (x, y) = chart.place(*point);
            let tenth = |place: f32| (f64::from(place) * 10.0).round() / 10.0;
            json!([tenth(x), tenth(y), chart.x.text(point.0), chart.y.text(point.1)])
        };
        json!({"name": curve.name, "steps": curve.steps, "points": curve.points.iter().map(point).collect::<Vec<_>>()})
    };
    let curves: Vec<Value> = chart.curves.iter().map(curve).collect();
    json!({"id": id, "left": FRAME.left, "top": FRAME.top, "right": FRAME.right, "bottom": FRAME.bottom, "curves": curves})
}

/// Words for HTML and SVG.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::{Axis, Unit};
    use crate::chart::Curve;

    #[test]
    fn a_page_holds_all_it_needs() {
        let curve = Curve::new("</script><b>", vec![(0.0, 1.0), (1.0, 2.0)]);
        let y = Axis::linear("things", Unit::Amount, [2.0].into_iter());
        let page = Page {
            title: "A & B".into(),
            sections: vec![
                Section::Heading("Latency".into()),
                Section::Text("1 < 2".into()),
                Section::Chart(Chart::over_time("Things", y, vec![curve])),
                Section::Table(Table { names: 1, head: vec!["core".into()], rows: vec![vec!["0".into()]] }),
                Section::Verdict(false, "NOT <verified>".into()),
                Section::Pairs(vec![("kernel".into(), "6 & more".into())]),
            ],
        };
        let html = page.html();
        for part in [
            "<title>A &amp; B</title>",
            "<h2>Latency</h2>",
            "1 &lt; 2",
            "id=\"chart0\"",
            "<td class=\"name\">0</td>",
            "<p class=\"verdict bad\">NOT &lt;verified&gt;</p>",
            "<th class=\"name\">kernel</th><td>6 &amp; more</td>",
        ] {
            assert!(html.contains(part), "{part} is missing in {html}");
        }
        assert_eq!(html.matches("</script>").count(), 2, "names don't end the script");
        let outside = html.replace("http://www.w3.org/2000/svg", "");
        for word in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!outside.contains(word), "{word} would be fetched");
        }
        let data = html.split("id=\"charts\">").nth(1).and_then(|rest| rest.split("</script>").next());
        let data: Value = serde_json::from_str(data.expect("the data is there")).expect("the data is JSON");
        assert_eq!(data[0]["curves"][0]["name"], "</script><b>");
        assert_eq!(data[0]["curves"][0]["points"][1][3], "2");
    }
}
