//! The Debian package: what it says, what is in it, and how it comes and goes.

use crate::root::{command, files, installed, verify};
use auriga_tests::harness::{Finished, Scratch, not_run, run, scratch_root, text};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The package, built by systemd/package.
fn package() -> PathBuf {
    if let Some(path) = std::env::var_os("AURIGA_DEB") {
        return path.into();
    }
    let built = scratch_root().join("../debian");
    let entries = fs::read_dir(&built).into_iter().flatten().flatten().map(|entry| entry.path());
    let packages = entries.filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    packages
        .max()
        .unwrap_or_else(|| panic!("no package in {}: build it with systemd/package", built.display()))
}

fn field(name: &str) -> String {
    run(command("dpkg-deb", &["--field", text(&package()), name])).expect(0, &[]).stdout.trim().to_owned()
}

/// But for the list of licences, which cargo-deb writes a heading to.
fn without_copyright(mut files: BTreeMap<PathBuf, u32>) -> BTreeMap<PathBuf, u32> {
    let copyright = files.remove(Path::new("usr/share/doc/auriga/copyright"));
    assert_eq!(copyright, Some(0o644));
    files
}

#[test]
fn it_holds_what_the_script_installs() {
    let (unpacked, root) = (Scratch::new("unpacked"), installed("for-package"));
    run(command("dpkg-deb", &["--extract", text(&package()), text(unpacked.path())])).expect(0, &[]);
    let (found, expected) = (files(unpacked.path()), files(root.path()));
    assert!(found.keys().any(|path| path.ends_with("man1/auriga-bench-run.1.gz")), "{found:?}");
    assert_eq!(without_copyright(found.clone()), without_copyright(expected));
    for path in found.keys().filter(|path| !path.starts_with("usr/bin") && !path.ends_with("copyright")) {
        let read = |root: &Path| fs::read(root.join(path)).expect("read");
        assert_eq!(read(unpacked.path()), read(root.path()), "{}", path.display());
    }
    let verified = verify(unpacked.path(), &["auriga.service"]).expect(0, &[]);
    assert_eq!((verified.stdout.as_str(), verified.stderr.as_str()), ("", ""));
    let version = run(command(text(&unpacked.join("usr/bin/auriga")), &["version"])).expect(0, &[]).stdout;
    assert!(field("Version").starts_with(version.trim_start_matches("auriga ").trim()), "{version}");
}

#[test]
fn it_says_what_it_is_and_needs() {
    assert_eq!(field("Package"), "auriga");
    assert_eq!(field("Maintainer"), "Auriga developers <auriga@localhost>");
    let needs = field("Depends");
    for library in ["libc6", "libhwloc15"] {
        assert!(needs.contains(library), "{library} is missing in {needs}");
    }
}

/// dpkg with a root of its own: its database and what it installs are there, and the package's scripts know of it.
fn dpkg(root: &Path, arguments: &[&str]) -> Finished {
    let log = format!("--log={}", text(&root.join("dpkg.log")));
    let own =
        ["--root", text(root), &log, "--force-script-chrootless", "--force-depends", "--force-bad-path"];
    run(command("dpkg", &[&own[..], arguments].concat()))
}

#[test]
fn it_is_installed_removed_and_purged() {
    // SAFETY: the call takes no memory.
    if unsafe { libc::geteuid() } != 0 {
        return not_run("the package installed by dpkg", "dpkg installs as root only");
    }
    let scratch = Scratch::new("dpkg");
    let root = scratch.path();
    for directory in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"] {
        fs::create_dir_all(root.join(directory)).expect("made");
    }
    for file in ["status", "available"] {
        fs::write(root.join("var/lib/dpkg").join(file), "").expect("written");
    }
    let ours = || {
        let found = files(root).into_keys().filter(|path| !path.starts_with("var/lib/dpkg"));
        found.filter(|path| path != Path::new("dpkg.log")).collect::<Vec<_>>()
    };
    dpkg(root, &["--install", text(&package())]).expect(0, &[]);
    let status = dpkg(root, &["--status", "auriga"]).expect(0, &[]).stdout;
    assert!(status.contains("Status: install ok installed"), "{status}");
    assert!(ours().contains(&PathBuf::from("usr/lib/systemd/system/auriga.service")));
    let config = Path::new("etc/auriga/auriga.toml");
    let of_etc: Vec<PathBuf> = ours().into_iter().filter(|path| path.starts_with("etc")).collect();
    assert_eq!(of_etc, [config], "nothing is enabled");

    fs::create_dir_all(root.join("var/lib/auriga/data")).expect("made");
    fs::write(root.join("var/lib/auriga/data/auriga.toml"), "own").expect("written");
    fs::write(root.join(config), "own").expect("written");
    dpkg(root, &["--remove", "auriga"]).expect(0, &[]);
    assert!(ours().contains(&config.to_owned()), "an operator's file stays until the purge");
    let purged = dpkg(root, &["--purge", "auriga"]).expect(0, &[]);
    assert_eq!(ours(), [PathBuf::from("var/lib/auriga/data/auriga.toml")], "the ledger is kept");
    assert!(purged.stdout.contains("the ledger is kept in /var/lib/auriga"), "{}", purged.stdout);
}
