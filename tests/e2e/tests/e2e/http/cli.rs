//! `hoop` for web apps: `hoop connect` in a browser's place, at a port of this machine, and by curl.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use hoop_testkit::{Folder, Gateway, Options, WebServer, WebSocket, direct_only, hoop, output, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{Client, PLAIN, command, curl, role, stand, status};

/// `hoop` in the gateway's folder, as a program that runs.
struct Running {
    child: Child,
    folder: Folder,
}

impl Running {
    fn start(gateway: &Gateway, arguments: &[&str]) -> Self {
        let folder = Folder::new("web-cli");
        let file = |name: &str| File::create(folder.join(name)).expect("an own folder takes a file");
        let mut command = std::process::Command::new(hoop());
        command.args(arguments).current_dir(gateway.dir()).env("XDG_CONFIG_HOME", gateway.dir());
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        let child = command.spawn().expect("hoop starts");
        Self { child, folder }
    }

    /// The first line that it prints.
    fn line(&self) -> String {
        until(Duration::from_secs(120), "a line of hoop", || {
            let text = std::fs::read_to_string(self.folder.join("out")).expect("its output");
            text.split_once('\n').map(|(line, _)| line.to_owned())
        })
    }

    fn complaints(&self) -> String {
        std::fs::read_to_string(self.folder.join("err")).expect("its complaints")
    }

    fn stop(&mut self) -> Option<i32> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).expect("it runs");
        until(Duration::from_secs(60), "the end of hoop", || self.child.try_wait().expect("an own child")).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- hoop said\n{}", self.complaints());
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// How many credentials of a role are good for something.
fn credentials(gateway: &Gateway, role: &str) -> usize {
    let listed = parsed(&gateway.hoop(&["credentials", "list", "-o", "json"]).ok());
    let own =
        |credential: &&Value| credential["login"].as_str().is_some_and(|login| login.starts_with(&format!("{role}-")));
    listed.as_array().expect("a list").iter().filter(own).count()
}

#[test]
fn a_role_is_made_changed_and_written_out() {
    if direct_only() {
        return;
    }
    let gateway = &stand().gateway;
    let url = stand().app.url();
    let make = ["admin", "roles", "create", "made", "--kind", "http", "--agent", super::AGENT, "--url", &url];
    let more =
        ["--login", "basic", "--login-user", "app", "--allow-method", "GET", "--allow-path", "/echo", "-o", "json"];
    let made = parsed(&gateway.hoop(&[&make[..], &more].concat()).ok());
    assert_eq!((&made["kind"], &made["target"]["login"]), (&json!("http"), &json!({ "kind": "basic", "user": "app" })));
    let kept = std::process::Command::new(hoop())
        .args(["admin", "roles", "set-secret", "made", "secret"])
        .current_dir(gateway.dir())
        .env("XDG_CONFIG_HOME", gateway.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|mut hoop| {
            use std::io::Write as _;
            hoop.stdin.take().expect("a pipe").write_all(b"open sesame\n")?;
            hoop.wait()
        });
    assert!(kept.expect("hoop runs").success());
    let client = Client::new(gateway, "made");
    let (_, said) = client.ask(&[], "/echo");
    assert!(said.contains("Basic YXBwOm9wZW4gc2VzYW1l"), "{said}");
    assert_eq!(client.ask(&["-X", "DELETE"], "/echo").0, 403);
    assert_eq!(client.ask(&[], "/other").0, 403);

    let changed = ["admin", "roles", "update", "made", "--login", "bearer", "--no-identity", "-o", "json"];
    let changed = parsed(&gateway.hoop(&changed).ok());
    assert_eq!(
        (&changed["target"]["login"], &changed["target"]["identity"]),
        (&json!({ "kind": "bearer" }), &json!(false))
    );
    let written = gateway.hoop(&["export"]).ok();
    let file = gateway.dir().join("company.yaml");
    std::fs::write(&file, &written).expect("an own folder takes a file");
    let applied = gateway.hoop(&["apply", "-f", &file.display().to_string(), "--dry-run", "-o", "ndjson"]).ok();
    assert_eq!(applied, "", "what was written out is what is there");
}

#[test]
fn what_is_printed_works_as_it_is() {
    if direct_only() {
        return;
    }
    let gateway = &stand().gateway;
    let print = |form: &str| gateway.hoop(&["connect", PLAIN, "--print", form]).ok();
    assert_eq!(status(&[print("url").trim()]), (200, "/".to_owned()));
    let by_shell = |line: &str| output(std::process::Command::new("sh").args(["-c", line]), b"").ok();
    assert_eq!(by_shell(&print("curl")), "/");
    let line = format!("{}\ncurl -sS -H \"Hoop-Token: $HOOP_WEB_TOKEN\" \"$HOOP_WEB_URL/by-env\"", print("env"));
    assert_eq!(by_shell(&line), "/by-env");
    let file = gateway.dir().join("curl.conf");
    std::fs::write(&file, print("conf")).expect("an own folder takes a file");
    assert_eq!(curl(&["--config", &file.display().to_string()]).ok(), "/");
    let browser = gateway.hoop(&["connect", PLAIN, "--no-browser"]).ok();
    assert_eq!(browser.trim(), format!("{}/", Client::new(gateway, PLAIN).origin), "nothing of a token is in it");
    let shown = gateway.hoop(&["roles", "show", PLAIN]);
    assert!(shown.stderr.contains("hoop connect app -- /path"), "{shown}");
    let refused = gateway.hoop(&["exec", PLAIN, "-c", "select 1"]);
    assert_eq!(refused.status.code(), Some(2), "{refused}");
    assert!(refused.stderr.contains("hoop connect app -- /path"), "{refused}");
}

#[test]
fn curl_asks_for_paths_and_has_no_token_in_its_arguments() {
    if direct_only() {
        return;
    }
    let gateway = &stand().gateway;
    role(gateway, "curled", &stand().app, |_| {});
    let connect = |via: &str, arguments: &[&str]| {
        gateway.hoop(&[&["connect", "curled", "--via", via, "--", "-sS"], arguments].concat())
    };
    let file = gateway.dir().join("downloaded").display().to_string();
    for via in ["native", "tunnel"] {
        assert_eq!(connect(via, &["/a?b=c", "d"]).ok(), "/a?b=c/d", "{via}");
        assert_eq!(connect(via, &["-o", &file, "/to-a-file"]).ok(), "");
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "/to-a-file");
        let posted = parsed(&connect(via, &["--json", r#"{"a":1}"#, "/echo"]).ok());
        assert_eq!((&posted["method"], &posted["body"]), (&json!("POST"), &json!(r#"{"a":1}"#)));
        assert!(!posted.to_string().contains("hoopw_"), "{posted}");
        // The service leads to its own URL, which nobody here reaches by that.
        let moved = format!("/redirect?{}/moved", stand().app.url());
        assert_eq!(connect(via, &["-L", &moved]).ok(), "/moved", "{via}");
    }
    let failed = connect("native", &["--fail", "/status/404"]);
    assert_eq!(failed.status.code(), Some(22), "{failed}");
    assert_eq!(credentials(gateway, "curled"), 0);
    let foreign = connect("native", &["http://example.com/"]);
    assert_eq!(foreign.status.code(), Some(2), "{foreign}");
    let foreign = connect("native", &["-L", "-w", " %{http_code}", "/redirect?http://elsewhere.example/taken"]);
    assert!(foreign.text().ends_with("421"), "{foreign}");
    assert_eq!(stand().app.asked("/taken").len(), 0, "a token goes nowhere else");

    let running = Running::start(gateway, &["connect", "curled", "--", "-sSN", "/stream"]);
    assert_eq!(running.line(), "first");
    let listed = processes();
    assert!(listed.iter().any(|line| line.contains("/stream")), "{listed:?}");
    assert!(!listed.iter().any(|line| line.contains("hoopw_") && line.contains("curled-")), "{listed:?}");
}

/// The arguments of all processes.
fn processes() -> Vec<String> {
    let folders: Vec<PathBuf> =
        std::fs::read_dir("/proc").expect("Linux").flatten().map(|entry| entry.path()).collect();
    let lines = folders.iter().filter_map(|folder| std::fs::read(folder.join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

#[test]
fn a_port_of_this_machine_asks_in_ones_name_and_nobody_else_does() {
    if direct_only() {
        return;
    }
    let gateway = &stand().gateway;
    role(gateway, "listened", &stand().app, |_| {});
    for via in ["native", "tunnel"] {
        let mut running = Running::start(gateway, &["connect", "listened", "--via", via, "--listen", "0"]);
        let url = running.line();
        let base = url.trim_end_matches('/');
        let at = |path: &str| format!("{base}{path}");
        let (code, said) =
            status(&["-H", &format!("Origin: {base}"), "-H", &format!("Referer: {}", at("/x")), &at("/echo")]);
        assert_eq!(code, 200, "{said}");
        let own = stand().app.url();
        let fields = &parsed(&said)["fields"];
        assert!(fields.to_string().contains(&format!(r#"["origin","{own}"]"#)), "{fields}");
        assert!(fields.to_string().contains(&format!(r#"["referer","{own}/x"]"#)), "{fields}");
        let moved = curl(&["-i", &at(&format!("/redirect?{own}/moved"))]).ok().to_lowercase();
        assert!(moved.contains(&format!("location: {base}/moved")), "{moved}");

        for field in ["Host: evil.example", "Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"]
        {
            let (code, said) = status(&["-H", field, &at("/evil")]);
            assert!(code == 403 || code == 421, "{field}: {code} {said}");
        }
        assert_eq!(stand().app.asked("/evil").len(), 0);

        let local = base.trim_start_matches("http://");
        let mut socket =
            WebSocket::open(local, &at("/ws").replacen("http", "ws", 1), &[("origin", base)]).expect("a WebSocket");
        assert_eq!(socket.receive().as_deref(), Some("hello"));
        socket.send("through");
        assert_eq!(socket.receive().as_deref(), Some("through"));
        let foreign =
            WebSocket::open(local, &at("/ws").replacen("http", "ws", 1), &[("origin", "http://evil.example")]);
        assert_eq!(foreign.expect_err("it is refused"), 403);

        let call = ["--http2-prior-knowledge", "-H", "content-type: application/grpc", "-H", "te: trailers", "-i"];
        let called = command(&[&call[..], &["--data-binary", "@-", &at("/demo.v1.Customers/List")]].concat());
        let called = output(&mut { called }, b"\0\0\0\0\x02hi").text();
        assert!(called.contains("grpc-status: 0") && called.contains("\0\0\0\0\x02hi"), "{via}: {called}");

        assert_eq!(credentials(gateway, "listened"), 1);
        assert_eq!(running.stop(), Some(0), "{}", running.complaints());
        assert_eq!(socket.receive(), None);
        assert_eq!(credentials(gateway, "listened"), 0);
    }
}

/// Where TLS is required, `hoop` speaks it with the certificate that the gateway's API knows.
#[test]
fn programs_of_this_machine_need_no_tls_themselves() {
    if direct_only() {
        return;
    }
    let app = WebServer::start();
    let config = "[listen.proxy]\ntls = \"required\"\n".to_owned();
    let gateway = Gateway::start(&Options { config: Some(config), ..Options::default() });
    role(&gateway, PLAIN, &app, |_| {});
    for via in ["native", "tunnel"] {
        assert_eq!(
            gateway.hoop(&["connect", PLAIN, "--via", via, "--", "-sS", "/over-tls"]).ok(),
            "/over-tls",
            "{via}"
        );
    }
    let running = Running::start(&gateway, &["connect", PLAIN, "--via", "native", "--listen", "0"]);
    let url = running.line();
    let call = ["--http2-prior-knowledge", "-H", "content-type: application/grpc", "-i", "--data-binary", "@-"];
    let called = output(&mut command(&[&call[..], &[&format!("{url}a.B/C")]].concat()), b"\0\0\0\0\0").text();
    assert!(called.contains("grpc-status: 0"), "{called}");
}
