//! Every change is found.

use proptest::prelude::*;

use super::super::format::{CHAIN, HEAD, MAGIC, finish, seed};
use super::super::{Report, State, verify};
use super::*;

/// Where each record begins, and the end.
fn borders(bytes: &[u8]) -> Vec<usize> {
    let mut borders = vec![MAGIC.len()];
    while let Some(length) = bytes.get(borders[borders.len() - 1]..).and_then(|rest| rest.first_chunk::<4>()) {
        borders.push(borders[borders.len() - 1] + HEAD + u32::from_le_bytes(*length) as usize + CHAIN);
    }
    borders
}

fn check(path: &Path, bytes: &[u8]) -> Report {
    fs::write(path, bytes).expect("a folder of ours");
    verify(path, &public()).expect("readable")
}

fn log() -> (TempDir, PathBuf, Vec<u8>) {
    let folder = TempDir::new().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (path, bytes) = runtime.block_on(sealed(&folder, 4));
    (folder, path, bytes)
}

#[test]
fn every_prefix_is_interrupted() {
    let (_folder, path, bytes) = log();
    let borders = borders(&bytes);
    for cut in 0..bytes.len() {
        let report = check(&path, &bytes[..cut]);
        let whole = borders.iter().filter(|border| **border <= cut).count().saturating_sub(1);
        assert!(matches!(report.state, State::Interrupted { .. }), "cut at {cut}: {report:?}");
        assert_eq!((report.records, report.bad), (whole as u64, None), "cut at {cut}");
    }
    assert!(check(&path, &bytes).is_sealed());
}

#[test]
fn every_flipped_bit_is_found_where_it_is() {
    let (_folder, path, bytes) = log();
    let borders = borders(&bytes);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let bad = check(&path, &changed).bad;
        let record = borders.iter().filter(|border| **border <= at).count().saturating_sub(1);
        // A length that grew beyond the end of the last record cannot be told from a torn write, but is no seal either.
        match bad {
            Some(bad) => assert_eq!(bad.record, record as u64, "byte {at}: {bad:?}"),
            None => assert!(!check(&path, &changed).is_sealed() && record + 2 == borders.len(), "byte {at}"),
        }
    }
}

#[derive(Debug, Clone)]
enum Edit {
    Delete(prop::sample::Index, prop::sample::Index),
    DeleteRecord(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Overwrite(prop::sample::Index, Vec<u8>),
    /// Changes a payload and computes all checksums and chains anew, as one without the key would.
    Fork(prop::sample::Index, prop::sample::Index),
    /// Drops the end and numbers the rest anew.
    Forget(prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    let bytes = || prop::collection::vec(any::<u8>(), 1..80);
    prop_oneof![
        (at(), at()).prop_map(|(a, b)| Edit::Delete(a, b)),
        at().prop_map(Edit::DeleteRecord),
        (at(), at()).prop_map(|(a, b)| Edit::Swap(a, b)),
        (at(), at()).prop_map(|(a, b)| Edit::Repeat(a, b)),
        (at(), bytes()).prop_map(|(a, b)| Edit::Insert(a, b)),
        (at(), bytes()).prop_map(|(a, b)| Edit::Overwrite(a, b)),
        (at(), at()).prop_map(|(a, b)| Edit::Fork(a, b)),
        at().prop_map(Edit::Forget),
    ]
}

fn apply(edit: &Edit, bytes: &[u8]) -> Vec<u8> {
    let borders = borders(bytes);
    let count = borders.len() - 1;
    let record = |number: usize| bytes[borders[number]..borders[number + 1]].to_vec();
    let mut records: Vec<_> = (0..count).map(record).collect();
    let mut changed = bytes.to_vec();
    match edit {
        Edit::Delete(a, b) => {
            let (a, b) = (a.index(bytes.len()), b.index(bytes.len()));
            changed.drain(a.min(b)..a.max(b));
            return changed;
        }
        Edit::Insert(at, new) => {
            let at = at.index(bytes.len() + 1);
            changed.splice(at..at, new.iter().copied());
            return changed;
        }
        Edit::Overwrite(at, new) => {
            let at = at.index(bytes.len());
            let end = (at + new.len()).min(bytes.len());
            changed[at..end].copy_from_slice(&new[..end - at]);
            return changed;
        }
        Edit::DeleteRecord(at) => drop(records.remove(at.index(count))),
        Edit::Swap(a, b) => records.swap(a.index(count), b.index(count)),
        Edit::Repeat(a, b) => records.insert(b.index(count), record(a.index(count))),
        Edit::Fork(number, at) => {
            let record = &mut records[number.index(count)];
            let payload = HEAD..record.len() - CHAIN;
            let at = payload.start + at.index(payload.len());
            record[at] ^= 1;
        }
        Edit::Forget(number) => drop(records.remove(number.index(count))),
    }
    if matches!(edit, Edit::Fork(..) | Edit::Forget(_)) {
        for (number, record) in records.iter_mut().enumerate() {
            record[12..20].copy_from_slice(&(number as u64).to_le_bytes());
        }
        let mut all = records.concat();
        finish(&mut all, &mut seed());
        return [MAGIC.as_slice(), &all].concat();
    }
    [MAGIC.as_slice(), &records.concat()].concat()
}

#[test]
fn every_edit_is_found() {
    let (_folder, path, bytes) = log();
    let found = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(edit in edit())| {
        let changed = apply(&edit, &bytes);
        prop_assume!(changed != bytes);
        let report = check(&path, &changed);
        prop_assert!(!report.is_sealed(), "{edit:?}: {report:?}");
        let cut = bytes.starts_with(&changed);
        // What is cut at the end, and what looks like a record that was torn there, is reported as interrupted.
        let torn = matches!(report.state, State::Interrupted { .. });
        prop_assert!(report.bad.is_some() || cut || torn, "{edit:?}: {report:?}");
        if let Some(bad) = report.bad {
            let same = bytes.iter().zip(&changed).take_while(|(a, b)| a == b).count();
            let forged = matches!(edit, Edit::Fork(..) | Edit::Forget(_));
            prop_assert!(forged || bad.offset as usize <= same, "{edit:?}: {bad}, changed at {same}");
        }
        found.set(found.get() + 1);
    });
    assert!(found.get() >= 1_000, "{} edits", found.get());
}
