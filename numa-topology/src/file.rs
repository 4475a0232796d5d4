//! The file `topology.toml`: which CPUs run shards, on which node their memory is, and what is left for
//! housekeeping. Its format is described in this crate's README.
//!
//! A parsed file is well formed; whether it fits the machine is `compare`'s question.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::error::{Error, ParseError};
use crate::plan::SHARDS_MAX;

/// The version of the file's format that this build reads and writes.
pub const FORMAT: u32 = 1;

/// What runs where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Topology {
    /// Whether a server refuses to start on any mismatch, warnings too.
    pub strict: bool,
    /// Shard i is `shards[i]`; 1 to [`SHARDS_MAX`].
    pub shards: Vec<ShardPlace>,
    /// The disks that data directories may lie on, each once; empty: any.
    pub disks: Vec<DiskPlace>,
    /// Everything that is not a shard.
    pub housekeeping: Housekeeping,
}

/// Where one shard runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardPlace {
    /// The CPU its thread is pinned to, as Linux numbers it.
    pub cpu: u32,
    /// The NUMA node its memory is bound to, as Linux numbers it.
    pub node: u32,
}

/// Where one disk is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskPlace {
    /// Its name, as in `/sys/block`.
    pub device: String,
    /// The NUMA node it is attached to, as Linux numbers it.
    pub node: u32,
}

/// The gateway, metrics, the load generator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Housekeeping {
    /// CPUs they may run on; empty: wherever the kernel puts them.
    pub cpus: Vec<u32>,
}

/// Read before the rest, so that a file of a newer format is refused by its version and not by a key.
#[derive(Deserialize)]
struct Version {
    format: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(rename = "format")]
    _format: u32,
    #[serde(default)]
    strict: bool,
    shards: Spanned<Vec<ShardPlace>>,
    #[serde(default)]
    disks: Vec<Spanned<DiskPlace>>,
    #[serde(default)]
    housekeeping: Housekeeping,
}

impl Topology {
    /// Reads the text of a topology file.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] with line, key and remedy: not TOML, unknown or missing keys, values out of range,
    /// another format version, 0 or more than [`SHARDS_MAX`] shards, a disk whose name is none or is there
    /// twice.
    pub fn parse(text: &str) -> Result<Topology, Error> {
        parse(text).map_err(Error::Parse)
    }

    /// Reads a topology file.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if it cannot be read, [`Error::Parse`] as for [`Topology::parse`], with its path.
    pub fn load(path: &Path) -> Result<Topology, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        parse(&text).map_err(|error| Error::Parse(ParseError { path: Some(path.to_owned()), ..error }))
    }

    /// The commented text of a file that parses to this topology.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "# Which CPUs run Auriga's shards, and which are left for everything else. CPUs and nodes have Linux's\n\
             # numbers. `auriga topology check` compares this file with the machine, `auriga topology show` draws it.\n\
             \n\
             # Version of this file's format.\n\
             format = {FORMAT}\n\
             \n\
             # true: a server refuses to start where it is warned otherwise.\n\
             strict = {}\n\
             \n\
             # One entry a shard: the CPU its thread is pinned to, the NUMA node its memory is bound to.\n\
             shards = [\n",
            self.strict
        );
        let mut node = None;
        for place in &self.shards {
            if node.replace(place.node) != Some(place.node) {
                push(&mut text, format_args!("    # node {}\n", place.node));
            }
            push(&mut text, format_args!("    {{ cpu = {}, node = {} }},\n", place.cpu, place.node));
        }
        text.push_str("]\n\n");
        self.write_disks(&mut text);
        text.push_str(
            "# CPUs for the gateway, metrics and the load generator. Empty: wherever the kernel puts them.\n\
             [housekeeping]\n",
        );
        push(&mut text, format_args!("cpus = {:?}\n", self.housekeeping.cpus));
        text
    }

    fn write_disks(&self, text: &mut String) {
        if self.disks.is_empty() {
            return;
        }
        text.push_str(
            "# The disks that data directories may lie on, and the node each is attached to. Nothing is put there by\n\
             # itself: mount a file system of the disk, and name a directory on it to `auriga format` and `start`\n\
             # (--data DIR). `auriga topology check --data DIR` says whether it is right. Without this key: any disk.\n\
             disks = [\n",
        );
        for DiskPlace { device, node } in &self.disks {
            push(text, format_args!("    {{ device = \"{device}\", node = {node} }},\n"));
        }
        text.push_str("]\n\n");
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a String cannot fail");
}

fn parse(text: &str) -> Result<Topology, ParseError> {
    let version: Version = toml::from_str(text).map_err(|error| toml_error(text, &error))?;
    if *version.format.get_ref() != FORMAT {
        let found = version.format.get_ref();
        let message = format!("found format {found}, expected {FORMAT}");
        let fix = if *found > FORMAT {
            "this file is for a newer Auriga: upgrade this one, or write a new file with `auriga topology discover`"
        } else {
            "write a new file with `auriga topology discover`"
        };
        return Err(error_at(text, version.format.span(), Some("format"), message, fix));
    }
    let content: Content = toml::from_str(text).map_err(|error| toml_error(text, &error))?;
    let span = content.shards.span();
    let shards = content.shards.into_inner();
    if !(1..=SHARDS_MAX).contains(&shards.len()) {
        let message = format!("found {} entries, expected 1 to {SHARDS_MAX}", shards.len());
        return Err(error_at(text, span, Some("shards"), message, fix_for(Some("shards"))));
    }
    let disks = check_disks(text, content.disks)?;
    Ok(Topology { strict: content.strict, shards, disks, housekeeping: content.housekeeping })
}

/// Each disk has a name that Linux could give one, and no other has it.
fn check_disks(text: &str, disks: Vec<Spanned<DiskPlace>>) -> Result<Vec<DiskPlace>, ParseError> {
    let mut checked: Vec<DiskPlace> = Vec::new();
    for disk in disks {
        let span = disk.span();
        let disk = disk.into_inner();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.!:".contains(c);
        let name = &disk.device;
        let message = if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(fits) {
            format!("found {name:?}, expected a name as in /sys/block")
        } else if checked.iter().any(|other| other.device == *name) {
            format!("found {name} twice, expected each disk once")
        } else {
            checked.push(disk);
            continue;
        };
        return Err(error_at(text, span, Some("device"), message, fix_for(Some("device"))));
    }
    Ok(checked)
}

fn toml_error(text: &str, error: &toml::de::Error) -> ParseError {
    let span = error.span().unwrap_or(0..0);
    let message = error.message().replace('\n', ", ");
    let key = key_of(text, &message, &span);
    let fix = if message.starts_with("unknown field") {
        "remove the key or correct its name"
    } else {
        fix_for(key.as_deref())
    };
    error_at(text, span, key.as_deref(), message, fix)
}

/// The key an error is about: the one the message quotes, else the one its value is assigned to.
fn key_of(text: &str, message: &str, span: &Range<usize>) -> Option<String> {
    if message.contains(" field `") {
        return message.split('`').nth(1).map(str::to_owned);
    }
    if !message.starts_with("invalid ") {
        return None;
    }
    let before = text.get(..span.start)?;
    let name = before.rsplit_once('=')?.0.trim_end();
    let key = name.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    Some(key.to_owned()).filter(|key| !key.is_empty())
}

/// What a key must look like.
fn fix_for(key: Option<&str>) -> &'static str {
    match key {
        Some("format") => "write `format = 1`",
        Some("shards") => "list one `{ cpu = 0, node = 0 }` for each shard, 1 to 128 of them",
        Some("strict") => "write `strict = true` or `strict = false`",
        Some("disks") => "list one `{ device = \"nvme0n1\", node = 0 }` for each disk, or remove the key",
        Some("device") => "write the name of a disk, as in `device = \"nvme0n1\"`, each once",
        Some("cpu") => "write the number of a CPU, as in `cpu = 0`",
        Some("node") => "write the number of a NUMA node, as in `node = 0`",
        Some("housekeeping") => "write a section `[housekeeping]` with `cpus = []`",
        Some("cpus") => "write a list of CPU numbers, as in `cpus = [0, 1]`",
        _ => "correct the line; `auriga topology discover` writes a complete file",
    }
}

fn error_at(text: &str, span: Range<usize>, key: Option<&str>, message: String, fix: &str) -> ParseError {
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    ParseError {
        path: None,
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        key: key.map(str::to_owned),
        message,
        fix: fix.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn disk(device: &str, node: u32) -> DiskPlace {
        DiskPlace { device: device.to_owned(), node }
    }

    fn small() -> Topology {
        let place = |cpu, node| ShardPlace { cpu, node };
        Topology {
            strict: false,
            shards: vec![place(1, 0), place(2, 0), place(5, 1)],
            disks: vec![disk("nvme0n1", 1), disk("sda", 0)],
            housekeeping: Housekeeping { cpus: vec![0, 4] },
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(Topology::parse(&small().to_toml()).unwrap(), small());
        let no_housekeeping = Topology { housekeeping: Housekeeping::default(), ..small() };
        assert_eq!(Topology::parse(&no_housekeeping.to_toml()).unwrap(), no_housekeeping);
        let strict = Topology { strict: true, disks: Vec::new(), ..small() };
        assert_eq!(Topology::parse(&strict.to_toml()).unwrap(), strict);
        assert!(!strict.to_toml().contains("disks"), "nothing is known: nothing is said");
        let minimal = Topology::parse("format = 1\nshards = [{ cpu = 0, node = 0 }]").unwrap();
        assert_eq!(minimal.housekeeping.cpus, Vec::<u32>::new());
        assert_eq!((minimal.strict, minimal.disks), (false, Vec::new()));
    }

    #[test]
    fn the_written_text_is_commented_node_by_node() {
        let text = small().to_toml();
        let expected = "shards = [\n    # node 0\n    { cpu = 1, node = 0 },\n    { cpu = 2, node = 0 },\n    \
                        # node 1\n    { cpu = 5, node = 1 },\n]\n";
        assert!(text.contains(expected), "{text}");
        let disks =
            "disks = [\n    { device = \"nvme0n1\", node = 1 },\n    { device = \"sda\", node = 0 },\n]\n";
        assert!(text.contains(disks) && text.contains("\nstrict = false\n"), "{text}");
        assert!(text.ends_with("[housekeeping]\ncpus = [0, 4]\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 110), "{text}");
    }

    /// Text, line, column, key, part of the message, part of the fix.
    type Case = (&'static str, usize, usize, Option<&'static str>, &'static str, &'static str);

    const BAD: &[Case] = &[
        ("", 1, 1, Some("format"), "missing field `format`", "write `format = 1`"),
        ("format = \"1\"", 1, 10, Some("format"), "invalid type: string", "write `format = 1`"),
        ("format = 2\nnuma = 1", 1, 10, Some("format"), "found format 2, expected 1", "newer Auriga"),
        ("\nformat = 0", 2, 10, Some("format"), "found format 0, expected 1", "discover"),
        ("format = 1", 1, 1, Some("shards"), "missing field `shards`", "one `{ cpu = 0, node = 0 }`"),
        ("format = 1\nshards = []", 2, 10, Some("shards"), "found 0 entries, expected 1 to 128", "for each"),
        ("format = 1\nshards = 3", 2, 10, Some("shards"), "invalid type: integer `3`", "for each shard"),
        ("format = 1\nshards = [{ cpu = 1 }]", 2, 11, Some("node"), "missing field `node`", "`node = 0`"),
        (
            "format = 1\nshards = [\n  { cpu = -1, node = 0 }]",
            3,
            11,
            Some("cpu"),
            "integer `-1`",
            "`cpu = 0`",
        ),
        ("format = 1\nshards = [{ cpu = 0, node = 1.5 }]", 2, 29, Some("node"), "floating", "`node = 0`"),
        (
            "format = 1\nshards = [{ cpu = 0, numa = 0 }]",
            2,
            22,
            Some("numa"),
            "unknown field",
            "remove the key",
        ),
        ("format = 1\nnuma = true\nshards = []", 2, 1, Some("numa"), "unknown field", "remove the key"),
        ("format = 1\nstrict = 1\nshards = []", 2, 10, Some("strict"), "integer `1`", "`strict = true`"),
        (
            "format = 1\nshards = [{ cpu = 0, node = 0 }]\ndisks = \"sda\"",
            3,
            9,
            Some("disks"),
            "string",
            "one `{ device = \"nvme0n1\"",
        ),
        (
            "format = 1\nshards = [{ cpu = 0, node = 0 }]\ndisks = [{ device = \"sda\" }]",
            3,
            10,
            Some("node"),
            "missing field `node`",
            "`node = 0`",
        ),
        (
            "format = 1\nshards = [{ cpu = 0, node = 0 }]\ndisks = [{ device = \"/dev/sda\", node = 0 }]",
            3,
            10,
            Some("device"),
            "found \"/dev/sda\", expected a name as in /sys/block",
            "`device = \"nvme0n1\"`",
        ),
        (
            "format = 1\nshards = [{ cpu = 0, node = 0 }]\ndisks = [\n{ device = \"sda\", node = 0 },\n{ device = \"sda\", node = 1 }]",
            5,
            1,
            Some("device"),
            "found sda twice",
            "each once",
        ),
        (
            "format = 1\nshards = [{ cpu = 0, node = 0 }]\n[housekeeping]\ncpus = 1",
            4,
            8,
            Some("cpus"),
            "integer",
            "list",
        ),
        (
            "format = 1\nshards = [{ cpu = 0, node = 0 }]\n[housekeeping]\n",
            3,
            1,
            Some("cpus"),
            "missing",
            "list",
        ),
        ("format = 1\nformat = 1", 2, 1, None, "duplicate key", "correct the line"),
        ("format = 1\nshards = [{ cpu = 0 node = 0 }]", 2, 26, None, "expected", "correct the line"),
        ("format = 1\n\u{fc} \u{fc} = 2", 2, 3, None, "", "correct the line"),
    ];

    #[test]
    fn errors_name_line_key_and_remedy() {
        for &(text, line, column, key, message, fix) in BAD {
            let Err(Error::Parse(error)) = Topology::parse(text) else { panic!("accepted: {text}") };
            let case = format!("{text}\n-> {error}");
            assert_eq!((error.line, error.column), (line, column), "{case}");
            assert_eq!(error.key.as_deref(), key, "{case}");
            assert!(error.message.contains(message), "{case}");
            assert!(error.fix.contains(fix), "{case}");
            assert_eq!(error.to_string().lines().count(), 1, "{case}");
        }
    }

    #[test]
    fn more_shards_than_the_limit_are_refused() {
        let with = |count| Topology { shards: vec![ShardPlace { cpu: 0, node: 0 }; count], ..small() };
        assert!(Topology::parse(&with(SHARDS_MAX).to_toml()).is_ok());
        let error = Topology::parse(&with(SHARDS_MAX + 1).to_toml()).unwrap_err();
        assert!(error.to_string().contains("key `shards`: found 129 entries, expected 1 to 128"), "{error}");
    }

    #[test]
    fn errors_of_a_file_carry_its_path() {
        let missing = Topology::load(Path::new("/nonexistent/topology.toml")).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/topology.toml"), "{missing}");
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let error = Topology::load(&manifest).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:1:1, key `format`: ", manifest.display())), "{error}");
    }
}
