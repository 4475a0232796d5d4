//! systemd/install and systemd/uninstall, in a root of their own.

use crate::root::{command, files, installed, repository, script};
use auriga_tests::harness::{Scratch, run, text};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn unit(root: &Path, prefix: &str) -> String {
    let path = root.join(prefix).join("lib/systemd/system/auriga.service");
    fs::read_to_string(path).expect("the unit is installed")
}

/// A ledger, an option and a drop-in of the operator's, and one that a command wrote.
fn use_it(root: &Path) {
    let write = |path: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("in a directory")).expect("made");
        fs::write(path, "own").expect("written");
    };
    write("var/lib/private/auriga/data/auriga.toml");
    symlink("private/auriga", root.join("var/lib/auriga")).expect("made");
    write("etc/auriga/environment");
    write("etc/auriga/auriga.toml");
    write("etc/systemd/system/auriga.service.d/own.conf");
    for unit in ["auriga.service", "auriga-check.service", "system.slice"] {
        write(&format!("etc/systemd/system/{unit}.d/50-auriga-topology.conf"));
    }
}

fn paths(root: &Path) -> Vec<String> {
    files(root).into_keys().map(|path| path.to_string_lossy().into_owned()).collect()
}

#[test]
fn what_is_installed_is_removed_and_what_is_the_operators_stays() {
    for prefix in ["usr/local", "usr", "opt/auriga"] {
        let scratch = Scratch::new("install");
        let root = scratch.path();
        let absolute = format!("/{prefix}");
        let options: &[&str] = if prefix == "usr/local" { &[] } else { &["--prefix", &absolute] };
        let said = run(script("install", root, options)).expect(0, &[]).stdout;
        assert!(said.contains("auriga-format") && said.contains("enable --now auriga"), "{said}");
        let service = unit(root, prefix);
        let of_start = format!("\nExecStart=/{prefix}/bin/auriga start --data ");
        let of_check = format!("\nExecStartPre=/{prefix}/bin/auriga check --data ");
        assert!(service.contains(&of_start) && service.contains(&of_check), "{service}");
        let program = root.join(prefix).join("bin/auriga");
        assert!(run(command(text(&program), &["version"])).stdout.starts_with("auriga "));
        for name in ["auriga-start", "auriga-bench-run"] {
            let path = root.join(prefix).join(format!("share/man/man1/{name}.1.gz"));
            let page = run(command("gzip", &["--decompress", "--stdout", text(&path)])).expect(0, &[]).stdout;
            assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
        }
        let config = fs::read_to_string(root.join("etc/auriga/auriga.toml")).expect("it is installed");
        assert!(config.lines().all(|line| line.is_empty() || line.starts_with('#')), "{config}");
        use_it(root);
        // Once more is an upgrade.
        run(script("install", root, options)).expect(0, &[]);
        assert_eq!(fs::read_to_string(root.join("etc/auriga/auriga.toml")).expect("it is there"), "own");

        let said = run(script("uninstall", root, options)).expect(0, &[]).stdout;
        let kept = [
            "etc/auriga/auriga.toml",
            "etc/auriga/environment",
            "etc/systemd/system/auriga.service.d/own.conf",
            "var/lib/auriga",
            "var/lib/private/auriga/data/auriga.toml",
        ];
        assert_eq!(paths(root), kept, "{said}");
        for path in ["etc/auriga", "etc/systemd/system/auriga.service.d", "var/lib/auriga"] {
            assert!(said.contains(&format!("Kept: {}\n", root.join(path).display())), "{path}: {said}");
        }
        assert!(!root.join("etc/systemd/system/system.slice.d").exists(), "it was made for that file alone");
        assert!(!root.join("opt/auriga").exists(), "what was made for these files alone goes, too");
        // Nothing is left to remove, but for what is not asked back without a word.
        run(script("uninstall", root, options)).expect(0, &[]);
        assert_eq!(paths(root), kept);
        let said = run(script("uninstall", root, &[options, &["--purge"]].concat())).expect(0, &[]).stdout;
        assert_eq!(paths(root), ["etc/systemd/system/auriga.service.d/own.conf"], "{said}");
    }
}

#[test]
fn wrong_use_and_what_is_missing_are_named() {
    let root = Scratch::new("wrong-use");
    for name in ["install", "uninstall"] {
        let help = run(script(name, root.path(), &["--help"])).expect(0, &[]).stdout;
        assert!(help.contains(&format!("Usage: systemd/{name}")), "{help}");
        for arguments in [
            &["--prefix"][..],
            &["--prefix", "usr"],
            &["--prefix", "/my apps"],
            &["--colour"],
            &["everything"],
        ] {
            run(script(name, root.path(), arguments)).expect(2, &["Usage: systemd/"]);
        }
    }
    run(script("install", root.path(), &["--purge"])).expect(2, &["--purge"]);
    let mut install = script("install", root.path(), &[]);
    install.env("CARGO_TARGET_DIR", root.join("nothing"));
    run(install).expect(4, &["release/auriga is not there", "cargo build --release"]);
    assert_eq!(paths(root.path()), Vec::<String>::new(), "nothing was made");
}

/// `systemd/README.md` names the files that it explains.
#[test]
fn the_documentation_names_every_file() {
    let text = fs::read_to_string(repository().join("systemd/README.md")).expect("it is there");
    let root = installed("named");
    let shipped: Vec<PathBuf> = files(&repository().join("systemd")).into_keys().collect();
    for path in shipped.iter().filter(|path| path.as_path() != Path::new("README.md")) {
        assert!(text.contains(&format!("`{}`", path.display())), "{} is not named", path.display());
    }
    assert!(root.join("usr/share/doc/auriga/systemd.md").exists(), "and is installed itself");
}
