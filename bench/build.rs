//! Tells the generator which commit and which compiler it was built with: a report says so. Without git, or from an archive of the
//! sources, the commit is unknown.

use std::process::Command;

/// What the generator is built from, seen from here.
const SOURCES: [&str; 4] = ["build.rs", "src", "../shards/wire/src", "../src/signals/src"];

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    // An archive of the sources may lie in somebody else's repository, whose commit says nothing.
    let is_ours = said("git", &["ls-files", "--error-unmatch", "build.rs"]).is_some();
    let describe = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
    let commit = if is_ours { said("git", &describe) } else { None };
    let rustc = said(&rustc, &["--version"]);
    println!("cargo::rustc-env=AURIGA_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=AURIGA_RUSTC={}", rustc.as_deref().unwrap_or("unknown"));
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    // A commit and a change of branch are both written there. Without a repository there is nothing to look at again.
    if let Some(log) = said("git", &["rev-parse", "--git-path", "logs/HEAD"]).filter(|_| is_ours) {
        println!("cargo::rerun-if-changed={log}");
    }
}

/// The first line that a program prints; `None` if it isn't there, fails, or says nothing.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.lines().next()?.to_string())
}
