//! Service accounts and API tokens: programs that come with `HOOP_TOKEN`.

use std::time::Duration;

use hoop_testkit::wire::Wire;
use hoop_testkit::{Output, direct_only, output, psql, until};
use serde_json::{Value, json};

use super::{Machine, fails, parsed, url};
use crate::stand::{AGENT, ended_session, stand};

/// What loses its token is out within this time.
const OUT: Duration = Duration::from_secs(5);

/// `hoop` as an administrator.
fn admin(line: &str) -> Output {
    stand().gateway.hoop(&line.split_whitespace().collect::<Vec<_>>())
}

/// `hoop` as a program with this token.
fn program(token: &str, line: &str) -> Output {
    let machine = Machine::new();
    let mut command = machine.command(&line.split_whitespace().collect::<Vec<_>>());
    output(command.env("HOOP_URL", url()).env("HOOP_TOKEN", token), b"")
}

/// A credential that a program makes, as a URL.
fn credential(token: &str, role: &str) -> String {
    let made = parsed(&program(token, &format!("credentials create {role} -o json")));
    made["url"].as_str().expect("a URL").replace("sslmode=require", "sslmode=disable")
}

/// The message of the error that ends a session in time.
fn end_of(mut wire: Wire) -> String {
    wire.socket.set_read_timeout(Some(OUT)).expect("a timeout");
    let error = wire.read().expect("an error before the end");
    assert_eq!((error.kind, error.field(b'C')), (b'E', "57P01".to_owned()), "{error:?}");
    error.field(b'M')
}

/// A role, an account, and a rule that lets the one into the other.
fn place(name: &str) -> String {
    let (machine, database) = (Machine::new(), stand().postgres.database());
    stand().gateway.role(name, AGENT, &stand().postgres, |role| role["target"]["database"] = json!(database));
    admin(&format!("admin service-accounts create {name} --description builds")).ok();
    let rule = json!({ "effect": "allow", "subjects": { "service_accounts": [name] }, "roles": { "names": [name] } });
    let file = machine.folder.join("rule.json");
    std::fs::write(&file, rule.to_string()).expect("an own folder takes a file");
    let create = format!("admin access-rules create {name} -f {}", file.display());
    let would = admin(&format!("{create} --dry-run")).ok();
    assert!(would.contains("gains") && would.contains(name), "{would}");
    fails(&admin(&format!("admin access-rules show {name}")), 8);
    admin(&create).ok();
    database
}

fn token(account: &str, scope: &str) -> String {
    let made = admin(&format!("admin service-accounts token {account} --scope {scope} --expires 1h")).ok();
    assert!(made.starts_with("hoopt_") && made.lines().count() == 1, "the token and nothing else: {made}");
    made.trim().to_owned()
}

#[test]
fn a_program_gets_in_with_its_token_and_is_out_with_it() {
    if direct_only() {
        return;
    }
    let database = place("sa-ci");
    let (connect, read) = (token("sa-ci", "connect"), token("sa-ci", "read"));
    let url = credential(&connect, "sa-ci");
    assert_eq!(psql(&url, &["-Atc", "select 1"]).ok(), "1\n");
    assert!(program(&read, "roles list").ok().contains("sa-ci"));
    let refused = program(&read, "credentials create sa-ci");
    assert!(fails(&refused, 4).contains("has scope read, and this takes connect or admin"), "{refused}");
    fails(&program(&connect, "admin users list"), 4);

    let wire = Wire::login(&url).expect("a login");
    let tokens = parsed(&admin("admin service-accounts tokens sa-ci -o json"));
    let found = tokens.as_array().expect("a list").iter().find(|token| token["scopes"] == json!(["connect"]));
    let found = found.expect("the token");
    assert!(found["last_used_at"].is_string() && !tokens.to_string().contains(&connect), "{tokens}");
    admin(&format!("tokens revoke {}", found["id"].as_str().expect("an id"))).ok();
    let message = end_of(wire);
    assert!(message.contains("was taken away"), "{message}");
    let session = ended_session(&stand().gateway, &database);
    assert_eq!((&session["outcome"], &session["user"]), (&json!("revoked"), &json!("sa-ci")), "{session}");
    let refused = psql(&url, &["-c", "select 1"]).failure();
    assert!(refused.contains("revoked"), "{refused}");
    fails(&program(&connect, "whoami"), 3);
    program(&read, "whoami").ok();
}

#[test]
fn a_program_is_out_with_its_account() {
    if direct_only() {
        return;
    }
    for (account, end, said) in [
        ("sa-off", "admin service-accounts update sa-off --disable", "sa-off was disabled"),
        ("sa-gone", "admin service-accounts delete sa-gone", "sa-gone was deleted"),
    ] {
        place(account);
        let token = token(account, "connect");
        let url = credential(&token, account);
        let wire = Wire::login(&url).expect("a login");
        let refused = admin(&format!("admin service-accounts delete {account}"));
        assert!(fails(&refused, 1).contains(&format!("hoop admin access-rules update {account} -f")), "{refused}");
        // A rule that names nobody lets the account be deleted, and its session run.
        let machine = Machine::new();
        let file = machine.folder.join("rule.json");
        let programs = json!({ "subjects": { "service_accounts": null, "kinds": ["service-account"] } });
        std::fs::write(&file, programs.to_string()).expect("an own folder takes a file");
        admin(&format!("admin access-rules update {account} -f {}", file.display())).ok();
        admin(end).ok();
        let message = end_of(wire);
        assert!(message.contains(said), "{message}");
        psql(&url, &["-c", "select 1"]).failure();
        fails(&program(&token, "whoami"), 3);
    }
}

#[test]
fn a_person_is_out_with_their_account_and_what_they_did_stays() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("gone-guy");
    let printed = machine.run(&["credentials", "create", super::ROLE, "-o", "json"]);
    let url = parsed(&printed)["url"].as_str().expect("a URL").replace("sslmode=require", "sslmode=disable");
    let wire = Wire::login(&url).expect("a login");
    let running = parsed(&machine.run(&["sessions", "list", "--running", "-o", "json"]));
    let id = running[0]["id"].as_str().expect("hers runs").to_owned();
    admin("admin users delete gone-guy").ok();
    let message = end_of(wire);
    assert!(message.contains("user gone-guy was deleted"), "{message}");
    psql(&url, &["-c", "select 1"]).failure();
    fails(&machine.run(&["whoami"]), 3);
    fails(&admin("admin users show gone-guy"), 8);
    let show = format!("sessions show {id} -o json");
    until(OUT, "the end of the session", || (!parsed(&admin(&show))["ended_at"].is_null()).then_some(()));
    let listed = parsed(&admin("sessions list --user gone-guy --role cli --since 1h -o json"));
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["id"]), (Some(1), &json!(id)), "{listed}");
    admin(&format!("audit verify {id}")).ok();
    assert!(fails(&admin("admin users delete admin"), 1).contains("themselves"));

    // Somebody else of that name begins with nothing.
    let again = Machine::of("gone-guy");
    assert_eq!(parsed(&again.run(&["sessions", "list", "-o", "json"])), json!([]));
    fails(&again.run(&["sessions", "show", &id]), 8);
    fails(&machine.run(&["whoami"]), 3);
}

#[test]
fn somebody_makes_tokens_of_their_own() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("sa-person");
    let made = parsed(&machine.run(&["tokens", "create", "laptop", "--scope", "connect", "-o", "json"]));
    let token = made["token"].as_str().expect("it is shown this once").to_owned();
    let listed = parsed(&machine.run(&["tokens", "list", "-o", "json"]));
    assert_eq!((&listed[0]["id"], &listed[0]["token"]), (&made["id"], &Value::Null), "{listed}");
    assert_eq!(parsed(&program(&token, "exec cli -c values(1) -o json")), json!([{ "column1": "1" }]));
    let refused = program(&token, "tokens create more --scope connect");
    assert!(fails(&refused, 4).contains("hoop login"), "{refused}");
    fails(&machine.run(&["tokens", "create", "boss", "--scope", "admin"]), 1);
    machine.run(&["tokens", "revoke", made["id"].as_str().expect("an id")]).ok();
    assert_eq!(parsed(&machine.run(&["tokens", "list", "-o", "json"])), json!([]));
    fails(&program(&token, "whoami"), 3);
}
