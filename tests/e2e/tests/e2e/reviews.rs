//! Sessions that wait until somebody agrees, as clients of each kind see it.

mod within;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use hoop_testkit::{
    Api, Chromium, Folder, Gateway, Options, Output, Postgres, Site, Sshd, direct_only, find, free_port, hoop, output,
    retry, until,
};
use serde_json::{Value, json};

use crate::http::{Client as WebClient, unmasked};
use crate::ssh::{Client as SshClient, SECRET};

/// The agent that a `hoop dev` has.
const AGENT: &str = "local";
/// Whatever is waited for is there within this time.
const SOON: Duration = Duration::from_secs(60);

struct Stand {
    gateway: Gateway,
    postgres: Postgres,
    sshd: Sshd,
    site: Site,
}

fn stand() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| {
        let (postgres, sshd, site) = (Postgres::start(), Sshd::start(), Site::start());
        let key = std::fs::read_to_string(sshd.private_key()).expect("the server's key can be read");
        let password = ("HOOP_SECRET_E2E".to_owned(), Postgres::password().to_owned());
        let environment = vec![(SECRET.to_owned(), key), password];
        let gateway = Gateway::start(&Options { environment, ..Options::default() });
        Stand { gateway, postgres, sshd, site }
    })
}

/// A role of one test, somebody who may use it when somebody else agrees, and that one.
struct Case {
    name: &'static str,
    user: Api,
    lead: Api,
}

impl Case {
    fn new(name: &'static str) -> Self {
        Self::with(&stand().gateway, name, &json!({ "review": { "group": format!("{name}-leads") } }))
    }

    fn with(gateway: &Gateway, name: &'static str, obligations: &Value) -> Self {
        let user = gateway.user(name, &[]);
        let lead = gateway.user(&format!("{name}-lead"), &[&format!("{name}-leads")]);
        let rule = json!({
            "name": name, "effect": "allow", "subjects": { "users": [name] }, "roles": { "names": [name] },
            "obligations": obligations,
        });
        gateway.api().post("/api/v1/access-rules", &rule);
        Self { name, user, lead }
    }

    /// A browser waits for a page of the role's service, until somebody agrees.
    fn page_goes_on(&self) {
        let port =
            stand().gateway.ready()["proxy"].as_str().and_then(|address| address.rsplit_once(':')).expect("a port").1;
        let given = json!({
            "url": format!("http://{}.localhost:{port}/app/agreed", self.name), "user": self.name,
            "password": "a long enough passphrase", "waits": "Somebody must agree first", "shows": "/app/agreed",
        });
        let (shown, review) = std::thread::scope(|scope| {
            let browser = scope.spawn(|| Chromium::new().run("wait_for_review.cjs", &given));
            let review = self.pending();
            self.approve(&review, &json!({}));
            (browser.join().expect("the page goes on"), review)
        });
        assert!(shown.violations.is_empty(), "{shown:?}");
        let waiting = shown.value["waiting"].as_str().unwrap_or_default();
        assert!(waiting.is_empty() || waiting.contains(id(&review)), "{shown:?}");
        assert_eq!(shown.value["url"], given["url"], "{shown:?}");
    }

    fn postgres(name: &'static str) -> Self {
        let stand = stand();
        stand.gateway.role(name, AGENT, &stand.postgres, |role| role["plugins"] = unmasked());
        Self::new(name)
    }

    fn machine(name: &'static str) -> (Self, SshClient) {
        Self::machine_with(name, |_| {})
    }

    /// `edit` changes the role's target before.
    fn machine_with(name: &'static str, edit: impl FnOnce(&mut Value)) -> (Self, SshClient) {
        let stand = stand();
        crate::ssh::role(&stand.gateway, name, &stand.sshd, edit);
        let case = Self::new(name);
        let client = SshClient::of(&case.user);
        (case, client)
    }

    fn site(name: &'static str) -> Self {
        let target = json!({ "kind": "http", "url": stand().site.url() });
        let role = json!({ "name": name, "agent": AGENT, "target": target, "plugins": unmasked() });
        stand().gateway.api().post("/api/v1/roles", &role);
        Self::new(name)
    }

    fn url(&self) -> String {
        stand().gateway.credential_for(&self.user, self.name, &json!({})).url
    }

    /// The path of the review that somebody waits for.
    #[track_caller]
    fn pending(&self) -> String {
        let id = until(SOON, "a review that is pending", || {
            let reviews = self.lead.get(&format!("/api/v1/reviews?state=pending&role={}", self.name));
            reviews["items"][0]["id"].as_str().map(str::to_owned)
        });
        format!("/api/v1/reviews/{id}")
    }

    #[track_caller]
    fn approve(&self, review: &str, how: &Value) {
        self.lead.post(&format!("{review}/approve"), how);
    }

    #[track_caller]
    fn deny(&self, review: &str) {
        self.lead.post(&format!("{review}/deny"), &json!({ "comment": "not today" }));
    }

    /// What a client ends with that waits until something is done about its review.
    #[track_caller]
    fn until_decided(&self, client: impl FnOnce() -> Output + Send, decide: impl FnOnce(&str)) -> (Output, String) {
        std::thread::scope(|scope| {
            let client = scope.spawn(client);
            let review = self.pending();
            decide(&review);
            (client.join().expect("the client ends"), review)
        })
    }

    #[track_caller]
    fn is_withdrawn(&self, review: &str) {
        until(SOON, "the end of the review", || (self.lead.get(review)["state"] == "withdrawn").then_some(()));
        assert_eq!(stand().gateway.ended_session(self.name)["outcome"], "client_lost");
    }

    /// `hoop` as somebody who is signed in.
    fn hoop(api: &Api, arguments: &[&str]) -> Output {
        let folder = Folder::new("reviewer");
        let token = api.authorization().rsplit_once(' ').expect("a token").1.to_owned();
        let mut command = Command::new(hoop());
        command.args(arguments).current_dir(folder.path()).env("XDG_CONFIG_HOME", folder.path());
        command.env_remove("HOOP_CONTEXT").env("HOOP_URL", api.base()).env("HOOP_TOKEN", token);
        output(&mut command, b"")
    }
}

/// psql, which waits as long as it takes.
fn psql(url: &str, query: &str) -> Command {
    let mut command = Command::new(find("psql", "postgresql-client"));
    command.args([url, "-XAtq", "-c", query]).env_remove("PGCONNECT_TIMEOUT").env("LC_ALL", "C.UTF-8");
    command
}

fn id(review: &str) -> &str {
    review.rsplit_once('/').expect("a path").1
}

#[test]
fn psql_waits_until_somebody_agrees_and_each_session_anew() {
    if direct_only() {
        return;
    }
    let case = Case::postgres("review-psql");
    let url = case.url();
    let run = || output(&mut psql(&url, "select 40 + 2"), b"");
    let (ran, review) = case.until_decided(run, |review| case.approve(review, &json!({})));
    assert_eq!(ran.ok(), "42\n");
    let told = format!("hoop reviews approve {}", id(&review));
    assert!(ran.stderr.contains("NOTICE:") && ran.stderr.contains("HINT:") && ran.stderr.contains(&told), "{ran}");
    let session = stand().gateway.ended_session(case.name);
    assert_eq!((&session["review_id"], &session["outcome"]), (&json!(id(&review)), &json!("completed")), "{session}");
    assert_eq!(case.lead.get(&review)["used_by"], session["id"]);

    let (refused, review) = case.until_decided(run, |review| case.deny(review));
    let words = refused.failure();
    assert!(words.contains("FATAL:") && words.contains("review-psql-lead of group review-psql-leads"), "{words}");
    assert!(words.contains("has not agreed") && words.contains("not today"), "{words}");
    let session = stand().gateway.ended_session(case.name);
    let said = (&session["code"], &session["review_id"], &session["outcome"]);
    assert_eq!(said, (&json!("review_denied"), &Value::Null, &json!("denied")), "{session}");
    assert_eq!(case.lead.get(&review)["state"], "denied");
}

#[test]
fn an_approval_for_a_time_lets_in_until_it_is_over() {
    if direct_only() {
        return;
    }
    let case = Case::postgres("review-for");
    let url = case.url();
    let run = || output(&mut psql(&url, "select 1"), b"");
    let (ran, review) = case.until_decided(run, |review| case.approve(review, &json!({ "for_seconds": 3600 })));
    assert_eq!(ran.ok(), "1\n");
    let again = run();
    assert_eq!((again.ok().as_str(), again.stderr.as_str()), ("1\n", ""), "nobody is asked again");
    assert_eq!(stand().gateway.ended_session(case.name)["review_id"], json!(id(&review)));
}

#[test]
fn who_goes_away_is_not_decided_on() {
    if direct_only() {
        return;
    }
    let case = Case::postgres("review-gone");
    let url = case.url();
    let mut client = psql(&url, "select 1").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("psql starts");
    let review = case.pending();
    client.kill().expect("an own child can be killed");
    client.wait().expect("a killed child ends");
    case.is_withdrawn(&review);
    let (status, late) = case.lead.try_call(reqwest::Method::POST, &format!("{review}/approve"), Some(&json!({})));
    assert_eq!((status, &late["code"]), (409, &json!("conflict")), "{late}");
}

#[test]
fn ssh_waits_with_what_it_was_asked_for() {
    if direct_only() {
        return;
    }
    let (case, client) = Case::machine("review-ssh");
    let run = || output(client.ssh(&[], case.name).arg("cat; echo done"), b"typed meanwhile\n");
    let (ran, review) = case.until_decided(run, |review| case.approve(review, &json!({})));
    assert_eq!(ran.ok(), "typed meanwhile\ndone\n");
    let told = format!("hoop reviews approve {}", id(&review));
    assert!(ran.stderr.contains("must agree to role review-ssh first") && ran.stderr.contains(&told), "{ran}");
    let (refused, _) = case.until_decided(run, |review| case.deny(review));
    assert_eq!(refused.status.code(), Some(255), "{refused}");
    assert!(refused.stderr.contains("has not agreed") && refused.stderr.contains("not today"), "{refused}");
    assert!(refused.stdout.is_empty(), "{refused}");
}

/// A client waits for the answer before it says anything else: it is given at once.
#[test]
fn a_port_of_the_target_is_promised_meanwhile() {
    if direct_only() {
        return;
    }
    let (case, client) = Case::machine_with("review-ports", |target| {
        target["allow"] = json!({ "tcpip_forward": ["127.0.0.1:*"] });
    });
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (local, remote) = (listener.local_addr().expect("it is bound").port(), free_port());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            connection.expect("a connection").write_all(b"from the client").ok();
        }
    });
    let forwarding = |remote: u16| {
        let log = client.folder.join(format!("forwarding-{remote}"));
        let listen = format!("127.0.0.1:{remote}:127.0.0.1:{local}");
        let mut ssh = client.ssh(&["-v", "-N", "-o", "ExitOnForwardFailure=yes", "-R", &listen], case.name);
        let told = std::fs::File::create(&log).expect("an own folder takes a file");
        let ssh = ssh.stdin(Stdio::null()).stderr(told).spawn().expect("ssh starts");
        let told = move |text: &str| {
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            let told = retry(SOON, || Some(said()).filter(|said| said.contains(text)).ok_or(()));
            assert!(told.is_ok(), "ssh is not told {text:?}, but {}", said());
        };
        (ssh, told)
    };

    let (mut ssh, told) = forwarding(remote);
    told("remote forward success");
    case.approve(&case.pending(), &json!({}));
    let read = retry(SOON, || {
        let mut text = String::new();
        let mut connection = TcpStream::connect(("127.0.0.1", remote)).map_err(|error| error.to_string())?;
        connection.read_to_string(&mut text).map_err(|error| error.to_string())?;
        if text.is_empty() { Err("nothing".to_owned()) } else { Ok(text) }
    });
    ssh.kill().and_then(|()| ssh.wait()).expect("it ends");
    assert_eq!(read.expect("it answers"), "from the client");

    // A promise that cannot be kept ends the session, with the reason.
    let (mut ssh, told) = forwarding(local);
    told("remote forward success");
    case.approve(&case.pending(), &json!({}));
    told(&format!("the SSH server does not listen on 127.0.0.1:{local}"));
    assert!(!ssh.wait().expect("it ends").success());
}

#[test]
fn who_waits_at_a_terminal_can_have_enough() {
    if direct_only() {
        return;
    }
    let (case, client) = Case::machine("review-keys");
    let mut terminal = client.terminal(case.name, "");
    terminal.expect("must agree to role review-keys first");
    let review = case.pending();
    terminal.keys("\x03");
    case.is_withdrawn(&review);
}

#[test]
fn a_program_comes_again_and_finds_the_same_review() {
    if direct_only() {
        return;
    }
    let case = Case::site("review-curl");
    let client = WebClient::of(&case.user, case.name, &json!({}));
    let (status, head) = client.ask(&["-i"], "/app/x");
    assert_eq!(status, 503, "{head}");
    let review = case.pending();
    assert!(head.to_lowercase().contains("retry-after: "), "{head}");
    let link = format!("{review}>; rel=\"status\"");
    assert!(head.contains(&link), "{head}");
    for _ in 0..3 {
        let (status, problem) = client.ask(&[], "/app/x");
        let problem: Value = serde_json::from_str(&problem).expect("a problem");
        let said = (status, &problem["code"], &problem["review"]);
        assert_eq!(said, (503, &json!("review_required"), &json!(id(&review))), "{problem}");
    }
    case.approve(&review, &json!({}));
    until(SOON, "the session", || (client.ask(&[], "/app/x").0 == 200).then_some(()));
    assert_eq!(case.lead.get("/api/v1/reviews?role=review-curl")["items"].as_array().map(Vec::len), Some(1));

    let another = WebClient::of(&case.user, case.name, &json!({}));
    assert_eq!(another.ask(&[], "/app/x").0, 503);
    case.deny(&case.pending());
    let problem = until(SOON, "the refusal", || Some(another.ask(&[], "/app/x")).filter(|(status, _)| *status != 503));
    assert!(problem.0 == 403 && problem.1.contains("review_denied") && problem.1.contains("not today"), "{problem:?}");
}

#[test]
fn a_page_waits_and_goes_on_by_itself() {
    if direct_only() {
        return;
    }
    Case::site("review-page").page_goes_on();
}

#[test]
fn the_command_line_asks_decides_and_says_what_became_of_it() {
    if direct_only() {
        return;
    }
    let case = Case::postgres("review-cli");
    let exec = ["exec", case.name, "-c", "select 40 + 2 as n", "--reason", "ticket 42", "-o", "csv"];
    let later = Case::hoop(&case.user, &[&exec[..], &["--no-wait"]].concat());
    assert_eq!(later.status.code(), Some(5), "{later}");
    let review = case.pending();
    assert!(later.stderr.contains(&format!("hoop reviews approve {}", id(&review))), "{later}");
    let own = Case::hoop(&case.user, &["reviews", "approve", id(&review)]);
    assert!(own.status.code() == Some(4) && own.stderr.contains("nobody decides on what they asked for"), "{own}");
    let listed = Case::hoop(&case.lead, &["reviews", "list", "--state", "pending"]);
    assert!(listed.ok().contains("ticket 42") && listed.stderr.contains("to decide: hoop reviews approve"), "{listed}");
    let shown = Case::hoop(&case.lead, &["reviews", "show", id(&review), "-o", "json"]).ok();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["user"], &shown["may_decide"]), (&json!("review-cli"), &json!(true)));
    let said = Case::hoop(&case.lead, &["reviews", "approve", id(&review), "--comment", "go ahead"]);
    assert!(said.stderr.contains("review-cli may use role review-cli: one session"), "{said}");
    assert_eq!(Case::hoop(&case.user, &exec).ok(), "n\n42\n", "the approval is waiting for it");

    let run = || Case::hoop(&case.user, &exec);
    let (ran, _) = case.until_decided(run, |review| case.approve(review, &json!({})));
    assert_eq!(ran.ok(), "n\n42\n");
    assert!(ran.stderr.contains("review-cli-lead has agreed"), "{ran}");
    let (refused, _) = case.until_decided(run, |review| {
        let denied = Case::hoop(&case.lead, &["reviews", "deny", id(review), "--comment", "not today"]);
        denied.ok();
    });
    assert_eq!(refused.status.code(), Some(6), "{refused}");
    assert!(refused.stderr.contains("has not agreed") && refused.stderr.contains("not today"), "{refused}");
}
