//! Alert rules and dashboard, as `docs/monitoring` ships them, and a real Prometheus that scrapes a real server.
//!
//! Prometheus and promtool are those of the folder AURIGA_PROMETHEUS, which `tests/run metrics` sets.

use auriga_tests::harness::{
    Finished, Scratch, Server, Start, bench, ending_with_us, format, not_run, run, run_with, text, wait_until,
};
use auriga_tests::scrape::{address, ask};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A file of the repository.
fn shipped(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    path.canonicalize().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn read(name: &str) -> String {
    fs::read_to_string(shipped(name)).expect("it is text")
}

/// One of Prometheus' programs, or `None`, which is said, where it could not be had.
fn tool(name: &str, test: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("AURIGA_PROMETHEUS") else {
        not_run(
            test,
            "Prometheus is not there (AURIGA_PROMETHEUS): tests/metrics/fetch FOLDER gets it, or says why it can't",
        );
        return None;
    };
    Some(Path::new(&folder).join(name))
}

fn alerts() -> Vec<String> {
    let rules = read("docs/monitoring/alerts.yml");
    let names: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(String::from).collect();
    assert!(names.len() >= 20, "{names:?}");
    names
}

/// What the dashboard asks for, as it asks when everything is chosen: the panel's title, and the query.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("docs/monitoring/grafana.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let queries: Vec<_> = panels
        .flat_map(|panel| {
            let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
            assert_eq!(targets.is_empty(), panel["type"] == "row", "a panel asks for something: {panel}");
            let title = panel["title"].as_str().expect("a title");
            targets.iter().map(move |target| {
                let query = target["expr"].as_str().expect("a query");
                (title.to_string(), query.replace("$instance", ".*").replace("$__rate_interval", "1m"))
            })
        })
        .collect();
    assert!(queries.len() > 50, "{}", queries.len());
    assert!(queries.iter().all(|(_, query)| !query.contains('$')), "a variable is not known: {queries:?}");
    queries
}

#[test]
fn each_alert_is_tried_and_explained() {
    let (tests, readme) = (read("tests/metrics/alerts.test.yml"), read("docs/monitoring/README.md"));
    for alert in alerts() {
        let tried: Vec<_> = tests.split(&format!("alertname: {alert}\n")).skip(1).collect();
        let fires = |rest: &&str| !rest.trim_start().starts_with("exp_alerts: []");
        assert_eq!(tried.iter().filter(|rest| fires(rest)).count(), 1, "{alert} is to fire in a test");
        assert_eq!(tried.iter().filter(|rest| !fires(rest)).count(), 1, "{alert} is to be silent in a test");
        assert!(
            readme.contains(&format!("\n### {alert}\n\n")),
            "{alert} is to be explained in docs/monitoring/README.md"
        );
    }
}

#[test]
fn every_metric_that_is_asked_for_is_there() {
    let rules = read("docs/monitoring/alerts.yml");
    let asked = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(String::from);
    let words: BTreeSet<String> = asked
        .chain(queries().into_iter().map(|(_, query)| query))
        .flat_map(|query| {
            let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(String::from);
            words
                .filter(|word| word.starts_with("auriga_") || word.starts_with("process_"))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(words.len() > 40, "{words:?}");
    let readme = read("docs/monitoring/README.md");
    for word in words {
        let name = word.strip_suffix("_bucket").unwrap_or(&word);
        assert!(readme.contains(&format!("| `{name}` | ")), "no metric is called {name}");
    }
}

#[track_caller]
fn promtool(tool: &Path, arguments: &[&str], stdin: Option<&Path>) -> Finished {
    let mut command = ending_with_us(tool, arguments);
    if let Some(path) = stdin {
        command.stdin(File::open(path).expect("it was written"));
    }
    run(command)
}

#[test]
fn promtool_accepts_metrics_and_rules() {
    let Some(tool) = tool("promtool", "promtool on metrics and rules") else { return };
    let scratch = Scratch::new("promtool");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let page = scratch.join("page");
    fs::write(&page, ask(&address(&server), "GET /metrics HTTP/1.1\r\n\r\n").body).expect("written");
    server.stop();
    let checked = promtool(&tool, &["check", "metrics"], Some(&page)).expect(0, &[]);
    assert_eq!((checked.stdout.as_str(), checked.stderr.as_str()), ("", ""), "nothing to complain of");
    promtool(&tool, &["check", "rules", text(&shipped("docs/monitoring/alerts.yml"))], None).expect(0, &[]);
    promtool(&tool, &["test", "rules", text(&shipped("tests/metrics/alerts.test.yml"))], None).expect(0, &[]);
}

/// A Prometheus of its own for a test.
struct Prometheus {
    server: Server,
    address: String,
}

impl Prometheus {
    /// Starts one that scrapes a server each second, and evaluates the alert rules as often.
    fn start(program: &Path, scratch: &Scratch, target: &str) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address").to_string();
        drop(free);
        let config = scratch.join("prometheus.yml");
        let rules = shipped("docs/monitoring/alerts.yml");
        let words = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\nscrape_configs:\n  - job_name: auriga\n    \
             static_configs: [{{ targets: ['{target}'] }}]\n",
            rules.display()
        );
        fs::write(&config, words).expect("written");
        let storage = scratch.join("prometheus");
        let listen = format!("--web.listen-address={address}");
        let (config, storage) = (
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", storage.display()),
        );
        let server = Server::of(ending_with_us(program, &[&config, &storage, &listen]));
        server.wait_for("Server is ready to receive web requests");
        Self { server, address }
    }

    /// What its interface answers, if that is a success.
    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let answer = ask(&self.address, &format!("GET /api/v1/{path} HTTP/1.0\r\n\r\n"));
        let value: Value =
            serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{path}: {e}: {answer:?}"));
        assert_eq!(value["status"], "success", "{path}: {value}");
        value["data"].clone()
    }

    /// The samples that a query finds.
    #[track_caller]
    fn query(&self, query: &str) -> Vec<Value> {
        let coded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let data = self.get(&format!("query?query={coded}"));
        data["result"].as_array().unwrap_or_else(|| panic!("{query}: {data}")).clone()
    }
}

#[test]
fn prometheus_scrapes_evaluates_and_answers() {
    let Some(program) = tool("prometheus", "a Prometheus that scrapes a server") else { return };
    let scratch = Scratch::new("prometheus");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).with(&["--checkpoint-every", "5000000"]).serve();
    let prometheus = Prometheus::start(&program, &scratch, &address(&server));
    // It takes some seconds until it begins.
    wait_until("a scrape without an error", || {
        let target = &prometheus.get("targets")["activeTargets"][0];
        (&target["health"], &target["lastError"]) == (&"up".into(), &"".into())
    });
    let load = "run --connections 2 --batch 499 --accounts 200 --warm-up 0 --seconds 5 --rate 20000 --failing-share 0.1";
    let load: Vec<_> = load.split(' ').chain(["--address", server.address()]).collect();
    run_with(bench(&load), |_| {}).expect(0, &[]);
    for (title, query) in queries() {
        wait_until(&format!("figures for the panel {title:?}: {query}"), || {
            prometheus.query(&query).iter().any(|sample| sample["value"][1] != "NaN")
        });
    }
    // What was done is what is stored.
    let status = auriga_tests::load::connect(server.address()).status(false).expect("a status");
    let created = Value::from(status.transfers_created.to_string());
    wait_until("all that was created is stored", || {
        let stored = prometheus.query("sum(auriga_transfers_total{result=\"created\"})");
        stored.first().is_some_and(|sum| sum["value"][1] == created)
    });
    // Every rule is evaluated without an error, and that a server is down is noticed.
    let rules = prometheus.get("rules");
    let rules = rules["groups"][0]["rules"].as_array().expect("rules");
    assert_eq!(rules.len(), alerts().len());
    assert!(rules.iter().all(|rule| rule["health"] == "ok"), "{rules:?}");
    let down = "ALERTS{alertname=\"AurigaDown\"}";
    wait_until("no alert that the server is down", || prometheus.query(down).is_empty());
    server.stop();
    wait_until("the alert that the server is down", || !prometheus.query(down).is_empty());
    prometheus.server.stop();
}
