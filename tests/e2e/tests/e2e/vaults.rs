//! Secrets that lie in Vault or in AWS Secrets Manager: they log in, what is changed there holds for the next session, and
//! what is in the way is said.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use hoop_testkit::{Folder, Gateway, Guarded, Moto, Output, Postgres, Vault, direct_only, psql, until};
use serde_json::{Value, json};

use crate::stand::{files, stand};

/// A user of the shared database server with a password of its own, whose roles go through an agent of their own.
struct Scene {
    user: &'static str,
    gateway: &'static Gateway,
    postgres: &'static Postgres,
    agent: Guarded,
}

impl Scene {
    fn new(user: &'static str, config: &str, environment: &[(&str, &str)]) -> Self {
        let stand = stand();
        psql(&stand.postgres.url("postgres"), &["-c", &format!("create role {user} login")]).ok();
        let everything = [&[("HOOP_LOG", "trace")], environment].concat();
        let agent = stand.gateway.agent_with(user, config, &everything);
        Self { user, gateway: &stand.gateway, postgres: &stand.postgres, agent }
    }

    fn set_password(&self, password: &str) {
        let alter = format!("alter role {} password '{password}'", self.user);
        psql(&self.postgres.url("postgres"), &["-c", &alter]).ok();
    }

    /// A role whose password is behind this reference, and a URL for it.
    fn role(&self, name: &str, reference: &str) -> String {
        self.gateway.role(name, self.user, self.postgres, |role| {
            role["target"]["user"] = self.user.into();
            role["target"]["password"] = reference.into();
        });
        self.gateway.credential(name, "postgres").url
    }

    /// Both ways in say the same.
    #[track_caller]
    fn is_refused(&self, name: &str, url: &str, words: &[&str]) {
        let tried = self.gateway.api().post(&format!("/api/v1/roles/{name}/test"), &json!({}));
        assert_eq!((&tried["ok"], &tried["code"]), (&json!(false), &json!("secret_unavailable")), "{tried}");
        let typed = self.gateway.hoop(&["admin", "roles", "test", name]).failure();
        let said = connect(url).failure();
        for word in words {
            let shown = format!("{} {}", tried["reason"], tried["hint"]);
            assert!(shown.contains(word), "{word}: {shown}");
            assert!(said.contains(word), "{word}: {said}");
            assert!(typed.contains(word), "{word}: {typed}");
        }
    }

    /// Looks into every file of the gateway, and into all that gateway and agent have logged.
    fn is_nowhere(&self, planted: &[&str]) {
        let mut found = Vec::new();
        files(self.gateway.dir().parent().expect("it is in a folder of the test"), &mut found);
        assert!(found.iter().any(|path| path.ends_with(format!("agent-{}.log", self.user))), "{found:?}");
        assert!(self.agent.log().contains("TRACE"), "it logs all that it can");
        for path in found {
            // A socket is no file.
            let bytes = std::fs::read(&path).unwrap_or_default();
            for secret in planted {
                assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} in {path:?}");
            }
        }
    }
}

fn connect(url: &str) -> Output {
    psql(url, &["-c", "select current_user"])
}

/// What the agent may read in Vault: `secret/shop` by its policy, and more by its own list.
fn vault_with_a_policy(vault: &Vault) {
    let read = json!({ "capabilities": ["read"] });
    let policy = json!({ "path": { "secret/data/shop/*": read, "old/shop/*": read } });
    vault.write("sys/policies/acl/shop", &json!({ "policy": policy.to_string() }));
    vault.write("sys/mounts/old", &json!({ "type": "kv", "options": { "version": "1" } }));
}

/// Logs the agent in with an AppRole whose tokens last a second: nothing of what follows uses one for long.
fn app_role(vault: &Vault, folder: &Folder) -> (String, String) {
    vault.write("sys/auth/approle", &json!({ "type": "approle" }));
    vault.write("auth/approle/role/hoop", &json!({ "token_ttl": "1s", "token_policies": "shop" }));
    let role_id = vault.read("auth/approle/role/hoop/role-id")["data"]["role_id"].as_str().expect("an id").to_owned();
    let secret_id = vault.write("auth/approle/role/hoop/secret-id", &json!({}));
    let secret_id = secret_id["data"]["secret_id"].as_str().expect("an id").to_owned();
    std::fs::write(folder.join("secret-id"), format!("{secret_id}\n")).expect("an own folder takes a file");
    (role_id, secret_id)
}

fn settings(vault: &Vault, paths: &[&str], auth: &str) -> String {
    let (address, ca_file) = (vault.address(), vault.ca_file());
    format!("[secrets.vault]\naddress = {address:?}\nca_file = {ca_file:?}\npaths = {paths:?}\nauth = {auth}\n")
}

#[test]
fn a_password_in_vault_logs_in_and_what_is_in_the_way_is_said() {
    if direct_only() {
        return;
    }
    let (folder, mut vault) = (Folder::new("vaults"), Vault::start());
    vault_with_a_policy(&vault);
    let (role_id, secret_id) = app_role(&vault, &folder);
    let file = folder.join("secret-id");
    let auth = format!("{{ method = \"approle\", role_id = {role_id:?}, secret_id_file = {file:?} }}");
    let config = settings(&vault, &["secret/shop", "secret/other", "old", "nowhere"], &auth);
    let scene = Scene::new("in_vault", &config, &[]);

    let (first, second) = ("planted-4c1d-first", "planted-4c1d-second");
    scene.set_password(first);
    vault.write("secret/data/shop/db", &json!({ "data": { "password": first, "port": 5432 } }));
    let url = scene.role("in-vault", "vault:secret/shop/db#password");
    assert_eq!(connect(&url).ok(), "in_vault\n");
    assert_eq!(scene.gateway.api().post("/api/v1/roles/in-vault/test", &json!({}))["ok"], true);
    scene.set_password(second);
    vault.write("secret/data/shop/db", &json!({ "data": { "password": second, "port": 5432 } }));
    assert_eq!(connect(&url).ok(), "in_vault\n", "the next session has the next password");
    vault.write("old/shop/db", &json!({ "password": second }));
    assert_eq!(connect(&scene.role("in-vault-1", "vault:old/shop/db#password")).ok(), "in_vault\n", "version 1");
    vault.write("sys/leases/revoke-force/auth/approle/login", &json!({}));
    assert_eq!(connect(&url).ok(), "in_vault\n", "a token that was revoked is replaced");

    vault.write("secret/data/other/db", &json!({ "data": { "password": second } }));
    vault.write("secret/data/shop/gone", &json!({ "data": { "password": second } }));
    vault.write("secret/delete/shop/gone", &json!({ "versions": [1] }));
    for (name, reference, words) in [
        ("denied", "vault:secret/other/db#password", ["does not let the agent read it", "policy"]),
        ("unlisted", "vault:secret/unlisted/db#password", ["the agent does not allow", "secrets.vault.paths"]),
        ("no-mount", "vault:nowhere/db#password", ["has no such mount", "check the path"]),
        ("missing", "vault:secret/shop/nothing#password", ["there is none at this path", "check the path"]),
        ("deleted", "vault:secret/shop/gone#password", ["newest version is deleted", "undelete"]),
        ("no-field", "vault:secret/shop/db#pasword", ["no field pasword", "after #"]),
        ("no-text", "vault:secret/shop/db#port", ["no text", "write it as a text"]),
        ("no-path", "vault:secret#password", ["names no secret", "vault:<mount>/<path>#<field>"]),
    ] {
        let name = format!("in-vault-{name}");
        let url = scene.role(&name, reference);
        scene.is_refused(&name, &url, &[words[0], words[1], reference]);
    }
    let reference = "vault:secret/shop/db#password";
    vault.seal();
    scene.is_refused("in-vault", &url, &[reference, "is sealed", "unseal it"]);
    vault.unseal();
    assert_eq!(connect(&url).ok(), "in_vault\n", "it is read again at once");
    std::fs::write(&file, "wrong").expect("an own folder takes a file");
    vault.write("auth/approle/role/hoop/secret-id/destroy", &json!({ "secret_id": secret_id }));
    vault.write("sys/leases/revoke-force/auth/approle/login", &json!({}));
    scene.is_refused("in-vault", &url, &[reference, "refuses the agent's login", "secrets.vault.auth"]);
    vault.server().stop("TERM");
    scene.is_refused("in-vault", &url, &[reference, "cannot be reached", "secrets.vault.address"]);
    scene.is_nowhere(&[first, second, &secret_id]);
}

#[test]
fn a_token_in_a_file_is_renewed_and_may_be_replaced() {
    if direct_only() {
        return;
    }
    let (folder, vault) = (Folder::new("vaults"), Vault::start());
    vault.write("sys/namespaces/team", &json!({}));
    let within = |path: &str| format!("team/{path}");
    let policy = json!({ "path": { "kv/data/shop/*": { "capabilities": ["read"] } } });
    vault.write(&within("sys/policies/acl/shop"), &json!({ "policy": policy.to_string() }));
    vault.write(&within("sys/mounts/kv"), &json!({ "type": "kv", "options": { "version": "2" } }));
    let token = || {
        // It is renewed many times over while the test runs, or nobody gets in.
        let wish = json!({ "policies": ["shop"], "ttl": "3s", "explicit_max_ttl": "600s" });
        vault.write(&within("auth/token/create"), &wish)["auth"]["client_token"].as_str().expect("a token").to_owned()
    };
    let (file, first) = (folder.join("token"), token());
    std::fs::write(&file, &first).expect("an own folder takes a file");
    let mut config = settings(&vault, &["kv/shop"], &format!("{{ method = \"token\", file = {file:?} }}"));
    config += "namespace = \"team\"\nmounts = { \"kv\" = 2 }\n";
    let scene = Scene::new("by_token", &config, &[]);
    let planted = "planted-90ab-by-token";
    scene.set_password(planted);
    vault.write(&within("kv/data/shop/db"), &json!({ "data": { "password": planted } }));
    let url = scene.role("by-token", "vault:kv/shop/db#password");
    assert_eq!(connect(&url).ok(), "by_token\n");
    until(Duration::from_secs(20), "a renewal when the token would have ended", || {
        let told = vault.write(&within("auth/token/lookup"), &json!({ "token": first }));
        let at = |field: &str| told["data"][field].as_i64();
        (at("last_renewal_time")? >= at("creation_time")? + 3).then_some(())
    });
    assert_eq!(connect(&url).ok(), "by_token\n", "it was renewed");

    vault.write(&within("auth/token/revoke"), &json!({ "token": first }));
    scene.is_refused("by-token", &url, &["refuses the agent's login", "vault:kv/shop/db#password"]);
    let second = token();
    std::fs::write(&file, &second).expect("an own folder takes a file");
    assert_eq!(connect(&url).ok(), "by_token\n", "it was replaced");
    std::fs::remove_file(&file).expect("it is there");
    vault.write(&within("auth/token/revoke"), &json!({ "token": second }));
    scene.is_refused("by-token", &url, &["cannot log in to Vault", "token"]);
    scene.is_nowhere(&[planted, &first, &second]);
}

/// The part of a Kubernetes API server that Vault asks: whose token it is. One is known.
fn token_reviews(known: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut reader = BufReader::new(&connection);
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|read| read > 0) && !head.ends_with("\r\n\r\n") {}
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            let mut body = vec![0; length.trim().parse().expect("a number")];
            reader.read_exact(&mut body).expect("a body");
            let review: Value = serde_json::from_slice(&body).unwrap_or_default();
            let user = json!({ "username": "system:serviceaccount:shop:hoop", "uid": "1", "groups": [] });
            let status = json!({ "authenticated": review["spec"]["token"] == known, "user": user });
            let answer = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status });
            let (answer, length) = (answer.to_string(), answer.to_string().len());
            let head = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length:";
            // Who has gone away needs no answer.
            let _ = (&connection).write_all(format!("{head} {length}\r\n\r\n{answer}").as_bytes());
        }
    });
    address
}

/// A token of a service account, as a pod has it; its signature is for the API server to verify.
const SERVICE_ACCOUNT: &str = concat!(
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.",
    "eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50Iiwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50OnNob3A6aG9vcCIsImt1YmVybmV0",
    "ZXMuaW8vc2VydmljZWFjY291bnQvbmFtZXNwYWNlIjoic2hvcCIsImt1YmVybmV0ZXMuaW8vc2VydmljZWFjY291bnQvc2VydmljZS1hY2NvdW50",
    "Lm5hbWUiOiJob29wIiwia3ViZXJuZXRlcy5pby9zZXJ2aWNlYWNjb3VudC9zZXJ2aWNlLWFjY291bnQudWlkIjoiMSJ9.",
    "c2lnbmF0dXJl",
);

#[test]
fn a_service_account_of_kubernetes_logs_in_to_vault() {
    if direct_only() {
        return;
    }
    let (folder, vault) = (Folder::new("vaults"), Vault::start());
    vault_with_a_policy(&vault);
    vault.write("sys/auth/kubernetes", &json!({ "type": "kubernetes" }));
    // Without TLS the authority is good for nothing, and asked for.
    let authority = std::fs::read_to_string(vault.ca_file()).expect("the server makes it");
    let cluster = json!({
        "kubernetes_host": token_reviews(SERVICE_ACCOUNT), "disable_local_ca_jwt": true, "kubernetes_ca_cert": authority,
    });
    vault.write("auth/kubernetes/config", &cluster);
    let bound = json!({
        "bound_service_account_names": "hoop", "bound_service_account_namespaces": "shop", "token_policies": "shop",
    });
    vault.write("auth/kubernetes/role/hoop", &bound);
    let file = folder.join("token");
    std::fs::write(&file, SERVICE_ACCOUNT).expect("an own folder takes a file");
    let auth = format!("{{ method = \"kubernetes\", role = \"hoop\", jwt_file = {file:?} }}");
    let scene = Scene::new("in_pod", &settings(&vault, &["secret/shop"], &auth), &[]);
    let planted = "planted-51fe-in-pod";
    scene.set_password(planted);
    vault.write("secret/data/shop/db", &json!({ "data": { "password": planted } }));
    let url = scene.role("in-pod", "vault:secret/shop/db#password");
    assert_eq!(connect(&url).ok(), "in_pod\n");
    scene.is_nowhere(&[planted, SERVICE_ACCOUNT]);
}

#[test]
fn a_password_in_aws_logs_in_and_what_is_in_the_way_is_said() {
    if direct_only() {
        return;
    }
    let moto = Moto::start();
    let arn = format!("arn:aws:secretsmanager:{}:123456789012:secret:prod/shop", Moto::REGION);
    let key = moto.user("hoop", "secretsmanager:GetSecretValue");
    let (first, second) = ("planted-e08b-first", "planted-e08b-second");
    let value = |password: &str| json!({ "password": password, "port": 5432 }).to_string();
    let whole = moto.secrets("CreateSecret", &json!({ "Name": "prod/shop/plain", "SecretString": first }));
    moto.secrets("CreateSecret", &json!({ "Name": "prod/shop/db", "SecretString": value(first) }));
    moto.secrets("CreateSecret", &json!({ "Name": "prod/shop/gone", "SecretString": value(first) }));
    moto.secrets("DeleteSecret", &json!({ "SecretId": "prod/shop/gone", "RecoveryWindowInDays": 7 }));
    moto.verify(true);

    let names = ["prod/", &arn];
    let config =
        format!("[secrets.aws]\nnames = {names:?}\nregion = {:?}\nendpoint = {:?}\n", Moto::REGION, moto.address());
    let credentials = [("AWS_ACCESS_KEY_ID", key.id.as_str()), ("AWS_SECRET_ACCESS_KEY", key.secret.as_str())];
    let scene = Scene::new("in_aws", &config, &credentials);
    scene.set_password(first);
    let url = scene.role("in-aws", "aws-sm:prod/shop/db#password");
    assert_eq!(connect(&url).ok(), "in_aws\n");
    let whole = format!("aws-sm:{}", whole["ARN"].as_str().expect("it has one"));
    assert_eq!(connect(&scene.role("in-aws-whole", &whole)).ok(), "in_aws\n", "by its ARN, and no JSON");
    scene.set_password(second);
    moto.verify(false);
    moto.secrets("PutSecretValue", &json!({ "SecretId": "prod/shop/db", "SecretString": value(second) }));
    moto.verify(true);
    assert_eq!(connect(&url).ok(), "in_aws\n", "the next session has the next password");
    assert_eq!(scene.gateway.api().post("/api/v1/roles/in-aws/test", &json!({}))["ok"], true);

    for (name, reference, words) in [
        ("unlisted", "aws-sm:test/db#password", ["the agent does not allow", "secrets.aws.names"]),
        ("missing", "aws-sm:prod/shop/nothing", ["there is none of this name", "check the name"]),
        ("deleted", "aws-sm:prod/shop/gone#password", ["marked for deletion", "restore it"]),
        ("no-key", "aws-sm:prod/shop/db#pasword", ["no key pasword", "after #"]),
        ("no-text", "aws-sm:prod/shop/db#port", ["no text", "write it as a text"]),
        ("no-json", "aws-sm:prod/shop/plain#password", ["no JSON object", "after #"]),
    ] {
        let name = format!("in-aws-{name}");
        let url = scene.role(&name, reference);
        scene.is_refused(&name, &url, &[words[0], words[1], reference]);
    }
    drop(moto);
    scene.is_refused("in-aws", &url, &["aws-sm:prod/shop/db#password", "cannot be asked", "network"]);
    scene.is_nowhere(&[first, second, &key.secret]);
}

/// moto does not say in the form of this API why it refuses; what AWS says is in the tests of the agent.
#[test]
fn an_agent_that_may_not_read_in_aws_is_told_so() {
    if direct_only() {
        return;
    }
    let moto = Moto::start();
    let known = moto.user("lister", "secretsmanager:ListSecrets");
    let planted = "planted-77aa-unknown";
    moto.secrets("CreateSecret", &json!({ "Name": "prod/db", "SecretString": planted }));
    moto.verify(true);
    let (region, endpoint) = (Moto::REGION, moto.address());
    let config = format!("[secrets.aws]\nnames = [\"prod/\"]\nregion = {region:?}\nendpoint = {endpoint:?}\n");
    for (user, id, secret) in
        [("lister_in_aws", known.id.as_str(), known.secret.as_str()), ("nobody_in_aws", "AKIA", planted)]
    {
        let credentials = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)];
        let scene = Scene::new(user, &config, &credentials);
        let name = user.replace('_', "-");
        let url = scene.role(&name, "aws-sm:prod/db");
        scene.is_refused(
            &name,
            &url,
            &["aws-sm:prod/db", "refuses the agent", "secretsmanager:GetSecretValue on prod/db"],
        );
        scene.is_nowhere(&[secret, planted]);
    }
}
