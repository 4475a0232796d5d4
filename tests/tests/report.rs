//! Pages that are made for people, in a real browser: nothing is complained of, the script does its work, nothing is fetched.
//!
//! The browser is what `AURIGA_BROWSER` names, or Chromium if it is installed. Without one, nothing here can be run.

use auriga_tests::harness::{
    Finished, Scratch, Start, ending_with_us, format, not_run, run, run_auriga, run_bench, text, wait_until,
};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What it may be called.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// What the browser writes before a message of a page.
const MESSAGE: &str = ":CONSOLE";

/// Moves the pointer into the middle of every chart, and hides the first curve of the first one.
const POINTER: &str = "<script>
for (const svg of document.querySelectorAll('svg')) {
  const box = svg.getBoundingClientRect();
  const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true };
  svg.dispatchEvent(new PointerEvent('pointermove', at));
}
document.querySelector('.curves input').click();
</script>";

/// Says what can be seen of the page: what was fetched, whether it is wider than its window, words of charts that lie over each other or
/// outside of their picture, and how many points the curves of each chart have.
const PROBE: &str = "<script>
addEventListener('load', () => {
  const overlap = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
  const seen = { fetched: performance.getEntriesByType('resource').map((entry) => entry.name), overlaps: [], outside: [], points: [], heights: [] };
  seen.width = innerWidth;
  seen.tooWide = document.documentElement.scrollWidth - innerWidth;
  for (const svg of document.querySelectorAll('figure svg')) {
    const box = svg.getBoundingClientRect();
    const words = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
    words.forEach(([name, one], number) => {
      if (!inside(one, box)) seen.outside.push(name);
      for (const [other, two] of words.slice(number + 1)) if (overlap(one, two)) seen.overlaps.push(`${name} / ${other}`);
      seen.heights.push(one.height);
    });
    seen.points.push(Math.max(0, ...[...svg.querySelectorAll('polyline.curve')].map((line) => line.points.length)));
  }
  const output = document.createElement('output');
  output.id = 'seen';
  output.textContent = JSON.stringify(seen);
  document.body.append(output);
});
</script>";
/// Widths of windows: of a desk, and the narrowest that a browser without a screen takes.
const WIDTHS: [u32; 2] = [1_200, 500];
/// Words of charts must not be smaller, pixels.
const TEXT_HEIGHT_MIN: f64 = 9.0;

struct Browser {
    program: PathBuf,
    scratch: Scratch,
}

impl Browser {
    fn find(test: &str) -> Option<Self> {
        let named = std::env::var_os("AURIGA_BROWSER").map(PathBuf::from);
        let folders: Vec<PathBuf> =
            std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
        let installed = || {
            let places = BROWSERS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
            places.into_iter().find(|place| place.is_file())
        };
        let Some(program) = named.or_else(installed) else {
            not_run(
                test,
                "no browser is installed (apt-get install chromium), and AURIGA_BROWSER names none",
            );
            return None;
        };
        Some(Self { program, scratch: Scratch::new("browser") })
    }

    /// What a page has become, and what the browser has to say.
    fn open(&self, page: &Path) -> Finished {
        self.open_in(page, WIDTHS[0])
    }

    /// The same in a window of this width.
    fn open_in(&self, page: &Path, width: u32) -> Finished {
        let profile = format!("--user-data-dir={}", text(&self.scratch.join("profile")));
        let arguments = [
            "--headless",
            // Nothing but this page is shown; and root, who runs tests in containers, has no sandbox.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            &format!("--window-size={width},2000"),
            "--enable-logging=stderr",
            "--v=0",
            &profile,
            "--dump-dom",
            &format!("file://{}", text(page)),
        ];
        run(ending_with_us(&self.program, &arguments)).expect(0, &[])
    }

    /// The same of what a page may be: written to a file first.
    fn open_text(&self, name: &str, html: &str) -> Finished {
        self.open(&self.write(name, html))
    }

    fn write(&self, name: &str, html: &str) -> PathBuf {
        let page = self.scratch.join(name);
        fs::write(&page, html).expect("the page is written");
        page
    }

    /// What the probe sees of a page in a window of this width.
    fn look(&self, html: &str, width: u32) -> Value {
        let page = self.write("probed.html", &html.replace("</body>", &(PROBE.to_string() + "</body>")));
        let opened = self.open_in(&page, width);
        let seen = opened
            .stdout
            .split("<output id=\"seen\">")
            .nth(1)
            .and_then(|rest| rest.split("</output>").next());
        let seen = seen.unwrap_or_else(|| panic!("the probe has not run:\n{}", opened.stderr));
        serde_json::from_str(&seen.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
            .expect("JSON")
    }
}

/// What makes a page readable, in a wide window and in a narrow one.
fn check_looks(browser: &Browser, page: &Path) {
    let html = fs::read_to_string(page).expect("the page can be read");
    for width in WIDTHS {
        let seen = browser.look(&html, width);
        for nothing in ["fetched", "overlaps", "outside"] {
            assert_eq!(seen[nothing], json!([]), "{nothing}, in a window of {width} pixels");
        }
        assert_eq!(seen["width"], width);
        assert!(
            seen["tooWide"].as_i64() <= Some(0),
            "the page is wider than its window of {width} pixels: {seen}"
        );
        let numbers = |key: &str| -> Vec<f64> {
            seen[key].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
        };
        assert!(numbers("heights").iter().all(|height| *height >= TEXT_HEIGHT_MIN), "{seen}");
        assert!(numbers("points").iter().all(|points| *points >= 2.0), "a chart is empty: {seen}");
    }
}

/// A log of a few intervals, by a real server under load.
fn record(scratch: &Scratch, name: &str) -> PathBuf {
    let (data, log) = (scratch.join(name), scratch.join(&format!("{name}.hlog")));
    format(&data);
    let server = Start::new(&data).shards(2).histogram_log(&log, "1").serve();
    let run = ["run", "--address", server.address(), "--seconds", "3", "--warm-up", "0", "--accounts", "100"];
    run_bench(&run).expect(0, &[]);
    let intervals = || fs::read_to_string(&log).unwrap_or_default().matches("-total,").count();
    wait_until("intervals are in the log", || intervals() >= 4);
    server.stop();
    log
}

/// Everything that a page of histograms must have in a browser.
fn check(browser: &Browser, page: &Path, charts: usize, words: &[&str]) {
    let opened = browser.open(page);
    assert!(!opened.stderr.contains(MESSAGE), "the browser complains:\n{}", opened.stderr);
    let count = |dom: &str, what: &str| dom.matches(what).count();
    assert_eq!(count(&opened.stdout, "<svg "), charts, "charts");
    assert_eq!(count(&opened.stdout, "class=\"curves\""), charts, "the script adds boxes to every chart");
    assert_eq!(count(&opened.stdout, "class=\"tip hidden\""), charts, "nothing is under the pointer");
    for word in words {
        assert!(opened.stdout.contains(word), "{word} is missing in the page");
    }
    let html = fs::read_to_string(page).expect("the page can be read");
    let moved = browser.open_text("moved.html", &html.replace("</body>", &(POINTER.to_string() + "</body>")));
    assert!(!moved.stderr.contains(MESSAGE), "the browser complains:\n{}", moved.stderr);
    assert_eq!(count(&moved.stdout, "class=\"tip\""), charts, "every chart shows what is under the pointer");
    assert!(count(&moved.stdout, "<circle ") >= charts, "and where");
    assert!(moved.stdout.contains("class=\"curve k0 hidden\""), "a box hides its curve");
}

#[test]
fn pages_of_histograms_work_in_a_browser() {
    let Some(browser) = Browser::find("pages_of_histograms_work_in_a_browser") else { return };
    let broken = browser.open_text("broken.html", "<!DOCTYPE html><script>nothing.at.all()</script>");
    assert!(broken.stderr.contains(MESSAGE), "a page that fails must be noticed:\n{}", broken.stderr);

    let scratch = Scratch::new("report");
    let (first, second) = (record(&scratch, "first"), record(&scratch, "second"));
    let page = scratch.join("page.html");
    let write = |arguments: &[&str]| {
        run_auriga(&[&["histograms", "--html", text(&page)], arguments].concat()).expect(0, &[]);
    };
    write(&[text(&first)]);
    check(
        &browser,
        &page,
        5,
        &["Throughput over time", "Where the time goes", "<td class=\"name\">execute</td>"],
    );
    write(&[text(&first), text(&second), "--log-scale"]);
    check(&browser, &page, 5, &["Compared with the first", "How far they are apart", "run 2", "spread"]);
}

const SCHEDULE: &str = r#"
[[phase]]
name = "warm-up"
seconds = 1
rate = 100_000
measured = false

[[phase]]
name = "rising"
seconds = 2
rate = { from = 100_000, to = 200_000, steps = 2 }

[[phase]]
name = "as fast as it goes"
seconds = 2
"#;

#[test]
fn pages_of_the_load_generator_work_in_a_browser() {
    let Some(browser) = Browser::find("pages_of_the_load_generator_work_in_a_browser") else { return };
    let overlapping = "<!DOCTYPE html><body><figure><svg width=\"90\" height=\"40\"><text y=\"20\">one</text><text y=\"24\">two</text>\
        <text x=\"80\" y=\"20\">outside</text></svg></figure><img src=\"http://127.0.0.1:20/a.png\"></body>";
    let seen = browser.look(overlapping, WIDTHS[0]);
    for found in ["overlaps", "outside", "fetched"] {
        assert_eq!(seen[found].as_array().map(Vec::len), Some(1), "the probe must notice {found}: {seen}");
    }

    let scratch = Scratch::new("bench");
    let (data, schedule) = (scratch.join("data"), scratch.join("schedule.toml"));
    fs::write(&schedule, SCHEDULE).expect("the schedule is written");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let page = scratch.join("run.html");
    let run = |more: &[&str]| {
        let address =
            ["run", "--address", server.address(), "--accounts", "1000", "--batch", "1000", "--json"];
        run_bench(&[&address[..], more].concat())
    };
    let hlog = scratch.join("run.hlog");
    let files = ["--report", text(&page), "--hlog", text(&hlog)];
    let budgets = ["--require", "refused<=0", "--require", "p99<1us"];
    run(&[&["--schedule", text(&schedule)], &files[..], &budgets].concat()).expect(1, &[]);
    let words = [
        "Verified: every balance, and the transfers of ",
        "requests (all of them)",
        "Budget met: refused&lt;=0",
        "Budget missed: p99&lt;1us",
        "Throughput over time",
        "as fast as it goes",
        "rising 2/2",
        "Each core: execute",
        "<td class=\"name\">all</td>",
        "<th class=\"name\">arguments</th>",
    ];
    let charts = fs::read_to_string(&page).expect("the page can be read").matches("<svg ").count();
    assert!(
        (9..=10).contains(&charts),
        "two or three over time, percentiles, stages together, and each of five: {charts}"
    );
    check(&browser, &page, charts, &words);
    check_looks(&browser, &page);

    let histograms = scratch.join("histograms.html");
    run_auriga(&["histograms", text(&hlog), "--html", text(&histograms)]).expect(0, &[]);
    check(&browser, &histograms, 8, &["client corrected", "p99 over time: raw"]);
    check_looks(&browser, &histograms);

    let names = ["a.json", "b.json", "c.json", "d.json"].map(|name| scratch.join(name));
    for (name, connections) in names.iter().zip(["4", "4", "1", "1"]) {
        let ran = run(&["--warm-up", "0.2", "--seconds", "0.8", "--connections", connections]).expect(0, &[]);
        fs::write(name, ran.stdout).expect("what it says is kept");
    }
    let [a, b, c, d] = names.each_ref().map(|name| text(name));
    let (before, after) = (format!("before={a},{b}"), format!("after={c},{d}"));
    let page = scratch.join("compare.html");
    run_bench(&["compare", "--group", &before, "--group", &after, "--report", text(&page)]).expect(0, &[]);
    check(
        &browser,
        &page,
        2,
        &["before (2 runs)", "Compared with before", "<polygon class=\"curve k1", "MAD"],
    );
    check_looks(&browser, &page);
    server.stop();
}
