//! Result codes, by the numbers that travel on the wire.
//!
//! Numbers below 1000 are those of TigerBeetle's public data model; our own start at 1000 (events) and 1100 (whole
//! requests). The order in which codes take precedence is not the order of the numbers: the engine's rank table and
//! the reference model each hold it for themselves. `WIRE.md` lists both.

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $number:literal, $word:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $name {
            $(#[doc = $text] $variant = $number,)*
        }

        impl $name {
            /// Every code, in the order of the numbers.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// The code with this number on the wire.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The number on the wire.
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The code's name in snake case, as the field writes it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What went wrong, in words.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

codes! {
    /// Why an account was not created.
    AccountCode {
        LinkedEventFailed = 1, "linked_event_failed", "linked event failed";
        LinkedEventChainOpen = 2, "linked_event_chain_open", "linked event chain open";
        TimestampMustBeZero = 3, "timestamp_must_be_zero", "timestamp must be zero";
        ReservedField = 4, "reserved_field", "reserved field";
        ReservedFlag = 5, "reserved_flag", "reserved flag";
        IdMustNotBeZero = 6, "id_must_not_be_zero", "id must not be zero";
        IdMustNotBeIntMax = 7, "id_must_not_be_int_max", "id must not be int max";
        FlagsAreMutuallyExclusive = 8, "flags_are_mutually_exclusive", "flags are mutually exclusive";
        DebitsPendingMustBeZero = 9, "debits_pending_must_be_zero", "debits pending must be zero";
        DebitsPostedMustBeZero = 10, "debits_posted_must_be_zero", "debits posted must be zero";
        CreditsPendingMustBeZero = 11, "credits_pending_must_be_zero", "credits pending must be zero";
        CreditsPostedMustBeZero = 12, "credits_posted_must_be_zero", "credits posted must be zero";
        LedgerMustNotBeZero = 13, "ledger_must_not_be_zero", "ledger must not be zero";
        CodeMustNotBeZero = 14, "code_must_not_be_zero", "code must not be zero";
        ExistsWithDifferentFlags = 15, "exists_with_different_flags", "an event with this id exists with different flags";
        ExistsWithDifferentUserData128 = 16, "exists_with_different_user_data_128", "an event with this id exists with different user data 128";
        ExistsWithDifferentUserData64 = 17, "exists_with_different_user_data_64", "an event with this id exists with different user data 64";
        ExistsWithDifferentUserData32 = 18, "exists_with_different_user_data_32", "an event with this id exists with different user data 32";
        ExistsWithDifferentLedger = 19, "exists_with_different_ledger", "an event with this id exists with different ledger";
        ExistsWithDifferentCode = 20, "exists_with_different_code", "an event with this id exists with different code";
        Exists = 21, "exists", "the same event exists already";
        FlagNotSupportedYet = 1000, "flag_not_supported_yet", "flag not supported yet";
        LimitReached = 1003, "limit_reached", "a limit of the ledger is reached; the event left no trace";
    }
}

codes! {
    /// Why a transfer was not created.
    TransferCode {
        LinkedEventFailed = 1, "linked_event_failed", "linked event failed";
        LinkedEventChainOpen = 2, "linked_event_chain_open", "linked event chain open";
        TimestampMustBeZero = 3, "timestamp_must_be_zero", "timestamp must be zero";
        ReservedFlag = 4, "reserved_flag", "reserved flag";
        IdMustNotBeZero = 5, "id_must_not_be_zero", "id must not be zero";
        IdMustNotBeIntMax = 6, "id_must_not_be_int_max", "id must not be int max";
        FlagsAreMutuallyExclusive = 7, "flags_are_mutually_exclusive", "flags are mutually exclusive";
        DebitAccountIdMustNotBeZero = 8, "debit_account_id_must_not_be_zero", "debit account id must not be zero";
        DebitAccountIdMustNotBeIntMax = 9, "debit_account_id_must_not_be_int_max", "debit account id must not be int max";
        CreditAccountIdMustNotBeZero = 10, "credit_account_id_must_not_be_zero", "credit account id must not be zero";
        CreditAccountIdMustNotBeIntMax = 11, "credit_account_id_must_not_be_int_max", "credit account id must not be int max";
        AccountsMustBeDifferent = 12, "accounts_must_be_different", "accounts must be different";
        PendingIdMustBeZero = 13, "pending_id_must_be_zero", "pending id must be zero";
        PendingIdMustNotBeZero = 14, "pending_id_must_not_be_zero", "pending id must not be zero";
        PendingIdMustNotBeIntMax = 15, "pending_id_must_not_be_int_max", "pending id must not be int max";
        PendingIdMustBeDifferent = 16, "pending_id_must_be_different", "the pending id must be another than the id";
        TimeoutReservedForPendingTransfer = 17, "timeout_reserved_for_pending_transfer", "timeout reserved for pending transfer";
        LedgerMustNotBeZero = 19, "ledger_must_not_be_zero", "ledger must not be zero";
        CodeMustNotBeZero = 20, "code_must_not_be_zero", "code must not be zero";
        DebitAccountNotFound = 21, "debit_account_not_found", "debit account not found";
        CreditAccountNotFound = 22, "credit_account_not_found", "credit account not found";
        AccountsMustHaveTheSameLedger = 23, "accounts_must_have_the_same_ledger", "accounts must have the same ledger";
        TransferMustHaveTheSameLedgerAsAccounts = 24, "transfer_must_have_the_same_ledger_as_accounts", "transfer must have the same ledger as accounts";
        PendingTransferNotFound = 25, "pending_transfer_not_found", "pending transfer not found";
        PendingTransferNotPending = 26, "pending_transfer_not_pending", "the transfer to post or void is not a pending one";
        PendingTransferHasDifferentDebitAccountId = 27, "pending_transfer_has_different_debit_account_id", "pending transfer has different debit account id";
        PendingTransferHasDifferentCreditAccountId = 28, "pending_transfer_has_different_credit_account_id", "pending transfer has different credit account id";
        PendingTransferHasDifferentLedger = 29, "pending_transfer_has_different_ledger", "pending transfer has different ledger";
        PendingTransferHasDifferentCode = 30, "pending_transfer_has_different_code", "pending transfer has different code";
        ExceedsPendingTransferAmount = 31, "exceeds_pending_transfer_amount", "exceeds pending transfer amount";
        PendingTransferHasDifferentAmount = 32, "pending_transfer_has_different_amount", "pending transfer has different amount";
        PendingTransferAlreadyPosted = 33, "pending_transfer_already_posted", "pending transfer already posted";
        PendingTransferAlreadyVoided = 34, "pending_transfer_already_voided", "pending transfer already voided";
        PendingTransferExpired = 35, "pending_transfer_expired", "pending transfer expired";
        ExistsWithDifferentFlags = 36, "exists_with_different_flags", "an event with this id exists with different flags";
        ExistsWithDifferentDebitAccountId = 37, "exists_with_different_debit_account_id", "an event with this id exists with different debit account id";
        ExistsWithDifferentCreditAccountId = 38, "exists_with_different_credit_account_id", "an event with this id exists with different credit account id";
        ExistsWithDifferentAmount = 39, "exists_with_different_amount", "an event with this id exists with different amount";
        ExistsWithDifferentPendingId = 40, "exists_with_different_pending_id", "an event with this id exists with different pending id";
        ExistsWithDifferentUserData128 = 41, "exists_with_different_user_data_128", "an event with this id exists with different user data 128";
        ExistsWithDifferentUserData64 = 42, "exists_with_different_user_data_64", "an event with this id exists with different user data 64";
        ExistsWithDifferentUserData32 = 43, "exists_with_different_user_data_32", "an event with this id exists with different user data 32";
        ExistsWithDifferentTimeout = 44, "exists_with_different_timeout", "an event with this id exists with different timeout";
        ExistsWithDifferentCode = 45, "exists_with_different_code", "an event with this id exists with different code";
        Exists = 46, "exists", "the same event exists already";
        OverflowsDebitsPending = 47, "overflows_debits_pending", "overflows debits pending";
        OverflowsCreditsPending = 48, "overflows_credits_pending", "overflows credits pending";
        OverflowsDebitsPosted = 49, "overflows_debits_posted", "overflows debits posted";
        OverflowsCreditsPosted = 50, "overflows_credits_posted", "overflows credits posted";
        OverflowsDebits = 51, "overflows_debits", "overflows debits, pending and posted";
        OverflowsCredits = 52, "overflows_credits", "overflows credits, pending and posted";
        OverflowsTimeout = 53, "overflows_timeout", "overflows timeout";
        ExceedsCredits = 54, "exceeds_credits", "exceeds credits";
        ExceedsDebits = 55, "exceeds_debits", "exceeds debits";
        ClosingTransferMustBePending = 64, "closing_transfer_must_be_pending", "closing transfer must be pending";
        DebitAccountAlreadyClosed = 65, "debit_account_already_closed", "debit account already closed";
        CreditAccountAlreadyClosed = 66, "credit_account_already_closed", "credit account already closed";
        ExistsWithDifferentLedger = 67, "exists_with_different_ledger", "an event with this id exists with different ledger";
        IdAlreadyFailed = 68, "id_already_failed", "a transfer with this id was refused before; use a new id";
        FlagNotSupportedYet = 1000, "flag_not_supported_yet", "flag not supported yet";
        IdExpired = 1001, "id_expired", "the id is too old to know whether it was used; look the transfer up";
        IdInTheFuture = 1002, "id_in_the_future", "the id's time is ahead of the ledger's; the id is not used up";
        LimitReached = 1003, "limit_reached", "a limit of the ledger is reached; the id is not used up";
        PendingIdExpired = 1004, "pending_id_expired", "the transfer to post or void is not pending, and too old to know more";
    }
}

codes! {
    /// Why a whole request was refused: the `status` of a reply's header, whose body is then a message in UTF-8.
    FaultCode {
        BadMagic = 1100, "bad_magic", "the first bytes are not those of an Auriga frame";
        UnknownVersion = 1101, "unknown_version", "the frame's wire version is not one that this server speaks";
        UnknownCommand = 1102, "unknown_command", "the command is not one that this server knows";
        BadSize = 1103, "bad_size", "the frame's size does not fit its command";
        BadChecksum = 1104, "bad_checksum", "the frame's checksum does not match its bytes";
        ReservedBytesSet = 1105, "reserved_bytes_set", "bytes that must be zero are not";
        ChainOpen = 1106, "chain_open", "the last event of the request is linked to a next one that is not there";
        WrongCluster = 1107, "wrong_cluster", "the frame is meant for another cluster";
        FrameTimeout = 1108, "frame_timeout", "the frame did not arrive whole in time";
        TooManyConnections = 1109, "too_many_connections", "the server holds connections_max connections";
        LogFull = 1110, "log_full", "the log has no room for another batch";
        LimitReached = 1111, "limit_reached", "a limit of the ledger is reached";
        ShuttingDown = 1112, "shutting_down", "the server is stopping";
        NotReady = 1113, "not_ready", "the server is still recovering";
        NoSuchShard = 1114, "no_such_shard", "the request names a shard that this server does not run";
        DamagedData = 1115, "damaged_data", "bytes of the log that the answer needs are damaged";
        BadFilter = 1116, "bad_filter", "the question makes no sense";
        HistoryOff = 1117, "history_off", "this server keeps no history";
        HistoryBehind = 1118, "history_behind", "history has not got as far as the answer needs";
    }
}

impl FaultCode {
    /// Whether the server closes the connection after it has said so: what follows on the stream can't be trusted.
    pub const fn closes(self) -> bool {
        !matches!(
            self,
            Self::LogFull
                | Self::LimitReached
                | Self::NotReady
                | Self::NoSuchShard
                | Self::BadFilter
                | Self::HistoryOff
                | Self::HistoryBehind
        )
    }

    /// Whether the same request may succeed later without any change to it.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::LogFull
                | Self::LimitReached
                | Self::NotReady
                | Self::HistoryBehind
                | Self::ShuttingDown
                | Self::TooManyConnections
        )
    }
}
