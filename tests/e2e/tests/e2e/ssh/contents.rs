//! The contents of files that are moved, where the role keeps them.

use std::process::Command;

use hoop_testkit::{Output, find, output};
use reqwest::Method;
use serde_json::{Value, json};

use super::{events, file, of_kind, role, stand};

/// What is kept of each file at most.
const UP_TO: usize = 300_000;

/// A role that keeps what is moved in the folder `kept` of a test's own.
fn keeper(name: &str) -> String {
    let stand = stand();
    let folder = stand.client.folder.join(name);
    std::fs::create_dir_all(folder.join("kept")).expect("an own folder");
    role(&stand.gateway, name, &stand.sshd, |_| {});
    let keep = json!({ "paths": [format!("{}/kept/*", folder.display())], "up_to_bytes": UP_TO });
    let plugins = json!({ "plugins": { "audit": { "keep_files": keep } } });
    stand.gateway.api().call(Method::PATCH, &format!("/api/v1/roles/{name}"), Some(&plugins));
    folder.display().to_string()
}

fn session(role: &str) -> String {
    stand().gateway.ended_session(role)["id"].as_str().expect("a session has an id").to_owned()
}

/// `hoop sessions files`.
fn files(arguments: &[&str]) -> Output {
    stand().gateway.hoop(&[&["sessions", "files"], arguments].concat())
}

fn listed(session: &str) -> Vec<Value> {
    serde_json::from_str(&files(&[session, "-o", "json"]).ok()).expect("files are JSON")
}

/// What the API has of it.
fn fetched(session: &str, number: &Value, direction: &str) -> (u16, Vec<u8>) {
    let api = stand().gateway.api();
    let path = format!("/api/v1/sessions/{session}/files/{number}?direction={direction}");
    let mut curl = Command::new(find("curl", "curl"));
    curl.args(["-s", "-w", "%{http_code}", "-H", &api.authorization(), &format!("{}{path}", api.base())]);
    let mut said = output(&mut curl, b"").stdout;
    let status = said.split_off(said.len() - 3);
    (String::from_utf8_lossy(&status).parse().expect("a status"), said)
}

#[test]
fn what_sftp_moves_is_kept_up_to_a_limit_and_given_back() {
    let (stand, at) = (stand(), keeper("contents"));
    let small = file(std::path::Path::new(&format!("{at}/small")), 200_000);
    let large = file(std::path::Path::new(&format!("{at}/large")), 1_000_000);
    let script = format!(
        "put {at}/small {at}/kept/up\nget {at}/kept/up {at}/down\nput {at}/large {at}/kept/large\nput {at}/small {at}/other\n"
    );
    let mut sftp = Command::new(find("sftp", "openssh-client"));
    sftp.args(stand.client.options()).args(["-b", "-", "contents@127.0.0.1"]);
    output(&mut sftp, script.as_bytes()).ok();

    let session = session("contents");
    let read = |path: &std::path::Path| std::fs::read(path).expect("an own file");
    let all = listed(&session);
    let seen: Vec<_> = all
        .iter()
        .map(|file| (file["operation"].as_str(), file["kept_written"].as_u64(), file["kept_read"].as_u64()))
        .collect();
    let up_to = u64::try_from(UP_TO).ok();
    assert_eq!(
        seen,
        [
            (Some("write"), Some(200_000), Some(0)),
            (Some("read"), Some(0), Some(200_000)),
            (Some("write"), up_to, Some(0)),
            (Some("write"), None, None),
        ],
        "{all:?}"
    );
    for (number, direction) in [(&all[0]["number"], "written"), (&all[1]["number"], "read")] {
        assert_eq!(fetched(&session, number, direction), (200, read(&small)));
        assert!(files(&[&session, "--get", &number.to_string()]).stdout == read(&small));
    }
    let copy = format!("{at}/copy");
    let got = files(&[&session, "--get", &all[2]["number"].to_string(), "--file", &copy]);
    got.ok();
    assert!(got.stderr.contains("not all of the file is kept"), "{got}");
    assert!(read(std::path::Path::new(&copy)) == read(&large)[..UP_TO]);
    assert_eq!(fetched(&session, &all[3]["number"], "written").0, 404);
    assert_eq!(fetched(&session, &json!(99), "written").0, 404);
    assert_eq!(files(&[&session, "--get", "99", "--file", &format!("{at}/none")]).status.code(), Some(8));
    assert!(!std::path::Path::new(&format!("{at}/none")).exists());

    // They are part of the recording, and shown by none of its events.
    stand.gateway.hoop(&["audit", "verify", &session]).ok();
    let events = events(&stand.gateway, "contents");
    let pieces: Vec<_> = of_kind(&events, "file_bytes").collect();
    assert_eq!(pieces.iter().filter_map(|piece| piece["length"].as_u64()).sum::<u64>(), 400_000 + UP_TO as u64);
    assert!(pieces.iter().all(|piece| piece["bytes"].is_null()));
    let page = stand.gateway.api().get(&format!("/api/v1/sessions/{session}/files?limit=3"));
    let next = page["next_cursor"].as_str().expect("there are four");
    let page = stand.gateway.api().get(&format!("/api/v1/sessions/{session}/files?limit=3&cursor={next}"));
    assert_eq!((page["items"][0]["number"].as_u64(), &page["next_cursor"]), (Some(4), &Value::Null));
    let other = stand.gateway.user("contents-other", &[]);
    for path in ["files", "files/1"] {
        let (status, _) = other.try_call(Method::GET, &format!("/api/v1/sessions/{session}/{path}"), None);
        assert_eq!(status, 404, "{path}");
    }
}

#[test]
fn what_scp_moves_is_kept_in_both_of_its_modes() {
    let stand = stand();
    for (name, protocol) in [("contents-scp", "-O"), ("contents-scp-sftp", "-s")] {
        let at = keeper(name);
        let from = file(std::path::Path::new(&format!("{at}/from")), 250_000);
        let scp = |from: &str, to: &str| {
            let mut command = Command::new(find("scp", "openssh-client"));
            output(command.args(stand.client.options()).args([protocol, from, to]), b"").ok();
            session(name)
        };
        let up = scp(&format!("{at}/from"), &format!("{name}@127.0.0.1:{at}/kept/file"));
        let content = std::fs::read(&from).expect("an own file");
        assert_eq!(fetched(&up, &json!(1), "written"), (200, content.clone()), "{name}");
        let down = scp(&format!("{name}@127.0.0.1:{at}/kept/file"), &format!("{at}/down"));
        assert_ne!(up, down);
        assert_eq!(fetched(&down, &json!(1), "read"), (200, content), "{name}");
    }
}

#[test]
fn what_cannot_be_a_rule_is_refused_when_the_role_is_stored() {
    let stand = stand();
    keeper("contents-wrong");
    for wrong in [json!({ "up_to_bytes": "much" }), json!({ "path": "/srv" })] {
        let plugins = json!({ "plugins": { "audit": { "keep_files": wrong } } });
        let (status, refused) =
            stand.gateway.api().try_call(Method::PATCH, "/api/v1/roles/contents-wrong", Some(&plugins));
        assert_eq!((status, &refused["errors"][0]["pointer"]), (400, &json!("/plugins")), "{refused}");
    }
}
