//! `curl` and what it stands for: what a service answers straight, it answers through the gateway, over every version of HTTP.

use std::process::Command;

use hoop_testkit::{Folder, Gateway, Options, direct_only, find, output};
use serde_json::{Value, json};

use super::services::{Services, client, say, services};
use super::{Client, bulk, command, curl, role, stand, status};
use crate::trust::Authority;

/// Fields of an answer that must be the same both ways; `cache-control` is not: what one is shown is kept for no other.
const SAME: [&str; 9] = [
    "content-type",
    "content-length",
    "content-range",
    "content-encoding",
    "accept-ranges",
    "etag",
    "last-modified",
    "allow",
    "www-authenticate",
];

/// An answer as far as it has to be the same: status, fields, body.
type Answer = (u16, Vec<(String, String)>, Vec<u8>);

fn answer(arguments: &[&str]) -> Answer {
    let folder = Folder::new("answer");
    let (head, body) = (folder.join("head"), folder.join("body"));
    let (head_path, body_path) = (head.display().to_string(), body.display().to_string());
    let given = curl(&[&["-D", &head_path, "-o", &body_path, "-w", "%{http_code}"], arguments].concat()).ok();
    let head = std::fs::read_to_string(head).expect("curl has written the head");
    // Of what came before it, such as 100, nothing is kept.
    let last = head.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default();
    let fields = last.lines().filter_map(|line| line.split_once(':'));
    let mut fields: Vec<_> = fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .filter(|(name, _)| SAME.contains(&name.as_str()))
        .collect();
    fields.sort();
    // With `-I` curl gives the head for a body.
    let body = if arguments.contains(&"-I") { Vec::new() } else { std::fs::read(body).unwrap_or_default() };
    (given.parse().expect("a status"), fields, body)
}

/// The same question straight and through the gateway, over both versions.
#[track_caller]
fn same(client: &Client, service: &str, options: &[&str], path: &str) -> Answer {
    let straight = answer(&[options, &[&format!("{service}{path}")]].concat());
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let line = client.line();
        let through = answer(&[&[version, "-H", &line], options, &[&client.at(path)]].concat());
        assert_eq!(through, straight, "{version} {options:?} {path}");
    }
    straight
}

#[test]
fn a_website_is_as_it_is() {
    if direct_only() {
        return;
    }
    let (client, url) = (client("nginx"), services().nginx.url());
    for (options, path, expected) in [
        (&[][..], "/", 200),
        (&["-I"], "/digits.txt", 200),
        (&["-r", "2-4"], "/digits.txt", 206),
        (&["-r", "-3"], "/digits.txt", 206),
        (&["-r", "1000-"], "/large.txt", 206),
        (&["-r", "100-"], "/digits.txt", 416),
        (&["--compressed"], "/large.txt", 200),
        (&["-H", "Accept-Encoding: gzip"], "/large.txt", 200),
        (&["-H", "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT"], "/digits.txt", 412),
        (&["-X", "DELETE"], "/digits.txt", 405),
        (&[], "/nowhere", 404),
        (&[], "/proxy/x", 502),
        (&[], "/cookie", 204),
        (&[], "/secret/digits.txt", 401),
    ] {
        assert_eq!(same(&client, &url, options, path).0, expected, "{options:?} {path}");
    }
}

#[test]
fn what_is_known_already_is_not_sent_again() {
    if direct_only() {
        return;
    }
    let (client, url) = (client("nginx"), services().nginx.url());
    let (_, fields, _) = same(&client, &url, &[], "/digits.txt");
    let etag = &fields.iter().find(|(name, _)| name == "etag").expect("files have an entity tag").1;
    let known = format!("If-None-Match: {etag}");
    let (code, _, body) = same(&client, &url, &["-H", &known], "/digits.txt");
    assert_eq!((code, body.len()), (304, 0));
    let current = format!("If-Range: {etag}");
    assert_eq!(same(&client, &url, &["-H", &current, "-r", "0-1"], "/digits.txt").0, 206);
    assert_eq!(same(&client, &url, &["-H", "If-Range: \"older\"", "-r", "0-1"], "/digits.txt").0, 200);
    assert_eq!(same(&client, &url, &["-H", "If-Match: \"older\""], "/digits.txt").0, 412);
}

/// The fields are the service's own affair: the gateway adds some. Method, path and body are not.
#[test]
fn programs_in_other_languages_are_asked_the_same() {
    if direct_only() {
        return;
    }
    let Services { node, uvicorn, .. } = services();
    for (role, url) in [("node", node.url()), ("uvicorn", uvicorn.url())] {
        let client = client(role);
        for (options, path) in [
            (&[][..], "/a?b=c&d=%20e&f=g+h"),
            (&["-d", "a=b&c=d"], "/form"),
            (&["-X", "PUT", "-d", "text"], "/put"),
            (&["-X", "PATCH", "-H", "Content-Type: application/json", "-d", "{}"], "/patch"),
            (&["-X", "DELETE"], "/delete"),
            (&["-H", "Transfer-Encoding: chunked", "-d", "in pieces"], "/pieces"),
            (&["-F", "file=@Cargo.toml", "-H", "Content-Type: multipart/form-data; boundary=x"], "/upload"),
        ] {
            let told = |arguments: &[&str]| {
                let (code, text) = status(arguments);
                assert_eq!(code, 200, "{role} {options:?} {path}: {text}");
                let mut told: Value = serde_json::from_str(&text).expect("JSON");
                told.as_object_mut().and_then(|told| told.remove("fields")).expect("fields");
                // Each run of curl has a boundary of its own.
                let body = told["body"]
                    .as_str()
                    .map(|body| body.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n"));
                told["body"] = json!(body);
                told
            };
            let straight = told(&[options, &[&format!("{url}{path}")]].concat());
            for version in ["--http1.1", "--http2-prior-knowledge"] {
                // HTTP/2 has no chunks, and curl would send the field as it is.
                if version != "--http1.1" && options.contains(&"Transfer-Encoding: chunked") {
                    continue;
                }
                let line = client.line();
                let through = told(&[&[version, "-H", &line], options, &[&client.at(path)]].concat());
                assert_eq!(through, straight, "{role} {version} {options:?} {path}");
            }
        }
        for path in ["/chunked", "/events"] {
            assert_eq!(client.ask(&[], path), status(&[&format!("{url}{path}")]), "{role} {path}");
        }
    }
}

#[test]
fn answers_without_a_body_have_none() {
    if direct_only() {
        return;
    }
    let (client, url) = (client("echo"), services().echo.url());
    for (options, path, expected) in [
        (&[][..], "/status/204", 204),
        (&[], "/status/304", 304),
        (&["-I"], "/source?1000", 200),
        (&["-d", "body"], "/status/204", 204),
        (&["-d", "body"], "/status/500", 500),
    ] {
        let straight = status(&[options, &["-o", "/dev/null", &format!("{url}{path}")]].concat());
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let options = [&["-o", "/dev/null", version], options].concat();
            let through = client.ask(&options, path);
            assert_eq!(through, straight, "{options:?} {path}");
            assert_eq!(through.0, expected, "{options:?} {path}");
        }
    }
}

#[test]
fn a_client_that_asks_before_it_sends_is_answered() {
    if direct_only() {
        return;
    }
    let client = client("echo");
    let body = "x".repeat(200_000);
    let ask = |line: &str, path: &str| {
        let mut curl = command(&["-v", "--http1.1", "-H", "Expect: 100-continue", "-H", line, "--data-binary", "@-"]);
        output(curl.arg(client.at(path)), body.as_bytes())
    };
    let asked = ask(&client.line(), "/sink");
    assert_eq!(asked.ok(), "200000");
    assert!(asked.stderr.contains("HTTP/1.1 100 Continue"), "{}", asked.stderr);
    let refused = ask("Hoop-Token: hoopw_nobody.nothing", "/sink");
    assert!(refused.text().contains("login_failed"), "{refused}");
    assert!(!refused.stderr.contains("100 Continue"), "nobody asks a stranger for a body: {}", refused.stderr);
}

#[test]
fn what_follows_a_body_goes_both_ways() {
    if direct_only() {
        return;
    }
    let client = client("echo");
    let host = client.origin.trim_start_matches("http://");
    let ask = |path: &str, more: &str| {
        let line = client.line();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{line}\r\nConnection: close, TE\r\nTE: trailers\r\n{more}"
        );
        let body =
            "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n";
        say(&client.address, format!("{head}{body}").as_bytes())
    };
    let told = ask("/told", "");
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("abcdefgx-sum: 7\n"), "{told}");
    let back = ask("/echo", "");
    assert!(back.contains("3\r\nabc\r\n") || back.contains("7\r\nabcdefg\r\n"), "{back}");
}

/// Between both versions, with the gateway's own certificate.
#[test]
fn over_tls_the_client_chooses_the_version() {
    if direct_only() {
        return;
    }
    let folder = Folder::new("web-tls");
    let authority = Authority::new(folder.path(), "web");
    let (certificate, key) = authority.issue_with(folder.path(), |params| {
        let names =
            ["localhost", "*.apps.example.com"].map(|name| rcgen::SanType::DnsName(name.try_into().expect("a name")));
        params.subject_alt_names.extend(names);
    });
    let config = format!(
        "[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n[listen.proxy]\ntls = \"required\"\npublic = \"https://apps.example.com\"\n"
    );
    let environment = vec![("HOOP_CA_FILE".to_owned(), authority.pem.display().to_string())];
    let gateway = Gateway::start(&Options { config: Some(config), environment, ..Options::default() });
    role(&gateway, "app", &stand().app, |_| {});
    let client = Client::new(&gateway, "app");
    assert_eq!(client.origin, "https://app.apps.example.com");
    let to = format!("::{}", gateway.ready()["proxy"].as_str().expect("the line has the door"));
    let authority = authority.pem.display().to_string();
    let trusting = ["--connect-to", &to, "--cacert", &authority];
    for (version, spoken) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let options = [&trusting[..], &[version, "-o", "/dev/null", "-w", "%{http_version} "]].concat();
        let line = client.line();
        let told = curl(&[&options, &["-H", &line, &client.at("/tls")][..]].concat()).ok();
        assert_eq!(told.trim(), spoken);
        let (code, _) = client.ask(&[&trusting[..], &[version]].concat(), "/tls");
        assert_eq!(code, 200);
    }
    let stranger = command(&["--connect-to", &to, &client.at("/tls")]).output().expect("curl starts");
    assert!(!stranger.status.success(), "who does not know the authority does not go on");
}

#[test]
fn as_a_forward_proxy_it_leads_to_roles_alone() {
    if direct_only() {
        return;
    }
    let client = client("echo");
    let proxy = format!("http://{}", client.address);
    let login = format!("{}:{}", client.user, client.password);
    let through = |arguments: &[&str]| {
        let mut command = Command::new(find("curl", "curl"));
        command.args(["-q", "-sS", "--max-time", "60", "-x", &proxy, "--noproxy", "", "-w", "\n%{http_code}"]);
        output(command.args(arguments), b"")
    };
    let asked = through(&["--proxy-user", &login, &client.at("/absolute?a=b")]).ok();
    assert!(asked.starts_with("GET /absolute?a=b HTTP/1.1\n") && asked.ends_with("\n200"), "{asked}");
    let foreign = through(&["--proxy-user", &login, "http://foreign.example/absolute"]).ok();
    assert!(foreign.contains("\"code\":\"misdirected\"") && foreign.ends_with("\n421"), "{foreign}");
    let tunnelled = through(&["-v", "-p", "--proxy-user", &login, &client.at("/tunnelled")]);
    assert!(!tunnelled.status.success() && tunnelled.stderr.contains("CONNECT"), "{tunnelled}");
    for host in [client.origin.trim_start_matches("http://"), "example.com:443"] {
        let words = say(
            &client.address,
            format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{}\r\nConnection: close\r\n\r\n", client.line())
                .as_bytes(),
        );
        assert!(words.starts_with("HTTP/1.1 405"), "{words}");
        assert!(words.contains("CONNECT is not served") && words.contains("the URL of the role"), "{words}");
    }
}

/// Enough that anything kept would show.
const MUCH: u64 = 1 << 30;

#[test]
fn a_large_body_is_kept_nowhere() {
    if direct_only() {
        return;
    }
    bulk::moves_both_ways(MUCH);
}
