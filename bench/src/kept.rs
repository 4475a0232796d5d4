//! What a worker remembers of the requests that it sent: all of them while they fit its memory, of older ones a sample beyond that.
//!
//! Nothing of a sum is lost with what is dropped: the model adds it up before. Only the transfers of such a request can't be looked up.

use crate::model::{Batch, RefusedEvent};
use std::collections::{BTreeMap, VecDeque};

/// Bytes of a recent batch, of one in the sample, and of a list of refused events beside the events.
const RECENT_BYTES: usize = size_of::<Batch>();
const SAMPLED_BYTES: usize = size_of::<Sampled>();
const LIST_BYTES: usize = 64;

/// A batch of the sample.
#[derive(Clone, Copy, Debug)]
struct Sampled {
    number: u64,
    batch: Batch,
    /// When the batch that it resolves was made; its own time, if there is none.
    resolved_ms: u32,
}

/// The batches that are remembered, by their numbers.
#[derive(Debug)]
pub struct Kept {
    /// Every batch from the one of this number on.
    first: u64,
    recent: VecDeque<Batch>,
    /// When those right before it were made, at most `lag` of them: what it and its successors resolve.
    before: VecDeque<u32>,
    lag: usize,
    /// Of those before, the ones whose numbers are multiples of this, in order.
    stride: u64,
    sample: Vec<Sampled>,
    /// Bytes of the sample and of its refused events.
    sample_bytes: usize,
    /// Refused events by batch, in the order of their indexes.
    refused: BTreeMap<u64, Box<[RefusedEvent]>>,
    /// Bytes of all refused events.
    refused_bytes: usize,
    bytes_max: usize,
}

impl Kept {
    /// Nothing so far, and no more than so many bytes, but for what is under way. A batch may resolve the one `lag` before it.
    pub fn new(bytes_max: usize, lag: u64) -> Self {
        Self {
            first: 0,
            recent: VecDeque::new(),
            before: VecDeque::new(),
            lag: lag as usize,
            stride: 1,
            sample: Vec::new(),
            sample_bytes: 0,
            refused: BTreeMap::new(),
            refused_bytes: 0,
            bytes_max,
        }
    }

    /// Batches that were sent.
    pub fn sent(&self) -> u64 {
        self.first + self.recent.len() as u64
    }

    /// The next batch.
    pub fn push(&mut self, batch: Batch) {
        self.recent.push_back(batch);
    }

    /// A batch, if it is remembered.
    pub fn get(&self, number: u64) -> Option<Batch> {
        match number.checked_sub(self.first) {
            Some(place) => self.recent.get(place as usize).copied(),
            None => self.sampled(number).map(|sampled| sampled.batch),
        }
    }

    /// A batch that is not answered, or was just now.
    pub fn recent_mut(&mut self, number: u64) -> &mut Batch {
        &mut self.recent[(number - self.first) as usize]
    }

    /// When a batch was made that is remembered, or is what this one that is remembered resolves.
    pub fn ms(&self, number: u64, resolved_by: u64) -> Option<u32> {
        let resolved = || self.sampled(resolved_by).map(|by| by.resolved_ms);
        let before = || {
            let place = (number + self.before.len() as u64).checked_sub(self.first)?;
            self.before.get(place as usize).copied()
        };
        self.get(number).map(|batch| batch.ms).or_else(before).or_else(resolved)
    }

    fn sampled(&self, number: u64) -> Option<&Sampled> {
        let place = self.sample.binary_search_by_key(&number, |sampled| sampled.number);
        place.ok().map(|place| &self.sample[place])
    }

    /// From this number on all of them are remembered.
    pub fn whole_from(&self) -> u64 {
        self.first
    }

    /// How many are remembered.
    pub fn remembered(&self) -> u64 {
        (self.sample.len() + self.recent.len()) as u64
    }

    /// The number of the one in this place, from 0, of those that are remembered.
    pub fn number_at(&self, place: u64) -> u64 {
        match self.sample.get(place as usize) {
            Some(sampled) => sampled.number,
            None => self.first + place - self.sample.len() as u64,
        }
    }

    /// The first place with a batch for which this holds; it holds for all behind it.
    pub fn place_from(&self, holds: impl Fn(u64) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.remembered());
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(self.number_at(middle)) { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// The refused events of a batch, in order.
    pub fn refused_of(&self, number: u64) -> &[RefusedEvent] {
        self.refused.get(&number).map_or(&[], |events| events)
    }

    /// These events of a batch were refused.
    pub fn refuse(&mut self, number: u64, events: Box<[RefusedEvent]>) {
        if !events.is_empty() {
            self.refused_bytes += refused_bytes(&events);
            self.refused.insert(number, events);
        }
    }

    /// The oldest one that is not of the sample, if there is less memory than is needed.
    pub fn surplus(&self) -> Option<u64> {
        let sample = self.sample.len() * SAMPLED_BYTES;
        let bytes = sample + self.recent.len() * RECENT_BYTES + self.refused_bytes;
        (bytes > self.bytes_max && !self.recent.is_empty()).then_some(self.first)
    }

    /// Drops the oldest one, or puts it into the sample. It may resolve another one.
    pub fn drop_oldest(&mut self, resolved: Option<u64>) {
        let number = self.first;
        let resolved_ms = resolved.and_then(|resolved| self.ms(resolved, number));
        let Some(batch) = self.recent.pop_front() else { return };
        self.first += 1;
        self.before.push_back(batch.ms);
        if self.before.len() > self.lag {
            self.before.pop_front();
        }
        if !number.is_multiple_of(self.stride) {
            self.forget_refused(number);
            return;
        }
        self.sample.push(Sampled { number, batch, resolved_ms: resolved_ms.unwrap_or(batch.ms) });
        self.sample_bytes += SAMPLED_BYTES + refused_bytes(self.refused_of(number));
        while self.sample_bytes > self.bytes_max / 2 && self.sample.len() > 1 {
            self.thin_out();
        }
    }

    /// Halves the sample.
    fn thin_out(&mut self) {
        self.stride *= 2;
        let stride = self.stride;
        let gone: Vec<Sampled> =
            self.sample.extract_if(.., |sampled| !sampled.number.is_multiple_of(stride)).collect();
        for Sampled { number, .. } in gone {
            self.sample_bytes -= SAMPLED_BYTES + refused_bytes(self.refused_of(number));
            self.forget_refused(number);
        }
    }

    fn forget_refused(&mut self, number: u64) {
        if let Some(events) = self.refused.remove(&number) {
            self.refused_bytes -= refused_bytes(&events);
        }
    }
}

fn refused_bytes(events: &[RefusedEvent]) -> usize {
    if events.is_empty() { 0 } else { size_of_val(events) + LIST_BYTES }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BatchState;

    fn batch(number: u64) -> Batch {
        Batch { first_timestamp: number * 10, ms: number as u32, state: BatchState::Executed }
    }

    fn filled(count: u64, bytes_max: usize, refused: usize) -> Kept {
        let mut kept = Kept::new(bytes_max, 3);
        for number in 0..count {
            kept.push(batch(number));
            kept.refuse(number, vec![RefusedEvent { index: 1, code: number as u32 }; refused].into());
            while let Some(oldest) = kept.surplus() {
                kept.drop_oldest(oldest.checked_sub(3));
            }
        }
        kept
    }

    #[test]
    fn everything_is_kept_while_there_is_room() {
        let kept = filled(1_000, 1 << 20, 2);
        assert_eq!((kept.sent(), kept.remembered(), kept.surplus()), (1_000, 1_000, None));
        assert!(
            (0..1_000).all(|number| kept.number_at(number) == number && kept.refused_of(number).len() == 2)
        );
    }

    #[test]
    fn beyond_that_the_newest_are_kept_and_every_so_many_of_the_others() {
        for refused in [0, 3, 100] {
            let bytes_max = 20_000;
            let kept = filled(100_000, bytes_max, refused);
            assert!(kept.stride > 1 && kept.remembered() < 2_000, "{kept:?}");
            let used =
                kept.sample.len() * SAMPLED_BYTES + kept.recent.len() * RECENT_BYTES + kept.refused_bytes;
            assert!(used <= bytes_max, "{used}");
            let numbers: Vec<u64> = (0..kept.remembered()).map(|place| kept.number_at(place)).collect();
            let (old, new) = numbers.split_at(kept.sample.len());
            assert!(old.iter().zip(0..).all(|(number, place)| *number == place * kept.stride), "{old:?}");
            assert!(
                !old.is_empty() && !new.is_empty() && new.iter().copied().eq(kept.first..100_000),
                "{new:?}"
            );
            for number in numbers {
                assert_eq!(
                    kept.get(number).map(|found| (found.first_timestamp, found.ms)),
                    Some((number * 10, number as u32))
                );
                assert_eq!(kept.refused_of(number).len(), refused);
                let resolved = number.saturating_sub(3);
                assert_eq!(kept.ms(resolved, number).map(u64::from), Some(resolved), "{number}");
            }
            assert!(
                kept.get(kept.stride + 1).is_none()
                    && kept.refused.len() as u64 == if refused > 0 { kept.remembered() } else { 0 }
            );
            let place = kept.place_from(|number| number >= 50_000);
            assert!(kept.number_at(place) >= 50_000 && kept.number_at(place - 1) < 50_000);
            assert_eq!(kept.place_from(|_| false), kept.remembered());
        }
    }
}
