//! The keeper: one housekeeping thread that makes the log's segments before they are needed.
//!
//! A segment is preallocated and written with zeros, because a durable write into an extent that was never written costs a
//! drive several writes. It gets its name only when all of that is durable, so a file of the log is whole or not there. No shard writes
//! into it before its name is durable, too; if nobody can say whether it is, the process ends, as after a write that failed.

use crate::directory::{self, Directory};
use crate::doorbell::Doorbell;
use crate::durable::Folder;
use auriga_shards::limits::{CUT_SEGMENT_SLOTS, SECTOR_SIZE, STREAM_SEGMENT_SIZE};
use auriga_shards::log::{File as LogFile, Sector};
use auriga_shards::place::ShardId;
use auriga_signals::Usage;
use rtrb::{Consumer, Producer};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the keeper rests before it looks again whether a full disk has room.
const RETRY: Duration = Duration::from_millis(500);
/// Bytes of zeros written at once: a huge page, so that the kernel and the drive are told of one piece of memory and not of 512.
const ZEROS: usize = 2 << 20;
/// Bytes that stay free on the disk: for the lock file, histogram logs, and the operator.
pub const DISK_RESERVE: u64 = 64 << 20;

/// A shard's wish: these segments of a stream, or of the cut log.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// `None`: the cut log.
    pub stream: Option<u16>,
    /// First segment.
    pub first: u32,
    /// Last segment.
    pub last: u32,
}

/// What the keeper tells a shard.
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// Its stream is prepared up to this byte offset.
    Stream(u64),
    /// The cut log is prepared through the slot of this epoch.
    Cuts(u64),
    /// Nothing more can be prepared; or something can again.
    Full(bool),
}

/// The keeper's ends of the rings to one shard.
#[derive(Debug)]
pub struct Client {
    /// Wishes.
    pub wishes: Consumer<Wish>,
    /// Answers.
    pub news: Producer<News>,
    /// To wake the shard.
    pub doorbell: Arc<Doorbell>,
}

/// How a segment came to be there.
#[derive(Debug, PartialEq, Eq)]
enum Provided {
    WasThere,
    Made,
}

/// The keeper's state.
pub struct Keeper {
    directory: Arc<Directory>,
    clients: Vec<Client>,
    doorbell: Arc<Doorbell>,
    usage: Arc<Usage>,
    log_max: u64,
    zeros: Vec<Sector>,
    /// Wishes that are not fulfilled, with the shard's number.
    open: Vec<(ShardId, Wish)>,
    full: bool,
}

impl Keeper {
    /// A keeper of a directory whose log may have `log_max` bytes.
    pub fn new(
        directory: Arc<Directory>,
        clients: Vec<Client>,
        doorbell: Arc<Doorbell>,
        usage: Arc<Usage>,
        log_max: u64,
    ) -> Self {
        let zeros = bytemuck::allocation::zeroed_vec(ZEROS / SECTOR_SIZE);
        Self { directory, clients, doorbell, usage, log_max, zeros, open: Vec::new(), full: false }
    }

    /// Works until `stop` says so.
    pub fn run(mut self, stop: impl Fn() -> bool) {
        while !stop() {
            for (shard, client) in self.clients.iter_mut().enumerate() {
                while let Ok(wish) = client.wishes.pop() {
                    self.open.push((ShardId(shard as u16), wish));
                }
            }
            if !self.work() {
                self.rest();
            }
        }
    }

    /// Makes one segment. `false` if there is nothing to do, or no room.
    fn work(&mut self) -> bool {
        let Some((shard, wish)) = self.open.first().copied() else {
            return false;
        };
        let file = match wish.stream {
            Some(stream) => LogFile::Stream { stream, segment: wish.first },
            None => LogFile::Cuts { segment: wish.first },
        };
        let provided = self.provide(file);
        if let Err(e) = &provided {
            if !self.full {
                tracing::warn!(
                    "can't prepare {}: {e}. It is tried again; new batches are refused until it can be",
                    self.directory.file(file).display()
                );
            }
            self.say_full(true);
            // The next shard's wish may still be fulfilled: its segment may be there already.
            self.open.rotate_left(1);
            return false;
        }
        self.open.remove(0);
        // A segment that was there already says nothing about room.
        if provided == Ok(Provided::Made) || self.open.is_empty() {
            self.say_full(false);
        }
        if wish.first < wish.last {
            self.open.push((shard, Wish { first: wish.first + 1, ..wish }));
        }
        let through = u64::from(wish.first) + 1;
        let news = match wish.stream {
            Some(_) => News::Stream(through * STREAM_SEGMENT_SIZE),
            None => News::Cuts(through * CUT_SEGMENT_SLOTS),
        };
        self.tell(shard, news);
        true
    }

    fn tell(&mut self, shard: ShardId, news: News) {
        let client = &mut self.clients[shard.index()];
        client.news.push(news).expect("a shard has few wishes at a time");
        client.doorbell.ring();
    }

    fn say_full(&mut self, full: bool) {
        if self.full == full {
            return;
        }
        self.full = full;
        if !full {
            tracing::info!("there is room for the log again");
        }
        for shard in 0..self.clients.len() {
            self.tell(ShardId(shard as u16), News::Full(full));
        }
    }

    fn rest(&self) {
        self.doorbell.park();
        if self.clients.iter().any(|client| !client.wishes.is_empty()) {
            return self.doorbell.unpark();
        }
        self.doorbell.wait(if self.open.is_empty() { -1 } else { RETRY.as_millis() as i32 });
        self.doorbell.unpark();
    }

    /// Makes sure that a segment is there.
    fn provide(&self, file: LogFile) -> Result<Provided, String> {
        let path = self.directory.file(file);
        if path.exists() {
            return Ok(Provided::WasThere);
        }
        if let LogFile::Stream { .. } = file
            && let Some(spare) = self.directory.spares().pop()
        {
            let used_again = self.use_again(file, &spare, &path);
            return used_again.map(|()| Provided::Made).map_err(|e| e.to_string());
        }
        // Spare segments are for streams: one of cuts may need their room.
        while let Err(why) = self.check_room(file) {
            let Some(spare) = self.directory.spares().pop() else { return Err(why) };
            std::fs::remove_file(&spare).map_err(|e| directory::cannot("remove", &spare, &e).message)?;
            self.usage.bytes.take_away(LogFile::Stream { stream: 0, segment: 0 }.size());
        }
        let folder = Folder::of(&path).map_err(|e| e.to_string())?;
        let making = path.with_extension("making");
        let made = self.make(file, &making).and_then(|()| std::fs::rename(&making, &path));
        if let Err(e) = made {
            let _ = std::fs::remove_file(&making);
            return Err(e.to_string());
        }
        folder.make_durable();
        self.usage.bytes.add(file.size());
        Ok(Provided::Made)
    }

    /// Whether there is room for another segment; if not, why.
    fn check_room(&self, file: LogFile) -> Result<(), String> {
        let used = self.usage.bytes.get();
        if used + file.size() > self.log_max {
            return Err(format!("the log has {used} bytes, its bound is {} (--log-max)", self.log_max));
        }
        let free = directory::free_bytes(&self.directory.path).map_err(|e| e.to_string())?;
        // A log that leaves no room for a checkpoint could never get shorter.
        let checkpoint = self.usage.checkpoint().saturating_sub(self.directory.slot_bytes());
        let needed = file.size() + DISK_RESERVE + checkpoint;
        if free < needed {
            return Err(format!(
                "the disk has {free} bytes left, {needed} are needed, {checkpoint} of them for the next checkpoint"
            ));
        }
        Ok(())
    }

    /// Makes a segment of a stream from one that is not needed any more. What lies in it means nothing: blocks are found through
    /// their cut only, and name their place.
    ///
    /// 1. A segment was renamed to a spare, and that is not durable yet.
    /// 2. It gets another header, which is durable.
    /// 3. The power goes, and the old name is back: with a header that is not its own.
    ///
    /// So the names are made durable first.
    fn use_again(&self, file: LogFile, spare: &Path, path: &Path) -> std::io::Result<()> {
        let (of_spare, of_file) = (Folder::of(spare)?, Folder::of(path)?);
        of_spare.make_durable();
        of_file.make_durable();
        let opened = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(spare)?;
        let mut first = Box::new(Sector([0; SECTOR_SIZE]));
        first.0.copy_from_slice(&file.header(&self.directory.identity));
        if let Err(e) = opened.write_all_at(&first.0, 0).and_then(|()| opened.sync_all()) {
            // What its header is now is not known.
            std::fs::remove_file(spare)?;
            self.usage.bytes.take_away(file.size());
            return Err(e);
        }
        std::fs::rename(spare, path)?;
        of_file.make_durable();
        Ok(())
    }

    fn make(&self, file: LogFile, path: &Path) -> std::io::Result<()> {
        let options =
            OpenOptions::new().create(true).truncate(true).write(true).custom_flags(libc::O_DIRECT).clone();
        let mut made = options.open(path)?;
        directory::preallocate(&made, file.size())?;
        let mut first = Box::new(Sector([0; SECTOR_SIZE]));
        first.0.copy_from_slice(&file.header(&self.directory.identity));
        made.write_all(&first.0)?;
        let zeros: &[u8] = bytemuck::cast_slice(&self.zeros);
        let mut left = file.size() as usize - SECTOR_SIZE;
        while left > 0 {
            let size = left.min(zeros.len());
            made.write_all(&zeros[..size])?;
            left -= size;
        }
        made.sync_all()
    }
}
