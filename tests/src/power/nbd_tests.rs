//! The disk through its protocol, as the emulated machine speaks it.

use super::nbd::Disk;
use super::record::{Fate, Record};
use crate::harness::Scratch;
use fastrand::Rng;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

const SIZE: u64 = 1 << 20;

fn file(scratch: &Scratch, name: &str) -> File {
    let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(scratch.join(name));
    let file = file.expect("a file can be made");
    file.set_len(SIZE).expect("it can grow");
    file
}

fn take<const N: usize>(stream: &mut UnixStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).expect("the disk answers");
    bytes
}

fn option(stream: &mut UnixStream, number: u32, content: &[u8]) {
    let mut bytes = b"IHAVEOPT".to_vec();
    bytes.extend(number.to_be_bytes());
    bytes.extend((content.len() as u32).to_be_bytes());
    bytes.extend(content);
    stream.write_all(&bytes).expect("the disk listens");
}

/// The answer's kind and content.
fn option_answer(stream: &mut UnixStream, number: u32) -> (u32, Vec<u8>) {
    let head: [u8; 20] = take(stream);
    assert_eq!(head[..8], 0x0003_e889_0455_65a9_u64.to_be_bytes());
    assert_eq!(head[8..12], number.to_be_bytes());
    let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let mut content = vec![0; word(16) as usize];
    stream.read_exact(&mut content).expect("the answer is whole");
    (word(12), content)
}

fn request(flags: u16, command: u16, cookie: u64, offset: u64, length: u32) -> Vec<u8> {
    let mut bytes = 0x2560_9513_u32.to_be_bytes().to_vec();
    bytes.extend(flags.to_be_bytes());
    bytes.extend(command.to_be_bytes());
    bytes.extend(cookie.to_be_bytes());
    bytes.extend(offset.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes
}

/// The cookie and the error of the next reply.
fn answer(stream: &mut UnixStream) -> (u64, u32) {
    let head: [u8; 16] = take(stream);
    assert_eq!(head[..4], 0x6744_6698_u32.to_be_bytes());
    let error = u32::from_be_bytes(head[4..8].try_into().expect("four bytes"));
    (u64::from_be_bytes(head[8..].try_into().expect("eight bytes")), error)
}

#[test]
fn the_disk_speaks_nbd_and_notes_what_it_does() {
    let scratch = Scratch::new("nbd");
    let socket = scratch.join("socket");
    let record = Record::new(file(&scratch, "bytes"));
    let disk = Disk::serve(&socket, file(&scratch, "image"), record, 1).expect("the disk serves");
    let mut stream = UnixStream::connect(&socket).expect("the disk listens");

    assert_eq!(&take::<18>(&mut stream), b"NBDMAGICIHAVEOPT\0\x03");
    stream.write_all(&3_u32.to_be_bytes()).expect("the disk listens");
    // Structured replies are not offered.
    option(&mut stream, 8, &[]);
    assert_eq!(option_answer(&mut stream, 8), (1 << 31 | 1, Vec::new()));
    option(&mut stream, 7, &[0; 6]);
    let (kind, export) = option_answer(&mut stream, 7);
    assert_eq!((kind, &export[..2], &export[2..10]), (3, &[0, 0][..], &SIZE.to_be_bytes()[..]));
    assert_eq!(export[10..], (1_u16 | 4).to_be_bytes(), "it can flush and do nothing else");
    assert_eq!(option_answer(&mut stream, 7), (1, Vec::new()));

    let mut sending = stream.try_clone().expect("a second end");
    let mut send = |bytes: &[u8]| sending.write_all(bytes).expect("the disk listens");
    // A write that is waited for and flushed, and two behind the flush.
    send(&[request(0, 1, 10, 4_096, 1_024), vec![1; 1_024]].concat());
    assert_eq!(answer(&mut stream), (10, 0));
    send(&request(0, 3, 11, 0, 0));
    assert_eq!(answer(&mut stream), (11, 0));
    send(&[request(0, 1, 12, 8_192, 512), vec![2; 512]].concat());
    assert_eq!(answer(&mut stream), (12, 0));
    send(&[request(0, 1, 13, 0, 512), vec![3; 512]].concat());
    assert_eq!(answer(&mut stream), (13, 0));
    send(&request(0, 0, 14, 0, 512));
    assert_eq!(answer(&mut stream), (14, 0));
    assert_eq!(take::<512>(&mut stream), [3; 512], "what was written is read");
    // Discarding is not offered, and there is nothing behind the end.
    send(&request(0, 4, 15, 0, 512));
    assert_eq!(answer(&mut stream), (15, 22));
    send(&request(0, 0, 16, SIZE, 512));
    assert_eq!(answer(&mut stream), (16, 22));
    assert_eq!(disk.clock().now(), 8);
    send(&request(0, 2, 17, 0, 0));

    let record = disk.into_record().expect("the client kept to the protocol");
    assert_eq!(record.counts(), (3, 1));
    let left = file(&scratch, "left");
    let counted = record.cut(record.position(), Fate::Lost, &mut Rng::with_seed(0), &left);
    let counted = counted.expect("the image can be made");
    assert_eq!((counted.durable, counted.lost), (1, 2));
    let mut bytes = [9; 1];
    for (offset, byte) in [(4_096, 1), (8_192, 0), (0, 0)] {
        left.read_exact_at(&mut bytes, offset).expect("read");
        assert_eq!(bytes, [byte], "at {offset}");
    }
}
