//! Roles that are reached over SSH.

use super::*;

const FINGERPRINT: &str = "SHA256:k0FpBIClTwlkfyUGoeYLCOb3hmqqe9P/qPFSQjdGDbI";

fn ssh_role(name: &str) -> Value {
    json!({
        "name": name, "agent": "here", "allowed_groups": ["dba"],
        "target": { "kind": "ssh", "host": "web-1", "user": "deploy", "private_key": "file:/keys/web" },
    })
}

async fn made(gateway: &Gateway, name: &str) -> Value {
    let (status, role) = gateway.post(&gateway.admin, "/api/v1/roles", ssh_role(name)).await;
    assert_eq!(status, StatusCode::CREATED, "{role}");
    role
}

#[tokio::test]
async fn what_an_ssh_role_says_is_checked() {
    let gateway = Gateway::start().await;
    for (patch, pointer) in [
        (json!({ "host": "" }), "/target/host"),
        (json!({ "user": "a\u{0}" }), "/target/user"),
        (json!({ "port": 0 }), "/target/port"),
        (json!({ "private_key": "-----BEGIN" }), "/target/private_key"),
        (json!({ "passphrase": "hunter2" }), "/target/passphrase"),
        (json!({ "host_keys": [HOST_KEY, "ssh-ed25519 AAAA"] }), "/target/host_keys/1"),
        (json!({ "host_authorities": ["*"] }), "/target/host_authorities/0"),
        (json!({ "known_hosts": "known_hosts" }), "/target/known_hosts"),
        (json!({ "allow": { "direct_tcpip": ["db"] } }), "/target/allow/direct_tcpip/0"),
    ] {
        let mut role = ssh_role("web");
        for (field, value) in patch.as_object().expect("fields") {
            role["target"][field] = value.clone();
        }
        let (status, refused) = gateway.post(&gateway.admin, "/api/v1/roles", role).await;
        assert_eq!((status, &refused["errors"][0]["pointer"]), (StatusCode::BAD_REQUEST, &json!(pointer)), "{refused}");
    }
    let role = made(&gateway, "web").await;
    assert_eq!(
        (&role["kind"], &role["target"]["port"], &role["target"]["allow"]["shell"]),
        (&json!("ssh"), &json!(22), &json!(true))
    );
}

#[tokio::test]
async fn a_way_through_other_roles_has_an_end_and_one_agent() {
    let gateway = Gateway::start().await;
    let add = async |name: &str, jump: &str| {
        let mut role = ssh_role(name);
        role["target"]["jump"] = json!(jump);
        gateway.post(&gateway.admin, "/api/v1/roles", role).await
    };
    let through = async |name: &str, jump: Value| {
        let patch = json!({ "target": { "jump": jump } });
        gateway.send(&gateway.admin, Method::PATCH, &format!("/api/v1/roles/{name}"), Some(patch)).await
    };
    let refused = |(status, answer): (StatusCode, Value), why: &str| {
        assert_eq!(
            (status, &answer["errors"][0]["pointer"]),
            (StatusCode::BAD_REQUEST, &json!("/target/jump")),
            "{answer}"
        );
        assert!(answer.to_string().contains(why), "{answer}");
    };
    gateway.role("shop").await;
    refused(add("self", "self").await, "itself");
    refused(add("other", "shop").await, "not reached over SSH");
    refused(add("none", "A b").await, "letters");
    // What a file describes comes in any order.
    for (name, jump) in [("d", "c"), ("c", "b"), ("b", "a")] {
        assert_eq!(add(name, jump).await.0, StatusCode::CREATED, "{name}");
    }
    made(&gateway, "a").await;
    made(&gateway, "z").await;
    refused(through("a", json!("d")).await, "itself");
    refused(through("a", json!("z")).await, "at most 3");
    refused(add("e", "d").await, "at most 3");
    let delete =
        async |name: &str| gateway.send(&gateway.admin, Method::DELETE, &format!("/api/v1/roles/{name}"), None).await;
    let (status, answer) = delete("b").await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("conflict")), "{answer}");
    assert!(answer.to_string().contains("through role b: c"), "{answer}");
    assert_eq!(through("d", json!(null)).await.0, StatusCode::OK);
    assert_eq!(through("a", json!("z")).await.0, StatusCode::OK);
    let away = json!({ "agent": "there" });
    assert_eq!(gateway.send(&gateway.admin, Method::PATCH, "/api/v1/roles/z", Some(away)).await.0, StatusCode::OK);
    refused(through("d", json!("z")).await, "another agent");
    for name in ["c", "b"] {
        assert_eq!(delete(name).await.0, StatusCode::NO_CONTENT, "nobody passes through {name} any more");
    }
}

#[tokio::test]
async fn secrets_of_an_ssh_role_are_those_of_its_kind() {
    let gateway = Gateway::start().await;
    made(&gateway, "web").await;
    let put = async |field: &str| {
        let path = format!("/api/v1/roles/web/secrets/{field}");
        gateway.send(&gateway.admin, Method::PUT, &path, Some(json!({ "value": "planted" }))).await
    };
    for (field, expected) in [
        ("password", StatusCode::OK),
        ("passphrase", StatusCode::OK),
        ("certificate", StatusCode::OK),
        ("private_key", StatusCode::CONFLICT),
        ("sslkey", StatusCode::NOT_FOUND),
    ] {
        let (status, answer) = put(field).await;
        assert_eq!(status, expected, "{field}: {answer}");
    }
    let kept = gateway.get(&gateway.admin, "/api/v1/roles/web/secrets").await.1;
    assert_eq!(
        (&kept["passphrase"]["stored"], &kept["private_key"]["stored"]),
        (&json!(true), &json!(false)),
        "{kept}"
    );
}

#[tokio::test]
async fn a_host_key_is_approved_by_its_fingerprint() {
    let gateway = Gateway::start().await;
    made(&gateway, "unknown").await;
    let (_, tried) = gateway.post(&gateway.admin, "/api/v1/roles/unknown/test", json!({})).await;
    let shown = json!({ "fingerprint": tried["host_key"]["fingerprint"], "public_key": HOST_KEY });
    assert_eq!((&tried["code"], &tried["host_key"]), (&json!("target_host_key"), &shown), "{tried}");
    let approve = async |name: &str, fingerprint: &Value| {
        let path = format!("/api/v1/roles/{name}/host-key");
        gateway.post(&gateway.admin, &path, json!({ "fingerprint": fingerprint })).await
    };
    assert_eq!(approve("unknown", &json!("SHA256:abc")).await.0, StatusCode::BAD_REQUEST);
    let (status, refused) = approve("unknown", &json!(FINGERPRINT)).await;
    assert_eq!((status.is_success(), &refused["code"]), (false, &json!("target_host_key")), "{refused}");
    let keys = async || gateway.get(&gateway.admin, "/api/v1/roles/unknown").await.1["target"]["host_keys"].clone();
    assert_eq!(keys().await, json!([]), "nothing is trusted because it was seen");

    let right = shown["fingerprint"].clone();
    for _ in 0..2 {
        assert_eq!(approve("unknown", &right).await, (StatusCode::OK, shown.clone()));
        assert_eq!(keys().await, json!([HOST_KEY]));
    }
    made(&gateway, "trusted").await;
    made(&gateway, "away").await;
    gateway.role("shop").await;
    for (name, status, code) in [
        ("trusted", StatusCode::CONFLICT, "conflict"),
        ("away", StatusCode::SERVICE_UNAVAILABLE, "agent_unavailable"),
        ("shop", StatusCode::CONFLICT, "conflict"),
    ] {
        let (answered, refused) = approve(name, &right).await;
        assert_eq!((answered, &refused["code"]), (status, &json!(code)), "{name}");
    }
    assert_eq!(approve("nope", &right).await.0, StatusCode::NOT_FOUND);
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let refused = gateway.post(&alice, "/api/v1/roles/unknown/host-key", json!({ "fingerprint": right })).await;
    assert_eq!(refused.0, StatusCode::FORBIDDEN);
    let events = gateway.get(&gateway.admin, "/api/v1/events").await.1.to_string();
    assert!(events.contains("POST /api/v1/roles/{name}/host-key"), "{events}");
}

#[tokio::test]
async fn a_client_is_told_where_to_go_and_how_to_know_the_gateway() {
    let gateway = Gateway::start().await;
    made(&gateway, "web").await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let known = json!([format!("[gw.example.com]:12222 {HOST_KEY}")]);
    let door = gateway.get(&alice, "/api/v1/ssh").await.1;
    assert_eq!((&door["host"], &door["port"], &door["known_hosts"]), (&json!("gw.example.com"), &json!(12222), &known));
    let path = "/api/v1/roles/web/credentials";
    let (status, made) = gateway.post(&alice, path, json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let login = made["login"].as_str().expect("a login");
    assert_eq!(made["command"], format!("ssh -p 12222 {login}@gw.example.com"));
    assert_eq!(made["url"], format!("ssh://{login}@gw.example.com:12222"));
    assert_eq!((&made["known_hosts"], &made["database"]), (&known, &json!("")));
    assert_eq!(gateway.post(&alice, path, json!({ "database": "shop" })).await.0, StatusCode::BAD_REQUEST);
}
