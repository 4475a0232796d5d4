//! The load generator as a program, and files for it.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Runs it to its end with these arguments.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_auriga-bench")).args(arguments).output().expect("the program starts")
}

/// A file that is removed with this value.
pub struct Temporary(PathBuf);

impl Temporary {
    /// A file of this name, told apart from those of other processes, with this text.
    pub fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("auriga-bench-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("written");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("removed");
    }
}
