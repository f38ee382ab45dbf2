//! Access rules: who gets in, who is told why not, and who is out again while their session runs.

use std::time::Duration;

use hoop_testkit::wire::Wire;
use hoop_testkit::{Api, direct_only, psql};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stand::{AGENT, ended_session, id, stand};

const RULES: &str = "/api/v1/access-rules";
/// Who is not allowed any more is out within this time.
const OUT: Duration = Duration::from_secs(5);

/// A role of one test, its user, and a rule that lets the user in.
struct Case {
    name: &'static str,
    user: Api,
    database: String,
    url: String,
}

impl Case {
    /// With these parts of the rule replaced.
    fn new(name: &'static str, parts: Value) -> Self {
        let stand = stand();
        let database = stand.postgres.database();
        stand.gateway.role(name, AGENT, &stand.postgres, |role| {
            role["target"]["database"] = json!(database);
            role["labels"] = json!({ "case": name });
        });
        let user = stand.gateway.user(name, &[]);
        add(name, name, parts);
        let url = stand.gateway.credential_for(&user, name, &json!({})).url;
        Self { name, user, database, url }
    }

    fn change(&self, parts: &Value) {
        stand().gateway.api().call(Method::PATCH, &format!("{RULES}/{}", self.name), Some(parts));
    }

    /// The error with which a running session ends, and how the session is remembered.
    fn is_cut(&self, mut wire: Wire) -> (String, Value) {
        wire.socket.set_read_timeout(Some(OUT)).expect("a timeout");
        let error = wire.read().expect("an error before the end");
        let fields = (error.kind, error.field(b'S'), error.field(b'C'));
        assert_eq!(fields, (b'E', "FATAL".to_owned(), "57P01".to_owned()), "{error:?}");
        let session = ended_session(&stand().gateway, &self.database);
        stand().gateway.hoop(&["audit", "verify", &id(&session)]).ok();
        (error.field(b'M'), session)
    }
}

/// Adds a rule for one user on the role of a test.
fn add(rule: &str, case: &str, parts: Value) {
    let mut definition = json!({
        "name": rule, "effect": "allow", "subjects": { "users": [case] }, "roles": { "names": [case] },
    });
    for (part, value) in parts.as_object().expect("parts") {
        definition[part] = value.clone();
    }
    stand().gateway.api().post(RULES, &definition);
}

fn delete(rule: &str) {
    stand().gateway.api().call(Method::DELETE, &format!("{RULES}/{rule}"), None);
}

#[test]
fn nobody_gets_in_without_a_rule_and_a_refusal_names_the_one_that_decided() {
    if direct_only() {
        return;
    }
    let case = Case::new("rule-names", json!({}));
    psql(&case.url, &["-c", "select 1"]).ok();
    let frozen = json!({ "effect": "deny", "subjects": { "everyone": true }, "description": "wait for the migration" });
    add("rule-names-frozen", case.name, frozen);
    let refused = psql(&case.url, &["-c", "select 1"]).failure();
    assert!(refused.contains("access rule rule-names-frozen denies user rule-names"), "{refused}");
    assert!(refused.contains("wait for the migration"), "{refused}");
    delete("rule-names-frozen");
    psql(&case.url, &["-c", "select 1"]).ok();

    case.change(&json!({ "conditions": { "sources": ["192.0.2.0/24"] } }));
    let refused = psql(&case.url, &["-c", "select 1"]).failure();
    assert!(refused.contains("access rule rule-names is for callers from 192.0.2.0/24"), "{refused}");
    delete(case.name);
    let refused = psql(&case.url, &["-c", "select 1"]).failure();
    assert!(refused.contains("no access rule allows it"), "{refused}");
    let (status, _) = case.user.try_call(Method::GET, "/api/v1/roles/rule-names", None);
    assert_eq!(status, 404, "what nobody may reach is not there");
    add("rule-names-again", case.name, json!({ "roles": { "names": ["rule-*"], "kinds": ["postgres"] } }));
    psql(&case.url, &["-c", "select 1"]).ok();
}

#[test]
fn a_session_ends_with_the_rule_that_let_it_in() {
    if direct_only() {
        return;
    }
    let case = Case::new("rule-goes", json!({}));
    let mut wire = Wire::login(&case.url).expect("a login");
    wire.query("select 1").expect("a query");
    wire.read_all();
    // What another rule allows goes on.
    add("rule-goes-too", case.name, json!({}));
    delete("rule-goes");
    wire.query("select 1").expect("a query");
    assert_eq!(wire.read_all().last().map(|message| message.kind), Some(b'Z'));
    delete("rule-goes-too");
    let (message, session) = case.is_cut(wire);
    assert!(message.contains("not allowed any more") && message.contains("no access rule allows it"), "{message}");
    assert_eq!((&session["outcome"], &session["code"]), (&json!("revoked"), &json!("access_revoked")), "{session}");
    assert!(session["reason"].as_str().is_some_and(|reason| reason.contains("no access rule")), "{session}");
}

#[test]
fn a_session_ends_when_its_rule_does() {
    if direct_only() {
        return;
    }
    let case = Case::new("rule-over", json!({}));
    let soon = "select to_char(now() at time zone 'utc' + interval '4 seconds', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let soon = psql(&stand().postgres.url(&case.database), &["-c", soon]).ok();
    case.change(&json!({ "conditions": { "valid_until": soon.trim() } }));
    let mut wire = Wire::login(&case.url).expect("a login while it holds");
    wire.socket.set_read_timeout(Some(2 * OUT)).expect("a timeout");
    let error = wire.read().expect("an error before the end");
    assert_eq!(error.field(b'C'), "57P01");
    assert!(error.field(b'M').contains("access rule rule-over held until"), "{error:?}");
}

#[test]
fn a_session_ends_with_its_user_and_with_its_role() {
    if direct_only() {
        return;
    }
    let api = stand().gateway.api();
    let case = Case::new("rule-user", json!({}));
    let wire = Wire::login(&case.url).expect("a login");
    api.call(Method::PATCH, "/api/v1/users/rule-user", Some(&json!({ "disabled": true })));
    let (message, session) = case.is_cut(wire);
    assert!(message.contains("rule-user was disabled"), "{message}");
    assert_eq!(session["code"], "session_killed", "{session}");

    let case = Case::new("rule-label", json!({ "roles": { "labels": { "case": "rule-label" } } }));
    let wire = Wire::login(&case.url).expect("a login");
    api.call(Method::PATCH, "/api/v1/roles/rule-label", Some(&json!({ "labels": { "case": "another" } })));
    let (message, session) = case.is_cut(wire);
    assert!(message.contains("no access rule allows it"), "{message}");
    assert_eq!(session["outcome"], "revoked", "{session}");
}

#[test]
fn a_time_box_ends_the_session() {
    if direct_only() {
        return;
    }
    let case = Case::new("rule-boxed", json!({ "obligations": { "max_duration_seconds": 1 } }));
    let mut wire = Wire::login(&case.url).expect("a login");
    wire.query("select pg_sleep(300)").expect("a query");
    let (message, session) = case.is_cut(wire);
    assert!(message.contains("the time that was granted for this session is over"), "{message}");
    assert_eq!((&session["outcome"], &session["code"]), (&json!("expired"), &json!("session_expired")), "{session}");
}

#[test]
fn a_reason_is_asked_for_and_recorded() {
    if direct_only() {
        return;
    }
    let case = Case::new("rule-asks", json!({ "obligations": { "reason": true } }));
    let refused = psql(&case.url, &["-c", "select 1"]).failure();
    assert!(refused.contains("access rule rule-asks asks what you need role rule-asks for"), "{refused}");
    assert!(refused.contains("PGOPTIONS='-c hoop.reason="), "{refused}");
    let said = format!("{}&options=-c%20work_mem%3D2MB%20-c%20hoop.reason%3Dticket%5C%2042", case.url);
    assert_eq!(psql(&said, &["-c", "show work_mem"]).ok(), "2MB\n");
    let session = ended_session(&stand().gateway, &case.database);
    let shown = stand().gateway.hoop(&["audit", "show", &id(&session)]).ok();
    assert!(shown.contains("reason ticket 42"), "{shown}");
    let unknown = psql(&said, &["-c", "show hoop.reason"]).failure();
    assert!(unknown.contains("unrecognized configuration parameter"), "the server hears nothing of it: {unknown}");
    case.change(&json!({ "obligations": { "review": { "group": "leads" } } }));
    let checked = ["access", "check", "rule-asks", "rule-asks", "--reason", "ticket 42"];
    let refused = stand().gateway.hoop(&checked);
    assert_eq!(refused.status.code(), Some(4), "{refused}");
    assert!(refused.stderr.contains("only if somebody of group leads agrees"), "{refused}");
}

#[test]
fn a_dry_run_and_a_check_say_it_before() {
    if direct_only() {
        return;
    }
    let (gateway, case) = (&stand().gateway, Case::new("rule-dry", json!({ "modes": ["native"] })));
    let would = gateway.api().call(Method::DELETE, &format!("{RULES}/rule-dry?dry_run=true"), None);
    assert_eq!(would["losses"], json!([{ "user": "rule-dry", "role": "rule-dry", "modes": ["native"] }]), "{would}");
    let wider = json!({ "modes": ["native", "web"] });
    let would = gateway.api().call(Method::PATCH, &format!("{RULES}/rule-dry?dry_run=true"), Some(&wider));
    assert_eq!(would["gains"], json!([{ "user": "rule-dry", "role": "rule-dry", "modes": ["web"] }]), "{would}");
    psql(&case.url, &["-c", "select 1"]).ok();

    let allowed = gateway.hoop(&["access", "check", "rule-dry", "rule-dry"]).ok();
    assert!(allowed.contains("user rule-dry may use role rule-dry: access rule rule-dry allows it"), "{allowed}");
    let denied = gateway.hoop(&["access", "check", "rule-dry", "rule-dry", "--mode", "web", "--output", "json"]);
    assert_eq!(denied.status.code(), Some(4), "{denied}");
    let answer: Value = serde_json::from_str(&denied.text()).expect("JSON");
    let why = answer["rules"].as_array().expect("rules").iter().find(|rule| rule["rule"] == "rule-dry");
    assert_eq!(why.expect("the rule")["why"], "is for access mode native, and not for web", "{answer}");
    assert!(denied.stderr.contains("not for web"), "{denied}");
    let missing = gateway.hoop(&["access", "check", "rule-dry", "no-such-role"]);
    assert_eq!(missing.status.code(), Some(8), "{missing}");
}
