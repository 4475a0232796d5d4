//! `auriga histograms`: latencies of a running server, or of the logs that servers leave, as tables and plots.

mod output;
mod report;
mod source;

use crate::failure::{Failure, Outcome};
use auriga_plots::recording::{Choice, Recording};
use clap::Args;
use source::Source;
pub(crate) use source::parts_of;
use std::path::{Path, PathBuf};

/// The stage that plots show if none is chosen, when there is one of that name.
const WHOLE: &str = "total";

/// `auriga histograms`
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Histogram logs (.hlog), as a server leaves them in its data directory or --save writes them [default: ask the server]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The server
    #[arg(long, value_name = "ADDRESS:PORT", default_value = crate::cli::ADDRESS, conflicts_with = "files")]
    address: String,
    /// Leave out what a log has before this; seconds since its beginning
    #[arg(long, value_name = "SECONDS", requires = "files", value_parser = seconds)]
    from: Option<f64>,
    /// Leave out what a log has from this on; seconds since its beginning
    #[arg(long, value_name = "SECONDS", requires = "files", value_parser = seconds)]
    to: Option<f64>,
    /// Only this stage; may be repeated [default: all in tables, total in plots]
    #[arg(long, value_name = "STAGE")]
    stage: Vec<String>,
    /// Only this core; may be repeated
    #[arg(long, value_name = "N")]
    core: Vec<u32>,
    /// All cores in one row
    #[arg(long)]
    merge: bool,
    /// Compare with another log: both values of each row, and the other's in terms of the first
    #[arg(long, value_name = "FILE", conflicts_with = "percentiles")]
    diff: Option<PathBuf>,
    /// Print the distribution of each row in the text that HdrHistogram's tools plot (.hgrm), microseconds
    #[arg(long)]
    percentiles: bool,
    /// One JSON object, nanoseconds
    #[arg(long, conflicts_with = "percentiles")]
    json: bool,
    /// Keep what the server answered as a log
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "merge", "core", "stage"])]
    save: Option<PathBuf>,
    /// Write a plot of latency by percentile
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The same as PNG
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// Write a page with all plots and tables, which needs no other file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Latencies on a logarithmic axis
    #[arg(long)]
    log_scale: bool,
}

/// What was read, by rows as they were asked for, and with all cores in one.
struct Read {
    name: String,
    rows: Recording,
    merged: Recording,
}

/// Reads, prints, and writes what was asked for.
pub(crate) fn run(asked: &Arguments) -> Outcome<()> {
    if asked.diff.is_some() && asked.files.len() > 1 {
        let found = asked.files.len();
        return Err(Failure::usage(format!(
            "--diff compares one log with another, found {found} before it: name one, or leave --diff out and write a page of all (--html)"
        )));
    }
    let choice = Choice {
        from: asked.from,
        to: asked.to,
        cores: asked.core.clone(),
        stages: asked.stage.clone(),
        merge: asked.merge,
    };
    let mut sources = match asked.files.is_empty() {
        true => vec![Source::ask(&asked.address)?],
        false => asked.files.iter().map(|file| Source::open(file)).collect::<Outcome<Vec<_>>>()?,
    };
    if let Some(other) = &asked.diff {
        sources.push(Source::open(other)?);
    }
    let mut read = Vec::new();
    for source in &sources {
        let rows = source.read(&choice)?;
        if rows.torn {
            eprintln!("auriga: {}: its last line is not whole, and is left out", source.name());
        }
        let merged = source.read(&Choice { merge: true, ..choice.clone() })?;
        read.push(Read { name: source.name().into(), rows, merged });
    }
    output::print(asked, &read)?;
    write_files(asked, &read)
}

fn write_files(asked: &Arguments, read: &[Read]) -> Outcome<()> {
    if let Some(path) = &asked.save {
        let mut log = Vec::new();
        let written = read[0].rows.write(&mut log, std::time::SystemTime::now());
        written.map_err(|e| Failure::failed(format!("can't write a histogram log: {e}")))?;
        write(path, &log)?;
    }
    if asked.svg.is_some() || asked.png.is_some() {
        let picture = report::plot(read, asked.log_scale).draw();
        if let Some(path) = &asked.svg {
            write(path, auriga_plots::svg::file(&picture).as_bytes())?;
        }
        if let Some(path) = &asked.png {
            write(path, &auriga_plots::png::file(&picture))?;
        }
    }
    if let Some(path) = &asked.html {
        write(path, report::page(read, asked.log_scale).html().as_bytes())?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    std::fs::write(path, bytes).map_err(|e| {
        Failure::environment(format!("can't write {}: {e}: name a file that can be written", path.display()))
    })
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(seconds),
        _ => Err("expected seconds, 0 or more".into()),
    }
}
