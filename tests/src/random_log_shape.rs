//! What a seed decides once for its log.

use crate::random_log_plots::{PLOTS, Plot, TOPICS};
use auriga_wire::record::TransferFlags;
use fastrand::Rng;

/// What is decided once for a log.
pub(crate) struct Shape {
    /// Of the accounts, have a balance limit.
    pub(crate) limited_percent: u8,
    /// Of the choices of an account, fall on the first one that fits.
    pub(crate) hot_percent: u8,
    /// Of the accounts, are left for later when an epoch begins.
    pub(crate) late_percent: u8,
    /// Of the amounts on limited accounts, aim at what just fits.
    pub(crate) tight_percent: u8,
    /// Most of an amount that aims at nothing.
    pub(crate) amount_max: u128,
    pub(crate) ledgers: u32,
    pub(crate) account_ids: IdStyle,
    pub(crate) transfer_ids: IdStyle,
    /// Of the epochs, move the horizon.
    pub(crate) horizon_percent: u8,
    /// Of the epochs, are at each limit.
    pub(crate) limit_percent: u8,
    kinds: Kinds,
    /// How often each plot about plain transfers is told, in relation to the others.
    plain: Vec<(Plot, u32)>,
    /// How often each plot is told, whatever it is about.
    all: Vec<(Plot, u32)>,
}

/// How ids are spread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdStyle {
    Sequential,
    Random,
    /// 48 bits of milliseconds and 80 random bits.
    TimeOrdered,
}

impl IdStyle {
    fn draw(rng: &mut Rng) -> Self {
        [Self::Sequential, Self::Random, Self::TimeOrdered][rng.usize(..3)]
    }
}

impl Shape {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let kinds = Kinds::draw(rng);
        let plain = draw_weights(rng, &PLOTS, 100);
        let mut all = plain.clone();
        if kinds == Kinds::Mostly {
            all.iter_mut().for_each(|(_, weight)| *weight /= 8);
        }
        // An engine may take other ways when there are only some of the kinds.
        let topic_percent = [30, 60, 100][rng.usize(..3)];
        for topic in TOPICS {
            if kinds != Kinds::Plain && rng.u8(..100) < topic_percent {
                all.extend(draw_weights(rng, topic, 50));
            }
        }
        Self {
            limited_percent: [0, 30, 60, 100, rng.u8(..=100)][rng.usize(..5)],
            hot_percent: [0, 0, 50, 90][rng.usize(..4)],
            late_percent: [0, 0, 10, 10, 30, 100][rng.usize(..6)],
            tight_percent: [20, 60, 90][rng.usize(..3)],
            amount_max: [3, 10, 100, 1_000_000][rng.usize(..4)],
            ledgers: [1, 1, 2, 3][rng.usize(..4)],
            account_ids: IdStyle::draw(rng),
            transfer_ids: if rng.bool() { IdStyle::TimeOrdered } else { IdStyle::draw(rng) },
            horizon_percent: [0, 30, 70][rng.usize(..3)],
            limit_percent: [0, 0, 0, 3, 20][rng.usize(..5)],
            kinds,
            plain,
            all,
        }
    }

    /// Whether all transfers are plain ones.
    pub(crate) fn is_plain(&self) -> bool {
        self.kinds == Kinds::Plain
    }

    /// Flags that a retry may change.
    pub(crate) fn flags(&self) -> u16 {
        if self.is_plain() { TransferFlags::IMPORTED } else { TransferFlags::KNOWN }
    }

    /// The next story.
    pub(crate) fn draw_plot(&self, rng: &mut Rng, plain: bool) -> Plot {
        let plots = if plain { &self.plain } else { &self.all };
        let total: u32 = plots.iter().map(|(_, weight)| weight).sum();
        let mut drawn = rng.u32(..=total);
        for (plot, weight) in plots {
            if drawn < *weight {
                return *plot;
            }
            drawn -= weight;
        }
        // The first plot is always possible and always writes something.
        PLOTS[0].0
    }
}

/// Every plot of a topic, and how often it is told.
fn draw_weights(rng: &mut Rng, plots: &[(Plot, u32)], factor: u32) -> Vec<(Plot, u32)> {
    plots.iter().map(|(plot, weight)| (*plot, weight * factor * [0, 1, 1, 4][rng.usize(..4)])).collect()
}

/// Which transfers a log is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    /// Nothing but plain ones.
    Plain,
    /// Also pending ones, chains, and so on.
    Some,
    /// Pending ones, chains, and so on, and few plain ones.
    Mostly,
}

impl Kinds {
    fn draw(rng: &mut Rng) -> Self {
        [Self::Plain, Self::Plain, Self::Some, Self::Some, Self::Mostly][rng.usize(..5)]
    }
}
