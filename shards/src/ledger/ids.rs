//! The transfer ids that one shard remembers: where each transfer lies in the log, what it said, how it ended.
//!
//! They are kept in generations by the time of the id, each with an index of its own, so that what the horizon has passed is
//! dropped whole. Ids come nearly in order: one is looked for in the newest generation first. A generation that holds a fair
//! share of all ids is followed by a new one, which begins behind its newest id: clients whose clocks are ahead make
//! generations longer by as much.

use super::index::Index;
use super::pages::{Fresh, Pages};
use super::saved::{SavedDone, SavedId};
use super::terms::{MILLISECOND_NS, id_ms};
use crate::place::Position;
use auriga_wire::{Transfer, TransferCode};
use std::collections::VecDeque;

/// A generation isn't closed before it has so many ids...
const GENERATION_MIN: usize = 4_096;
/// ... and this share of all.
const GENERATION_SHARE: usize = 32;
/// ... or so many: the index of the newest one, in which nearly every id is looked for, stays in the processor's caches. It and two pages
/// of entries are whole huge pages.
const GENERATION_CACHED: usize = 119_000;
/// Generations, more or less, that there are at most; from here on they grow instead.
const GENERATIONS_MAX: usize = 1_024;
/// More ids that a generation has room for: it isn't closed before its newest millisecond is over.
const GENERATION_ROOM: usize = 4_096;

/// The lowest bits of the hash of the compared fields are left for the status.
const STATUS: u64 = 7;

/// What became of the transfer that consumed an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u64)]
pub enum Status {
    /// Created; not a pending one.
    Created = 0,
    /// Refused.
    Refused = 1,
    /// A pending transfer, neither posted nor voided nor expired.
    Pending = 2,
    /// A pending transfer that was posted.
    Posted = 3,
    /// A pending transfer that was voided.
    Voided = 4,
    /// A pending transfer whose time ran out.
    Expired = 5,
}

impl Status {
    /// Why a transfer that is not held as a pending one can't be posted or voided.
    pub fn refuses_claim(self) -> TransferCode {
        match self {
            Self::Refused => TransferCode::PendingTransferNotFound,
            Self::Created => TransferCode::PendingTransferNotPending,
            Self::Posted => TransferCode::PendingTransferAlreadyPosted,
            Self::Voided => TransferCode::PendingTransferAlreadyVoided,
            Self::Expired => TransferCode::PendingTransferExpired,
            Self::Pending => unreachable!("what is pending is held by the shard of its id"),
        }
    }

    fn of(content: u64) -> Self {
        match content & STATUS {
            0 => Self::Created,
            1 => Self::Refused,
            2 => Self::Pending,
            3 => Self::Posted,
            4 => Self::Voided,
            _ => Self::Expired,
        }
    }
}

/// Names a remembered id while it is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdNumber {
    generation: u32,
    slot: u32,
}

/// What is known of an id that was consumed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Where the transfer that consumed it lies.
    pub position: Position,
    /// What became of that transfer.
    pub status: Status,
    /// Whether the compared fields are the same.
    pub same: bool,
    /// [`check_of`] what was logged.
    pub check: u32,
}

/// What a transfer did that its record doesn't say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// What it moved.
    pub amount: u128,
    /// Of a post or void: where the pending transfer lies, and [`check_of`] its content.
    pub pending: Option<(Position, u32)>,
}

/// The ids of one span of time.
#[derive(Debug, Default)]
struct Generation {
    index: Index,
    /// `content` is 61 bits of the hash of the compared fields, and the [`Status`].
    entries: Pages<SavedId>,
    /// What posts, voids and balancing transfers did, by slot, ascending.
    done: Vec<(u32, Done)>,
    /// The time of its newest id, milliseconds.
    newest_ms: u64,
}

impl Generation {
    /// None yet, and room for so many.
    fn for_ids(count: usize) -> Self {
        let (index, entries) = (Index::for_entries(count), Pages::for_elements(count));
        Self { index, entries, ..Self::default() }
    }
}

/// The ids of one shard.
#[derive(Debug)]
pub struct Ids {
    /// Where each generation begins, milliseconds, and its place; ascending, and never empty.
    order: Vec<(u64, u32)>,
    generations: Vec<Generation>,
    /// Places of dropped generations.
    free: Vec<u32>,
    /// The next one, made before it is needed.
    next: Option<Generation>,
    len: usize,
    /// Older ids are forgotten, milliseconds.
    from_ms: u64,
    /// What a checkpoint has not taken.
    frozen: Frozen,
    /// So many are to come back from a checkpoint.
    expected: usize,
}

/// What is frozen for a checkpoint and not taken.
#[derive(Debug, Default)]
struct Frozen {
    generations: VecDeque<FrozenGeneration>,
    /// So many of them are taken but for what was done.
    taken: usize,
    /// Older ids were forgotten when it began, milliseconds.
    from_ms: u64,
    sheet: Vec<SavedId>,
}

#[derive(Debug)]
struct FrozenGeneration {
    place: u32,
    /// It, if it was dropped since.
    dropped: Option<Generation>,
    /// Entries of its `done` that are frozen.
    done: usize,
}

/// Some of what a checkpoint takes.
#[derive(Debug)]
pub enum TakenIds<'a> {
    /// Ids, oldest generation first, each in the order in which they were consumed.
    Ids(&'a [SavedId]),
    /// Behind all ids: what posts, voids and balancing transfers among them did, in the same order.
    Done(Vec<SavedDone>),
}

/// The hash of what makes a retry the same transfer (61 bits; xxh3 of all fields but id and timestamp).
#[inline]
pub fn content_hash(transfer: &Transfer) -> u64 {
    xxhash_rust::xxh3::xxh3_64(auriga_wire::record::compared_bytes(transfer)) & !STATUS
}

/// What a logged transfer is known by when it is read back, so that damage is noticed: half of its content's hash, which
/// doesn't cover the id, and the id.
#[inline]
pub fn check_of(id: u128, content: u64) -> u32 {
    let id = id as u64 ^ (id >> 64) as u64;
    (content >> 32) as u32 ^ id as u32 ^ (id >> 32) as u32
}

impl Default for Ids {
    fn default() -> Self {
        Self {
            order: vec![(0, 0)],
            generations: vec![Generation::for_ids(GENERATION_MIN)],
            free: Vec::new(),
            next: None,
            len: 0,
            from_ms: 0,
            frozen: Frozen::default(),
            expected: 0,
        }
    }
}

impl Ids {
    /// Number of ids that take memory.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The place in the order of the generation that ids of this time belong to.
    #[inline]
    fn order_of(&self, ms: u64) -> usize {
        let newest = self.order.len() - 1;
        if self.order[newest].0 <= ms {
            return newest;
        }
        self.order.partition_point(|(start, _)| *start <= ms).saturating_sub(1)
    }

    #[inline]
    fn generation_of(&self, id: u128) -> u32 {
        self.order[self.order_of(id_ms(id))].1
    }

    /// Asks for the line of the index that a look-up will read.
    #[inline]
    pub fn prefetch(&self, hash: u64, id: u128) {
        self.generations[self.generation_of(id) as usize].index.prefetch(hash);
    }

    /// What is known of an id.
    #[inline]
    pub fn find(&self, hash: u64, id: u128, content: u64) -> Option<Consumed> {
        Some(consumed(self.entry(self.number(hash, id)?), content))
    }

    /// Where the transfer with this id lies, [`check_of`] its content, and what it did if that isn't what it says; if it was
    /// created.
    pub fn created(&self, hash: u64, id: u128) -> Option<(Position, u32, Option<Done>)> {
        let number = self.number(hash, id)?;
        let entry = self.entry(number);
        let created = (Position(entry.position), check_of(id, entry.content), self.done(number));
        (Status::of(entry.content) != Status::Refused).then_some(created)
    }

    /// Where the transfer lies that consumed the id with this number.
    pub fn position(&self, number: IdNumber) -> Position {
        Position(self.entry(number).position)
    }

    /// [`check_of`] the transfer that consumed the id with this number.
    pub fn check(&self, number: IdNumber) -> u32 {
        let entry = self.entry(number);
        check_of(entry.id, entry.content)
    }

    /// What is known of an id; if that is nothing, it is remembered as that of a created transfer, and this is its number. The id
    /// is not one that is forgotten.
    #[inline]
    pub fn find_or_consume(
        &mut self,
        hash: u64,
        id: u128,
        position: Position,
        content: u64,
    ) -> Result<Consumed, IdNumber> {
        let ms = id_ms(id);
        debug_assert!(ms >= self.from_ms, "forgotten ids are refused before");
        let at = self.order_of(ms);
        let mut generation = self.order[at].1;
        let open = &self.generations[generation as usize];
        if open.entries.len() >= self.generation_size() && ms > open.newest_ms {
            generation = self.begin_generation(at + 1, ms);
        }
        let Generation { index, entries, newest_ms, .. } = &mut self.generations[generation as usize];
        let new = entries.len() as u32;
        if let Some(slot) = index.find_or_insert(hash, new, |slot| entries[slot].id == id) {
            return Ok(consumed(&entries[slot], content));
        }
        let slot = entries.push(SavedId { id, position: position.0, content });
        *newest_ms = ms.max(*newest_ms);
        self.len += 1;
        Err(IdNumber { generation, slot })
    }

    /// Ids of the open generation after which another one begins.
    #[inline]
    fn generation_size(&self) -> usize {
        let all = self.len.max(self.expected);
        (all / GENERATION_SHARE).clamp(GENERATION_MIN, GENERATION_CACHED.max(all / GENERATIONS_MAX))
    }

    /// It may grow until it has its share of what there is then.
    fn next_generation(&self) -> Generation {
        let size = self.generation_size();
        Generation::for_ids(size + size / (GENERATION_SHARE / 2) + GENERATION_ROOM)
    }

    /// Makes memory that new ids will need soon, and names it. For the gap between epochs.
    pub fn prepare(&mut self, mut name: impl FnMut(Fresh)) {
        let size = self.generation_size();
        let newest = &mut self.generations[self.order[self.order.len() - 1].1 as usize];
        newest.entries.prepare().into_iter().for_each(&mut name);
        if self.next.is_none() && newest.entries.len() >= size / 2 {
            let mut next = self.next_generation();
            next.index.fresh().into_iter().chain(next.entries.prepare()).for_each(&mut name);
            self.next = Some(next);
        }
    }

    #[cold]
    fn begin_generation(&mut self, at: usize, start_ms: u64) -> u32 {
        let new = self.next.take().unwrap_or_else(|| self.next_generation());
        let generation = match self.free.pop() {
            Some(free) => {
                self.generations[free as usize] = new;
                free
            }
            None => {
                self.generations.push(new);
                (self.generations.len() - 1) as u32
            }
        };
        self.order.insert(at, (start_ms, generation));
        generation
    }

    /// Forgets the ids that are older than this, milliseconds. Their memory is freed by generations.
    pub fn forget_before(&mut self, from_ms: u64) {
        self.from_ms = self.from_ms.max(from_ms);
        let passed = self.order.partition_point(|(start, _)| *start <= self.from_ms).saturating_sub(1);
        for (_, place) in self.order.drain(..passed) {
            self.len -= drop_generation(&mut self.generations, place, &mut self.frozen);
            self.free.push(place);
        }
        let place = self.order[0].1;
        let oldest = &self.generations[place as usize];
        if oldest.newest_ms < self.from_ms && !oldest.entries.is_empty() {
            self.len -= drop_generation(&mut self.generations, place, &mut self.frozen);
        }
    }

    /// Freezes what is remembered, until [`Ids::take`] has taken it all.
    pub fn freeze(&mut self) {
        self.melt();
        self.frozen.from_ms = self.from_ms;
        for (_, place) in &self.order {
            let generation = &mut self.generations[*place as usize];
            generation.entries.freeze();
            let done = generation.done.len();
            self.frozen.generations.push_back(FrozenGeneration { place: *place, dropped: None, done });
        }
    }

    /// Nothing is frozen any more.
    pub fn melt(&mut self) {
        self.frozen.taken = 0;
        for frozen in self.frozen.generations.drain(..).filter(|frozen| frozen.dropped.is_none()) {
            self.generations[frozen.place as usize].entries.melt();
        }
    }

    /// Bytes that are in use because ids are frozen.
    pub fn kept_bytes(&self) -> usize {
        let all = self.frozen.generations.iter().map(|frozen| match &frozen.dropped {
            Some(dropped) => dropped.entries.len() * size_of::<SavedId>(),
            None => self.generations[frozen.place as usize].entries.kept_bytes(),
        });
        all.sum()
    }

    /// Takes some of what was frozen, as it was then; `None` if all is taken.
    pub fn take(&mut self) -> Option<TakenIds<'_>> {
        let Frozen { generations, taken, from_ms, sheet } = &mut self.frozen;
        if let Some(frozen) = generations.get_mut(*taken) {
            let generation = frozen.dropped.as_mut().unwrap_or(&mut self.generations[frozen.place as usize]);
            generation.entries.take_sheet(sheet);
            *taken += usize::from(!generation.entries.is_frozen());
            sheet.retain(|entry| id_ms(entry.id) >= *from_ms);
            return Some(TakenIds::Ids(sheet));
        }
        let frozen = generations.pop_front()?;
        *taken -= 1;
        let generation = frozen.dropped.as_ref().unwrap_or(&self.generations[frozen.place as usize]);
        let done = generation.done[..frozen.done].iter();
        let done = done.map(|(slot, done)| SavedDone::new(generation.entries[*slot].id, done));
        Some(TakenIds::Done(done.filter(|done| id_ms(done.id) >= *from_ms).collect()))
    }

    /// How much a checkpoint will take at most: ids, and what was done.
    pub fn frozen_count(&self) -> (usize, usize) {
        let done = self.frozen.generations.iter().map(|frozen| frozen.done).sum();
        (self.len, done)
    }

    /// So many ids come back from a checkpoint, all shards' at most; 0 when all have come.
    pub fn expect(&mut self, count: usize) {
        self.expected = count;
    }

    /// Remembers an id again as a checkpoint says; fails if it is there.
    pub fn restore(&mut self, hash: u64, saved: &SavedId) -> Result<(), String> {
        match self.find_or_consume(hash, saved.id, Position(saved.position), saved.content) {
            Ok(_) => Err(format!("transfer {}: found its id twice, expected once", saved.id)),
            Err(_) => Ok(()),
        }
    }

    /// Notes again what the transfer with this id did; fails if the id is not remembered, or numbers don't grow.
    pub fn restore_done(&mut self, hash: u64, saved: &SavedDone) -> Result<(), String> {
        let number = self.number(hash, saved.id);
        let number = number
            .ok_or_else(|| format!("transfer {}: found what it did, expected its id before", saved.id))?;
        if !self.may_be_done(number) {
            return Err(format!("transfer {}: found what it did behind that of a later one", saved.id));
        }
        self.set_done(number, saved.done());
        Ok(())
    }

    /// A horizon that frees the memory of at least a sixteenth of the ids, nanoseconds.
    pub fn horizon_for_room(&self) -> u64 {
        let mut freed = 0;
        for pair in self.order.windows(2) {
            freed += self.generations[pair[0].1 as usize].entries.len();
            if freed * 16 >= self.len {
                return pair[1].0.saturating_mul(MILLISECOND_NS);
            }
        }
        let (_, last) = self.order[self.order.len() - 1];
        (self.generations[last as usize].newest_ms + 1).saturating_mul(MILLISECOND_NS)
    }

    /// The number of a consumed id that is not forgotten.
    #[inline]
    pub fn number(&self, hash: u64, id: u128) -> Option<IdNumber> {
        let generation = self.generation_of(id);
        let Generation { index, entries, .. } = &self.generations[generation as usize];
        let slot = index.find(hash, |slot| entries[slot].id == id)?;
        (id_ms(id) >= self.from_ms).then_some(IdNumber { generation, slot })
    }

    #[inline]
    fn entry(&self, number: IdNumber) -> &SavedId {
        &self.generations[number.generation as usize].entries[number.slot]
    }

    /// The id with this number.
    pub fn id(&self, number: IdNumber) -> u128 {
        self.entry(number).id
    }

    /// What became of the transfer that consumed an id.
    pub fn status(&self, number: IdNumber) -> Status {
        Status::of(self.entry(number).content)
    }

    /// Notes what became of the transfer.
    pub fn set_status(&mut self, number: IdNumber, status: Status) {
        let content = &mut self.generations[number.generation as usize].entries[number.slot].content;
        *content = *content & !STATUS | status as u64;
    }

    /// Notes what became of the pending transfer that consumed this id, unless the id is forgotten.
    pub fn set_ended(&mut self, number: IdNumber, id: u128, status: Status) {
        if id_ms(id) >= self.from_ms {
            self.set_status(number, status);
        }
    }

    /// Notes what a post, void or balancing transfer did. Numbers have to grow.
    pub fn set_done(&mut self, number: IdNumber, done: Done) {
        assert!(self.may_be_done(number), "what was done is noted in order");
        self.generations[number.generation as usize].done.push((number.slot, done));
    }

    fn may_be_done(&self, number: IdNumber) -> bool {
        let all = &self.generations[number.generation as usize].done;
        all.last().is_none_or(|(last, _)| *last < number.slot)
    }

    /// Its chain failed: it did nothing. To be said of the newest of a generation first.
    pub fn fail(&mut self, number: IdNumber) {
        self.set_status(number, Status::Refused);
        let all = &mut self.generations[number.generation as usize].done;
        if all.last().is_some_and(|(last, _)| *last == number.slot) {
            all.pop();
        }
    }

    /// What the transfer did, if that isn't what its record says.
    pub fn done(&self, number: IdNumber) -> Option<Done> {
        let all = &self.generations[number.generation as usize].done;
        let found = all.binary_search_by_key(&number.slot, |(of, _)| *of).ok()?;
        Some(all[found].1)
    }

    /// The generations in the order of their times.
    fn generations(&self) -> impl Iterator<Item = &Generation> {
        self.order.iter().map(|(_, generation)| &self.generations[*generation as usize])
    }

    /// Every id that is not forgotten, with what is remembered of it.
    pub fn entries(&self) -> impl Iterator<Item = &SavedId> {
        let from_ms = self.from_ms;
        self.generations().flat_map(|g| g.entries.iter()).filter(move |entry| id_ms(entry.id) >= from_ms)
    }

    /// What posts, voids and balancing transfers did.
    pub fn all_done(&self) -> impl Iterator<Item = SavedDone> {
        let all = self
            .generations()
            .flat_map(|g| g.done.iter().map(|(slot, done)| SavedDone::new(g.entries[*slot].id, done)));
        all.filter(|done| id_ms(done.id) >= self.from_ms)
    }

    /// Every id with the position of its transfer and what became of that.
    pub fn iter(&self) -> impl Iterator<Item = (u128, Position, Status)> {
        self.entries().map(|e| (e.id, Position(e.position), Status::of(e.content)))
    }
}

/// What an entry says to who asks with this content.
fn consumed(entry: &SavedId, content: u64) -> Consumed {
    Consumed {
        position: Position(entry.position),
        status: Status::of(entry.content),
        same: entry.content & !STATUS == content,
        check: check_of(entry.id, entry.content),
    }
}

/// Drops a generation, unless a checkpoint has not taken it: that goes on with it. Returns the number of its ids.
fn drop_generation(generations: &mut [Generation], place: u32, frozen: &mut Frozen) -> usize {
    let mut dropped = std::mem::take(&mut generations[place as usize]);
    let count = dropped.entries.len();
    let waits = |frozen: &&mut FrozenGeneration| frozen.place == place && frozen.dropped.is_none();
    if let Some(frozen) = frozen.generations.iter_mut().find(waits) {
        dropped.index = Index::default();
        frozen.dropped = Some(dropped);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Placement;
    use std::collections::BTreeMap;

    const MS: u128 = 1 << 80;

    /// Ids that come out of order, in bursts, far ahead and of the same time, forgotten as a horizon moves: the same ids
    /// are found as in a map, and memory goes with them.
    #[test]
    fn every_bit_of_an_id_and_of_half_its_content_matters_to_the_check() {
        let (id, content) = (0x0123_4567_89ab_cdef_1122_3344_5566_7788, 0x8877_6655_4433_2211);
        let check = check_of(id, content);
        assert!((0..128).all(|bit| check_of(id ^ 1 << bit, content) != check));
        assert!((32..64).all(|bit| check_of(id, content ^ 1 << bit) != check));
    }

    #[test]
    fn what_is_remembered_is_found_whatever_the_order_of_the_ids() {
        for seed in 0..20 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let placement = Placement::new(1, seed);
            let (mut ids, mut all, mut now, mut from) = (Ids::default(), BTreeMap::new(), 1_000_000u64, 0u64);
            for round in 0..40_000u64 {
                now += rng.u64(..4);
                let ms = match rng.u8(..20) {
                    0 => now + rng.u64(..2_000),
                    1 => rng.u64(from..=now),
                    2 => now - 1_000,
                    _ => now,
                };
                let id = u128::from(ms.max(from)) * MS + rng.u128(..MS);
                let hash = placement.hash(id);
                assert_eq!(ids.number(hash, id), None);
                let number = ids.find_or_consume(hash, id, Position(round), round << 3);
                let number = number.expect_err("it is new");
                let again = ids.find_or_consume(hash, id, Position(u64::MAX), 0).expect("it is known");
                assert_eq!((again.position, again.same), (Position(round), round == 0));
                if rng.u8(..4) == 0 {
                    ids.set_done(number, Done { amount: u128::from(round), pending: None });
                }
                all.insert(id, round);
                if round % 5_000 == 4_999 {
                    from = now - rng.u64(..2 * now.min(10_000));
                    ids.forget_before(from);
                    from = ids.from_ms;
                    let remembered = all.split_off(&(u128::from(from) * MS));
                    for id in std::mem::replace(&mut all, remembered).into_keys() {
                        assert_eq!(
                            ids.number(placement.hash(id), id),
                            None,
                            "it is forgotten, in memory or not"
                        );
                    }
                }
            }
            let found: BTreeMap<_, _> = ids.iter().map(|(id, position, _)| (id, position.0)).collect();
            assert_eq!(found, all, "seed {seed}");
            for (id, round) in &all {
                let known = ids.find(placement.hash(*id), *id, round << 3).expect("it is remembered");
                assert_eq!((known.position.0, known.same), (*round, true), "seed {seed}");
            }
            assert!(ids.all_done().all(|done| u128::from(all[&done.id]) == done.amount));
            assert!(
                ids.len() < all.len() + all.len() / 4 + 2 * GENERATION_MIN,
                "{} of {}",
                ids.len(),
                all.len()
            );
            let (before, room) = (ids.len(), ids.horizon_for_room());
            ids.forget_before(room / MILLISECOND_NS);
            assert!(before - ids.len() >= before / 16, "seed {seed}");
            ids.forget_before(u64::MAX);
            assert_eq!((ids.len(), ids.iter().count()), (0, 0));
        }
    }
}
