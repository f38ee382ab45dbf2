//! Every way not to get in has an error of its own.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use hoop_testkit::wire::{VERSION_3, Wire};
use hoop_testkit::{Gateway, Guarded, Options, direct_only, retry};
use reqwest::Method;
use serde_json::json;

use crate::stand::stand;

/// A gateway of their own: failed logins slow the next ones down.
fn errors() -> &'static (Gateway, Guarded) {
    static ERRORS: OnceLock<(Gateway, Guarded)> = OnceLock::new();
    ERRORS.get_or_init(|| {
        let gateway = Gateway::start(&Options::default());
        let agent = gateway.agent("here");
        gateway.role("orders", "here", &stand().postgres, |_| {});
        (gateway, agent)
    })
}

fn gateway() -> &'static Gateway {
    &errors().0
}

/// The error of a login: SQLSTATE and message.
#[track_caller]
fn refused(url: &str) -> String {
    Wire::login(url).err().map(|error| error.to_string()).unwrap_or_else(|| panic!("{url} got in"))
}

#[track_caller]
fn is(error: &str, sqlstate: &str, words: &[&str]) {
    assert!(error.starts_with(sqlstate), "not {sqlstate}: {error}");
    for word in words {
        assert!(error.contains(word), "no {word:?} in {error}");
    }
}

fn wrong_password(url: &str) -> String {
    let mut url = url::Url::parse(url).expect("a URL");
    url.set_password(Some("not the password")).expect("a password can be set");
    url.to_string()
}

fn wrong_user(url: &str, user: &str) -> String {
    let mut url = url::Url::parse(url).expect("a URL");
    url.set_username(user).expect("a user can be set");
    url.to_string()
}

#[test]
fn wrong_password_and_unknown_user_have_one_answer() {
    if direct_only() {
        return;
    }
    let url = gateway().credential("orders", "postgres").url;
    let wrong = refused(&wrong_password(&url));
    is(&wrong, "28P01", &["authentication failed"]);
    let login = url::Url::parse(&url).expect("a URL").username().to_owned();
    let unknown = refused(&wrong_user(&url, "orders-nobody"));
    assert_eq!(wrong.replace(&login, "USER"), unknown.replace("orders-nobody", "USER"));
}

/// Medians of many, with a wide bound: a test of the work that is done, not of the machine.
#[test]
fn they_take_the_same_time() {
    if direct_only() {
        return;
    }
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for round in 0..15 {
        let url = gateway().credential("orders", "postgres").url;
        for (url, times) in
            [(wrong_password(&url), &mut known), (wrong_user(&url, &format!("nobody-{round}")), &mut unknown)]
        {
            let start = Instant::now();
            is(&refused(&url), "28P01", &[]);
            times.push(start.elapsed());
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (known, unknown) = (median(&mut known), median(&mut unknown));
    eprintln!("wrong password {known:?}, unknown user {unknown:?}");
    let (least, most) = (known.min(unknown), known.max(unknown));
    assert!(most < least * 2 + Duration::from_millis(5), "wrong password {known:?}, unknown user {unknown:?}");
}

#[test]
fn an_expired_credential_says_so() {
    if direct_only() {
        return;
    }
    let wish = json!({ "database": "postgres", "ttl_seconds": 1 });
    let url = gateway().credential_for(gateway().api(), "orders", &wish).url;
    let error = retry(Duration::from_secs(5), || match Wire::login(&url) {
        Ok(_) => Err("it still gets in"),
        Err(error) => Ok(error.to_string()),
    });
    is(&error.expect("an expired credential does not get in"), "28P01", &["expired"]);
}

#[test]
fn a_revoked_credential_says_so() {
    if direct_only() {
        return;
    }
    let credential = gateway().credential("orders", "postgres");
    Wire::login(&credential.url).expect("it gets in");
    gateway().api().call(Method::DELETE, &format!("/api/v1/credentials/{}", credential.id), None);
    is(&refused(&credential.url), "28P01", &["revoked"]);
}

#[test]
fn no_agent_is_named() {
    if direct_only() {
        return;
    }
    gateway().api().post("/api/v1/agents", &json!({ "name": "far-away" }));
    gateway().role("unreachable", "far-away", &stand().postgres, |_| {});
    let url = gateway().credential("unreachable", "postgres").url;
    is(&refused(&url), "57P03", &["far-away"]);
}

#[test]
fn a_role_that_is_gone_says_so() {
    if direct_only() {
        return;
    }
    gateway().role("short-lived", "here", &stand().postgres, |_| {});
    let url = gateway().credential("short-lived", "postgres").url;
    gateway().api().call(Method::DELETE, "/api/v1/roles/short-lived", None);
    let error = refused(&url);
    assert!(error.starts_with("28"), "{error}");
}

#[test]
fn who_may_no_longer_is_told_so() {
    if direct_only() {
        return;
    }
    gateway().role("for-friends", "here", &stand().postgres, |role| role["allowed_groups"] = json!(["friends"]));
    let friend = gateway().user("friend", &["friends"]);
    let url = gateway().credential_for(&friend, "for-friends", &json!({})).url;
    Wire::login(&url).expect("a friend gets in");
    let others = json!({ "allowed_groups": ["others"] });
    gateway().api().call(Method::PATCH, "/api/v1/roles/for-friends", Some(&others));
    is(&refused(&url), "42501", &["for-friends"]);
}

#[test]
fn a_database_that_is_not_allowed_is_named() {
    if direct_only() {
        return;
    }
    gateway().role("one-database", "here", &stand().postgres, |role| role["target"]["databases"] = json!([]));
    let url = gateway().credential("one-database", "postgres").url;
    Wire::login(&url).expect("the role's own database is allowed");
    is(&refused(&url.replace("/postgres?", "/template1?")), "42501", &["template1"]);
}

#[test]
fn a_database_that_is_not_there_is_the_servers_error() {
    if direct_only() {
        return;
    }
    let url = gateway().credential("orders", "nowhere").url;
    let direct = refused(&stand().postgres.url("nowhere"));
    assert_eq!(refused(&url), direct);
}

#[test]
fn the_targets_own_refusal_is_not_the_clients() {
    if direct_only() {
        return;
    }
    gateway().role("locked-out", "here", &stand().postgres, |role| role["target"]["user"] = json!("nobody"));
    let url = gateway().credential("locked-out", "postgres").url;
    is(&refused(&url), "28000", &[]);
    gateway().role("no-secret", "here", &stand().postgres, |role| role["target"]["password"] = json!("env:PATH"));
    let url = gateway().credential("no-secret", "postgres").url;
    let error = refused(&url);
    assert!(!error.contains("/usr/bin"), "the agent gives nothing away that no rule allows: {error}");
    gateway().role("no-server", "here", &stand().postgres, |role| role["target"]["port"] = json!(1));
    let url = gateway().credential("no-server", "postgres").url;
    is(&refused(&url), "57P03", &[]);
}

#[test]
fn replication_is_refused() {
    if direct_only() {
        return;
    }
    let url = gateway().credential("orders", "postgres").url;
    for kind in ["database", "true"] {
        let error = Wire::login_with(&url, VERSION_3, &[("replication", kind)]).expect_err("refused").to_string();
        is(&error, "42501", &["replication"]);
    }
}

/// The text that people see, with what to do next.
#[test]
fn psql_shows_the_error() {
    if direct_only() {
        return;
    }
    gateway().api().post("/api/v1/agents", &json!({ "name": "asleep" }));
    gateway().role("sleepy", "asleep", &stand().postgres, |_| {});
    let url = gateway().credential("sleepy", "postgres").url;
    let seen = hoop_testkit::psql(&url, &["-c", "select 1"]).failure();
    assert!(seen.contains("FATAL:  ") && seen.contains("asleep") && seen.contains("HINT:  "), "{seen}");
}
