//! How references to records, and balances, are packed: numbers in 7 bits a byte, the lowest first, each as its
//! difference to one before.

/// References of an entry at most: some 1 KiB, read for one of them.
pub(crate) const REFERENCES_MAX: usize = 256;
/// Balances of an entry at most.
pub(crate) const BALANCES_MAX: usize = 64;

/// Where a record is: its own timestamp and that of the first record of its page, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) timestamp: u64,
    pub(crate) page: u64,
    /// Of an account's transfer: whether it credits the account.
    pub(crate) credit: bool,
}

/// The four sums of an account, in the order of `AccountBalance`.
pub(crate) type Sums = [u128; 4];

/// An account's sums after a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) transfer: Reference,
    pub(crate) sums: Sums,
}

/// Packs references of growing timestamps. `first` is the first one's, and left out: it is in the key.
pub(crate) fn encode_references(first: u64, references: impl IntoIterator<Item = Reference>) -> Vec<u8> {
    let (mut before, mut bytes) = (first, Vec::new());
    for reference in references {
        put_reference(&mut bytes, &mut before, &reference);
    }
    bytes
}

/// `first` is the first timestamp; `None` if the bytes were not written by [`encode_references`].
pub(crate) fn decode_references(first: u64, mut bytes: &[u8]) -> Option<Vec<Reference>> {
    let (mut before, mut references) = (first, Vec::new());
    while !bytes.is_empty() {
        references.push(take_reference(&mut bytes, &mut before)?);
    }
    Some(references)
}

/// Packs balances as [`encode_references`] does, each followed by its sums.
pub(crate) fn encode_balances(first: u64, balances: &[Balance]) -> Vec<u8> {
    let (mut before, mut bytes) = (first, Vec::with_capacity(24 * balances.len()));
    for balance in balances {
        put_reference(&mut bytes, &mut before, &balance.transfer);
        for sum in balance.sums {
            put(&mut bytes, sum);
        }
    }
    bytes
}

/// `first` is the first timestamp; `None` if the bytes were not written by [`encode_balances`].
pub(crate) fn decode_balances(first: u64, mut bytes: &[u8]) -> Option<Vec<Balance>> {
    let (mut before, mut balances) = (first, Vec::new());
    while !bytes.is_empty() {
        let transfer = take_reference(&mut bytes, &mut before)?;
        let mut sums = Sums::default();
        for sum in &mut sums {
            *sum = take(&mut bytes)?;
        }
        balances.push(Balance { transfer, sums });
    }
    Some(balances)
}

fn put_reference(bytes: &mut Vec<u8>, before: &mut u64, reference: &Reference) {
    put_u64(bytes, reference.timestamp - *before);
    let back = u128::from(reference.timestamp - reference.page);
    put(bytes, back << 1 | u128::from(reference.credit));
    *before = reference.timestamp;
}

fn take_reference(bytes: &mut &[u8], before: &mut u64) -> Option<Reference> {
    let timestamp = before.checked_add(take_u64(bytes)?)?;
    let place = take(bytes)?;
    let page = timestamp.checked_sub(u64::try_from(place >> 1).ok()?)?;
    *before = timestamp;
    Some(Reference { timestamp, page, credit: place & 1 == 1 })
}

/// Appends a number.
pub(crate) fn put_u64(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off the front.
pub(crate) fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    u64::try_from(take(bytes)?).ok()
}

fn put(bytes: &mut Vec<u8>, mut number: u128) {
    while number > u128::from(u64::MAX) {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    put_u64(bytes, number as u64);
}

fn take(bytes: &mut &[u8]) -> Option<u128> {
    let mut number = 0;
    for shift in (0..u128::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let low = u128::from(byte & 0x7f);
        if low << shift >> shift != low {
            return None;
        }
        number |= low << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_come_back() {
        let numbers = [0, 1, 127, 128, 300, u128::from(u64::MAX), 1 << 64, u128::MAX - 1, u128::MAX];
        let mut bytes = Vec::new();
        for number in numbers {
            put(&mut bytes, number);
        }
        let mut rest = &bytes[..];
        for number in numbers {
            assert_eq!(take(&mut rest), Some(number));
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn bytes_that_are_no_number_are_refused() {
        let too_large = [[0xff; 18].as_slice(), &[0x04]].concat();
        let endless = [0x80; 20];
        for bytes in [&[][..], &[0x80], &too_large, &endless] {
            assert_eq!(take(&mut &bytes[..]), None, "{bytes:?}");
        }
    }

    #[test]
    fn references_come_back() {
        let reference = |timestamp, page, credit| Reference { timestamp, page, credit };
        let references = [
            reference(u64::MAX - 1_000, 0, true),
            reference(u64::MAX - 999, u64::MAX - 999, false),
            reference(u64::MAX, u64::MAX - 999, true),
        ];
        let bytes = encode_references(references[0].timestamp, references);
        assert_eq!(decode_references(references[0].timestamp, &bytes).as_deref(), Some(&references[..]));
        assert_eq!(decode_references(u64::MAX, &bytes), None, "a timestamp beyond the end of time");
        assert_eq!(decode_references(references[0].timestamp, &bytes[..bytes.len() - 1]), None);
        assert_eq!(decode_references(7, &[]), Some(Vec::new()));
    }

    #[test]
    fn balances_come_back() {
        let balance = |timestamp, sums| Balance {
            transfer: Reference { timestamp, page: timestamp / 2, credit: timestamp % 2 == 0 },
            sums,
        };
        let balances = [balance(10, [0, 1, u128::MAX, 3]), balance(11, [4, 5, 6, 7])];
        let bytes = encode_balances(10, &balances);
        assert_eq!(decode_balances(10, &bytes).as_deref(), Some(&balances[..]));
        assert_eq!(decode_balances(10, &bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn close_references_take_two_bytes_each() {
        let references: Vec<Reference> =
            (0..32).map(|i| Reference { timestamp: 1_000 + i, page: 1_000, credit: true }).collect();
        assert_eq!(encode_references(1_000, references).len(), 2 * 32);
    }
}
