//! Questions about the past: which transfers, balances or accounts are wanted.

use crate::code::FaultCode;
use crate::frame::{Command, Fault, REQUEST_RECORDS_MAX};
use bytemuck::{Pod, Zeroable};

/// Bytes of a filter.
pub const FILTER_SIZE: usize = 128;

/// What a question asks for. A field that is 0 excludes nothing; all others have to match.
///
/// A reply's header says where to go on ([`crate::frame::Header::cursor`]): the same filter with this as `timestamp_min`
/// (reversed: as `timestamp_max`) gives the next page; 0: there is none. A page may hold fewer than `limit` records and
/// still have a next one, where few of many match.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Filter {
    /// Transfers and balances of an account: the account. Otherwise 0.
    pub account_id: u128,
    /// The client's own.
    pub user_data_128: u128,
    /// The client's own.
    pub user_data_64: u64,
    /// From this time on, nanoseconds.
    pub timestamp_min: u64,
    /// Up to this time, nanoseconds; 0: without end.
    pub timestamp_max: u64,
    /// The client's own.
    pub user_data_32: u32,
    /// The ledger. 0 in a question about one account.
    pub ledger: u32,
    /// Most records of the answer: 1 to 8,190.
    pub limit: u32,
    /// The client's kind of account or transfer.
    pub code: u16,
    /// [`FilterFlags`].
    pub flags: u16,
    /// 0.
    pub reserved: [u64; 7],
}

const _: () = assert!(size_of::<Filter>() == FILTER_SIZE && align_of::<Filter>() == 16);

/// Bits of [`Filter::flags`].
#[derive(Debug)]
pub struct FilterFlags;

impl FilterFlags {
    /// Transfers that debit the account.
    pub const DEBITS: u16 = 1 << 0;
    /// Transfers that credit the account.
    pub const CREDITS: u16 = 1 << 1;
    /// Newest first.
    pub const REVERSED: u16 = 1 << 2;
    /// The answer includes every write that was acknowledged before the question came; it waits until history has it.
    pub const ACKNOWLEDGED: u16 = 1 << 3;

    /// Either side of an account.
    pub const SIDES: u16 = Self::DEBITS | Self::CREDITS;
    /// Every bit that has a meaning; the others are reserved.
    pub const KNOWN: u16 = (1 << 4) - 1;
}

impl Filter {
    /// Both sides of an account, newest first.
    pub fn newest_of(account_id: u128, limit: u32) -> Self {
        let flags = FilterFlags::SIDES | FilterFlags::REVERSED;
        Self { account_id, limit, flags, ..Self::default() }
    }

    /// Whether all these flags are set.
    pub const fn is(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// The wanted times, first and last, nanoseconds.
    pub fn times(&self) -> (u64, u64) {
        (self.timestamp_min, if self.timestamp_max == 0 { u64::MAX } else { self.timestamp_max })
    }

    /// The filter of the page that begins at `cursor`, which a reply's header has named.
    pub fn next(&self, cursor: u64) -> Self {
        if self.is(FilterFlags::REVERSED) {
            Self { timestamp_max: cursor, ..*self }
        } else {
            Self { timestamp_min: cursor, ..*self }
        }
    }

    /// Says why this can't be what `command` asks for.
    pub fn check(&self, command: Command) -> Result<(), Fault> {
        let (first, last) = self.times();
        let of_account = matches!(command, Command::AccountTransfers | Command::AccountBalances);
        let no_account = self.account_id == 0 || self.account_id == u128::MAX;
        let checks = [
            (self.reserved != [0; 7], "reserved bytes must be 0"),
            (self.flags & !FilterFlags::KNOWN != 0, "an unknown flag is set"),
            (of_account && no_account, "account_id must be that of an account"),
            (of_account && self.flags & FilterFlags::SIDES == 0, "flags must have debits, credits or both"),
            (of_account && self.ledger != 0, "ledger must be 0: an account is of one ledger"),
            (!of_account && self.account_id != 0, "account_id must be 0 in a question about no account"),
            (!of_account && self.flags & FilterFlags::SIDES != 0, "debits and credits are of an account"),
            (!(1..=REQUEST_RECORDS_MAX as u32).contains(&self.limit), "limit must be 1 to 8190"),
            (first > last, "timestamp_min must not be later than timestamp_max"),
        ];
        match checks.into_iter().find(|(fails, _)| *fails) {
            Some((_, text)) => Err(Fault::new(FaultCode::BadFilter, format!("{command:?}: {text}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_and_said() {
        let transfers = Filter { limit: 1, ..Filter::default() };
        let account = Filter { account_id: 7, flags: FilterFlags::DEBITS, ..transfers };
        let cases = [
            (Command::AccountTransfers, account, None),
            (Command::AccountBalances, account, None),
            (Command::QueryTransfers, transfers, None),
            (Command::QueryAccounts, Filter { timestamp_min: 5, ..transfers }, None),
            (Command::AccountTransfers, Filter { account_id: 0, ..account }, Some("account_id")),
            (Command::AccountTransfers, Filter { account_id: u128::MAX, ..account }, Some("account_id")),
            (Command::AccountBalances, Filter { flags: FilterFlags::REVERSED, ..account }, Some("debits")),
            (Command::AccountTransfers, Filter { ledger: 1, ..account }, Some("ledger")),
            (Command::QueryTransfers, account, Some("account_id")),
            (Command::QueryAccounts, Filter { flags: FilterFlags::CREDITS, ..transfers }, Some("credits")),
            (Command::QueryTransfers, Filter { limit: 0, ..transfers }, Some("limit")),
            (Command::QueryTransfers, Filter { limit: 8_191, ..transfers }, Some("limit")),
            (Command::QueryTransfers, Filter { flags: 16, ..transfers }, Some("flag")),
            (
                Command::QueryTransfers,
                Filter { reserved: [0, 0, 0, 0, 0, 0, 1], ..transfers },
                Some("reserved"),
            ),
            (
                Command::QueryTransfers,
                Filter { timestamp_min: 2, timestamp_max: 1, ..transfers },
                Some("timestamp"),
            ),
        ];
        for (command, filter, expected) in cases {
            let found = filter.check(command).map_err(|fault| fault.message);
            let fits = match (&found, expected) {
                (Ok(()), None) => true,
                (Err(message), Some(word)) => message.contains(word),
                _ => false,
            };
            assert!(fits, "{command:?} {filter:?}: {found:?}");
        }
    }
}
