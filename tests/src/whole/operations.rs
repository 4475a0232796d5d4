//! Reads and writes that are under way.

use super::{World, slots};
use auriga_shards::checkpoint::sheet::Sheet;
use auriga_shards::checkpoint::{self, Errand};
use auriga_shards::fetch::Read;
use auriga_shards::limits::UNIT_SIZE;
use auriga_shards::log::File;
use auriga_shards::log::block::Block;
use auriga_shards::log::cut::CutSector;
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

    /// What is being written, and where.
    pub(crate) fn written(&self) -> Option<(File, u64, &[u8])> {
        match self {
            Self::WriteBlock { file, offset, block } => Some((*file, *offset, block.bytes())),
            Self::WriteCut { file, offset, sector } => Some((*file, *offset, &sector.0)),
            _ => None,
        }
    }

    /// Ends it, and tells the shard.
    pub(crate) fn complete(self, world: &mut World, take: &mut dyn FnMut(Input<'_>)) -> Result<(), String> {
        if let Some((file, offset, bytes)) = self.written() {
            world.disk.write(file, offset, bytes);
        }
        match self {
            Self::WriteBlock { block, .. } => take(Input::BlockWritten(block)),
            Self::WriteCut { sector, .. } => take(Input::CutWritten(sector)),
            Self::ReadBlock { epoch, entry, file, offset, mut block } => {
                world.disk.read(file, offset, block.memory_mut());
                take(Input::BlockRead { epoch, entry, block, failure: None });
            }
            Self::ReadCuts { first } => {
                let (bytes, end) = world.disk.read_cuts(first, &mut world.rng);
                take(Input::CutsRead { first, bytes: &bytes, end });
            }
            Self::ReadLog { job, read } => {
                let mut bytes = AlignedBuffer::default();
                bytes.resize(read.size);
                world.disk.read(read.file, read.offset, &mut bytes);
                let mut failure = None;
                if world.rng.u8(..100) < world.bad_reads_percent {
                    world.tally.bad_reads += 1;
                    if world.rng.u8(..4) == 0 {
                        failure = Some("the drive says no".to_string());
                    } else {
                        // Anywhere, or in what would be an id.
                        let unit = UNIT_SIZE * world.rng.usize(..read.size / UNIT_SIZE);
                        let bytes_hit = if world.rng.bool() { UNIT_SIZE } else { size_of::<u128>() };
                        let byte = world.rng.usize(..bytes_hit);
                        bytes[unit + byte] ^= 1 << world.rng.u32(..8);
                    }
                }
                let result = failure.map_or(Ok(&bytes[..]), Err);
                take(Input::LogRead { job, slot: read.slot, result });
            }
            Self::WriteSheet { file, number, sheet } => {
                world.disk.slots.write(file, number, &sheet);
                take(Input::SheetWritten(sheet));
            }
            Self::ReadSheets { file, first, count } => {
                take(Input::SheetsRead(Ok(&world.disk.slots.read(file, first, count))));
            }
            Self::Errand(errand) => {
                let end = slots::run(&errand, world)?;
                take(Input::ErrandEnded { of_plan: errand.is_of_plan(), end });
            }
        }
        Ok(())
    }
}
