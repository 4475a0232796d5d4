//! Reads and writes that are under way.

use crate::World;
use crate::invariants::Broken;
use crate::slots;
use crate::spoil::{Misread, read_for_request};
use crate::trace::Mark;
use crate::weather::Weather;
use auriga_shards::checkpoint::sheet::Sheet;
use auriga_shards::checkpoint::{self, Errand};
use auriga_shards::fetch::Read;
use auriga_shards::limits::{SECTOR_SIZE, UNIT_SIZE};
use auriga_shards::log::File;
use auriga_shards::log::block::Block;
use auriga_shards::log::cut::CutSector;
use auriga_shards::log::segment::stream_place;
use auriga_shards::place::ShardId;
use auriga_shards::step::{Input, Output};
use auriga_wire::AlignedBuffer;

/// How many kinds of work there are.
pub(crate) const WORK_KINDS: usize = 6;

/// What a shard has asked for.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) shard: ShardId,
    pub(crate) work: Work,
    pub(crate) phase: Phase,
}

/// How far a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Asked,
    /// It is in the drive's cache.
    Landed,
    /// A flush is under way that makes it durable, and what landed through this one.
    Flushing(u64),
}

impl Phase {
    /// What a write's next step leads to; `None`: it is durable.
    pub(crate) fn next(self, work: &Work, world: &mut World) -> Option<Self> {
        let disk = &mut world.disk;
        match self {
            Self::Asked if disk.has_cache => {
                let (file, offset, bytes) = work.written().expect("only writes have phases");
                disk.land(file, offset, bytes);
                Some(Self::Landed)
            }
            Self::Asked => {
                let (file, offset, bytes) = work.written().expect("only writes have phases");
                disk.write(file, offset, bytes);
                None
            }
            Self::Landed => Some(Self::Flushing(disk.begin_flush())),
            Self::Flushing(through) => {
                world.tally.flushed_past += disk.end_flush(through);
                None
            }
        }
    }
}

#[derive(Debug)]
pub(crate) enum Work {
    WriteBlock { file: File, offset: u64, block: Block },
    WriteCut { file: File, offset: u64, sector: Box<CutSector> },
    ReadBlock { epoch: u64, entry: usize, file: File, offset: u64, block: Block },
    ReadCuts { first: u64 },
    ReadLog { job: usize, read: Read },
    WriteSheet { file: checkpoint::File, number: u32, sheet: Sheet },
    ReadSheets { file: checkpoint::File, first: u32, count: u32 },
    Errand(Errand),
}

impl Work {
    pub(crate) fn new(output: Output) -> Self {
        match output {
            Output::WriteBlock { file, offset, block } => Self::WriteBlock { file, offset, block },
            Output::WriteCut { file, offset, sector } => Self::WriteCut { file, offset, sector },
            Output::ReadBlock { epoch, entry, file, offset, block } => {
                Self::ReadBlock { epoch, entry, file, offset, block }
            }
            Output::ReadCuts { first } => Self::ReadCuts { first },
            Output::ReadLog { job, read } => Self::ReadLog { job, read },
            Output::WriteSheet { file, number, sheet } => Self::WriteSheet { file, number, sheet },
            Output::ReadSheets { file, first, count } => Self::ReadSheets { file, first, count },
            Output::Errand(errand) => Self::Errand(errand),
            other => unreachable!("{other:?} is no read and no write"),
        }
    }

    /// Whether it writes the log.
    pub(crate) fn is_write(&self) -> bool {
        self.written().is_some()
    }

    /// What may be slow as a whole.
    pub(crate) fn kind(&self) -> usize {
        match self {
            Self::WriteBlock { .. } => 0,
            Self::WriteCut { .. } => 1,
            Self::ReadBlock { .. } | Self::ReadCuts { .. } | Self::ReadSheets { .. } => 2,
            Self::ReadLog { .. } => 3,
            Self::WriteSheet { .. } => 4,
            Self::Errand(_) => 5,
        }
    }

    /// What is being written to the log, and where.
    pub(crate) fn written(&self) -> Option<(File, u64, &[u8])> {
        match self {
            Self::WriteBlock { file, offset, block } => Some((*file, *offset, block.bytes())),
            Self::WriteCut { file, offset, sector } => Some((*file, *offset, &sector.0)),
            _ => None,
        }
    }

    /// How many of the written bytes are not padding.
    pub(crate) fn bytes_that_matter(&self) -> usize {
        match self {
            Self::WriteBlock { block, .. } => block.units() * UNIT_SIZE,
            _ => SECTOR_SIZE,
        }
    }

    /// Ends it, and tells the shard.
    pub(crate) fn complete(
        self,
        world: &mut World,
        misread: &mut Misread,
        weather: Weather,
        take: &mut dyn FnMut(Input<'_>),
    ) -> Result<(), Broken> {
        match self {
            Self::WriteBlock { block, .. } => take(Input::BlockWritten(block)),
            Self::WriteCut { sector, .. } => take(Input::CutWritten(sector)),
            Self::ReadBlock { epoch, entry, file, offset, mut block } => {
                world.disk.read(file, offset, block.memory_mut());
                let entries = world.truth.epoch(epoch).map_or(&[][..], |of_log| of_log.entries());
                let named =
                    entries.iter().find(|named| stream_place(named.stream, named.offset) == (file, offset));
                let matters =
                    named.map_or(block.memory_mut().len(), |named| named.units as usize * UNIT_SIZE);
                let failure = misread.block((file, offset), epoch, matters, &mut block, world);
                take(Input::BlockRead { epoch, entry, block, failure });
            }
            Self::ReadCuts { first } => {
                let (bytes, end) = world.disk.read_cuts(first, &mut world.rng);
                take(Input::CutsRead { first, bytes: &bytes, end });
            }
            Self::ReadLog { job, read } => {
                let mut bytes = AlignedBuffer::default();
                bytes.resize(read.size);
                world.disk.read(read.file, read.offset, &mut bytes);
                let failure = read_for_request(&read, &mut bytes, weather, world);
                let result = failure.map_or(Ok(&bytes[..]), Err);
                take(Input::LogRead { job, slot: read.slot, result });
            }
            Self::WriteSheet { file, number, sheet } => {
                world.disk.slots.write(file, number, &sheet);
                take(Input::SheetWritten(sheet));
            }
            Self::ReadSheets { file, first, count } => {
                let mut bytes = world.disk.slots.read(file, first, count);
                misread.sheets(file, &mut bytes, world);
                take(Input::SheetsRead(bytes.as_deref().map_err(Clone::clone)));
            }
            Self::Errand(errand) => {
                let end = slots::run(&errand, world)?;
                world.trace.note(Mark::Errand, &[u64::from(end.is_ok())], &[]);
                take(Input::ErrandEnded { of_plan: errand.is_of_plan(), end });
            }
        }
        Ok(())
    }
}
