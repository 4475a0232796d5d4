//! Where histograms come from: a running server, or a log.

use crate::failure::{Failure, Outcome};
use auriga_plots::recording::{Choice, Recording, Unreadable};
use auriga_wire::client::Client;
use auriga_wire::error::{Error, Options};
use auriga_wire::report::ShardHistograms;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use std::path::Path;

/// A core's stage, all since the server's start.
type Part = (u32, String, Histogram<u64>);

/// What was read and can be looked at in more than one way.
pub(super) struct Source {
    name: String,
    content: Content,
}

enum Content {
    Log(Vec<u8>),
    /// And for how long the server runs, seconds.
    Answer(Vec<Part>, f64),
}

impl Source {
    /// Reads a log.
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| {
            Failure::environment(format!("can't read {name}: {e}: name a histogram log (.hlog)"))
        })?;
        Ok(Self { name, content: Content::Log(bytes) })
    }

    /// Asks every shard of a server.
    pub(super) fn ask(address: &str) -> Outcome<Self> {
        let unreachable = |e: Error| Failure::environment(format!("{address}: {e}"));
        let mut client = Client::connect(address, Options::default()).map_err(unreachable)?;
        let status = client.status(false).map_err(unreachable)?;
        let mut parts = Vec::new();
        for shard in 0..status.shards {
            parts.extend(parts_of(&client.histograms(shard).map_err(unreachable)?)?);
        }
        Ok(Self { name: address.into(), content: Content::Answer(parts, status.uptime_ns as f64 / 1e9) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What is chosen of it.
    pub(super) fn read(&self, choice: &Choice) -> Outcome<Recording> {
        let recording = match &self.content {
            Content::Log(bytes) => Recording::read(bytes, choice),
            Content::Answer(parts, seconds) => Recording::of(parts.iter().cloned(), *seconds, choice),
        };
        recording.map_err(|why| {
            let message = format!("{}: {why}", self.name);
            match why {
                Unreadable::Line(..) => Failure::damaged(message),
                Unreadable::Empty => Failure::failed(format!(
                    "{message}: a server adds to its log every --histogram-interval seconds"
                )),
                Unreadable::NotChosen(_) => {
                    Failure::failed(format!("{message}: choose others with --core, --stage, --from, --to"))
                }
            }
        })
    }
}

/// A shard's stages.
pub(crate) fn parts_of(answer: &ShardHistograms) -> Outcome<Vec<Part>> {
    let part = |stage: &auriga_wire::report::StageHistogram| {
        let histogram = Deserializer::new().deserialize(&mut &stage.v2[..]).map_err(|e| {
            Failure::failed(format!(
                "shard {}: the histogram of `{}` can't be read: {e}",
                answer.shard, stage.stage
            ))
        })?;
        Ok((answer.shard, stage.stage.clone(), histogram))
    };
    answer.stages.iter().map(part).collect()
}
