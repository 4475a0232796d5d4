//! The files that a run leaves: opened before anything is sent, so that a path that can't be written is no lost run.

use crate::failure::Failure;
use crate::report::StageRow;
use crate::timeline::Timeline;
use auriga_plots::figures::distribution;
use hdrhistogram::Histogram;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which files of what is measured are wanted.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct OutputArgs {
    /// Write latencies as a log of HdrHistogram, for auriga histograms: the generator's for each second, and of run each core's
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// Write rate, latency, refusals and errors of every second, warm-up included, as CSV
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write the distribution of the latency in the text that HdrHistogram's tools plot (.hgrm), microseconds
    #[arg(long, value_name = "FILE")]
    pub percentiles: Option<PathBuf>,
}

/// A file that is open and not written yet. If it never is, it is removed again.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: File,
    /// Whether it was made here and must go if nothing is written.
    provisional: bool,
}

/// What is there already at an output's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// A file that is not empty is refused.
    Refused,
    /// It is replaced.
    Replaced,
}

/// The files of a run.
#[derive(Debug, Default)]
pub struct Outputs {
    /// `--hlog`
    pub hlog: Option<Output>,
    /// `--csv`
    pub csv: Option<Output>,
    /// `--percentiles`
    pub percentiles: Option<Output>,
    /// `--report`
    pub report: Option<Output>,
    /// `--requests`
    pub requests: Option<Output>,
}

impl Outputs {
    /// Opens them all, or says which can't be.
    pub fn open(args: &OutputArgs, report: Option<&Path>, requests: Option<&Path>) -> Result<Self, Failure> {
        let open = |flag, path: Option<&Path>| {
            path.map(|path| Output::open(flag, path, Existing::Refused)).transpose()
        };
        let outputs = Self {
            hlog: open("--hlog", args.hlog.as_deref())?,
            csv: open("--csv", args.csv.as_deref())?,
            percentiles: open("--percentiles", args.percentiles.as_deref())?,
            report: open("--report", report)?,
            requests: requests
                .map(|path| Output::open("--requests", path, Existing::Replaced))
                .transpose()?,
        };
        outputs.check_that_they_differ()?;
        Ok(outputs)
    }

    /// Writes what was measured: over this time, with these latencies, and the server's stages.
    pub fn write_measured(
        &mut self,
        timeline: &Timeline,
        latency: &Histogram<u64>,
        stages: &[StageRow],
    ) -> Result<(), Failure> {
        if let Some(output) = self.hlog.take() {
            output.write(|out| timeline.write_hlog(out, stages))?;
        }
        if let Some(output) = self.csv.take() {
            output.write(|out| timeline.write_csv(out))?;
        }
        if let Some(output) = self.percentiles.take() {
            output.write(|out| out.write_all(distribution(latency).as_bytes()))?;
        }
        Ok(())
    }

    fn check_that_they_differ(&self) -> Result<(), Failure> {
        let files = [&self.hlog, &self.csv, &self.percentiles, &self.report, &self.requests];
        let mut seen: Vec<(u64, u64)> = Vec::new();
        for output in files.into_iter().flatten() {
            let about = output.file.metadata().map_err(|error| output.failed(&error))?;
            let file = (about.dev(), about.ino());
            if about.is_file() && seen.contains(&file) {
                return Err(Failure::Usage(format!(
                    "{}: two outputs are the same file: name another for one of them",
                    output.path.display()
                )));
            }
            seen.push(file);
        }
        Ok(())
    }
}

impl Output {
    /// Opens a file for a command line's option.
    pub fn open(flag: &str, path: &Path, existing: Existing) -> Result<Self, Failure> {
        let shown = path.display();
        let is_new =
            std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(|error| {
                Failure::Environment(format!(
                    "{flag} {shown}: can't be written: {error}: name a file that can"
                ))
            })?;
        let size = file.metadata().map_or(0, |about| if about.is_file() { about.len() } else { 0 });
        if size > 0 && existing == Existing::Refused {
            return Err(Failure::Usage(format!(
                "{flag} {shown}: found a file of {size} bytes, expected none: name another, or remove it"
            )));
        }
        Ok(Self { path: path.into(), file, provisional: is_new })
    }

    /// Writes the file.
    pub fn write(
        mut self,
        content: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let is_file = self.file.metadata().is_ok_and(|about| about.is_file());
        let start =
            || if is_file { self.file.set_len(0).and_then(|()| (&self.file).rewind()) } else { Ok(()) };
        let written = start().and_then(|()| {
            let mut writer = BufWriter::new(&self.file);
            content(&mut writer)?;
            writer.flush()
        });
        self.provisional = false;
        written.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::Failed(format!("can't write {}: {error}", self.path.display()))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.provisional {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_or_leaves_nothing() {
        let path = std::env::temp_dir().join(format!("auriga-bench-{}-output", std::process::id()));
        let open = |existing| Output::open("--csv", &path, existing);
        drop(open(Existing::Refused).expect("it can be made"));
        assert!(!path.exists(), "nothing was written");
        let output = open(Existing::Refused).expect("it can be made");
        output.write(|out| out.write_all(b"something long")).expect("it is written");
        let refused = open(Existing::Refused).expect_err("it is there");
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("found a file of 14 bytes"), "{refused}");
        drop(open(Existing::Replaced).expect("it may be replaced"));
        assert_eq!(std::fs::read(&path).expect("it is still there"), b"something long");
        let output = open(Existing::Replaced).expect("it may be replaced");
        output.write(|out| out.write_all(b"short")).expect("it is written");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"short");
        std::fs::remove_file(&path).expect("removed");
        let nowhere = path.join("below/a/file");
        let failure = Output::open("--csv", &nowhere, Existing::Refused).expect_err("no such directory");
        assert_eq!(failure.exit_code(), 4);
        for path in ["/dev/null", "/dev/null"] {
            let args =
                OutputArgs { csv: Some(path.into()), hlog: Some(path.into()), ..OutputArgs::default() };
            assert!(Outputs::open(&args, None, None).is_ok(), "what is no file can be named twice");
        }
        let args = OutputArgs { csv: Some(path.clone()), hlog: Some(path.clone()), ..OutputArgs::default() };
        assert_eq!(Outputs::open(&args, None, None).expect_err("one file").exit_code(), 2);
        assert!(!path.exists());
    }
}
