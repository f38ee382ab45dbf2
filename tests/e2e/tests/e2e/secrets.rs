//! Secrets that the gateway keeps for roles: they log in, and are found nowhere.

use std::process::Command;

use hoop_testkit::{Gateway, Guarded, Options, Output, direct_only, hoop_gateway, output, psql};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stand::{files, stand};

const PLANTED: &str = "planted-7d1f-secret-of-a-role";
const ROLE: &str = "/api/v1/roles/kept";

/// `hoop-gateway` on the data folder of a gateway.
fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = Command::new(hoop_gateway());
    command.args(arguments).env("HOOP_DATA", gateway.dir()).env("HOOP_SECRETS_KEY_FILE", "operator.key");
    output(&mut command, b"")
}

/// Looks into every file of the gateway, and into what gateway and agent have logged.
fn is_nowhere(gateway: &Gateway, agent: &Guarded) {
    let mut found = Vec::new();
    files(&gateway.dir(), &mut found);
    assert!(found.iter().any(|path| path.ends_with("hoop.db")), "{found:?}");
    for path in found {
        // A socket is no file.
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes()), "{}", path.display());
    }
    assert!(!gateway.log().contains(PLANTED) && !agent.log().contains(PLANTED));
}

fn tried(gateway: &Gateway) -> Value {
    gateway.api().post(&format!("{ROLE}/test"), &json!({}))
}

#[test]
fn a_kept_password_logs_in_before_and_after_a_rotation_and_is_found_nowhere() {
    if direct_only() {
        return;
    }
    let (stand, mut gateway) = (stand(), Gateway::start(&Options::default()));
    let (agent, database) = (gateway.agent("before"), stand.postgres.database());
    let user = format!("create role kept login password '{PLANTED}'");
    psql(&stand.postgres.url("postgres"), &["-c", &user]).ok();
    gateway.role("kept", "before", &stand.postgres, |role| {
        role["target"]["user"] = "kept".into();
        role["target"]["password"] = Value::Null;
    });
    let failed = tried(&gateway);
    assert_eq!((&failed["ok"], &failed["code"]), (&json!(false), &json!("target_login_failed")), "{failed}");

    let body = json!({ "value": PLANTED });
    gateway.api().call(Method::PUT, &format!("{ROLE}/secrets/password"), Some(&body));
    assert_eq!(gateway.api().get(&format!("{ROLE}/secrets"))["password"]["stored"], true);
    let worked = tried(&gateway);
    assert!(worked["ok"] == true && worked["server_version"].is_string(), "{worked}");
    assert_eq!(gateway.sessions().len(), 0, "that was no session");
    let shown = gateway.hoop(&["admin", "roles", "test", "kept", "--output", "json"]).ok();
    assert!(shown.contains("server_version"), "{shown}");
    let url = gateway.credential("kept", &database).url;
    assert_eq!(psql(&url, &["-c", "select current_user"]).ok(), "kept\n");
    let backup = gateway.dir().join("kept.backup").display().to_string();
    assert!(run(&gateway, &["store", "backup", &backup]).ok().contains("role_secrets"));
    is_nowhere(&gateway, &agent);

    let key = gateway.dir().join("next.key").display().to_string();
    run(&gateway, &["secrets", "new-key", &key]).ok();
    let rotate = ["secrets", "rotate", "--new-key", &key];
    assert!(run(&gateway, &rotate).failure().contains("in use by another gateway"));
    gateway.server().stop("TERM");
    assert!(run(&gateway, &rotate).ok().starts_with("1 secrets"));
    gateway.start_again();
    let said = gateway.log();
    assert!(said.contains("the operator's key does not open secrets of roles"), "it is another since then: {said}");
    let agent = gateway.agent("after");
    gateway.api().call(Method::PATCH, ROLE, Some(&json!({ "agent": "after" })));
    let failed = tried(&gateway);
    assert_eq!(failed["code"], "secret_unavailable", "the old key opens nothing any more: {failed}");

    gateway.server().stop("TERM");
    drop(agent);
    std::fs::write(gateway.dir().join("gateway.toml"), "[secrets]\nkey_file = \"next.key\"\n").expect("an own folder");
    gateway.start_again();
    let agent = gateway.agent("last");
    gateway.api().call(Method::PATCH, ROLE, Some(&json!({ "agent": "last" })));
    let url = gateway.credential("kept", &database).url;
    assert_eq!(psql(&url, &["-c", "select current_user"]).ok(), "kept\n");
    is_nowhere(&gateway, &agent);
}

#[test]
fn a_target_that_cannot_be_reached_is_told_apart() {
    if direct_only() {
        return;
    }
    let stand = stand();
    let (gateway, agent) = (&stand.gateway, crate::stand::AGENT);
    let mut roles = vec![("tried-away", "nobody", Value::Null, "agent_unavailable")];
    roles.push(("tried-closed", agent, json!({ "port": 1 }), "target_unavailable"));
    roles.push(("tried-tls", agent, json!({ "sslmode": "require" }), "target_tls"));
    roles.push(("tried-login", agent, json!({ "user": "nobody-there" }), "target_login_failed"));
    for (name, agent, changes, code) in roles {
        gateway.role(name, agent, &stand.postgres, |role| {
            for (field, value) in changes.as_object().into_iter().flatten() {
                role["target"][field] = value.clone();
            }
        });
        let tried = gateway.api().post(&format!("/api/v1/roles/{name}/test"), &json!({}));
        assert_eq!((&tried["ok"], tried["code"].as_str()), (&json!(false), Some(code)), "{tried}");
        assert!(tried["reason"].is_string(), "{tried}");
    }
    let said = gateway.hoop(&["admin", "roles", "test", "tried-away"]).failure();
    assert!(said.contains("nobody") && said.contains("not connected"), "{said}");
}
