//! `auriga top`: what each core of a running server does, again and again.

mod look;
mod terminal;
mod view;

use crate::failure::{Failure, Outcome};
use crate::output::write;
use clap::Args;
use look::{Between, Look, Looker};
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use terminal::{Terminal, Wish};
use view::View;

/// `auriga top`
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The server
    #[arg(long, value_name = "ADDRESS:PORT", default_value = crate::cli::ADDRESS)]
    address: String,
    /// Time between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = interval)]
    interval: f64,
    /// Look at one interval, print it and end
    #[arg(long)]
    once: bool,
}

fn interval(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected 0.1 to 3600 seconds".into()),
    }
}

/// Looks until it is told to end; on a terminal as a picture, else as a line for each look.
pub(crate) fn run(asked: &Arguments) -> Outcome<()> {
    let mut watch = Watch::begin(asked)?;
    if asked.once {
        std::thread::sleep(watch.every);
        watch.look()?;
        write(&(watch.view(0).lines(None).join("\n") + "\n"));
        return Ok(());
    }
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        return watch.on_terminal();
    }
    loop {
        std::thread::sleep(watch.every);
        watch.look()?;
        if !write(&format!("{}\n", watch.view(0).line())) {
            return Ok(());
        }
    }
}

/// A server that is looked at.
struct Watch<'a> {
    address: &'a str,
    every: Duration,
    looker: Looker,
    last: Look,
    between: Between,
    trouble: Option<String>,
}

impl<'a> Watch<'a> {
    fn begin(asked: &'a Arguments) -> Outcome<Self> {
        let mut looker = Looker::new(&asked.address)?;
        let last = looker.look()?;
        let between = last.since_its_start();
        let every = Duration::from_secs_f64(asked.interval);
        Ok(Self { address: &asked.address, every, looker, last, between, trouble: None })
    }

    fn look(&mut self) -> Outcome<()> {
        let now = self.looker.look()?;
        self.between = now.since(&self.last).unwrap_or_else(|| now.since_its_start());
        self.last = now;
        Ok(())
    }

    fn view(&self, first: usize) -> View<'_> {
        let (status, between, trouble) = (&self.last.status, &self.between, self.trouble.as_deref());
        View { address: self.address, status, between, trouble, first }
    }

    /// A server that doesn't answer may be back later: what it said last stays, with why there is nothing newer.
    fn on_terminal(&mut self) -> Outcome<()> {
        let mut terminal = Terminal::enter().map_err(|e| no_terminal(&e))?;
        let mut first = 0;
        let mut next = Instant::now() + self.every;
        loop {
            terminal.draw(|size| self.view(first).lines(Some(size))).map_err(|e| no_terminal(&e))?;
            match terminal
                .wait(next.saturating_duration_since(Instant::now()))
                .map_err(|e| no_terminal(&e))?
            {
                Wish::Quit => return Ok(()),
                Wish::Up(by) => first = first.saturating_sub(by),
                Wish::Down(by) => first = (first + by).min(self.between.cores.len().saturating_sub(1)),
                Wish::Draw => {}
                Wish::Look => {
                    self.trouble = self.look().err().map(|failure| failure.message);
                    next = Instant::now() + self.every;
                }
            }
        }
    }
}

fn no_terminal(error: &std::io::Error) -> Failure {
    Failure::environment(format!(
        "the terminal can't be used: {error}. With --once or into a pipe none is needed"
    ))
}
