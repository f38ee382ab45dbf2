//! OpenSSH's own programs: its `sftp` and `scp` at one end of the relay, its servers at the other.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::thread::JoinHandle;

use hoop_testkit::{Output, find, output};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::super::Moved;
use super::*;

/// What `sftp -D` and `scp -S` start instead of SSH: it says what the target is to run, and then it is the connection, until
/// the target ends it.
const HELPER: &str = r#"#!/bin/sh
for last; do :; done
printf '%s' "$last" > FOLDER/command
exec 3<&0
cat <&3 > FOLDER/to_target &
cat FOLDER/to_client
kill $! 2>/dev/null
exit 0
"#;

/// A connection of a client to a program through the relay.
struct Connection {
    _folder: TempDir,
    helper: PathBuf,
    relay: JoinHandle<Vec<String>>,
}

impl Connection {
    /// The relay goes on until either end has ended, or until the client has sent so many bytes.
    fn new(limit: usize) -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().to_owned();
        for name in ["command", "to_client", "to_target"] {
            output(Process::new("mkfifo").arg(path.join(name)), b"").ok();
        }
        let helper = path.join("helper");
        fs::write(&helper, HELPER.replace("FOLDER", path.to_str().expect("ours"))).expect("it is ours");
        output(Process::new("chmod").arg("+x").arg(&helper), b"").ok();
        let relay = std::thread::spawn(move || relay(&path, limit));
        Self { _folder: folder, helper, relay }
    }

    fn sftp(self, arguments: &[&str], commands: &str) -> (Output, Vec<String>) {
        let mut sftp = Process::new(find("sftp", "openssh-client"));
        sftp.args(arguments).args(["-b", "-", "-D"]).arg(&self.helper);
        let output = output(&mut sftp, commands.as_bytes());
        (output, self.relay.join().expect("no panic"))
    }

    fn scp(self, arguments: &[&str]) -> (Output, Vec<String>) {
        let mut scp = Process::new(find("scp", "openssh-client"));
        scp.arg("-O").arg("-S").arg(&self.helper).args(arguments);
        let output = output(&mut scp, b"");
        (output, self.relay.join().expect("no panic"))
    }
}

/// Moves bytes until both directions have ended; what the chain saw.
fn relay(folder: &Path, limit: usize) -> Vec<String> {
    let command = fs::read_to_string(folder.join("command")).expect("what to run");
    let (kind, program) = match command.strip_prefix("scp ") {
        Some(_) => (CommandKind::Exec, command.clone()),
        None => (CommandKind::Subsystem, find("sftp-server", "openssh-sftp-server").display().to_string()),
    };
    let text = if kind == CommandKind::Subsystem { "sftp" } else { &command };
    let channel = futures::executor::block_on(Channel::open(kind, text));
    let mut from_client = File::open(folder.join("to_target")).expect("the client");
    let to_client = File::options().write(true).open(folder.join("to_client")).expect("the client");
    let mut server = Process::new("sh");
    server.arg("-c").arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = server.spawn().expect("a shell");
    let mut from_target = server.stdout.take().expect("a pipe");
    let ends = (Mutex::new(server.stdin.take()), Mutex::new(Some(to_client)));
    let send = |moved: Moved| {
        write(&ends.0, &moved.to_target);
        write(&ends.1, &moved.to_client);
    };
    std::thread::scope(|scope| {
        let (channel, ends, send) = (&channel, &ends, &send);
        scope.spawn(move || {
            let mut sent = 0;
            while sent < limit
                && let Some(bytes) = some(&mut from_client)
            {
                sent += bytes.len();
                send(futures::executor::block_on(channel.files.client(bytes, &channel.chain)).expect("it goes on"));
            }
            *ends.0.lock() = None;
        });
        while let Some(bytes) = some(&mut from_target) {
            send(futures::executor::block_on(channel.files.target(bytes, &channel.chain)).expect("it goes on"));
        }
        *ends.1.lock() = None;
    });
    server.wait().expect("it has ended");
    let mut log = channel.log();
    log.extend(channel.close());
    log
}

/// An end that is gone ends its direction by itself.
fn write(end: &Mutex<Option<impl Write>>, pieces: &[Bytes]) {
    if let Some(end) = end.lock().as_mut() {
        pieces.iter().try_for_each(|piece| end.write_all(piece)).ok();
    }
}

fn some(from: &mut impl Read) -> Option<Bytes> {
    let mut buffer = vec![0; 20_000];
    let read = from.read(&mut buffer).ok().filter(|read| *read > 0)?;
    buffer.truncate(read);
    Some(buffer.into())
}

/// A file of so many bytes, none of which are alike, and the first of its hash as the log has it.
fn file(path: &Path, bytes: usize) -> String {
    let content: Vec<u8> = (0..bytes).map(|at| (at * 31 + at / 251) as u8).collect();
    fs::write(path, &content).expect("it is ours");
    let hash = Sha256::digest(&content);
    format!("{:02x}{:02x}", hash[0], hash[1])
}

/// Lines in which the folder is `/`.
fn within(folder: &TempDir, log: Vec<String>) -> Vec<String> {
    let folder = folder.path().to_str().expect("ours");
    log.iter().map(|line| line.replace(folder, "")).collect()
}

#[test]
fn sftp_moves_files() {
    let there = TempDir::new().expect("a folder");
    let path = there.path().to_str().expect("ours");
    let hash = file(&there.path().join("a"), 1_000_000);
    let commands = [
        "put /a /b",
        "get /b /c",
        "rename /b /d",
        "mkdir /e",
        "ls /e",
        "rmdir /e",
        "symlink /d /s",
        "ln /d /h",
        "chmod 600 /d",
        "rm /s",
        "rm /h",
        "-rm /none",
        "put /a /secret",
    ];
    let commands = commands.join("\n").replace(" /", &format!(" {path}/"));
    for requests in ["64", "256"] {
        let (output, log) = Connection::new(usize::MAX).sftp(&["-R", requests], &commands);
        assert!(output.failure().contains("secret\": Permission denied"), "{output}");
        let (put, get) = (format!("1 done r0 w1000000 {hash}"), format!("2 done r1000000 w0 {hash}"));
        let expected = [
            ["1 write /b", &put],
            ["2 read /b", &get],
            ["3 rename /b -> /d", "3 done r0 w0"],
            ["4 make-directory /e", "4 done r0 w0"],
            ["5 list /e/", "5 done r0 w0"],
            ["6 remove-directory /e", "6 done r0 w0"],
            ["7 link /d -> /s", "7 done r0 w0"],
            ["8 link /d -> /h", "8 done r0 w0"],
            ["9 set-attributes /d", "9 done r0 w0"],
            ["10 remove /s", "10 done r0 w0"],
            ["11 remove /h", "11 done r0 w0"],
            ["12 remove /none", "12 done r0 w0 No such file"],
            ["13 write /secret", "13 done r0 w0 denied: it is secret"],
        ];
        assert_eq!(within(&there, log), expected.concat());
        let content = |name| fs::read(there.path().join(name)).expect("it is there");
        assert!(content("a") == content("c") && content("a") == content("d"));
    }
}

#[test]
fn an_upload_that_goes_on_has_no_hash() {
    let there = TempDir::new().expect("a folder");
    let path = there.path().to_str().expect("ours");
    file(&there.path().join("a"), 300_000);
    file(&there.path().join("b"), 100_000);
    let (output, log) = Connection::new(usize::MAX).sftp(&[], &format!("reput {path}/a {path}/b\n"));
    output.ok();
    assert_eq!(within(&there, log), ["1 write /b", "1 done r0 w200000"]);
    assert_eq!(fs::metadata(there.path().join("b")).expect("it is there").len(), 300_000);
}

#[test]
fn an_upload_that_breaks_off_is_told() {
    let there = TempDir::new().expect("a folder");
    let path = there.path().to_str().expect("ours");
    file(&there.path().join("a"), 1_000_000);
    let (output, log) = Connection::new(300_000).sftp(&[], &format!("put {path}/a {path}/b\n"));
    output.failure();
    let log = within(&there, log);
    assert_eq!(log[0], "1 write /b");
    assert!(log[1].starts_with("1 done r0 w") && log[1].ends_with(" the channel ended before it was done"), "{log:?}");
    assert_eq!(log.len(), 2);
}

#[test]
fn scp_copies_folders_both_ways() {
    let there = TempDir::new().expect("a folder");
    let path = there.path().to_str().expect("ours");
    fs::create_dir_all(there.path().join("www/sub dir")).expect("ours");
    fs::create_dir(there.path().join("up")).expect("ours");
    let hash = file(&there.path().join("www/sub dir/x"), 500_000);

    let arguments = ["-r", "-p", &format!("{path}/www"), &format!("target:{path}/up/")];
    let (output, log) = Connection::new(usize::MAX).scp(&arguments);
    output.ok();
    let sent = format!("3 done r0 w500000 {hash}");
    let expected = [
        ["1 make-directory /up/www", "1 done r0 w0"],
        ["2 make-directory /up/www/sub dir", "2 done r0 w0"],
        ["3 write /up/www/sub dir/x", &sent],
    ];
    assert_eq!(within(&there, log), expected.concat());

    let arguments = ["-r", "-p", &format!("target:{path}/up/www"), &format!("{path}/down")];
    let (output, log) = Connection::new(usize::MAX).scp(&arguments);
    output.ok();
    let fetched = format!("3 done r500000 w0 {hash}");
    let expected = [
        ["1 list /up/www", "1 done r0 w0"],
        ["2 list /up/www/sub dir", "2 done r0 w0"],
        ["3 read /up/www/sub dir/x", &fetched],
    ];
    assert_eq!(within(&there, log), expected.concat());
    let content = |name| fs::read(there.path().join(name)).expect("it is there");
    assert_eq!(content("www/sub dir/x"), content("down/sub dir/x"));
}

#[test]
fn scp_says_what_is_refused() {
    let there = TempDir::new().expect("a folder");
    let path = there.path().to_str().expect("ours");
    file(&there.path().join("a"), 10);
    file(&there.path().join("secret"), 10);
    for arguments in [
        [&format!("{path}/a"), &format!("target:{path}/secrets")],
        [&format!("target:{path}/secret"), &format!("{path}/b")],
    ] {
        let (output, log) = Connection::new(usize::MAX).scp(&arguments.map(String::as_str));
        assert!(output.failure().contains("scp: it is secret; ask for it"), "{output}");
        assert_eq!(log.last().map(String::as_str), Some("1 done r0 w0 denied: it is secret"));
    }
    assert!(!there.path().join("b").exists() && !there.path().join("secrets").exists());
}
