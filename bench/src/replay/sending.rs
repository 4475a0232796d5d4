//! The sending of a file: rows become requests, in their order, and answers become what the accounts must hold.
//!
//! One connection, so that a post is executed behind the pending transfer above it. What has no answer when a connection is lost is
//! sent again before anything else, with the same ids, so it counts once. In memory are the requests under way and the pending transfers
//! that are open.

use super::ReplayArgs;
use super::holdings::Holdings;
use super::patience::Patience;
use super::survey::Survey;
use crate::drive::{Sent, Work};
use crate::failure::Failure;
use crate::figures::{Figures, nanoseconds};
use crate::model::code_name;
use crate::series::Recorder;
use crate::table::{Row, Rows};
use crate::timeline::Timeline;
use auriga_wire::frame::Command;
use auriga_wire::record::TransferFlags;
use auriga_wire::{EventResult, IdGenerator, Reply, ReplyBody, RequestFrame, Transfer, TransferCode};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Refused rows that are told one by one.
const TOLD_MAX: usize = 10;

/// A row that is under way.
#[derive(Clone, Copy, Debug)]
struct Item {
    transfer: Transfer,
    line: u64,
    refusal: Option<u32>,
    /// What the pending transfer that it resolves has reserved.
    reserved: u128,
}

/// A request without an answer.
#[derive(Debug, Default)]
struct Batch {
    items: Vec<Item>,
    /// When it should have been sent, or was sent first.
    intended: Option<Instant>,
    /// Whether an attempt before may have been executed.
    again: bool,
}

/// A pending transfer that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    id: u128,
    amount: u128,
}

/// When rows are due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    begin: Instant,
    /// Times of the file's first and last row, nanoseconds.
    times: (i128, i128),
    speed: f64,
}

impl Pace {
    /// When a row of this time is due in this pass, numbered from 0: a pass begins when the last row of the one before it is due.
    fn due(&self, pass: u64, time: i128) -> Instant {
        let (first, last) = self.times;
        let seconds = |nanoseconds: i128| nanoseconds as f64 / 1e9 / self.speed;
        let seconds = pass as f64 * seconds(last - first) + seconds(time - first);
        self.begin + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(u64::from(u32::MAX)))
    }
}

/// The sending of a file.
pub struct Sending<'a> {
    args: &'a ReplayArgs,
    /// The server's silence.
    pub patience: Patience,
    /// Of the pass that is under way, with its next row.
    rows: Rows<'a>,
    next_row: Option<Row>,
    /// Passes that were sent whole, and the rows of one.
    pub passes: u64,
    rows_a_pass: u64,
    pace: Option<Pace>,
    end: Option<Instant>,
    /// Where ids come from, if not from the file.
    ids: Option<IdGenerator>,
    open: HashMap<u128, Open>,
    /// Requests without an answer, by number, and those of them that are not on their way.
    batches: BTreeMap<u64, Batch>,
    lost: VecDeque<u64>,
    sent: u64,
    spare: Vec<Vec<Item>>,
    /// What the rows that were created have changed.
    pub holdings: Holdings,
    /// What was measured, in all and over time.
    pub figures: Figures,
    recorder: Recorder,
    begin: Instant,
    /// Rows that were sent, and those of them that had been applied before.
    pub rows_sent: u64,
    existed: u64,
    /// Rows that were refused as the file says.
    foreseen: u64,
    /// Rows whose answer is another one than the file says, by code; 0: created.
    unforeseen: BTreeMap<u32, u64>,
    told: Vec<String>,
    /// Why the file can't be read on.
    broken: Option<Failure>,
}

impl<'a> Sending<'a> {
    /// Nothing is sent yet.
    pub fn new(args: &'a ReplayArgs, survey: &Survey, patience: Patience) -> Result<Self, Failure> {
        let begin = Instant::now();
        let mut rows = Rows::open(&args.file, args.ledger)?;
        let next_row = rows.next()?;
        Ok(Self {
            args,
            patience,
            rows,
            next_row,
            passes: 0,
            rows_a_pass: survey.rows,
            pace: args.speed.map(|speed| Pace { begin, times: survey.times, speed }),
            end: args.seconds.map(|seconds| begin + Duration::from_secs_f64(seconds)),
            ids: args.is_fresh().then(IdGenerator::new),
            open: HashMap::new(),
            batches: BTreeMap::new(),
            lost: VecDeque::new(),
            sent: 0,
            spare: Vec::new(),
            holdings: Holdings::default(),
            figures: Figures::new(false),
            recorder: Recorder::new(begin),
            begin,
            rows_sent: 0,
            existed: 0,
            foreseen: 0,
            unforeseen: BTreeMap::new(),
            told: Vec::new(),
            broken: None,
        })
    }

    /// The connection is lost: what has no answer is sent again.
    pub fn lose(&mut self) {
        self.lost = self.batches.keys().copied().collect();
        self.batches.values_mut().for_each(|batch| batch.again = true);
        self.batches.values().for_each(|_| self.recorder.error());
        self.figures.errors += self.batches.len() as u64;
    }

    /// Ends it: what could not be sent in time is counted. Fails if the file could not be read to its end.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.figures.unanswered = self.batches.len() as u64;
        let mut rows_left: u64 = 0;
        while let (Some(end), Some(due)) = (self.end, self.row_due()) {
            if due >= end || self.pace.is_none() {
                break;
            }
            rows_left += 1;
            self.advance();
        }
        self.figures.unsent = rows_left.div_ceil(self.args.batch.into());
        self.broken.take().map_or(Ok(()), Err)
    }

    /// How it went over time, once it has ended.
    pub fn timeline(&mut self) -> Timeline {
        let end = self.figures.last_reply.unwrap_or(self.begin);
        self.recorder.close(end, &self.figures.counts, self.figures.unsent);
        let seconds = end.saturating_duration_since(self.begin).as_secs_f64();
        Timeline::of_one("replay", self.begin, seconds, self.recorder.take())
    }

    /// When the next row is due, if there is one.
    fn row_due(&self) -> Option<Instant> {
        let row = self.next_row.as_ref()?;
        Some(self.pace.map_or_else(Instant::now, |pace| pace.due(self.passes, row.time)))
    }

    /// The next row becomes the one behind it, or the first of the next pass.
    fn advance(&mut self) {
        self.next_row = self.read().unwrap_or_else(|failure| {
            self.broken.get_or_insert(failure);
            None
        });
    }

    fn read(&mut self) -> Result<Option<Row>, Failure> {
        if let Some(row) = self.rows.next()? {
            return Ok(Some(row));
        }
        self.passes += 1;
        // What a pass leaves open is nothing to the next one.
        self.open.clear();
        if self.passes >= self.args.passes_max() {
            return Ok(None);
        }
        self.rows = Rows::open(&self.args.file, self.args.ledger)?;
        self.rows.next()
    }

    /// The row as it is sent: with the id that it gets, and with that of what it resolves.
    fn item(&mut self, row: &Row, ms: u64) -> Item {
        let Row { mut transfer, line, refusal, .. } = *row;
        let own_id = transfer.id;
        if let Some(ids) = &mut self.ids {
            transfer.id = ids.next_at(ms);
        }
        let mut reserved = 0;
        if transfer.flags & TransferFlags::RESOLVING != 0 {
            let open = match refusal {
                None => self.open.remove(&transfer.pending_id),
                Some(_) => self.open.get(&transfer.pending_id).copied(),
            };
            if let Some(Open { id, amount }) = open {
                (transfer.pending_id, reserved) = (id, amount);
            }
        }
        if transfer.flags & TransferFlags::PENDING != 0 && refusal.is_none() {
            self.open.insert(own_id, Open { id: transfer.id, amount: transfer.amount });
        }
        Item { transfer, line, refusal, reserved }
    }

    /// Takes the rows that are due, at least one, and at most a request's.
    fn take(&mut self, now: Instant) -> Vec<Item> {
        let ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let mut items = self.spare.pop().unwrap_or_default();
        items.clear();
        while let Some(row) = self.next_row {
            let is_due = self.pace.is_none_or(|pace| pace.due(self.passes, row.time) <= now);
            if items.len() >= self.args.batch as usize || !(is_due || items.is_empty()) {
                break;
            }
            let item = self.item(&row, ms);
            items.push(item);
            self.advance();
        }
        items
    }

    fn took(&mut self, item: &Item, code: Option<u32>, again: bool) {
        let may_be_known = again || self.ids.is_none();
        let is = |of: TransferCode| code == Some(of.number()) && may_be_known;
        let Item { transfer, line, refusal, reserved } = *item;
        let created = code.is_none() || is(TransferCode::Exists);
        if created {
            self.holdings.apply(&transfer, reserved);
        }
        let counts = &mut self.figures.counts;
        match code {
            None => {
                counts.created += 1;
                let is = |flag| u64::from(transfer.flags & flag != 0);
                counts.pendings += is(TransferFlags::PENDING);
                counts.posts += is(TransferFlags::POST_PENDING_TRANSFER);
                counts.voids += is(TransferFlags::VOID_PENDING_TRANSFER);
            }
            Some(_) if is(TransferCode::Exists) => self.existed += 1,
            Some(_) => counts.refused += 1,
        }
        let as_said = match refusal {
            None => created,
            Some(_) => code == refusal || is(TransferCode::IdAlreadyFailed),
        };
        if as_said {
            self.foreseen += u64::from(refusal.is_some());
            return;
        }
        let found = code.unwrap_or(0);
        *self.unforeseen.entry(found).or_default() += 1;
        if self.told.len() < TOLD_MAX {
            let expected = refusal.map_or(String::new(), |code| format!(", expected {}", code_name(code)));
            self.told.push(format!(
                "  line {line}: transfer {}: {}{expected}",
                transfer.id,
                answer_name(found)
            ));
        }
    }

    /// What became of the rows, in words.
    pub fn words(&self) -> String {
        let Self { figures, existed, foreseen, .. } = self;
        let refused: u64 = figures.counts.refused;
        let count = crate::report::count;
        let mut text = format!(
            "sent in {:.3} s ({} rows/s): {} applied, {} had been applied before, {} refused",
            figures.seconds(),
            count((self.rows_sent as f64 / figures.seconds().max(1e-9)) as u64),
            count(figures.counts.created),
            count(*existed),
            count(refused)
        );
        if *foreseen > 0 {
            text += &format!(", {} of them as the file says", count(*foreseen));
        }
        for (code, number) in &self.unforeseen {
            let not = if *code == 0 { "created, and should not be" } else { "refused" };
            text += &format!("\n  {not}: {} {}", count(*number), answer_name(*code));
        }
        [vec![text], self.told.clone()].concat().join("\n")
    }

    /// How often the file was sent, in words.
    pub fn times(&self) -> String {
        let rows = self.rows_sent - self.passes * self.rows_a_pass;
        let more = if rows > 0 { format!(" and {} rows", crate::report::count(rows)) } else { String::new() };
        format!("{} times{more}", crate::report::count(self.passes))
    }

    /// Whether every row was answered as the file says.
    pub fn is_as_said(&self) -> bool {
        self.unforeseen.is_empty()
    }

    /// Rows that had been applied before.
    pub fn existed(&self) -> u64 {
        self.existed
    }
}

fn answer_name(code: u32) -> String {
    if code == 0 { "created".into() } else { code_name(code) }
}

impl Work for Sending<'_> {
    fn due(&self) -> Option<Instant> {
        if let Some(first) = self.lost.front() {
            return self.batches[first].intended;
        }
        self.pace?;
        match (self.row_due(), self.end) {
            (Some(due), Some(end)) => Some(due.min(end)),
            (due, _) => due,
        }
    }

    /// Rows that are due and not sent are not counted on the way.
    fn tick(&mut self, now: Instant, _unsent: impl FnOnce() -> u64) {
        if self.recorder.is_over(now) {
            self.recorder.close(now, &self.figures.counts, 0);
        }
    }

    fn next(&mut self, now: Instant, frame: &mut RequestFrame) -> Option<u64> {
        let number = match self.lost.pop_front() {
            Some(number) => number,
            None if self.next_row.is_none() || self.end.is_some_and(|end| now >= end) => return None,
            None => {
                let intended = if self.pace.is_some() { self.row_due() } else { Some(now) };
                let items = self.take(now);
                self.rows_sent += items.len() as u64;
                self.sent += 1;
                self.batches.insert(self.sent, Batch { items, intended, again: false });
                self.sent
            }
        };
        let items = &self.batches[&number].items;
        frame.begin(Command::CreateTransfers, items.len());
        for (place, item) in frame.records_mut::<Transfer>().iter_mut().zip(items) {
            *place = item.transfer;
        }
        Some(number)
    }

    fn answered(&mut self, tag: u64, reply: &Reply<'_>, sent: Sent, now: Instant) -> Result<bool, Failure> {
        let results: &[EventResult] = match &reply.body {
            ReplyBody::CreatedTransfers(results) => results,
            ReplyBody::Refused(fault) => {
                let text = format!("the server refused the request: {fault}");
                return Err(if fault.code.is_transient() {
                    Failure::Lost(text)
                } else {
                    Failure::Failed(text)
                });
            }
            other => {
                return Err(Failure::Failed(format!("found {other:?}, expected an answer to what was sent")));
            }
        };
        let batch = self.batches.remove(&tag).expect("the driver answers what was sent");
        let mut refusals = results.iter().filter(|result| result.is_refused()).peekable();
        for (index, item) in (0..).zip(&batch.items) {
            let refusal = refusals.next_if(|refusal| refusal.index == index);
            self.took(item, refusal.map(|refusal| refusal.code), batch.again);
        }
        self.spare.push(batch.items);
        let intended = batch.intended.unwrap_or(sent.intended);
        self.figures.record(&sent, intended, now);
        self.recorder.record(nanoseconds(intended, now), nanoseconds(sent.actual, now));
        self.patience.renew();
        Ok(true)
    }
}
