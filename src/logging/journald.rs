//! Lines as systemd's journal reads them from a stream: the priority in front of each, in brackets (sd-daemon(3)). The time is the
//! journal's.

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes an event so.
pub struct Lines;

/// syslog(3)
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

impl<S, F> FormatEvent<S, F> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, F>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        let priority = priority(*event.metadata().level());
        // A line without a priority of its own would have another one.
        text.lines().try_for_each(|line| writeln!(writer, "<{priority}>{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::repeats::tests::said_by;
    use tracing_subscriber::Layer;

    #[test]
    fn every_line_has_its_priority() {
        let lines = |writer| tracing_subscriber::fmt::layer().event_format(Lines).with_writer(writer).boxed();
        let said = said_by(lines, || {
            tracing::error!("one\ntwo");
            tracing::warn!(number = 3, "three");
            tracing::info!("four");
            tracing::debug!("five");
        });
        assert_eq!(said, "<3>one\n<3>two\n<4>three number=3\n<6>four\n<7>five\n");
    }
}
