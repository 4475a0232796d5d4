//! Other ledgers: what `auriga-peer` measures is verified, and it notices what isn't as it must be. Needs redis-server and redis-cli.

use auriga_tests::harness::{
    Finished, Scratch, ending_with_us, not_run, peer, run, run_with, text, wait_until,
};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// A server of its own on a socket; it ends with this value.
struct Redis {
    process: Child,
    socket: PathBuf,
    _data: Scratch,
}

impl Redis {
    /// With `appendfsync` as said; `None` if it is not installed.
    fn start(test: &str, appendfsync: &str) -> Option<Self> {
        let data = Scratch::new(test);
        let socket = std::env::temp_dir().join(format!("auriga-{}-{test}", std::process::id()));
        let listen = ["--port", "0", "--unixsocket", text(&socket), "--dir", text(data.path()), "--save", ""];
        let mut command = ending_with_us(Path::new("redis-server"), &listen);
        command.args(["--appendonly", "yes", "--appendfsync", appendfsync]).stdout(Stdio::null());
        let Ok(process) = command.spawn() else {
            not_run(test, "redis-server is not installed (Debian: apt-get install redis-server)");
            return None;
        };
        let redis = Self { process, socket, _data: data };
        wait_until("Redis answers", || redis.ask(&["PING"]).trim() == "PONG");
        Some(redis)
    }

    fn ask(&self, command: &[&str]) -> String {
        let mut asked = ending_with_us(Path::new("redis-cli"), &["-s", text(&self.socket)]);
        asked.args(command);
        run(asked).stdout
    }

    fn drive(&self, meanwhile: impl FnOnce(&Self)) -> Finished {
        let address = format!("unix://{}", text(&self.socket));
        let brief = [
            "--accounts",
            "50",
            "--batch",
            "7",
            "--connections",
            "3",
            "--warm-up",
            "0.1",
            "--seconds",
            "0.3",
        ];
        let mut command = peer(&["run", "--system", "redis", "--address", &address, "--json"]);
        command.args(brief);
        run_with(command, |_| meanwhile(self))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn report(finished: &Finished) -> serde_json::Value {
    serde_json::from_str(finished.stdout.lines().last().expect("a last line")).expect("JSON")
}

#[test]
fn what_redis_acknowledged_is_verified_and_a_change_by_others_is_noticed() {
    let Some(redis) = Redis::start("redis_verified", "always") else { return };
    let good = redis.drive(|_| {}).expect(0, &[]);
    let found = report(&good);
    assert_eq!(
        (&found["verified"], &found["batch"], &found["refused"]),
        (&true.into(), &7.into(), &0.into())
    );
    assert!(
        found["transfers"].as_u64() > Some(0) && found["latency_us"]["p50"].as_f64() > Some(0.0),
        "{found}"
    );
    assert_eq!(found["settings"]["appendfsync"], "always");
    redis.drive(|_| {}).expect(2, &["keys, expected none"]);

    // What is done meanwhile, and words of one line that tells it.
    let cases: [(&[&str], [&str; 2]); 3] = [
        (&["HINCRBY", "a:1", "debits", "1"], ["NOT VERIFIED", "49 of 50 accounts"]),
        (&["SET", "t:another", "one"], ["NOT VERIFIED", "transfers are stored"]),
        (
            &["EVAL", "return redis.call('DEL', redis.call('KEYS', 't:*')[1])", "0"],
            ["transfer ", "was acknowledged and is not found"],
        ),
    ];
    for (change, expected) in cases {
        redis.ask(&["FLUSHALL"]);
        let finished = redis.drive(|redis| {
            let keys = || redis.ask(&["DBSIZE"]).trim().parse::<u64>();
            wait_until("transfers come", || keys().is_ok_and(|keys| keys > 60));
            redis.ask(change);
        });
        let finished = finished.expect(1, &[]);
        let tells = |line: &str| expected.iter().all(|words| line.contains(words));
        assert!(finished.stdout.lines().any(tells), "{expected:?} is missing in:\n{}", finished.stdout);
        assert_eq!(report(&finished)["verified"], false);
    }
}

#[test]
fn settings_that_are_not_durable_are_refused() {
    let Some(redis) = Redis::start("redis_durable", "everysec") else { return };
    redis.drive(|_| {}).expect(4, &["setting appendfsync: found everysec, expected always"]);
    assert_eq!(redis.ask(&["DBSIZE"]).trim(), "0", "nothing was created");
}
