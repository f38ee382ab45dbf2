//! `hoop dev --demo`, as the README has people start it.

use std::process::Command;
use std::sync::OnceLock;

use hoop_testkit::{Gateway, Options, WebSocket, direct_only, find, output, psql};

pub(crate) fn demo() -> &'static Gateway {
    static DEMO: OnceLock<Gateway> = OnceLock::new();
    DEMO.get_or_init(|| Gateway::start(&Options { demo: true, ..Options::default() }))
}

#[test]
fn masks_and_refuses_as_it_says() {
    if direct_only() {
        return;
    }
    let (url, target_url) = demo().demo_urls();
    let select = ["-c", "select email, card_number, ssn from customers order by id limit 20"];
    let (masked, clear) = (psql(&url, &select).ok(), psql(&target_url, &select).ok());
    assert_eq!(masked.lines().count(), 20);
    for (masked, clear) in masked.lines().zip(clear.lines()) {
        let cells = masked.split('|').zip(clear.split('|'));
        for (masked, clear) in cells.filter(|(_, clear)| !clear.is_empty()) {
            assert_ne!(masked, clear);
        }
    }
    let refused = psql(&url, &["-c", "drop table customers"]).failure();
    assert!(refused.contains("HINT"), "{refused}");
    assert_eq!(psql(&target_url, &["-c", "select count(*) > 0 from customers"]).ok(), "t\n");
}

#[test]
fn the_line_has_what_scripts_need() {
    if direct_only() {
        return;
    }
    let ready = demo().ready();
    for part in ["hoop", "gateway", "agent", "postgres", "sshd"] {
        assert!(ready["pids"][part].is_u64(), "{ready}");
    }
    assert!(ready["api"].as_str().is_some_and(|api| api.starts_with("http://127.0.0.1:")), "{ready}");
}

/// The same over TLS, the certificate verified as a careful client does.
#[test]
fn tls_is_verified() {
    if direct_only() {
        return;
    }
    let role = &demo().ready()["roles"][0];
    let url = role["tls_url"].as_str().expect("a URL with TLS");
    assert!(url.contains("sslmode=verify-full"), "{url}");
    assert_eq!(psql(url, &["-c", "select 1"]).ok(), "1\n");
    let strict = format!("{url}&channel_binding=require");
    assert_eq!(psql(&strict, &["-c", "select 1"]).ok(), "1\n");
}

/// The role of this name.
fn role(name: &str) -> &'static serde_json::Value {
    let roles = demo().ready()["roles"].as_array().expect("the line has roles");
    roles.iter().find(|role| role["name"] == name).unwrap_or_else(|| panic!("no {name}: {roles:?}"))
}

/// curl, with these arguments.
fn curl(arguments: &[&str], input: &[u8]) -> String {
    let mut curl = Command::new(find("curl", "curl"));
    output(curl.args(["-q", "-sS", "--max-time", "60", "--noproxy", "*"]).args(arguments), input).ok()
}

/// A web app in the forms in which apps speak: a page, JSON, lines, a form, a file.
#[test]
fn there_is_a_web_app_to_try_it_on() {
    if direct_only() {
        return;
    }
    let role = role("demo-web");
    assert_eq!(role["kind"], "http");
    let url = role["url"].as_str().expect("a URL");
    let target = role["target_url"].as_str().expect("a URL");
    assert!(curl(&[target], b"").contains("4242 4242 4242 4242"), "the app itself hides nothing");
    for path in ["", "api/customers", "api/customers/1", "api/customers.ndjson", "export.csv"] {
        let said = curl(&["--fail", &format!("{url}{path}")], b"");
        assert!(said.contains("Grace Schmidt"), "{path}: {said}");
    }
    let posted = curl(&["-L", "-d", "text=a <b> note", &format!("{url}notes")], b"");
    assert!(posted.contains("a &lt;b&gt; note"), "{posted}");
    let mut login = url::Url::parse(url).expect("a URL");
    let token = format!("hoopw_{}.{}", login.username(), login.password().expect("a password"));
    login.set_username("").and_then(|()| login.set_password(None)).expect("a URL of a host");
    let door = demo().ready()["proxy"].as_str().expect("the line has the door");
    let at = login.join("ws").expect("a URL").as_str().replacen("http", "ws", 1);
    let mut chat = WebSocket::open(door, &at, &[("hoop-token", &token)]).expect("a WebSocket");
    chat.send("all hear it");
    assert_eq!(chat.receive().as_deref(), Some("all hear it"));
}

/// A gRPC service that tells of itself.
#[test]
fn there_is_a_grpc_service_to_try_it_on() {
    if direct_only() {
        return;
    }
    let role = role("demo-grpc");
    let url = role["url"].as_str().expect("a URL");
    let call = |method: &str, message: &[u8]| {
        let mut framed = vec![0, 0, 0, 0, u8::try_from(message.len()).expect("a short message")];
        framed.extend_from_slice(message);
        let arguments = ["--http2-prior-knowledge", "-i", "-H", "content-type: application/grpc", "-H", "te: trailers"];
        curl(&[&arguments[..], &["--data-binary", "@-", &format!("{url}{method}")]].concat(), &framed)
    };
    let listed = call("demo.v1.Customers/List", b"");
    assert!(listed.contains("Grace Schmidt") && listed.contains("grpc-status: 0"), "{listed}");
    // Two of them: the field 1 is 2.
    let watched = call("demo.v1.Customers/Watch", b"\x08\x02");
    assert!(watched.contains("Alan de Vries") && !watched.contains("Ada Okafor"), "{watched}");
    assert!(call("demo.v1.Customers/Get", b"\x08\x63").contains("grpc-status: 5"), "there is no such customer");
    assert!(call("grpc.health.v1.Health/Check", b"").contains("grpc-status: 0"));
    // ListServices: the field 7 is an empty text.
    let services = call("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b"\x3a\x00");
    assert!(services.contains("demo.v1.Customers"), "{services}");
}

/// The sample machine lets the agent's key in, and nobody else.
#[test]
fn there_is_a_machine_to_try_it_on() {
    if direct_only() {
        return;
    }
    let role = &demo().ready()["roles"][1];
    assert_eq!((role["name"].as_str(), role["kind"].as_str()), (Some("demo-ssh"), Some("ssh")), "{role}");
    assert!(role["url"].as_str().is_some_and(|url| url.starts_with("ssh://demo-ssh-")), "{role}");
    let target = role["target_url"].as_str().expect("a URL");
    let ssh = |more: &[&str]| {
        let mut ssh = Command::new(find("ssh", "openssh-client"));
        ssh.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]);
        output(ssh.args(["-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR"]).args(more).arg(target).arg("tty"), b"")
    };
    let key = demo().dir().join("secrets/demo-ssh").display().to_string();
    assert!(ssh(&["-i", &key, "-tt"]).ok().starts_with("/dev/"), "there are terminals");
    assert!(ssh(&["-i", "/nowhere"]).failure().contains("Permission denied"));
}
