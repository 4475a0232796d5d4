//! Several threads say the same: all that is said is shown, or told as hidden, once.

use crate::{explore, join};
use auriga_signals::Repeats;
use loom::sync::Arc;
use loom::thread;

/// Each thread counts what it shows and what it is told of as hidden.
fn say(repeats: &Repeats, windows: &[u32]) -> u32 {
    let noted = windows.iter().map(|window| repeats.note(9, *window).expect("there is a slot"));
    noted.map(|noted| u32::from(noted.show) + noted.hidden).sum()
}

#[test]
fn nothing_is_lost_and_nothing_is_told_twice() {
    explore(|| {
        let repeats = Arc::new(Repeats::new(2, 1));
        let other = repeats.clone();
        let thread = thread::spawn(move || say(&other, &[1, 1, 2]));
        let told = say(&repeats, &[1, 2]) + repeats.take_hidden(2).map(|(_, hidden)| hidden).sum::<u32>();
        let told = told + join(thread);
        let left: u32 = repeats.take_hidden(3).map(|(_, hidden)| hidden).sum();
        assert_eq!(told + left, 5);
    });
}
