//! The emulated machine: a Linux without any service but the server, one disk, and a port of the host that leads to the server.

use super::tools::{LEDGER, Tools};
use crate::harness::{Server, text};
use std::net::TcpListener;
use std::path::Path;

/// The kinds of disks that a guest can have: the kernel takes different ways to a durable write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A disk that can't force writes: the kernel writes, and syncs the file.
    Virtio,
    /// One that can (FUA): the kernel forces the write and does nothing else, as on NVMe. The emulated NVMe drive of QEMU 7.2
    /// forgets to force, so this one is a SCSI disk.
    Scsi,
}

impl Device {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Virtio => &["-device", "virtio-blk-pci,drive=disk"],
            Self::Scsi => {
                &["-device", "virtio-scsi-pci,id=scsi", "-device", "scsi-hd,drive=disk,bus=scsi.0,dpofua=on"]
            }
        }
    }

    /// What the guest says of it.
    fn shown(self) -> &'static str {
        match self {
            Self::Virtio => "vda has a cache: write back; forced writes: 0",
            Self::Scsi => "sda has a cache: write back; forced writes: 1",
        }
    }
}

/// What is to run in a guest.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The emulator and the kernel.
    pub tools: &'a Tools,
    /// What `tests/power/pack` has made.
    pub root: &'a Path,
    /// Of what kind the disk is.
    pub device: Device,
    /// For the guest's environment: `NAME=value`, or nothing.
    pub variable: &'a str,
    /// More arguments of the server.
    pub arguments: &'a str,
}

/// Starts a guest whose disk is at `socket`, and waits until its server serves. Returns the guest, and where the server can
/// be reached.
#[track_caller]
pub fn boot(setup: &Setup<'_>, socket: &Path) -> (Server, String) {
    let port = free_port();
    let network = format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:7400");
    let disk = format!("driver=nbd,node-name=disk,server.type=unix,server.path={}", text(socket));
    let kernel = setup.tools.kernel();
    let append = format!(
        "console=ttyS0,115200 quiet panic=-1 mitigations=off tsc=unstable random.trust_cpu=on NO_COLOR=1 AURIGA_LOG_FORMAT=human \
         {} -- start \
         --data /data/{LEDGER} --listen 0.0.0.0:7400 --histogram-interval 0 {}",
        setup.variable, setup.arguments
    );
    let fixed = "-M q35 -accel tcg,thread=multi -cpu max -m 2G -smp 2 -nodefaults -no-user-config -display none -no-reboot";
    let mut arguments: Vec<&str> = fixed.split(' ').collect();
    arguments.extend(["-kernel", text(&kernel), "-initrd", text(setup.root), "-append", &append]);
    arguments.extend(["-blockdev", &disk]);
    arguments.extend(setup.device.options());
    arguments.extend(["-netdev", &network, "-device", "virtio-net-pci,netdev=net,romfile="]);
    arguments.extend(["-serial", "file:/dev/stderr"]);
    let guest = Server::of(setup.tools.command("qemu-system-x86_64", &arguments));
    // Without a cache the kernel flushes nothing, and nothing can be lost.
    guest.wait_for(setup.device.shown());
    guest.wait_for("serving on ");
    (guest, format!("127.0.0.1:{port}"))
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}
