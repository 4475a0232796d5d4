//! Where a run took place: what a reader must know before figures of two runs are compared. Read once, before the load.

use auriga_wire::report::Status;
use serde::{Serialize, Serializer};
use std::fs::{read_dir, read_link, read_to_string};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::Path;

/// What is said where nothing can be found out.
const UNKNOWN: &str = "not known";
/// What names of a server's values begin with.
const OF_SERVER: &str = "server_";
/// Widths of the names in a block of lines, and of what stands beside them.
const NAME_WIDTH: usize = 20;
const LINE_LENGTH: usize = 100;

/// The surroundings of a run: names and values, in the order in which they are shown. In JSON an object.
#[derive(Clone, Debug, Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// Of this machine, this program and a server, of a run with this seed.
    pub fn of(address: &str, status: &Status, seed: Option<u64>) -> Self {
        let mut all = Self::here(seed);
        all.add_server(address, status);
        all
    }

    /// Of this machine and this program alone.
    pub fn here(seed: Option<u64>) -> Self {
        let mut all = Self::default();
        all.add("date", jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        all.add("arguments", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
        if let Some(seed) = seed {
            all.add("seed", seed.to_string());
        }
        all.add("auriga_bench", env!("CARGO_PKG_VERSION"));
        all.add("auriga_bench_commit", env!("AURIGA_COMMIT"));
        all.add("rustc", env!("AURIGA_RUSTC"));
        all.add_machine();
        all
    }

    /// Every name with its value.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// As a block of lines; what is known of the server's configuration goes on in the same line.
    pub fn words(&self) -> String {
        let mut text = "environment:".to_string();
        let (mut begun, mut length) = (false, 0);
        for (name, value) in &self.0 {
            let part = match name.strip_prefix(OF_SERVER) {
                Some(name) => format!("{name} {value}"),
                None => format!("{name:<NAME_WIDTH$} {value}"),
            };
            let goes_on = name.starts_with(OF_SERVER) && begun && length + part.len() < LINE_LENGTH;
            begun = name.starts_with(OF_SERVER);
            length = if goes_on { length } else { 0 } + part.len() + 2;
            let indent = if begun { NAME_WIDTH + 1 } else { 0 };
            text += &if goes_on { format!(", {part}") } else { format!("\n  {:indent$}{part}", "") };
        }
        text
    }

    fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let value = Some(value.into()).filter(|value| !value.is_empty());
        self.0.push((name.into(), value.unwrap_or_else(|| UNKNOWN.into())));
    }

    /// The machine of the generator, as far as the kernel says.
    fn add_machine(&mut self) {
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        let memory = field(&file("/proc/meminfo"), "MemTotal");
        let memory = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        let governor = file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        self.add("cpu", cpu());
        self.add("cpus", format!("{cpus} of {} for this process", online_cpus()));
        self.add("governor", if governor.is_empty() { "none" } else { &governor });
        self.add(
            "memory",
            memory.map_or(String::new(), |kib| format!("{:.1} GiB", kib as f64 / f64::from(1 << 20))),
        );
        self.add("numa_nodes", file("/sys/devices/system/node/online"));
        self.add("kernel", file("/proc/sys/kernel/osrelease"));
    }

    /// The server, as its status has it.
    fn add_server(&mut self, address: &str, status: &Status) {
        let is_local = is_local(address);
        let setting =
            |key: &str| status.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let data = setting("data").map(String::as_str);
        let data = match (data, is_local) {
            (None, _) => format!("{UNKNOWN}: the server does not say where its data are"),
            (Some(_), false) => format!("{UNKNOWN}: the server is on another machine"),
            (Some(data), true) => disk_of(Path::new(data)),
        };
        self.add(
            "server",
            format!("{address}, {}", if is_local { "on this machine" } else { "on another machine" }),
        );
        self.add("server_disk", data);
        self.add("server_version", status.version.clone());
        self.add("server_cluster", status.cluster.to_string());
        self.add("server_starts", status.incarnation.to_string());
        self.add("server_shards", status.shards.to_string());
        self.add("server_ids", status.id_mode.clone());
        self.add("server_history", if status.history_epoch.is_some() { "on" } else { "off" });
        for (key, value) in &status.settings {
            let name = format!("server_{}", key.replace('-', "_"));
            // What it runs with is said above, whatever it was asked for.
            if self.0.iter().all(|(known, _)| *known != name) {
                self.add(name, value.clone());
            }
        }
    }
}

impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// What a file of the kernel's says; nothing if it isn't there.
fn file(path: impl AsRef<Path>) -> String {
    read_to_string(path).unwrap_or_default().trim().into()
}

/// The value behind a name and a colon, of the first line that has it.
fn field(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_string())
}

/// The CPU's model, or what a kernel says that names none.
fn cpu() -> String {
    let text = file("/proc/cpuinfo");
    let by_part = || field(&text, "CPU part").map(|part| format!("{}, part {part}", std::env::consts::ARCH));
    field(&text, "model name").or_else(by_part).unwrap_or_default()
}

fn online_cpus() -> usize {
    let text = file("/proc/cpuinfo");
    text.lines().filter(|line| line.starts_with("processor")).count()
}

/// Whether a socket of this machine could be bound to the address.
fn is_local(address: &str) -> bool {
    let is_ours = |address: SocketAddr| UdpSocket::bind((address.ip(), 0)).is_ok();
    address.to_socket_addrs().into_iter().flatten().any(is_ours)
}

/// The file system and the disk under a directory of this machine.
fn disk_of(data: &Path) -> String {
    let Ok(real) = data.canonicalize() else {
        return format!("{UNKNOWN}: {} is not seen from here", data.display());
    };
    match mount_of(&file("/proc/self/mountinfo"), &real) {
        Some(Mount { number, system, source }) => format!("{system} on {source}{}", disk_words(&number)),
        None => UNKNOWN.into(),
    }
}

/// Where a directory is mounted from.
#[derive(Debug, PartialEq)]
struct Mount {
    /// Of the device: major and minor.
    number: String,
    /// The kind of file system.
    system: String,
    /// The device's name.
    source: String,
}

/// The mount that a path lies on: of `/proc/self/mountinfo` the last line with the longest directory above it.
fn mount_of(mounts: &str, path: &Path) -> Option<Mount> {
    let mut best: Option<(usize, Mount)> = None;
    for line in mounts.lines() {
        let Some((before, behind)) = line.split_once(" - ") else { continue };
        let (before, behind): (Vec<_>, Vec<_>) = (before.split(' ').collect(), behind.split(' ').collect());
        let (Some(number), Some(point), [system, source, ..]) = (before.get(2), before.get(4), &behind[..])
        else {
            continue;
        };
        let point = point.replace("\\040", " ");
        let length = point.len();
        if path.starts_with(&point) && best.as_ref().is_none_or(|(longest, _)| length >= *longest) {
            let [number, system, source] = [number, system, source].map(|text| (*text).to_string());
            best = Some((length, Mount { number, system, source }));
        }
    }
    best.map(|(_, mount)| mount)
}

/// What the kernel says of a block device, or of the disk that it is a part of; nothing if it is none.
fn disk_words(number: &str) -> String {
    let Ok(device) = Path::new("/sys/dev/block").join(number).canonicalize() else { return String::new() };
    // A partition has no queue of its own, the disk above it has.
    let Some(disk) = device.ancestors().find(|path| path.join("queue").is_dir()) else {
        return String::new();
    };
    let name = disk.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let kind = match file(disk.join("queue/rotational")).as_str() {
        "0" => "not rotating",
        "1" => "rotating",
        _ => "of an unknown kind",
    };
    let model = file(disk.join("device/model"));
    let driver = read_link(disk.join("device/driver")).ok();
    let driver = driver.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let under: Vec<String> = read_dir(disk.join("slaves"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let more = [Some(model), driver, Some(under.join(" and "))]
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty());
    format!(
        ", disk {name} ({})",
        std::iter::once(kind.to_string()).chain(more).collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_names() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2: fast\nmodel name\t: another\n";
        let cases = [("model name", Some("Some CPU @ 2: fast")), ("processor", Some("0")), ("model", None)];
        for (name, expected) in cases {
            assert_eq!(field(text, name).as_deref(), expected);
        }
    }

    #[test]
    fn the_longest_directory_above_a_path_is_its_mount_and_the_last_one_mounted_there() {
        let text = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                    23 22 0:5 / /dev rw - devtmpfs devtmpfs rw\n\
                    24 22 259:3 / /srv/a\\040b rw shared:7 master:2 - xfs /dev/nvme0n1p3 rw\n\
                    25 22 0:44 / /tmp rw - tmpfs first rw\n\
                    26 22 0:45 / /tmp rw - tmpfs second rw\n";
        let cases = [
            ("/home/x", "8:1", "ext4", "/dev/sda1"),
            ("/srv/a b/ledger", "259:3", "xfs", "/dev/nvme0n1p3"),
            ("/srv/a", "8:1", "ext4", "/dev/sda1"),
            ("/tmp/x", "0:45", "tmpfs", "second"),
        ];
        for (path, number, system, source) in cases {
            let expected = Mount { number: number.into(), system: system.into(), source: source.into() };
            assert_eq!(mount_of(text, Path::new(path)), Some(expected), "{path}");
        }
        assert_eq!(mount_of("nonsense", Path::new("/")), None);
    }

    #[test]
    fn this_machine_and_its_addresses_are_known() {
        let settings =
            vec![("data".to_string(), "/".to_string()), ("window".to_string(), "24 h".to_string())];
        let status = Status { version: "1.2.3".into(), shards: 4, settings, ..Status::default() };
        // The second is of a range that is for documentation alone.
        for (address, place) in
            [("127.0.0.1:7400", "on this machine"), ("192.0.2.1:7400", "on another machine")]
        {
            let all = Environment::of(address, &status, Some(7));
            let value = |name: &str| {
                let found = all.pairs().iter().find(|(known, _)| known == name);
                found.unwrap_or_else(|| panic!("{name} is missing")).1.as_str()
            };
            assert!(value("server").ends_with(place), "{}", value("server"));
            let expected = [
                ("seed", "7"),
                ("server_version", "1.2.3"),
                ("server_shards", "4"),
                ("server_window", "24 h"),
            ];
            for (name, expected) in expected {
                assert_eq!(value(name), expected, "{name}");
            }
            assert!(value("kernel") != UNKNOWN && value("rustc").starts_with("rustc "), "{}", all.words());
            assert_eq!(
                value("server_disk").starts_with(UNKNOWN),
                place == "on another machine",
                "{}",
                all.words()
            );
            let json = serde_json::to_value(&all).expect("it is written");
            assert_eq!((&json["seed"], json["cpu"].as_str()), (&"7".into(), Some(value("cpu"))));
            for (name, value) in all.pairs() {
                let name = name.trim_start_matches(OF_SERVER);
                let is_shown = |line: &str| line.contains(name) && line.contains(value.as_str());
                assert!(all.words().lines().any(is_shown), "{name}: {}", all.words());
            }
        }
        let nothing = Environment::of("127.0.0.1:1", &Status::default(), None);
        assert!(nothing.words().contains("the server does not say"), "{}", nothing.words());
    }
}
