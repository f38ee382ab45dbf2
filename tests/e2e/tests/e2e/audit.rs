//! What happened can be read back, and nobody can change it unseen.

use hoop_testkit::{Gateway, direct_only, psql, psql_script};
use serde_json::Value;

use crate::demo::demo;
use crate::stand::{GUARDED, MASKED, id, recording, stand};

#[test]
fn a_session_is_told_as_it_was() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(MASKED);
    let script = "\\set ON_ERROR_STOP off\nselect id, name, email from customers order by id;\nselect 1/0;\nupdate log set line = 'x';\n";
    psql_script(&target.gateway, script);
    let session = stand().ended_session(&target.database);
    assert_eq!(session["outcome"], "completed", "{session}");
    let shown = stand().gateway.hoop(&["audit", "show", &id(&session)]).ok();
    for part in ["select id, name, email from customers", "Canary One", "division by zero", "update log set line"] {
        assert!(shown.contains(part), "no {part:?} in:\n{shown}");
    }
    let listed = stand().gateway.hoop(&["sessions", "list", "--output", "json"]).ok();
    assert!(listed.contains(&id(&session)), "{listed}");
    stand().gateway.hoop(&["audit", "verify", &id(&session)]).ok();
}

#[test]
fn a_refused_statement_is_told_as_refused() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(GUARDED);
    psql(&target.gateway, &["-c", "drop table customers"]).failure();
    let session = id(&stand().ended_session(&target.database));
    let shown = stand().gateway.hoop(&["audit", "show", &session]).ok();
    assert!(shown.contains("drop table customers") && shown.contains("statement_denied"), "{shown}");
}

/// Nothing is shown of a session that is not there.
#[test]
fn an_unknown_session_is_not_found() {
    if direct_only() {
        return;
    }
    let missing = "ses_00000000000000000000000000000000";
    for command in ["show", "verify"] {
        let answer = stand().gateway.hoop(&["audit", command, missing]);
        assert_eq!(answer.status.code(), Some(8), "{answer}");
    }
}

#[test]
fn any_changed_byte_is_found_and_its_place_named() {
    if direct_only() {
        return;
    }
    let (url, _) = demo().demo_urls();
    let url = format!("{url}&application_name=to-be-forged");
    psql(&url, &["-c", "select id, name from customers limit 3"]).ok();
    let session = ended(demo(), "to-be-forged");
    let verify = || demo().hoop(&["audit", "verify", &session]);
    verify().ok();
    let path = recording(demo(), &session);
    let whole = std::fs::read(&path).expect("the recording");
    let places = (0..whole.len()).step_by(whole.len().div_ceil(12)).chain([whole.len() - 1]);
    for place in places {
        let mut forged = whole.clone();
        forged[place] ^= 1;
        std::fs::write(&path, &forged).expect("an own file");
        let answer = verify();
        assert!(!answer.status.success(), "byte {place} of {}: {answer}", whole.len());
        let words = answer.text() + &answer.stderr;
        assert!(words.contains(|c: char| c.is_ascii_digit()), "where is it? {answer}");
    }
    for cut in [whole.len() - 1, whole.len() / 2, 8] {
        std::fs::write(&path, &whole[..cut]).expect("an own file");
        assert!(!verify().status.success(), "cut at {cut}");
    }
    std::fs::write(&path, &whole).expect("an own file");
    verify().ok();
}

fn ended(gateway: &Gateway, application: &str) -> String {
    let ended = |session: &Value| session["application"] == application && !session["ended_at"].is_null();
    let found = hoop_testkit::until(std::time::Duration::from_secs(15), "the end of the session", || {
        gateway.sessions().into_iter().find(ended)
    });
    id(&found)
}
