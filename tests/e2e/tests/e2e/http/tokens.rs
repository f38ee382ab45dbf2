//! Tokens: where they may stand, what they are good for, and that they go to nobody.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::Duration;

use hoop_testkit::{Gateway, Options, WebServer, WebSocket, direct_only, until};
use serde_json::{Value, json};

use super::{Client, PLAIN, command, curl, role, stand, status};

/// Curl options for a call of gRPC with an empty message.
const CALL: [&str; 7] = [
    "--http2-prior-knowledge",
    "-H",
    "content-type: application/grpc",
    "-H",
    "te: trailers",
    "--data-binary",
    "@/dev/stdin",
];

fn problem(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_token_may_stand_in_each_of_its_places_and_goes_to_no_target() {
    if direct_only() {
        return;
    }
    let client = Client::new(&stand().gateway, PLAIN);
    let basic = format!("{}:{}", client.user, client.password);
    let alone = format!("x:{}", client.token);
    let bearer = format!("Authorization: Bearer {}", client.token);
    let proxy = format!("Proxy-Authorization: Bearer {}", client.token);
    let at = client.at("/echo?place");
    for options in [
        &["-H", &client.line()][..],
        &["-H", &bearer],
        &["-H", &proxy],
        &["-u", &basic],
        &["-u", &alone],
        &["--oauth2-bearer", &client.token],
    ] {
        let (code, said) = status(&[options, &[&at]].concat());
        assert_eq!(code, 200, "{options:?}: {said}");
        assert!(!said.contains(&client.token) && !said.contains(&client.password), "{options:?}: {said}");
        assert!(!said.contains("authorization") && !said.contains("hoop-token"), "{options:?}: {said}");
    }
    assert_eq!(status(&[client.url.as_str()]).0, 200, "the URL works as it is");
    let line = std::process::Command::new("sh").args(["-c", &client.command]).output().expect("sh starts");
    assert_eq!(String::from_utf8_lossy(&line.stdout), "/", "the line works as it is: {}", client.command);
}

/// What the target's own places have goes on, where the token is in another.
#[test]
fn what_is_meant_for_the_target_reaches_it() {
    if direct_only() {
        return;
    }
    let client = Client::new(&stand().gateway, PLAIN);
    let (_, said) = client.ask(&["-H", "Authorization: Bearer theirs", "-H", "Cookie: a=b"], "/echo?theirs");
    assert!(said.contains("Bearer theirs") && said.contains("a=b"), "{said}");
}

#[test]
fn who_shows_nothing_is_told_in_the_form_that_it_reads() {
    if direct_only() {
        return;
    }
    let stand = stand();
    let client = Client::new(&stand.gateway, PLAIN);
    let at = client.at("/nobody?a=b");
    let (code, said) = status(&[&at]);
    assert_eq!((code, &problem(&said)["code"]), (401, &json!("unauthenticated")), "{said}");
    let head = curl(&["-I", "-X", "GET", "-H", "Accept: text/html", &at]).ok().to_lowercase();
    assert!(head.starts_with("http/1.1 303"), "{head}");
    let pages = stand.gateway.ready()["api"].as_str().expect("the line has the API");
    assert!(head.contains(&format!("location: {pages}/enter?")), "{head}");
    assert!(head.contains("set-cookie: __host-hoop-state="), "{head}");
    let call = hoop_testkit::output(&mut command(&[&CALL[..], &["-i", &at]].concat()), &[0; 5]).ok().to_lowercase();
    assert!(call.contains("grpc-status: 16") && call.starts_with("http/2 200"), "{call}");
    let (code, said) = status(&["-X", "POST", "-H", "Accept: text/html", &at]);
    assert_eq!(code, 401, "nobody is sent to sign in with a form in hand: {said}");
    assert_eq!(stand.app.asked("/nobody").len(), 0);
}

#[test]
fn a_wrong_token_is_refused_and_asks_the_target_nothing() {
    if direct_only() {
        return;
    }
    let stand = stand();
    let client = Client::new(&stand.gateway, PLAIN);
    let at = client.at("/wrong");
    for token in [
        format!("hoopw_{}.{}x", client.user, client.password),
        format!("hoopw_nobody.{}", client.password),
        "hoopw_".to_owned(),
        "theirs".to_owned(),
    ] {
        let (code, said) = status(&["-H", &format!("Hoop-Token: {token}"), &at]);
        assert_eq!((code, &problem(&said)["code"]), (401, &json!("login_failed")), "{token}: {said}");
        let page = curl(&["-i", "-H", "Accept: text/html", "-H", &format!("Hoop-Token: {token}"), &at]).ok();
        assert!(page.contains("<html") && page.starts_with("HTTP/1.1 401"), "{page}");
    }
    let twice = status(&["-H", &client.line(), "-H", &client.line(), &at]);
    assert_eq!(twice.0, 401, "{twice:?}");
    assert_eq!(stand.app.asked("/wrong").len(), 0);
}

#[test]
fn who_guesses_where_tokens_are_given_back_is_slowed_down_too() {
    if direct_only() {
        return;
    }
    let at = Client::new(&stand().gateway, PLAIN).at("/.hoop/leave");
    let guess = |number| status(&["-H", &format!("Cookie: __Host-hoop=hoopw_guessed-aaaaaaaa.{number}"), &at]).0;
    let told: Vec<u16> = (0..8).map(guess).collect();
    assert!(told.starts_with(&[303]) && told.ends_with(&[429]), "{told:?}");
}

#[test]
fn a_token_ends_with_its_time() {
    if direct_only() {
        return;
    }
    let client = Client::of(stand().gateway.api(), PLAIN, &json!({ "ttl_seconds": 8 }));
    assert_eq!(client.ask(&[], "/brief").0, 200);
    let said = until(Duration::from_secs(60), "the end of the token", || {
        let (code, said) = client.ask(&[], "/brief");
        (code != 200).then_some((code, said))
    });
    assert_eq!((said.0, &problem(&said.1)["code"]), (401, &json!("credential_expired")), "{said:?}");
}

#[test]
fn a_token_that_is_taken_away_ends_what_runs() {
    if direct_only() {
        return;
    }
    let stand = stand();
    let client = Client::new(&stand.gateway, PLAIN);
    let mut socket = client.websocket("/ws").expect("a WebSocket");
    assert_eq!(socket.receive().as_deref(), Some("hello"));
    socket.send("there");
    assert_eq!(socket.receive().as_deref(), Some("there"));
    let mut streamed = command(&["-N", "-H", &client.line(), &client.at("/stream")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl starts");
    let mut lines = BufReader::new(streamed.stdout.take().expect("a pipe"));
    let mut first = String::new();
    lines.read_line(&mut first).expect("the stream has begun");
    assert_eq!(first, "first\n");
    client.leave(&stand.gateway);
    assert_eq!(socket.receive(), None);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("the stream has ended");
    assert_eq!(rest, "");
    assert!(!streamed.wait().expect("an own child").success(), "what broke off does not look whole");
    let (code, said) = client.ask(&[], "/after");
    assert_eq!((code, &problem(&said)["code"]), (401, &json!("credential_revoked")), "{said}");
    assert_eq!(client.websocket("/ws").expect_err("it is refused"), 401);
}

#[test]
fn a_token_is_for_its_own_role() {
    if direct_only() {
        return;
    }
    let stand = stand();
    role(&stand.gateway, "other", &stand.app, |_| {});
    let (own, other) = (Client::new(&stand.gateway, PLAIN), Client::new(&stand.gateway, "other"));
    let (code, said) = status(&["-H", &own.line(), &other.at("/foreign")]);
    assert_eq!((code, &problem(&said)["code"]), (403, &json!("access_denied")), "{said}");
    let unnamed = format!("http://{}/unnamed", own.address);
    assert_eq!(status(&["-H", &own.line(), &unnamed]), (200, "/unnamed".to_owned()));
    let socket = WebSocket::open(
        &own.address,
        &other.at("/ws").replacen("http", "ws", 1),
        &[("hoop-token", &own.token), ("origin", &other.origin)],
    );
    assert_eq!(socket.expect_err("it is another role's"), 403);
    assert_eq!(stand.app.asked("/foreign").len(), 0);
}

/// A service that is asked as its client says hears the names of the gateway and of its role, and no others.
#[test]
fn a_service_hears_no_name_that_nobody_gave_it() {
    if direct_only() {
        return;
    }
    let stand = stand();
    role(&stand.gateway, "named", &stand.app, |role| {
        role["target"]["host"] = json!("client");
        role["target"]["hosts"] = json!(["app.example.org"]);
    });
    let client = Client::new(&stand.gateway, "named");
    let own = client.origin.trim_start_matches("http://");
    let ask = |options: &[&str], host: &str| {
        let field = format!("Host: {host}");
        let url = format!("http://{}/named", client.address);
        status(&[options, &["-H", &client.line(), "-H", &field, &url]].concat())
    };
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for host in [own, "app.example.org", "App.example.org:8080"] {
            assert_eq!(ask(&[version], host), (200, "/named".to_owned()), "{version} {host}");
        }
        let (code, said) = ask(&[version], "evil.example");
        assert_eq!((code, &problem(&said)["code"]), (421, &json!("misdirected")), "{version}: {said}");
    }
    let hosts: Vec<_> =
        stand.app.asked("/named").iter().filter_map(|asked| asked.field("host").map(str::to_owned)).collect();
    assert!(hosts.iter().all(|host| !host.contains("evil")), "{hosts:?}");
}

#[test]
fn no_token_is_in_a_log_or_at_the_target() {
    if direct_only() {
        return;
    }
    let stand = stand();
    role(&stand.gateway, "quiet", &stand.app, |_| {});
    let client = Client::new(&stand.gateway, "quiet");
    let basic = format!("{}:{}", client.user, client.password);
    client.ask(&[], "/quiet");
    client.ask(&["-u", &basic], "/quiet/twice");
    client.ask(&[], "/status/500");
    // One that is refused, and one that is for nobody.
    status(&["-H", &client.line(), &client.at("/%00")]);
    status(&["-H", &format!("Hoop-Token: {}", &client.token[6..]), &client.at("/quiet")]);
    for asked in stand.app.asked("/quiet") {
        for (name, value) in &asked.fields {
            assert!(!value.contains(&client.password), "{name}: {value}");
        }
    }
    let logs = std::fs::read_dir(stand.gateway.dir().join("logs")).expect("there are logs");
    for log in logs.map(|entry| entry.expect("an entry").path()) {
        let text = String::from_utf8_lossy(&std::fs::read(&log).expect("a log")).into_owned();
        assert!(!text.contains(&client.password), "{}", log.display());
    }
    client.leave(&stand.gateway);
    let recorded = super::events(&stand.gateway, "quiet");
    assert!(!json!(recorded).to_string().contains(&client.password));
}

#[test]
fn where_tls_is_asked_for_no_token_comes_without() {
    if direct_only() {
        return;
    }
    let app = WebServer::start();
    let config = "[listen.proxy]\ntls = \"required\"\n".to_owned();
    let gateway = Gateway::start(&Options { config: Some(config), ..Options::default() });
    role(&gateway, PLAIN, &app, |_| {});
    let client = Client::new(&gateway, PLAIN);
    assert!(client.origin.starts_with("https://"), "{}", client.origin);
    assert_eq!(client.ask(&["--insecure"], "/over-tls"), (200, "/over-tls".to_owned()));
    let plain = client.at("/plain").replacen("https", "http", 1);
    let (code, said) = status(&["-H", &client.line(), &plain]);
    assert_eq!((code, &problem(&said)["code"]), (400, &json!("tls_required")), "{said}");
    assert_eq!(app.asked("/plain").len(), 0);
}
