//! The contents of files in a log.

use std::io::{Read as _, Seek as _};

use super::super::event::{File, FileDone, FileHead};
use super::super::files::{contents, list};
use super::*;

fn opens(log: &SessionLog, channel: u64, number: u64, operation: &'static str) {
    let mut out = Vec::new();
    let path = Text::copied(&format!("/srv/{channel}.{number}"), 100);
    File { channel, number, operation: Text::fixed(operation), path, ..File::default() }.encode(&mut out);
    append(log, Kind::File, &[&out]);
}

fn moves(log: &SessionLog, channel: u32, number: u64, written: bool, offset: u64, bytes: &[u8]) {
    let head = FileHead { channel, number, written, offset };
    append(log, Kind::FileBytes, &[&head.encode(), bytes]);
}

fn closes(log: &SessionLog, channel: u64, number: u64, kept: u64) {
    let mut out = Vec::new();
    let kept = Some(kept);
    FileDone { channel, number, bytes_written: 9, kept_written: kept, ..FileDone::default() }.encode(&mut out);
    append(log, Kind::FileDone, &[&out]);
}

#[tokio::test]
async fn contents_are_put_together_by_their_places_and_numbers_are_used_again() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    let log = recorder.session(id(), &header(false)).expect("a fresh recorder");
    opens(&log, 1, 1, "write");
    opens(&log, 2, 1, "read-write");
    opens(&log, 2, 2, "list");
    moves(&log, 1, 1, true, 4, b"later");
    moves(&log, 2, 1, true, 0, b"another");
    moves(&log, 2, 1, false, 0, b"read");
    moves(&log, 1, 1, true, 0, b"be");
    closes(&log, 1, 1, 7);
    opens(&log, 1, 1, "write");
    moves(&log, 1, 1, true, 0, b"the same number");
    let path = log.close(&end()).await.expect("a working recorder").path;

    let (files, more) = list(read(&path).expect("a log"), 0, 10).expect("readable");
    let seen: Vec<_> = files.iter().map(|file| (file.number, file.channel, file.done, file.kept_written)).collect();
    assert_eq!((seen, more), (vec![(1, 1, true, Some(7)), (2, 2, false, None), (3, 1, false, None)], false));
    let (page, more) = list(read(&path).expect("a log"), 1, 1).expect("readable");
    assert_eq!((page.len(), page[0].number, more), (1, 2, true));

    for (number, written, expected) in [
        (1, true, Some(&b"be\0\0later"[..])),
        (1, false, None),
        (2, true, Some(b"another")),
        (2, false, Some(b"read")),
        (3, true, Some(b"the same number")),
        (4, true, None),
    ] {
        let mut to = tempfile::tempfile().expect("a file");
        let found = contents(read(&path).expect("a log"), number, written, &to).expect("readable");
        to.rewind().expect("a file");
        let mut bytes = Vec::new();
        to.read_to_end(&mut bytes).expect("a file");
        assert_eq!(found.map(|_| bytes).as_deref(), expected, "{number} {written}");
    }
}

#[tokio::test]
async fn what_is_kept_is_told_of_its_length_alone() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    let log = recorder.session(id(), &header(false)).expect("a fresh recorder");
    moves(&log, 3, 4, true, 5, b"\x1b[2Jsecret");
    let path = log.close(&end()).await.expect("a working recorder").path;
    let view = read(&path).expect("a log").nth(1).expect("two records").expect("whole");
    let json = serde_json::to_value(&view).expect("plain data");
    assert_eq!((&json["kind"], &json["length"], &json["number"]), (&"file_bytes".into(), &10.into(), &4.into()));
    assert!(view.to_string().ends_with("~3.4 10 bytes written at 5, kept"), "{view}");
}
