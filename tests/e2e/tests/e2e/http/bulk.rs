//! Much to move, both ways, and what it may cost.

use std::process::{Command, Stdio};

use hoop_testkit::{Gateway, HttpEcho, Options, find, memory};
use serde_json::json;

use super::{AGENT, Client};

/// What a body may add to what a gateway or an agent has, in bytes. It is what both ends' windows and buffers come to, and what an
/// allocator keeps for later.
const ROOM: u64 = 48 << 20;

/// Sends and fetches a body of this many bytes, and looks at the memory of gateway and agent.
pub(crate) fn moves_both_ways(bytes: u64) {
    let echo = HttpEcho::start();
    let gateway = Gateway::start(&Options { processes: true, ..Options::default() });
    let target = json!({ "kind": "http", "url": echo.url() });
    gateway.api().post("/api/v1/roles", &json!({ "name": "bulk", "agent": AGENT, "target": target }));
    let client = Client::new(&gateway, "bulk");
    assert_eq!(client.ask(&["-d", "warm"], "/sink"), (200, "4".to_owned()));
    let parts = ["gateway", "agent"].map(|part| (part, gateway.pid(part)));
    let before = parts.map(|(_, pid)| memory::resident(pid));
    for (_, pid) in parts {
        memory::forget_peak(pid);
    }
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        assert_eq!(sent(&client, version, bytes), bytes.to_string(), "{version}");
        assert_eq!(fetched(&client, version, bytes), bytes.to_string(), "{version}");
    }
    for ((part, pid), before) in parts.into_iter().zip(before) {
        let peak = memory::peak(pid);
        println!("{bytes} bytes four times: the {part} went from {before} to {peak} bytes");
        assert!(peak <= before + ROOM, "the {part} went from {before} to {peak} bytes");
    }
}

/// What the service has counted.
fn sent(client: &Client, version: &str, bytes: u64) -> String {
    let mut source = Command::new("head")
        .args(["-c", &bytes.to_string(), "/dev/zero"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("head starts");
    let mut curl = patient(client, version);
    curl.args(["-T", "-", &client.at("/sink")]).stdin(source.stdout.take().expect("a pipe"));
    let counted = curl.output().expect("curl starts");
    source.wait().expect("an own child");
    assert!(counted.status.success(), "{}", String::from_utf8_lossy(&counted.stderr));
    String::from_utf8_lossy(&counted.stdout).into_owned()
}

/// What curl has counted.
fn fetched(client: &Client, version: &str, bytes: u64) -> String {
    let mut curl = patient(client, version);
    curl.args(["-o", "/dev/null", "-w", "%{size_download}", &client.at(&format!("/source?{bytes}"))]);
    let counted = curl.output().expect("curl starts");
    assert!(counted.status.success(), "{}", String::from_utf8_lossy(&counted.stderr));
    String::from_utf8_lossy(&counted.stdout).into_owned()
}

/// Without an end by time: how long it takes is the machine's affair.
fn patient(client: &Client, version: &str) -> Command {
    let mut curl = Command::new(find("curl", "curl"));
    curl.args(["-q", "-sS", "--noproxy", "*", version, "-H", &client.line()]);
    curl
}
