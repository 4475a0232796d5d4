//! The terminal: another screen while we are there, and the old one as it was when we go, however we do.

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{
    Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{cursor, execute, queue, style};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Stdout, Write};
use std::time::{Duration, Instant};

/// Longest wait before signals are looked at.
const BREATH: Duration = Duration::from_millis(100);
/// Cores that a page is.
const PAGE: usize = 10;

/// What whoever sits there wants, or the time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To go.
    Quit,
    /// To see what is further up, by so many lines.
    Up(usize),
    /// Or further down.
    Down(usize),
    /// The same again, in another size maybe.
    Draw,
    /// Nothing: the time is over.
    Look,
}

/// A terminal that shows lines. Dropped, it is as it was.
pub(super) struct Terminal {
    out: Stdout,
    signals: Signals,
}

impl Terminal {
    /// Takes the terminal.
    pub(super) fn enter() -> io::Result<Self> {
        let signals = Signals::new([SIGTERM, SIGINT])?;
        end_with_terminal()?;
        enable_raw_mode()?;
        let mut terminal = Self { out: io::stdout(), signals };
        execute!(terminal.out, EnterAlternateScreen, DisableLineWrap, cursor::Hide)?;
        // A panic ends the process at once, without what drops do.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave(&mut io::stdout());
            before(panic);
        }));
        Ok(terminal)
    }

    /// Shows the lines for the terminal's present size.
    pub(super) fn draw(&mut self, lines: impl FnOnce((usize, usize)) -> Vec<String>) -> io::Result<()> {
        let (width, height) = size()?;
        queue!(self.out, cursor::MoveTo(0, 0))?;
        for (number, line) in lines((width.into(), height.into())).iter().enumerate() {
            queue!(
                self.out,
                cursor::MoveTo(0, number as u16),
                style::Print(line),
                Clear(ClearType::UntilNewLine)
            )?;
        }
        queue!(self.out, Clear(ClearType::FromCursorDown))?;
        self.out.flush()
    }

    /// Waits for a key or a signal, this long at most.
    pub(super) fn wait(&mut self, time: Duration) -> io::Result<Wish> {
        let end = Instant::now() + time;
        loop {
            if self.signals.pending().next().is_some() {
                return Ok(Wish::Quit);
            }
            let left = end.saturating_duration_since(Instant::now());
            if event::poll(left.min(BREATH))? {
                if let Some(wish) = wish_of(&event::read()?) {
                    return Ok(wish);
                }
            } else if left.is_zero() {
                return Ok(Wish::Look);
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        leave(&mut self.out);
    }
}

/// Ends the process when its terminal is gone: there is nothing to be restored, and crossterm reads the end of its input for ever.
fn end_with_terminal() -> io::Result<()> {
    let mut gone = Signals::new([SIGHUP])?;
    std::thread::Builder::new().name("hang-up".into()).spawn(move || {
        if gone.forever().next().is_some() {
            std::process::exit(0);
        }
    })?;
    Ok(())
}

/// Whatever of it fails, there is nobody left to be told.
fn leave(out: &mut Stdout) {
    let _ = execute!(out, cursor::Show, EnableLineWrap, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

fn wish_of(event: &Event) -> Option<Wish> {
    let KeyEvent { code, modifiers, kind, .. } = match event {
        Event::Resize(..) => return Some(Wish::Draw),
        Event::Key(key) => *key,
        _ => return None,
    };
    if kind == KeyEventKind::Release {
        return None;
    }
    match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::Quit),
        KeyCode::Up | KeyCode::Char('k') => Some(Wish::Up(1)),
        KeyCode::Down | KeyCode::Char('j') => Some(Wish::Down(1)),
        KeyCode::PageUp => Some(Wish::Up(PAGE)),
        KeyCode::PageDown => Some(Wish::Down(PAGE)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_something() {
        let key = |code, modifiers| wish_of(&Event::Key(KeyEvent::new(code, modifiers)));
        let cases = [
            (KeyCode::Char('q'), KeyModifiers::NONE, Some(Wish::Quit)),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Wish::Quit)),
            (KeyCode::Char('c'), KeyModifiers::NONE, None),
            (KeyCode::Down, KeyModifiers::NONE, Some(Wish::Down(1))),
            (KeyCode::PageUp, KeyModifiers::NONE, Some(Wish::Up(PAGE))),
        ];
        for (code, modifiers, wish) in cases {
            assert_eq!(key(code, modifiers), wish, "{code:?}");
        }
        assert_eq!(wish_of(&Event::Resize(80, 24)), Some(Wish::Draw));
    }
}
