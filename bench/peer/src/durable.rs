//! Whether a server's settings let it lose what it acknowledged.

use crate::peer::Settings;
use auriga_bench::failure::Failure;

/// Fails unless each setting is as it must be.
pub fn check(settings: &Settings, durable: &[(&str, &str)]) -> Result<(), Failure> {
    for (name, expected) in durable {
        let found = settings.get(*name).map_or("nothing", String::as_str);
        if found != *expected {
            return Err(Failure::Environment(format!(
                "setting {name}: found {found}, expected {expected}: transfers would be acknowledged before they are durable. \
                 Start the server with {name}={expected}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_differs_or_lacks_is_told() {
        let settings: Settings = [("fsync", "on"), ("appendfsync", "everysec")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        let cases = [
            (&[("fsync", "on")][..], None),
            (
                &[("fsync", "on"), ("appendfsync", "always")],
                Some("setting appendfsync: found everysec, expected always"),
            ),
            (&[("synchronous_commit", "on")], Some("setting synchronous_commit: found nothing, expected on")),
        ];
        for (durable, expected) in cases {
            let found =
                check(&settings, durable).err().map(|failure| (failure.exit_code(), failure.to_string()));
            match (found, expected) {
                (None, None) => {}
                (Some((4, text)), Some(expected)) => assert!(text.starts_with(expected), "{text}"),
                (found, expected) => panic!("found {found:?}, expected {expected:?}"),
            }
        }
    }
}
