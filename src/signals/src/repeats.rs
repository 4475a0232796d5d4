//! What is said again and again: how often in a window of time, and how much of it was not said.

use crate::sync::{AtomicU64, Ordering};

/// How often each of several things was said, by any thread. What is above a bound in one window is hidden and counted; whoever
/// next says the same in a later window, or asks, gets that count, once.
#[derive(Debug)]
pub struct Repeats {
    shown_max: u32,
    slots: Box<[Slot]>,
}

/// A thing that is said: its key, zero while the slot is free; and the window (high half) with how often in it (low half).
#[derive(Debug)]
struct Slot {
    key: AtomicU64,
    said: AtomicU64,
}

/// What becomes of something that is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Which slot it has.
    pub slot: usize,
    /// It is the first time at all.
    pub is_first: bool,
    /// Say it.
    pub show: bool,
    /// So many in an earlier window were hidden: say that before.
    pub hidden: u32,
}

impl Repeats {
    /// For so many things; each is shown so often in a window.
    pub fn new(slots: usize, shown_max: u32) -> Self {
        let slots = (0..slots).map(|_| Slot { key: AtomicU64::new(0), said: AtomicU64::new(0) }).collect();
        Self { shown_max, slots }
    }

    /// Something of this key, which is not zero, is to be said in this window; windows are numbered from 1. `None` if all slots are
    /// taken by others: it is not counted.
    pub fn note(&self, key: u64, window: u32) -> Option<Noted> {
        let (slot, is_first) = self.find(key)?;
        let said = &self.slots[slot].said;
        let mut before = said.load(Ordering::Relaxed);
        loop {
            // A thread that took its time comes with an earlier window.
            let is_same = window_of(before) >= window;
            let after = if is_same { before.saturating_add(1) } else { pack(window, 1) };
            match said.compare_exchange(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) if is_same => {
                    return Some(Noted {
                        slot,
                        is_first,
                        show: count_of(after) <= self.shown_max,
                        hidden: 0,
                    });
                }
                Ok(_) => return Some(Noted { slot, is_first, show: true, hidden: self.hidden(before) }),
                Err(now) => before = now,
            }
        }
    }

    /// What was hidden in windows before this one, by slot, and not told yet.
    pub fn take_hidden(&self, window: u32) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.slots.iter().enumerate().filter_map(move |(number, slot)| {
            let before = slot.said.load(Ordering::Relaxed);
            let hidden = self.hidden(before);
            let is_over = hidden > 0 && window_of(before) < window;
            let taken = is_over
                && slot.said.compare_exchange(before, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            taken.then_some((number, hidden))
        })
    }

    fn find(&self, key: u64) -> Option<(usize, bool)> {
        self.slots.iter().enumerate().find_map(|(number, slot)| {
            match slot.key.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => Some((number, true)),
                Err(taken) => (taken == key).then_some((number, false)),
            }
        })
    }

    fn hidden(&self, said: u64) -> u32 {
        count_of(said).saturating_sub(self.shown_max)
    }
}

fn pack(window: u32, count: u32) -> u64 {
    u64::from(window) << 32 | u64::from(count)
}

fn window_of(said: u64) -> u32 {
    (said >> 32) as u32
}

fn count_of(said: u64) -> u32 {
    said as u32
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn above_the_bound_it_is_hidden_and_told_later_once() {
        let repeats = Repeats::new(2, 2);
        let note =
            |key, window| repeats.note(key, window).map(|noted| (noted.slot, noted.show, noted.hidden));
        let shown = |count: usize| (0..count).filter(|_| note(7, 1).expect("a slot").1).count();
        assert_eq!(shown(5), 2);
        assert_eq!(repeats.take_hidden(1).count(), 0, "its window is not over");
        assert_eq!(note(7, 2), Some((0, true, 3)));
        assert_eq!(note(7, 2), Some((0, true, 0)), "it is told once");
        assert_eq!(
            (note(7, 2), note(7, 1)),
            (Some((0, false, 0)), Some((0, false, 0))),
            "a late thread's too"
        );
        assert_eq!(repeats.take_hidden(3).collect::<Vec<_>>(), [(0, 2)]);
        assert_eq!(repeats.take_hidden(4).count(), 0);
    }

    #[test]
    fn each_key_has_its_own_slot_while_there_are_some() {
        let repeats = Repeats::new(2, 1);
        let slots: Vec<_> = [5, 6, 5, 7, 6]
            .map(|key| repeats.note(key, 1).map(|noted| (noted.slot, noted.is_first, noted.show)))
            .into();
        let expected = [
            Some((0, true, true)),
            Some((1, true, true)),
            Some((0, false, false)),
            None,
            Some((1, false, false)),
        ];
        assert_eq!(slots, expected);
    }
}
