//! A disk with a volatile cache that an emulated machine uses through NBD, the network block device protocol
//! (<https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>), on a Unix socket: one export, one connection.
//!
//! Two threads. One reads requests, notes them, and answers reads. The other one reports writes and flushes done, each after a
//! time that chance gives it, so that they overtake each other as on a drive with queues, and a flush takes its time: what is
//! acknowledged without waiting for it is acknowledged before it.

use super::record::{Number, Position, Record};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A write takes up to so long,
const WRITE_TIME: Duration = Duration::from_millis(1);
/// one in a few up to so long, so that other writes and flushes overtake it,
const SLOW_WRITE_TIME: Duration = Duration::from_millis(40);
const SLOW_ONE_IN: u32 = 4;
/// and a flush so long, and up to as long again.
const FLUSH_TIME: Duration = Duration::from_millis(20);
/// Most bytes of a request.
const REQUEST_SIZE_MAX: u32 = 32 << 20;

const OPTION_MAGIC: u64 = u64::from_be_bytes(*b"IHAVEOPT");
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;
/// Fixed newstyle, no zeroes.
const HANDSHAKE_FLAGS: u16 = 3;
/// Has flags, can flush. Forced writes (FUA) are not offered: the emulator makes them a write and a flush.
const DISK_FLAGS: u16 = 1 | 1 << 2;
const OPTION_ABORT: u32 = 2;
const OPTION_INFO: u32 = 6;
const OPTION_GO: u32 = 7;
const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const REPLY_UNSUPPORTED: u32 = 1 << 31 | 1;
const INFO_EXPORT: u16 = 0;
const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
const INVALID: u32 = 22;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Write,
    Flush,
}

/// What has arrived and is to be reported done, by when.
#[derive(Debug, Default)]
struct Pending {
    due: BTreeMap<(Instant, u64), (Kind, Number, u64)>,
    arrived: u64,
    is_over: bool,
}

#[derive(Debug)]
struct Shared {
    record: Mutex<Record>,
    pending: Mutex<Pending>,
    changed: Condvar,
}

/// The disk, as those see it who don't read or write it.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// The disk's clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Shared>);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread of the disk panics")
}

impl Clock {
    /// How much has happened at the disk.
    pub fn now(&self) -> Position {
        locked(&self.0.record).position()
    }
}

impl Disk {
    /// Offers an image at `socket`, for one connection. `seed` is that of the times that writes and flushes take.
    pub fn serve(socket: &Path, image: File, record: Record, seed: u64) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let shared = Arc::new(Shared {
            record: Mutex::new(record),
            pending: Mutex::default(),
            changed: Condvar::new(),
        });
        let disk = shared.clone();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            let reporting = stream.try_clone()?;
            let reporter = {
                let disk = disk.clone();
                std::thread::spawn(move || report(&disk, reporting))
            };
            let taken = unless_gone(take_requests(&disk, stream, &image, &mut Rng::with_seed(seed)));
            locked(&disk.pending).is_over = true;
            disk.changed.notify_all();
            reporter.join().expect("the reporting thread does not panic");
            taken.map(|_| ())
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Its clock.
    pub fn clock(&self) -> Clock {
        Clock(self.shared.clone())
    }

    /// What has happened, after the end of the connection.
    ///
    /// # Errors
    ///
    /// If the image could not be read or written, or the other side broke the protocol.
    pub fn into_record(mut self) -> io::Result<Record> {
        let thread = self.thread.take().expect("taken once");
        thread.join().expect("the disk's thread does not panic")?;
        let empty = Record::new(File::open("/dev/null")?);
        Ok(std::mem::replace(&mut *locked(&self.shared.record), empty))
    }
}

fn read_array<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).map(|()| bytes)
}

fn wrong<T>(what: &str) -> io::Result<T> {
    Err(io::Error::new(ErrorKind::InvalidData, format!("the disk's client: {what}")))
}

/// Agrees on the one export. `false` if the client went away.
fn shake_hands(stream: &mut UnixStream, size: u64) -> io::Result<bool> {
    stream.write_all(b"NBDMAGIC")?;
    stream.write_all(&OPTION_MAGIC.to_be_bytes())?;
    stream.write_all(&HANDSHAKE_FLAGS.to_be_bytes())?;
    read_array::<4>(stream)?;
    loop {
        if u64::from_be_bytes(read_array(stream)?) != OPTION_MAGIC {
            return wrong("found no option, expected one");
        }
        let option = u32::from_be_bytes(read_array(stream)?);
        let length = u32::from_be_bytes(read_array(stream)?);
        io::copy(&mut stream.take(u64::from(length)), &mut io::sink())?;
        let mut answer = |kind: u32, content: &[u8]| {
            let mut bytes = OPTION_REPLY_MAGIC.to_be_bytes().to_vec();
            for number in [option, kind, content.len() as u32] {
                bytes.extend(number.to_be_bytes());
            }
            bytes.extend(content);
            stream.write_all(&bytes)
        };
        match option {
            OPTION_GO | OPTION_INFO => {
                let mut export = INFO_EXPORT.to_be_bytes().to_vec();
                export.extend(size.to_be_bytes());
                export.extend(DISK_FLAGS.to_be_bytes());
                answer(REPLY_INFO, &export)?;
                answer(REPLY_ACK, &[])?;
                if option == OPTION_GO {
                    return Ok(true);
                }
            }
            OPTION_ABORT => return answer(REPLY_ACK, &[]).map(|()| false),
            _ => answer(REPLY_UNSUPPORTED, &[])?,
        }
    }
}

/// Serves requests to the end of the connection.
fn take_requests(disk: &Shared, mut stream: UnixStream, image: &File, random: &mut Rng) -> io::Result<()> {
    let size = image.metadata()?.len();
    if !shake_hands(&mut stream, size)? {
        return Ok(());
    }
    let mut bytes = Vec::new();
    loop {
        let head: [u8; 28] = read_array(&mut stream)?;
        let part = |from: usize, to: usize| head[from..to].iter().fold(0, |n, b| n << 8 | u64::from(*b));
        let (magic, command) = (part(0, 4), part(6, 8) as u16);
        let (cookie, offset, length) = (part(8, 16), part(16, 24), part(24, 28) as u32);
        if magic != u64::from(REQUEST_MAGIC) || length > REQUEST_SIZE_MAX {
            return wrong("found no request, or one that is too large");
        }
        let fits = offset.checked_add(u64::from(length)).is_some_and(|end| end <= size);
        bytes.resize(length as usize, 0);
        match command {
            READ if fits => {
                image.read_exact_at(&mut bytes, offset)?;
                // One write, so that no report comes in between.
                let mut answer = reply(cookie, 0).to_vec();
                answer.extend(&bytes);
                send(disk, &mut stream, &answer)?;
            }
            WRITE if fits => {
                stream.read_exact(&mut bytes)?;
                image.write_all_at(&bytes, offset)?;
                let number = locked(&disk.record).begin_write(offset, &bytes)?;
                let time = if random.u32(..SLOW_ONE_IN) == 0 { SLOW_WRITE_TIME } else { WRITE_TIME };
                report_later(disk, Kind::Write, number, cookie, time.mul_f64(random.f64()));
            }
            FLUSH => {
                let number = locked(&disk.record).begin_flush();
                report_later(disk, Kind::Flush, number, cookie, FLUSH_TIME.mul_f64(1.0 + random.f64()));
            }
            DISCONNECT => return Ok(()),
            // What was not offered, or doesn't fit: its bytes, if it has any, are unknown.
            WRITE => return wrong("a write past the end of the disk"),
            _ => send(disk, &mut stream, &reply(cookie, INVALID))?,
        }
    }
}

fn reply(cookie: u64, error: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&REPLY_MAGIC.to_be_bytes());
    bytes[4..8].copy_from_slice(&error.to_be_bytes());
    bytes[8..].copy_from_slice(&cookie.to_be_bytes());
    bytes
}

/// Answers; whoever sends holds `pending`, so that answers don't mix.
fn send(disk: &Shared, stream: &mut UnixStream, answer: &[u8]) -> io::Result<()> {
    let _held = locked(&disk.pending);
    stream.write_all(answer)
}

/// A machine that was killed sends no more requests and takes no more answers: `false`.
fn unless_gone(result: io::Result<()>) -> io::Result<bool> {
    use ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    match result {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) => Ok(false),
        Err(e) => Err(e),
    }
}

fn report_later(disk: &Shared, kind: Kind, number: Number, cookie: u64, time: Duration) {
    let mut pending = locked(&disk.pending);
    pending.arrived += 1;
    let key = (Instant::now() + time, pending.arrived);
    pending.due.insert(key, (kind, number, cookie));
    disk.changed.notify_all();
}

/// Reports what is due, to the end of the connection.
fn report(disk: &Shared, mut stream: UnixStream) {
    let mut pending = locked(&disk.pending);
    while !pending.is_over {
        let now = Instant::now();
        let next = pending.due.first_entry();
        let Some(first) = next else {
            pending = disk.changed.wait(pending).expect("no thread of the disk panics");
            continue;
        };
        let due = first.key().0;
        if due > now {
            pending = disk.changed.wait_timeout(pending, due - now).expect("no thread of the disk panics").0;
            continue;
        }
        let (kind, number, cookie) = first.remove();
        {
            let mut record = locked(&disk.record);
            match kind {
                Kind::Write => record.end_write(number),
                Kind::Flush => record.end_flush(number),
            }
        }
        match unless_gone(stream.write_all(&reply(cookie, 0))) {
            Ok(true) => {}
            Ok(false) => return,
            Err(e) => panic!("the disk can't answer: {e}"),
        }
    }
}
