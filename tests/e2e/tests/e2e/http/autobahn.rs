//! Autobahn's cases of WebSockets, straight at a service and through the gateway.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;

use hoop_testkit::clients::kosoku;
use hoop_testkit::{Folder, Node, output};
use serde_json::Value;

use super::Client;

/// How many cases there are, and those that pass straight at the service and not through the gateway; `which` are the options of
/// the program that say which cases are run.
pub(crate) fn worse(service: &Node, client: &Client, which: &[&str]) -> (usize, Vec<String>) {
    let straight = cases(&door(format!("127.0.0.1:{}", service.port), "Host: 127.0.0.1\r\n".to_owned()), which);
    let lines = format!("Host: {}\r\n{}\r\n", client.origin.trim_start_matches("http://"), client.line());
    let through = cases(&door(client.address.clone(), lines), which);
    let passes = |told: &[String; 2]| told.iter().all(|told| matches!(&**told, "OK" | "NON-STRICT" | "INFORMATIONAL"));
    let worse = straight
        .iter()
        .filter(|(case, told)| passes(told) && !through.get(*case).is_some_and(passes))
        .map(|(case, told)| format!("{case}: {told:?}, and {:?} through the gateway", through.get(case)));
    (straight.len(), worse.collect())
}

/// A door for a client that can send no token and knows one path: it puts `lines` into each head, and asks for `/ws`.
fn door(to: String, lines: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address").to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (to, lines) = (to.clone(), lines.clone());
            // One end or the other breaks off in many cases; the client sees it.
            std::thread::spawn(move || relay(client, &to, &lines).ok());
        }
    });
    address
}

fn relay(client: TcpStream, to: &str, lines: &str) -> std::io::Result<()> {
    let target = TcpStream::connect(to)?;
    for io in [&client, &target] {
        io.set_nodelay(true)?;
    }
    let mut from = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && from.read_line(&mut head)? > 0 {}
    let fields: String = head
        .lines()
        .skip(1)
        .filter(|line| !line.to_ascii_lowercase().starts_with("host:") && !line.is_empty())
        .map(|line| format!("{line}\r\n"))
        .collect();
    (&target).write_all(format!("GET /ws HTTP/1.1\r\n{lines}{fields}\r\n").as_bytes())?;
    let back = (target.try_clone()?, client.try_clone()?);
    let down = std::thread::spawn(move || moves(back.0, back.1));
    moves(from, target);
    let _ = down.join();
    Ok(())
}

fn moves(mut from: impl Read, mut to: TcpStream) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// How each case went, and how it was closed.
fn cases(address: &str, which: &[&str]) -> BTreeMap<String, [String; 2]> {
    let folder = Folder::new("kosoku");
    let mut command = Command::new(kosoku());
    command.args(["-m", "fuzzingclient", "-p", "8"]).args(which).arg("-o").arg(folder.path());
    let ran = output(command.arg(address), b"");
    let index = std::fs::read(folder.join("index.json")).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let index: Value = serde_json::from_slice(&index).expect("a report is JSON");
    let of_server = index.as_object().and_then(|index| index.values().next()).and_then(Value::as_object);
    let cases = of_server.unwrap_or_else(|| panic!("a report of one server: {index}"));
    let told =
        |told: &Value| ["behavior", "behaviorClose"].map(|what| told[what].as_str().unwrap_or("none").to_owned());
    cases.iter().map(|(case, of)| (case.clone(), told(of))).collect()
}
