//! Rules that ask for a review.

use hoop_core::{ChannelId, Command, CommandKind};
use serde_json::{Value, json};

use super::*;

/// What a request comes to: who must agree to it, if anybody.
fn asked(guardrail: &mut SessionGuardrail, request: Request) -> Result<Option<Box<Ask>>, Denial> {
    match guardrail.on_request(request) {
        Verdict::Pass(_) => Ok(None),
        Verdict::Review(_, ask) => Ok(Some(ask)),
        Verdict::Deny(denial) => Err(denial),
        Verdict::Hold(_) => panic!("it does not wait itself"),
    }
}

fn run(guardrail: &mut SessionGuardrail, phase: Phase, text: &str, first: bool) -> Result<Option<String>, Denial> {
    let parameters = (phase == Phase::Execute && first)
        .then(|| hoop_core::Parameters { values: vec![Some(Bytes::from_static(b"1"))], formats: Vec::new() });
    let statement = Statement { phase, parameters, ..statement(text.to_owned(), TextSettings::default()) };
    let ask = asked(guardrail, Request::Statement(statement))?;
    Ok(ask.map(|ask| {
        let Subject::Statement { text: subject, parameters } = &ask.subject else { panic!("{ask:?}") };
        assert_eq!(
            (subject, parameters.is_some()),
            (&Bytes::copy_from_slice(text.as_bytes()), phase == Phase::Execute)
        );
        format!("{} of {}", ask.rule, ask.group)
    }))
}

fn changes() -> SessionGuardrail {
    let rules = json!({ "rules": [
        { "name": "no-drop", "kinds": ["drop"] },
        { "name": "changes", "action": "review", "group": "dba", "kinds": ["delete", "update"] },
        { "name": "pay", "action": "review", "group": "hr", "tables": ["pay"] },
    ] });
    guardrail(&rules.to_string())
}

#[test]
fn a_text_that_is_run_is_asked_about_each_time() {
    let mut guardrail = changes();
    for _ in 0..2 {
        let asked = run(&mut guardrail, Phase::Query, "select 1; delete from t", true).expect("not refused");
        assert_eq!(asked.as_deref(), Some("changes of dba"));
    }
    assert_eq!(
        run(&mut guardrail, Phase::Query, "delete from t; update pay set a = 1", true).expect("one group").as_deref(),
        Some("changes of dba")
    );
    for (text, why) in [
        ("delete from t; drop table t", "no-drop"),
        ("prepare p as delete from t", "PREPARE"),
        ("delete from t; select * from pay", "group hr"),
    ] {
        let denial = run(&mut guardrail, Phase::Query, text, true).expect_err(text);
        assert!(denial.reason.contains(why) && denial.code == Code::StatementDenied, "{denial}");
    }
    assert_eq!(run(&mut guardrail, Phase::Query, "select 1", true).expect("nobody asks"), None);
}

#[test]
fn what_is_prepared_is_asked_about_at_each_run() {
    let mut guardrail = changes();
    let (text, fetch) = ("delete from t where a = $1", "fetch all from \"p\"");
    assert_eq!(run(&mut guardrail, Phase::Query, "execute s", true).expect("nothing to run"), None);
    assert_eq!(run(&mut guardrail, Phase::Prepare, "execute s", true).expect("nothing to run"), None);
    assert_eq!(run(&mut guardrail, Phase::Prepare, text, true).expect("it does not run"), None);
    for _ in 0..2 {
        assert_eq!(run(&mut guardrail, Phase::Execute, text, true).expect("waits").as_deref(), Some("changes of dba"));
    }
    assert_eq!(run(&mut guardrail, Phase::Execute, text, false).expect("the rest of its rows"), None);
    for (phase, text) in [
        (Phase::Query, "execute s"),
        (Phase::Query, "explain analyze execute s"),
        (Phase::Query, "move all in p"),
        (Phase::Prepare, fetch),
        (Phase::Execute, "execute s"),
    ] {
        assert!(run(&mut guardrail, phase, text, true).is_err(), "{text}");
    }
    assert!(run(&mut guardrail, Phase::Execute, fetch, false).is_err(), "a portal of which nothing is known");
    assert_eq!(run(&mut guardrail, Phase::Execute, "select 1", true).expect("nobody asks"), None);
}

#[test]
fn other_settings_make_no_other_statement_of_what_was_prepared() {
    let mut guardrail = changes();
    let text = r"with a as (select '\'), b as (delete from t returning 1) select 1 --')";
    let plain = statement(text.to_owned(), TextSettings::default());
    assert!(guardrail.judge(&Statement { phase: Phase::Prepare, ..plain }).expect("not refused").is_none());
    let settings = TextSettings { standard_conforming_strings: false, ..TextSettings::default() };
    let parameters = Some(hoop_core::Parameters { values: Vec::new(), formats: Vec::new() });
    let run = Statement { phase: Phase::Execute, parameters, ..statement(text.to_owned(), settings) };
    assert!(guardrail.judge_run(&run).expect("not refused").is_some());
}

#[test]
fn a_command_is_asked_about_as_a_whole() {
    let rules = json!({ "commands": [
        { "name": "no-rm", "patterns": ["rm *"] },
        { "name": "restarts", "action": "review", "group": "on-call", "patterns": ["systemctl restart *"], "subsystems": ["sftp"] },
        { "name": "reboots", "action": "review", "group": "owners", "patterns": ["reboot"] },
        { "name": "look", "action": "allow", "patterns": ["ls*", "systemctl *"] },
    ] });
    let mut guardrail = guardrail(&rules.to_string());
    let mut run = |kind, text: &'static str| {
        let text = Bytes::from_static(text.as_bytes());
        let command = Command { channel: ChannelId(1), kind, text, terminal: None, environment: Vec::new() };
        asked(&mut guardrail, Request::Command(command)).map(|ask| ask.map(|ask| ask.group))
    };
    assert_eq!(run(CommandKind::Exec, "ls; systemctl restart web").expect("waits").as_deref(), Some("on-call"));
    assert_eq!(run(CommandKind::Exec, "systemctl $X web").expect("it may be it").as_deref(), Some("on-call"));
    assert_eq!(run(CommandKind::Subsystem, "sftp").expect("waits").as_deref(), Some("on-call"));
    assert_eq!(run(CommandKind::Exec, "systemctl status web").expect("allowed"), None);
    for (text, why) in [
        ("systemctl restart web; rm x", "no-rm"),
        ("systemctl restart web; reboot", "group owners"),
        ("cat x", "no rule allows"),
    ] {
        let denial = run(CommandKind::Exec, text).expect_err(text);
        assert!(denial.reason.contains(why), "{denial}");
    }
}

#[test]
fn a_rule_that_asks_says_whom() {
    let wrong = |rules: Value| {
        let rules = serde_json::from_value(rules).expect("of the right form");
        SessionGuardrail::new(rules).err().expect("it cannot be used").reason
    };
    let rule =
        |action: &str, group: Option<&str>| json!({ "name": "r", "action": action, "group": group, "kinds": ["drop"] });
    assert!(wrong(json!({ "rules": [rule("review", None)] })).contains("which group"));
    assert!(wrong(json!({ "rules": [rule("deny", Some("dba"))] })).contains("asks for no review"));
    assert!(wrong(json!({ "rules": [rule("allow", None)] })).contains("do not allow"));
    let file = json!({ "name": "r", "action": "review", "paths": ["/etc/*"] });
    assert!(wrong(json!({ "files": [file] })).contains("cannot wait"));
    let limit = json!({ "name": "r", "action": "review", "group": "a", "limit": { "requests": 1, "per_seconds": 1 } });
    assert!(wrong(json!({ "http": [limit] })).contains("limits"));
}
