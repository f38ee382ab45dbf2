//! rsync of many small files, and of a large one.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

use hoop_testkit::{find, output};

use super::{PLAIN, stand};

/// Files of the tree, and folders that they lie in.
const FILES: usize = 10_000;
const FOLDERS: usize = 100;
/// The size of the large file: 2 GiB and a little, which fits in no signed number of 32 bits.
const LARGE: u64 = (2 << 30) + 4_321;

fn rsync(from: &str, to: &str) -> String {
    let shell = stand().client.line("", "").replace(" @127.0.0.1", "");
    let mut command = Command::new(find("rsync", "rsync"));
    output(command.args(["-a", "--whole-file", "--stats", "-e", &shell, from, to]), b"").ok()
}

/// The hash of every file below a folder, by its path in it.
fn hashes(folder: &Path) -> String {
    let mut find = Command::new("sh");
    find.args(["-c", "find . -type f -print0 | sort -z | xargs -0 sha256sum"]).current_dir(folder);
    output(&mut find, b"").ok()
}

#[test]
fn ten_thousand_small_files_arrive_as_they_are() {
    let folder = stand().client.folder.join("small");
    for number in 0..FILES {
        let place = folder.join(format!("from/{}", number % FOLDERS));
        std::fs::create_dir_all(&place).expect("an own folder");
        let text = format!("file {number}\n").repeat(1 + number % 50);
        std::fs::write(place.join(format!("{number}")), text).expect("an own folder");
    }
    let at = folder.display();
    rsync(&format!("{at}/from/"), &format!("{PLAIN}@127.0.0.1:{at}/to/"));
    let back = rsync(&format!("{PLAIN}@127.0.0.1:{at}/to/"), &format!("{at}/back/"));
    assert!(back.contains("Number of regular files transferred: 10,000"), "{back}");
    let sent = hashes(&folder.join("from"));
    assert_eq!(sent.lines().count(), FILES);
    assert!(sent == hashes(&folder.join("to")) && sent == hashes(&folder.join("back")));
    std::fs::remove_dir_all(&folder).expect("an own folder");
}

#[test]
fn two_gigabytes_arrive_as_they_are() {
    let folder = stand().client.folder.join("large");
    std::fs::create_dir_all(folder.join("from")).expect("an own folder");
    let mut large = BufWriter::new(File::create(folder.join("from/file")).expect("an own folder"));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..LARGE / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        large.write_all(&state.to_le_bytes()).expect("there is room");
    }
    large.write_all(&[7; (LARGE % 8) as usize]).expect("there is room");
    large.flush().expect("there is room");
    let at = folder.display();
    let sent = hashes(&folder.join("from"));
    rsync(&format!("{at}/from/"), &format!("{PLAIN}@127.0.0.1:{at}/to/"));
    assert_eq!(sent, hashes(&folder.join("to")));
    std::fs::remove_dir_all(folder.join("from")).expect("an own folder");
    rsync(&format!("{PLAIN}@127.0.0.1:{at}/to/"), &format!("{at}/back/"));
    assert_eq!(sent, hashes(&folder.join("back")));
    assert_eq!(std::fs::metadata(folder.join("back/file")).expect("it is there").len(), LARGE);
    std::fs::remove_dir_all(&folder).expect("an own folder");
}
