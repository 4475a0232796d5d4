//! Pages that are made for people, in a real browser: nothing is complained of, the script does its work, nothing is fetched.
//!
//! The browser is what `AURIGA_BROWSER` names, or Chromium if it is installed. Without one, nothing here can be run.

use auriga_tests::harness::{
    Finished, Scratch, Start, ending_with_us, format, not_run, run, run_auriga, run_bench, text, wait_until,
};
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
        let profile = format!("--user-data-dir={}", text(&self.scratch.join("profile")));
        let arguments = [
            "--headless",
            // Nothing but this page is shown; and root, who runs tests in containers, has no sandbox.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1200,2000",
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
        let page = self.scratch.join(name);
        fs::write(&page, html).expect("the page is written");
        self.open(&page)
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
