//! What a rule masks reaches no client in any way in which HTTP can say it, and no file of gateway or agent.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};

use aho_corasick::AhoCorasick;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::{BrotliEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder};
use hoop_testkit::{Gateway, Options, WebServer, direct_only, output};
use serde_json::json;

use super::service::{Service, head};
use super::{AGENT, Client, command};
use crate::masking::spellings;
use crate::stand::files;

const MAIL: &str = "canary.http@canary-leak.example.com";
const CARD: &str = "4242424242424242";
const SSN: &str = "078-05-1120";
const CANARIES: [&str; 3] = [MAIL, CARD, SSN];

fn each(text: &str, write: impl Fn(u32) -> String) -> String {
    text.chars().map(|char| write(u32::from(char))).collect()
}

fn escaped(text: &str) -> String {
    each(text, |char| format!("\\u{char:04x}"))
}

fn references(text: &str) -> String {
    each(text, |char| format!("&#{char};"))
}

fn percent(text: &str) -> String {
    each(text, |char| format!("%{char:02X}"))
}

fn encoded(mut coder: impl EncodeV2, text: &str) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let mut to = WriteBuffer::new_initialized(&mut out);
    coder.encode(&mut PartialBuffer::new(text.as_bytes()), &mut to).expect("a short text is encoded");
    assert!(coder.finish(&mut to).expect("a short text is encoded"), "all of it fits");
    let written = to.written_len();
    out.truncate(written);
    out
}

fn gzip(text: &str) -> Vec<u8> {
    encoded(GzipEncoder::new(Level::Fastest.into()), text)
}

/// An answer with a body of this type.
fn plain(kind: &str, body: &str) -> Vec<u8> {
    with(&format!("Content-Type: {kind}"), body.as_bytes())
}

/// An answer with these lines in its head.
fn with(lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// An answer in chunks of this many bytes, with lines behind it.
fn chunked(lines: &str, body: &[u8], size: usize, trailers: &str) -> Vec<u8> {
    let mut all = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{lines}\r\n\r\n").into_bytes();
    for chunk in body.chunks(size) {
        all.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        all.extend_from_slice(chunk);
        all.extend_from_slice(b"\r\n");
    }
    all.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    all
}

/// What the service answers, by the path that it is asked for.
fn answers() -> BTreeMap<String, Vec<u8>> {
    let all = CANARIES.join(" and ");
    let json = format!("{{\"mail\":\"{MAIL}\",\"card\":{CARD},\"more\":[\"{SSN}\"]}}");
    let coded =
        |coding: &str, body: &[u8]| with(&format!("Content-Type: text/plain\r\nContent-Encoding: {coding}"), body);
    let page = format!("<!doctype html><h1>Error</h1><p title='{MAIL}'>{}</p>", references(SSN));
    let failed =
        |status: &str| String::from_utf8_lossy(&plain("text/html", &page)).replace("200 OK", status).into_bytes();
    let part = format!("--b\r\nContent-Disposition: form-data; name=\"{SSN}\"\r\n\r\n{MAIL}\r\n--b--\r\n");
    let escapes = format!("{{\"{}\":\"{}\"}}", escaped(SSN), escaped(MAIL));
    let empty = |lines: &str| with(lines, b"");
    let moved = |to: &str| {
        String::from_utf8_lossy(&empty(&format!("Location: {to}"))).replace("200 OK", "302 Found").into_bytes()
    };
    let cases = [
        ("text", plain("text/plain", &all)),
        ("no-type", with("X: y", all.as_bytes())),
        ("json", plain("application/json", &json)),
        ("escapes", plain("application/json", &escapes)),
        ("html", plain("text/html", &format!("<p>{}</p><!-- {MAIL} -->", references(CARD)))),
        ("form", plain("application/x-www-form-urlencoded", &format!("m={}&c={CARD}", percent(MAIL)))),
        ("multipart", plain("multipart/form-data; boundary=b", &part)),
        (
            "events",
            chunked("Content-Type: text/event-stream", format!("data: {json}\n\ndata: {SSN}\n\n").as_bytes(), 9, ""),
        ),
        ("lines", plain("application/x-ndjson", &format!("{json}\n{escapes}\n"))),
        ("gzip", coded("gzip", &gzip(&all))),
        ("deflate", coded("deflate", &encoded(ZlibEncoder::new(Level::Fastest.into()), &all))),
        ("br", coded("br", &encoded(BrotliEncoder::new(Default::default()), &all))),
        ("zstd", coded("zstd", &encoded(ZstdEncoder::new(1), &all))),
        ("twice", coded("deflate, gzip", &gzip(&all))),
        ("chunks", chunked("Content-Type: text/plain", all.as_bytes(), 1, "")),
        ("coded-chunks", chunked("Content-Type: text/plain\r\nContent-Encoding: gzip", &gzip(&all), 3, "")),
        (
            "trailers",
            chunked(
                "Content-Type: text/plain\r\nTrailer: X-Mail",
                b"ok",
                1,
                &format!("X-Mail: {MAIL}\r\nX-Ssn: {SSN}\r\n"),
            ),
        ),
        (
            "fields",
            empty(&format!("X-Mail: {MAIL}\r\nX-Card: {CARD}\r\nContent-Disposition: attachment; filename=\"{SSN}\"")),
        ),
        ("reason", String::from_utf8_lossy(&empty("X: y")).replace("OK", MAIL).into_bytes()),
        ("found", moved(&format!("/found/{SSN}?mail={MAIL}"))),
        ("found-coded", moved(&format!("/found?mail={}", percent(MAIL)))),
        ("found-elsewhere", moved(&format!("https://elsewhere.example/{MAIL}"))),
        ("missing", failed("404 Not Found")),
        ("broken", failed("500 Internal Server Error")),
        // These break off: neither the client nor a log is told by what.
        ("bad-field", with(&format!("{MAIL} {SSN}"), b"")),
        ("bad-name", with(&format!("{MAIL}: x"), b"")),
        ("bad-status", format!("HTTP/1.1 {CARD} {MAIL}\r\n\r\n").into_bytes()),
        ("no-http", format!("{all}\r\n\r\n").into_bytes()),
        (
            "bad-chunk",
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n{MAIL}\r\n")
                .into_bytes(),
        ),
        ("bad-gzip", coded("gzip", all.as_bytes())),
        (
            "cut",
            String::from_utf8_lossy(&plain("text/plain", &all))
                .replace("Content-Length: ", "Content-Length: 9")
                .into_bytes(),
        ),
    ];
    cases.into_iter().map(|(name, answer)| (format!("/{name}"), answer)).collect()
}

fn service() -> Service {
    let answers = answers();
    Service::start(move |io| {
        let mut io = BufReader::new(io);
        if let Some(head) = head(&mut io) {
            let answer = head.split(' ').nth(1).and_then(|path| answers.get(path));
            let _ = io.get_ref().write_all(answer.map_or(b"HTTP/1.1 204 No Content\r\n\r\n", Vec::as_slice));
        }
    })
}

/// Whatever a client may make of the bytes.
fn readings(bytes: &[u8]) -> [String; 4] {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let decoded = |mark: &str, digits: usize, radix: u32, end: &str| {
        let mut parts = text.split(mark);
        let mut read = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = if digits == 0 { part.find(end).unwrap_or(0) } else { digits };
            let char =
                part.get(..digits).and_then(|digits| u32::from_str_radix(digits, radix).ok()).and_then(char::from_u32);
            match char {
                Some(char) => read.extend([char.to_string().as_str(), &part[digits + end.len()..]]),
                None => read.extend([mark, part]),
            }
        }
        read
    };
    [decoded("\\u", 4, 16, ""), decoded("&#", 0, 10, ";"), decoded("%", 2, 16, ""), text.clone()]
}

/// The canaries that somebody can read in what came.
fn leaks(bytes: &[u8]) -> Vec<&'static str> {
    let readings = readings(bytes);
    CANARIES.into_iter().filter(|canary| readings.iter().any(|reading| reading.contains(canary))).collect()
}

/// All that curl tells of an answer, and why there is none.
fn asked(options: &[&str], url: &str) -> Vec<u8> {
    let usual = ["-v", "-i", "--compressed", "-H", "TE: trailers", "-H", "Accept-Encoding: gzip, deflate, br, zstd"];
    let told = output(&mut command(&[&usual, options, &[url]].concat()), b"");
    [told.stdout, told.stderr.into_bytes()].concat()
}

/// A role that masks, and keeps all that it may of what passes.
fn role(gateway: &Gateway, name: &str, url: &str) -> Client {
    let audit = json!({ "bodies": { "request": 1 << 20, "response": 1 << 20 }, "messages": 1 << 16 });
    let masking = json!({ "detectors": { "email": "label", "card": "label", "ssn": "label" } });
    let (plugins, target) = (json!({ "audit": audit, "masking": masking }), json!({ "kind": "http", "url": url }));
    let role = json!({ "name": name, "agent": AGENT, "target": target, "plugins": plugins });
    gateway.api().post("/api/v1/roles", &role);
    Client::new(gateway, name)
}

fn answers_show_nothing(gateway: &Gateway) {
    let service = service();
    let client = role(gateway, "planted", &service.url);
    for path in answers().keys() {
        let straight = asked(&["--http0.9"], &format!("{}{path}", service.url));
        // curl shows nothing of what it cannot read.
        let is_read = path != "/twice" && !path.starts_with("/bad");
        assert!(
            !is_read || !leaks(&straight).is_empty(),
            "{path} shows nothing: {}",
            String::from_utf8_lossy(&straight)
        );
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let shown = asked(&[version, "-H", &client.line()], &client.at(path));
            assert_eq!(leaks(&shown), [""; 0], "{path} {version}: {}", String::from_utf8_lossy(&shown));
        }
    }
    client.leave(gateway);
}

/// Who asks plants them, and the service says them again.
fn requests_are_kept_nowhere(gateway: &Gateway) {
    let service = WebServer::start();
    let client = role(gateway, "said-again", &service.url());
    let all = CANARIES.join(" and ");
    let (mail, json) = (format!("X-Mail: {MAIL}"), format!("{{\"{SSN}\":\"{}\",\"card\":{CARD}}}", escaped(MAIL)));
    let packed = std::env::temp_dir().join(format!("hoop-canary-{}.gz", std::process::id()));
    std::fs::write(&packed, gzip(&all)).expect("a file is written");
    let packed_body = format!("@{}", packed.display());
    for (path, options) in [
        (format!("/echo?mail={MAIL}&card={CARD}&ssn={}", percent(SSN)), &["-H", &mail][..]),
        ("/echo".to_owned(), &["-H", "Content-Type: application/json", "-d", &json]),
        ("/echo".to_owned(), &["-F", &format!("mail={MAIL}"), "-F", &format!("card={CARD}")]),
        ("/echo".to_owned(), &["--data-urlencode", &format!("mail={MAIL}")]),
        (
            "/echo".to_owned(),
            &["-H", "Content-Type: text/plain", "-H", "Content-Encoding: gzip", "--data-binary", &packed_body],
        ),
        (format!("/{MAIL}/{CARD}"), &[]),
        (format!("/status/418?{}", percent(MAIL)), &["-X", "DELETE"]),
    ] {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let line = client.line();
            // What curl itself tells of its request is left out.
            let usual = ["-i", version, "-H", &line];
            let shown = output(&mut command(&[&usual, options, &[&client.at(&path)]].concat()), b"").stdout;
            assert!(
                shown.starts_with(b"HTTP/") && leaks(&shown).is_empty(),
                "{path}: {}",
                String::from_utf8_lossy(&shown)
            );
        }
    }
    std::fs::remove_file(&packed).expect("an own file");
    messages_are_masked(&client, &all);
    calls_are_masked(&client);
    client.leave(gateway);
}

fn messages_are_masked(client: &Client, all: &str) {
    let mut socket = client.websocket("/ws").expect("a WebSocket opens");
    assert_eq!(socket.receive().as_deref(), Some("hello"));
    for text in [all, &format!("{{\"mail\":\"{}\"}}", escaped(MAIL))] {
        socket.send(text);
        let shown = socket.receive().expect("an answer");
        assert!(!shown.is_empty() && leaks(shown.as_bytes()).is_empty(), "{shown}");
    }
    let shown = socket.send_binary(all.as_bytes());
    assert!(!shown.is_empty() && leaks(&shown).is_empty(), "{}", String::from_utf8_lossy(&shown));
}

/// A message with one field, a text.
fn calls_are_masked(client: &Client) {
    let text = [&[0x0a, u8::try_from(MAIL.len()).expect("a short text")], MAIL.as_bytes()].concat();
    let frame = [&[0, 0, 0, 0, u8::try_from(text.len()).expect("a short message")], &text[..]].concat();
    let line = client.line();
    let fields = ["-H", "Content-Type: application/grpc", "-H", "TE: trailers", "-H", &line];
    let options =
        [&["-i", "--http2-prior-knowledge", "--data-binary", "@-"], &fields[..], &[&client.at("/a.v1.B/Say")]];
    let shown = output(&mut command(&options.concat()), &frame).stdout;
    assert!(shown.windows(14).any(|part| part == b"grpc-status: 0"), "{}", String::from_utf8_lossy(&shown));
    assert_eq!(leaks(&shown), [""; 0], "{}", String::from_utf8_lossy(&shown));
}

/// Every file of gateway and agent, as it is, and each recording as it is shown.
fn files_have_nothing(gateway: &Gateway) {
    let ways: [fn(&str) -> String; 3] = [escaped, references, percent];
    let spelled = CANARIES.iter().flat_map(|canary| ways.map(|way| way(canary).into_bytes()));
    let spellings: Vec<Vec<u8>> = CANARIES.into_iter().flat_map(spellings).chain(spelled).collect();
    let search = AhoCorasick::builder().ascii_case_insensitive(true).build(&spellings).expect("a few short texts");
    let clean = |what: &str, bytes: &[u8]| {
        let hit = search.find(bytes).map(|hit| {
            let around = hit.start().saturating_sub(200)..(hit.end() + 200).min(bytes.len());
            bytes[around].escape_ascii().to_string()
        });
        assert_eq!(hit, None, "{what}");
    };
    let mut found = Vec::new();
    files(&gateway.dir(), &mut found);
    assert!(found.iter().any(|file| file.ends_with("hoop.db")), "{found:?}");
    assert!(found.iter().any(|file| file.starts_with(gateway.recordings())), "{found:?}");
    for file in found {
        // A file of the store may be gone by now.
        clean(&file.display().to_string(), &std::fs::read(&file).unwrap_or_default());
    }
    for role in ["planted", "said-again"] {
        let session = gateway.ended_session(role);
        let id = session["id"].as_str().expect("a session has an id");
        for words in [&["audit", "show", id, "-o", "json"][..], &["sessions", "export", id]] {
            let shown = gateway.hoop(words).ok();
            assert!(shown.len() > 1000, "{words:?}: {shown}");
            clean(&words.join(" "), shown.as_bytes());
            assert_eq!(leaks(shown.as_bytes()), [""; 0], "{words:?}");
        }
    }
}

#[test]
fn what_is_planted_is_in_no_answer_no_log_and_no_file() {
    if direct_only() {
        return;
    }
    let environment = vec![("HOOP_LOG".to_owned(), "debug".to_owned())];
    let gateway = Gateway::start(&Options { processes: true, environment, ..Options::default() });
    answers_show_nothing(&gateway);
    requests_are_kept_nowhere(&gateway);
    for role in ["planted", "said-again"] {
        gateway.ended_session(role);
    }
    files_have_nothing(&gateway);
}
