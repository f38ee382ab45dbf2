//! sftp, scp, rsync and git.

use std::path::Path;
use std::process::Command;

use hoop_testkit::{Output, find, output};

use super::{Client, PLAIN, events, file, of_kind, role, stand};

fn sftp(client: &Client, options: &[&str], role: &str, script: &str) -> Output {
    let mut command = Command::new(find("sftp", "openssh-client"));
    command.args(client.options()).args(options).args(["-b", "-"]).arg(format!("{role}@127.0.0.1"));
    output(&mut command, script.as_bytes())
}

fn same(one: &Path, other: &Path) {
    let read = |path: &Path| std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(read(one) == read(other), "{} and {} differ", one.display(), other.display());
}

#[test]
fn sftp_moves_files_and_each_is_recorded() {
    let stand = stand();
    role(&stand.gateway, "sftp", &stand.sshd, |_| {});
    let folder = stand.client.folder.join("sftp");
    std::fs::create_dir(&folder).expect("an own folder");
    let large = file(&folder.join("large"), 20_000_000);
    let at = folder.display();
    let script = format!(
        "put {at}/large {at}/up\nget {at}/up {at}/down\nmkdir {at}/made\nrename {at}/up {at}/made/moved\nls {at}/made\n\
         chmod 600 {at}/made/moved\nrm {at}/made/moved\nrmdir {at}/made\n"
    );
    sftp(&stand.client, &["-R", "256"], "sftp", &script).ok();
    same(&large, &folder.join("down"));
    assert!(!folder.join("made").exists());
    let events = events(&stand.gateway, "sftp");
    let seen: Vec<_> = of_kind(&events, "file").filter_map(|event| event["operation"].as_str()).collect();
    for operation in
        ["write", "read", "make-directory", "rename", "list", "set-attributes", "remove", "remove-directory"]
    {
        assert!(seen.contains(&operation), "{operation} is not among {seen:?}");
    }
    let written = of_kind(&events, "file_done").find(|event| event["bytes_written"] == 20_000_000);
    let digest = output(Command::new("sha256sum").arg(&large), b"").ok();
    assert_eq!(written.expect("the upload is recorded")["sha256"].as_str(), digest.split(' ').next());
}

#[test]
fn scp_copies_both_ways_in_both_of_its_modes() {
    let stand = stand();
    for (mode, protocol) in [("sftp", "-s"), ("scp", "-O")] {
        let folder = stand.client.folder.join(format!("scp-{mode}"));
        std::fs::create_dir_all(folder.join("tree/inner")).expect("an own folder");
        file(&folder.join("tree/one"), 1_000_000);
        file(&folder.join("tree/inner/two"), 10);
        let scp = |from: String, to: String| {
            let mut command = Command::new(find("scp", "openssh-client"));
            output(command.args(stand.client.options()).args([protocol, "-r", "-p", &from, &to]), b"").ok();
        };
        let at = folder.display().to_string();
        scp(format!("{at}/tree"), format!("{PLAIN}@127.0.0.1:{at}/up"));
        scp(format!("{PLAIN}@127.0.0.1:{at}/up"), format!("{at}/down"));
        same(&folder.join("tree/one"), &folder.join("down/one"));
        same(&folder.join("tree/inner/two"), &folder.join("down/inner/two"));
    }
}

#[test]
fn rsync_keeps_trees_in_step() {
    let stand = stand();
    let folder = stand.client.folder.join("rsync");
    std::fs::create_dir_all(folder.join("from")).expect("an own folder");
    for number in 0..1_000 {
        std::fs::write(folder.join(format!("from/{number}")), format!("file {number}\n")).expect("an own folder");
    }
    file(&folder.join("from/large"), 30_000_000);
    let shell = stand.client.line("", "").replace(" @127.0.0.1", "");
    let rsync = |from: &str, to: &str| {
        let mut command = Command::new(find("rsync", "rsync"));
        output(command.args(["-a", "--delete", "--stats", "-e", &shell, from, to]), b"").ok()
    };
    let at = folder.display();
    rsync(&format!("{at}/from/"), &format!("{PLAIN}@127.0.0.1:{at}/to/"));
    let back = rsync(&format!("{PLAIN}@127.0.0.1:{at}/to/"), &format!("{at}/back/"));
    assert!(back.contains("Number of regular files transferred: 1,001"), "{back}");
    output(Command::new("diff").arg("-r").arg(folder.join("from")).arg(folder.join("back")), b"").ok();
}

#[test]
fn git_clones_and_pushes() {
    let stand = stand();
    let folder = stand.client.folder.join("git");
    std::fs::create_dir(&folder).expect("an own folder");
    let shell = stand.client.line("", "").replace(" @127.0.0.1", "");
    let script = format!(
        "set -e; cd {at}; export GIT_SSH_COMMAND=\"{shell}\" GIT_CONFIG_GLOBAL=/dev/null\n\
         git init -q --bare origin.git; git clone -q {PLAIN}@127.0.0.1:{at}/origin.git work 2>/dev/null; cd work\n\
         git config user.name Test; git config user.email test@example.com\n\
         echo one > file; git add file; git commit -qm one; git push -q origin HEAD:main\n\
         cd ..; git clone -q -b main {PLAIN}@127.0.0.1:{at}/origin.git again; cat again/file",
        at = folder.display()
    );
    assert_eq!(output(Command::new("sh").args(["-c", &script]), b"").ok(), "one\n");
}
