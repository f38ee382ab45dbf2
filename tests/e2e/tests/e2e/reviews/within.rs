//! Statements, commands and requests that wait until somebody agrees, while their session goes on.

use std::process::Child;

use hoop_testkit::clients::{grpcurl, python};
use hoop_testkit::{Grpc, Terminal};
use reqwest::Method;

use super::*;

/// Rules of a role of which one wants a review by the group of this name's leads.
fn plugins(name: &str, list: &str, mut rule: Value) -> Value {
    rule["name"] = json!("asks-first");
    rule["action"] = json!("review");
    rule["group"] = json!(format!("{name}-leads"));
    let mut plugins = unmasked();
    plugins["guardrail"] = json!({ list: [rule] });
    plugins
}

fn database_of(gateway: &Gateway, postgres: &Postgres, name: &'static str) -> (Case, String) {
    gateway
        .role(name, AGENT, postgres, |role| role["plugins"] = plugins(name, "rules", json!({ "kinds": ["delete"] })));
    let case = Case::with(gateway, name, &json!({}));
    let url = gateway.credential_for(&case.user, name, &json!({ "database": postgres.database() })).url;
    output(&mut psql(&url, "create table t as select a from generate_series(1, 3) as a"), b"").ok();
    (case, url)
}

fn database(name: &'static str) -> (Case, String) {
    database_of(&stand().gateway, &stand().postgres, name)
}

fn machine(gateway: &Gateway, name: &'static str, rule: Value) -> (Case, SshClient) {
    let sshd = &stand().sshd;
    let target = json!({
        "kind": "ssh", "host": "127.0.0.1", "port": sshd.port, "user": Sshd::user(),
        "private_key": format!("env:{SECRET}"), "host_keys": [sshd.host_key()],
    });
    let role = json!({ "name": name, "agent": AGENT, "target": target, "plugins": plugins(name, "commands", rule) });
    gateway.api().post("/api/v1/roles", &role);
    let case = Case::with(gateway, name, &json!({}));
    let client = SshClient::of(&case.user);
    (case, client)
}

fn service(gateway: &Gateway, name: &'static str, url: &str, rule: Value) -> (Case, WebClient) {
    let target = json!({ "kind": "http", "url": url });
    let role = json!({ "name": name, "agent": AGENT, "target": target, "plugins": plugins(name, "http", rule) });
    gateway.api().post("/api/v1/roles", &role);
    let case = Case::with(gateway, name, &json!({}));
    let client = WebClient::of(&case.user, name, &json!({}));
    (case, client)
}

impl Case {
    /// Nobody decides on their own, and an approval of what is done in a session is for no time.
    #[track_caller]
    fn is_for_others_once(&self, review: &str) {
        let approve = format!("{review}/approve");
        let (status, own) = self.user.try_call(Method::POST, &approve, Some(&json!({})));
        assert_eq!((status, &own["code"]), (403, &json!("access_denied")), "{own}");
        let (status, long) = self.lead.try_call(Method::POST, &approve, Some(&json!({ "for_seconds": 60 })));
        assert_eq!(status, 400, "{long}");
    }

    #[track_caller]
    fn state(&self, review: &str, state: &str) {
        until(SOON, "the end of the review", || (self.lead.get(review)["state"] == state).then_some(()));
    }

    /// What the log of its last session says of reviews: what became of each.
    #[track_caller]
    fn told(&self, gateway: &Gateway) -> Vec<String> {
        let session = gateway.ended_session(self.name);
        let id = session["id"].as_str().expect("a session has an id");
        let shown = gateway.hoop(&["audit", "show", id, "-o", "json"]).ok();
        let events: Vec<Value> = serde_json::from_str(&shown).expect("events are JSON");
        let steps = events.iter().filter(|event| event["kind"] == "review");
        steps.map(|step| step["what"].as_str().expect("a step").to_owned()).collect()
    }
}

#[test]
fn a_statement_waits_and_runs_once() {
    if direct_only() {
        return;
    }
    let (case, url) = database("within-psql");
    let run = || output(psql(&url, "delete from t where a = 1 returning a").args(["-c", "select 'goes on'"]), b"");
    let (ran, review) = case.until_decided(run, |review| {
        let shown = case.lead.get(review);
        let said = (&shown["kind"], &shown["subject"], &shown["rule"], &shown["may_decide"]);
        let subject = json!("delete from t where a = 1 returning a");
        assert_eq!(said, (&json!("statement"), &subject, &json!("asks-first"), &json!(true)), "{shown}");
        case.is_for_others_once(review);
        let told = Case::hoop(&case.lead, &["reviews", "show", id(review)]);
        assert!(told.ok().contains("delete from t where a = 1"), "{told}");
        let said = Case::hoop(&case.lead, &["reviews", "approve", id(review)]);
        assert!(said.stderr.contains("within-psql may do this once"), "{said}");
    });
    assert_eq!(ran.ok(), "1\ngoes on\n");
    let told = format!("hoop reviews approve {}", id(&review));
    assert!(ran.stderr.contains("NOTICE:") && ran.stderr.contains(&told), "{ran}");
    let session = stand().gateway.ended_session(case.name);
    assert_eq!(case.lead.get(&review)["used_by"], session["id"]);
    assert_eq!(session["review_id"], Value::Null, "nobody had to agree to the session");
    assert_eq!(case.told(&stand().gateway), ["asked", "agreed"]);

    let (refused, again) = case.until_decided(run, |review| case.deny(review));
    assert_ne!(review, again, "an approval is good once");
    assert_eq!(refused.text(), "goes on\n", "{refused}");
    for word in ["ERROR:", "rule asks-first", "within-psql-lead of group within-psql-leads", "not today"] {
        assert!(refused.stderr.contains(word), "{word}: {refused}");
    }
    assert_eq!(case.told(&stand().gateway), ["asked", "review_denied"]);
}

#[test]
fn prepared_statements_wait_at_each_run() {
    if direct_only() {
        return;
    }
    let (case, url) = database("within-driver");
    let run = |part: &'static str| {
        let url = url.clone();
        move || python("python", "review_client.py", &[part, &url])
    };
    let (ran, _) = case.until_decided(run("pipeline"), |review| {
        let subject = case.lead.get(review)["subject"].as_str().expect("a text").to_owned();
        assert!(subject.starts_with("delete from t where a = $1 returning a\n$1"), "{subject}");
        case.approve(review, &json!({}));
    });
    assert_eq!(ran.ok(), "gone [(1,)] left [(2,), (3,), (7,)]\nstatus IDLE\n");
    let (refused, _) = case.until_decided(run("refused"), |review| case.deny(review));
    let told = refused.ok();
    assert!(told.starts_with("refused 42501 within-driver-lead of group within-driver-leads has not agreed"), "{told}");
    assert!(told.ends_with("left [(2,), (3,), (7,), (8,), (9,)]\n"), "{told}");
    let around = run("around")().ok();
    assert_eq!(around.matches("refused ").count(), 4, "{around}");
    assert!(around.ends_with("left [(1,)]\n") && !around.contains("ran "), "{around}");
}

#[test]
fn ctrl_c_takes_a_statement_back() {
    if direct_only() {
        return;
    }
    let (case, url) = database("within-cancel");
    let mut terminal = Terminal::psql(&url);
    terminal.line("delete from t;");
    terminal.expect("Ctrl-C takes it back");
    let review = case.pending();
    terminal.keys("\x03");
    terminal.expect("canceling statement due to user request");
    case.state(&review, "withdrawn");
    terminal.line("select 'left ' || count(*) from t;");
    terminal.expect("left 3");
    terminal.line("\\q");
    assert_eq!(case.told(&stand().gateway), ["asked", "cancelled"]);
}

/// A client that waits, and is of no use for what it says.
fn silent(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the client starts")
}

#[test]
fn nobody_decides_on_what_nobody_waits_for() {
    if direct_only() {
        return;
    }
    let (case, url) = database("within-gone");
    let mut client = silent(psql(&url, "delete from t"));
    let review = case.pending();
    client.kill().expect("an own child can be killed");
    client.wait().expect("a killed child ends");
    case.is_withdrawn(&review);

    let run = || output(&mut psql(&url, "delete from t"), b"");
    let (ended, review) = case.until_decided(run, |review| {
        let session = case.lead.get(review)["session_id"].as_str().expect("a session waits").to_owned();
        stand().gateway.api().post(&format!("/api/v1/sessions/{session}/kill"), &json!({}));
    });
    assert!(ended.failure().contains("FATAL:"), "{ended}");
    case.state(&review, "withdrawn");
    assert_eq!(output(&mut psql(&url, "select count(*) from t"), b"").ok(), "3\n");
}

#[test]
fn a_command_waits_with_what_it_reads() {
    if direct_only() {
        return;
    }
    let gateway = &stand().gateway;
    let (case, client) = machine(gateway, "within-ssh", json!({ "patterns": ["cat*"], "subsystems": ["sftp"] }));
    assert_eq!(client.run(case.name, "echo at once").ok(), "at once\n");
    let run = || output(client.ssh(&[], case.name).arg("cat; echo done"), b"typed meanwhile\n");
    let (ran, review) = case.until_decided(run, |review| {
        let shown = case.lead.get(review);
        assert_eq!((&shown["kind"], &shown["subject"]), (&json!("command"), &json!("cat; echo done")), "{shown}");
        case.is_for_others_once(review);
        case.approve(review, &json!({}));
    });
    assert_eq!(ran.ok(), "typed meanwhile\ndone\n");
    let told = format!("hoop reviews approve {}", id(&review));
    assert!(ran.stderr.contains("rule asks-first wants somebody") && ran.stderr.contains(&told), "{ran}");
    let (refused, _) = case.until_decided(run, |review| case.deny(review));
    assert_eq!((refused.status.code(), refused.text()), (Some(126), String::new()), "{refused}");
    assert!(refused.stderr.contains("has not agreed") && refused.stderr.contains("not today"), "{refused}");
    assert_eq!(case.told(gateway), ["asked", "review_denied"]);

    let subsystem = || output(client.ssh(&["-s"], case.name).arg("sftp"), b"");
    let (_, review) = case.until_decided(subsystem, |review| case.deny(review));
    assert_eq!(case.lead.get(&review)["subject"], "subsystem sftp");

    let mut terminal = client.terminal(case.name, "cat");
    terminal.expect("rule asks-first wants somebody");
    let review = case.pending();
    terminal.keys("\x03");
    terminal.expect("does not wait");
    case.state(&review, "withdrawn");
}

#[test]
fn a_request_goes_through_once_when_it_is_sent_again() {
    if direct_only() {
        return;
    }
    let gateway = &stand().gateway;
    let (case, client) = service(
        gateway,
        "within-curl",
        &stand().site.url(),
        json!({ "methods": ["POST", "GET"], "paths": ["/app/pay*"] }),
    );
    let pay = |body: &str| client.ask(&["-i", "--data-binary", body, "-H", "Content-Type: text/plain"], "/app/pay?n=1");
    assert_eq!(client.ask(&[], "/app/x").0, 200);
    let (status, head) = pay("a hundred");
    assert_eq!(status, 503, "{head}");
    let review = case.pending();
    assert!(
        head.to_lowercase().contains("retry-after: ") && head.contains(&format!("{review}>; rel=\"status\"")),
        "{head}"
    );
    assert!(head.contains("review_required") && head.contains(id(&review)), "{head}");
    let shown = case.lead.get(&review);
    let subject = json!("POST /app/pay?n=1\ncontent-type: text/plain\n\na hundred");
    assert_eq!((&shown["kind"], &shown["subject"]), (&json!("request"), &subject), "{shown}");
    case.is_for_others_once(&review);
    assert_eq!(pay("a hundred").0, 503, "it finds the same review");
    case.approve(&review, &json!({}));
    let (status, other) = pay("a thousand");
    assert_eq!(status, 503, "it is another request: {other}");
    let another = case.pending();
    assert_ne!(another, review);
    let token = WebClient::of(&case.user, case.name, &json!({}));
    let again = ["--data-binary", "a hundred", "-H", "Content-Type: text/plain"];
    let (status, answer) = token.ask(&again, "/app/pay?n=1");
    assert_eq!(status, 200, "whichever token the same user comes with: {answer}");
    assert_eq!(pay("a hundred").0, 503, "it was good once");

    case.deny(&another);
    let (status, problem) = pay("a thousand");
    assert_eq!(status, 403, "{problem}");
    for word in ["review_denied", "asks-first", "within-curl-lead", "not today"] {
        assert!(problem.contains(word), "{word}: {problem}");
    }
    let long = "x".repeat((64 << 10) + 1);
    let (status, problem) = pay(&long);
    assert!(status == 403 && problem.contains("cannot be reviewed"), "{problem}");
    client.leave(gateway);
    token.leave(gateway);
    until(SOON, "an approval in a log", || {
        let sessions = gateway.sessions();
        let mut own = sessions.iter().filter(|session| session["role"] == case.name);
        own.any(|session| {
            let log = gateway.hoop(&["audit", "show", session["id"].as_str().expect("an id")]);
            log.text().contains("has agreed (rule asks-first")
        })
        .then_some(())
    });
}

#[test]
fn a_page_goes_on_when_somebody_agrees_to_its_request() {
    if direct_only() {
        return;
    }
    let stand = stand();
    let (case, _) = service(&stand.gateway, "within-page", &stand.site.url(), json!({ "paths": ["/app/agreed"] }));
    case.page_goes_on();
}

#[test]
fn a_call_is_reviewed_with_its_messages() {
    if direct_only() {
        return;
    }
    let shop = Grpc::start();
    let rule = json!({ "services": ["shop.v1.Customers/Get", "shop.v1.Customers/Count"] });
    let (case, client) = service(&stand().gateway, "within-grpc", &shop.url(), rule);
    let call = |data: &str, method: &str| {
        let (line, host) = (client.line(), client.origin.replace("http://", ""));
        let words = ["-plaintext", "-H", &line, "-authority", &host, "-d", data, &client.address, method];
        output(Command::new(grpcurl()).args(words), b"")
    };
    let waits = call(r#"{"id":1}"#, "shop.v1.Customers/Get");
    assert!(waits.stderr.contains("Unavailable") && waits.stderr.contains("asks-first"), "{waits}");
    let review = case.pending();
    let subject = case.lead.get(&review)["subject"].as_str().expect("a text").to_owned();
    assert!(
        subject.starts_with("POST /shop.v1.Customers/Get") && subject.contains("\n\nmessage 1: \\u{8}\\u{1}"),
        "{subject}"
    );
    case.approve(&review, &json!({}));
    assert!(call(r#"{"id":2}"#, "shop.v1.Customers/Get").stderr.contains("Unavailable"), "another message");
    assert!(call(r#"{"id":1}"#, "shop.v1.Customers/Get").ok().contains("Ada Lovelace"));
    assert!(call(r#"{"id":1}"#, "shop.v1.Customers/Get").stderr.contains("Unavailable"), "once");
}

#[test]
fn what_nobody_decides_on_expires_in_each_protocol() {
    if direct_only() {
        return;
    }
    let key = std::fs::read_to_string(stand().sshd.private_key()).expect("the server's key can be read");
    let password = ("HOOP_SECRET_E2E".to_owned(), Postgres::password().to_owned());
    let short = ("HOOP_LIMITS_REVIEW_TIMEOUT".to_owned(), "1s".to_owned());
    let environment = vec![(SECRET.to_owned(), key), password, short];
    let gateway = Gateway::start(&Options { environment, ..Options::default() });

    let (case, url) = database_of(&gateway, &stand().postgres, "late-psql");
    let refused = output(psql(&url, "delete from t").args(["-c", "select 'goes on'"]), b"");
    assert!(
        refused.stderr.contains("ERROR:") && refused.stderr.contains("nobody of group late-psql-leads"),
        "{refused}"
    );
    assert_eq!(refused.text(), "goes on\n", "{refused}");
    assert_eq!(case.told(&gateway), ["asked", "review_expired"]);

    let (_case, client) = machine(&gateway, "late-ssh", json!({ "patterns": ["cat*"] }));
    let refused = client.run("late-ssh", "cat");
    assert_eq!(refused.status.code(), Some(126), "{refused}");
    assert!(refused.stderr.contains("nobody of group late-ssh-leads"), "{refused}");

    let (_case, client) = service(&gateway, "late-curl", &stand().site.url(), json!({ "paths": ["/app/pay"] }));
    assert_eq!(client.ask(&[], "/app/pay").0, 503);
    let told = until(SOON, "the refusal", || {
        Some(client.ask(&[], "/app/pay")).filter(|(_, body)| body.contains("review_expired"))
    });
    assert_eq!(told.0, 403, "{told:?}");
}
