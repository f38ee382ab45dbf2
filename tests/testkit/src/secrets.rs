//! Servers that secrets are read from. `tests/e2e/setup.sh` installs them below the target folder.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::clients::made;
use crate::{Folder, Guarded, Plan, free_port, until};

/// How long a server may take to be ready.
const READY: Duration = Duration::from_secs(120);
/// The token that may do everything.
const ROOT: &str = "root-of-the-test";

/// An OpenBao server, which has Vault's API, with TLS and an authority of its own. It keeps everything in memory; `secret/`
/// is a mount of version 2.
#[derive(Debug)]
pub struct Vault {
    server: Guarded,
    folder: Folder,
    port: u16,
}

/// The first of two ports in a row: it listens at the one behind its own as well, for others of its cluster.
fn two_free_ports() -> u16 {
    let mut port = free_port();
    loop {
        let next = free_port();
        if next == port + 1 {
            return port;
        }
        port = next;
    }
}

impl Vault {
    /// Starts one.
    ///
    /// # Panics
    /// When it is not installed, or is not ready within half a minute.
    pub fn start() -> Self {
        let (folder, port) = (Folder::new("vault"), two_free_ports());
        let mut command = vec![made("secrets/bin/bao").display().to_string(), "server".to_owned(), "-dev".to_owned()];
        command.extend(["-dev-tls", "-dev-no-store-token"].map(str::to_owned));
        command.push(format!("-dev-root-token-id={ROOT}"));
        command.push(format!("-dev-listen-address=127.0.0.1:{port}"));
        command.push(format!("-dev-tls-cert-dir={}", folder.path().display()));
        let environment = vec![("HOME".to_owned(), folder.path().display().to_string())];
        let plan =
            Plan { name: "openbao".to_owned(), command, environment, stop: "TERM", folder: folder.path().to_owned() };
        let vault = Self { server: Guarded::start(&plan), folder, port };
        // The last of what it prints before it serves.
        until(READY, "OpenBao", || {
            assert!(vault.server.is_alive(), "it ended: {}\n{}", vault.server.log(), vault.server.printed());
            vault.server.printed().contains("Unseal Key: ").then_some(())
        });
        until(READY, "OpenBao's mounts", || (vault.call(Method::GET, "secret/config", None).0 == 200).then_some(()));
        vault
    }

    /// Its URL.
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The file with the certificate of its authority.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("vault-ca.pem")
    }

    /// Writes to a path with the root token, and gives the answer.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn write(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(Method::POST, path, Some(body));
        assert!((200..300).contains(&status), "{path} gave {status}: {answer}");
        answer
    }

    /// Reads a path with the root token.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn read(&self, path: &str) -> Value {
        let (status, answer) = self.call(Method::GET, path, None);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Seals it: it serves nothing until it is unsealed.
    pub fn seal(&self) {
        self.write("sys/seal", &json!({}));
    }

    /// Unseals it.
    ///
    /// # Panics
    /// When it is not, within half a minute.
    pub fn unseal(&self) {
        let printed = self.server.printed();
        let key = printed.split("Unseal Key: ").nth(1).and_then(|rest| rest.lines().next()).expect("it was printed");
        self.write("sys/unseal", &json!({ "key": key.trim() }));
        until(READY, "the unsealed Vault", || (self.call(Method::GET, "secret/config", None).0 == 200).then_some(()));
    }

    /// The server process.
    pub const fn server(&mut self) -> &mut Guarded {
        &mut self.server
    }

    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let pem = std::fs::read(self.ca_file()).expect("the server makes it");
        let authority = Certificate::from_pem(&pem).expect("a certificate");
        let client = reqwest::Client::builder().tls_certs_only([authority]);
        let url = format!("{}/v1/{path}", self.address());
        send(client, |client| {
            let request = client.request(method, &url).header("x-vault-token", ROOT);
            if let Some(body) = body { request.json(body) } else { request }
        })
    }
}

/// A moto server, which has the API of AWS Secrets Manager, and of IAM besides: it verifies who asks, and whether they may.
#[derive(Debug)]
pub struct Moto {
    server: Guarded,
    _folder: Folder,
    port: u16,
}

/// Keys of a user of AWS.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// As in `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// As in `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
}

impl Moto {
    /// The region of everything in it.
    pub const REGION: &str = "eu-central-1";

    /// Starts one that verifies nothing yet.
    ///
    /// # Panics
    /// When it is not installed, or is not ready within half a minute.
    pub fn start() -> Self {
        let (folder, port) = (Folder::new("moto"), free_port());
        let server = made("secrets/bin/moto_server").display().to_string();
        let command = [&server, "-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned).to_vec();
        let plan = Plan {
            name: "moto".to_owned(),
            command,
            environment: vec![],
            stop: "TERM",
            folder: folder.path().to_owned(),
        };
        let moto = Self { server: Guarded::start(&plan), _folder: folder, port };
        until(READY, "moto", || {
            assert!(moto.server.is_alive(), "it ended: {}", moto.server.log());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        moto
    }

    /// Its URL.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Verifies from now on who asks and whether they may, or does not.
    pub fn verify(&self, whether: bool) {
        let count = if whether { "0" } else { "inf" };
        let url = format!("{}/moto-api/reset-auth", self.address());
        done(send(reqwest::Client::builder(), |client| client.post(&url).body(count)));
    }

    /// Calls Secrets Manager, while nothing is verified.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn secrets(&self, action: &str, body: &Value) -> Value {
        done(send(reqwest::Client::builder(), |client| {
            let request = client.post(self.address()).header("authorization", unsigned("secretsmanager"));
            let request = request.header("x-amz-target", format!("secretsmanager.{action}"));
            request.header("content-type", "application/x-amz-json-1.1").body(body.to_string())
        }))
    }

    /// A new user who may do this one thing, while nothing is verified.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn user(&self, name: &str, action: &str) -> AccessKey {
        let statement = json!({ "Effect": "Allow", "Action": action, "Resource": "*" });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        self.iam(&[("Action", "CreateUser"), ("UserName", name)]);
        let put = ("Action", "PutUserPolicy");
        self.iam(&[put, ("UserName", name), ("PolicyName", "only"), ("PolicyDocument", &policy)]);
        let made = self.iam(&[("Action", "CreateAccessKey"), ("UserName", name)]);
        let field = |tag: &str| {
            let rest = made.split(&format!("<{tag}>")).nth(1).unwrap_or_else(|| panic!("no {tag} in {made}"));
            rest.split('<').next().unwrap_or_default().to_owned()
        };
        AccessKey { id: field("AccessKeyId"), secret: field("SecretAccessKey") }
    }

    fn iam(&self, parameters: &[(&str, &str)]) -> String {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.append_pair("Version", "2010-05-08").extend_pairs(parameters);
        let answer = done(send(reqwest::Client::builder(), |client| {
            let request = client.post(self.address()).header("authorization", unsigned("iam"));
            request.header("content-type", "application/x-www-form-urlencoded").body(body.finish())
        }));
        answer.as_str().expect("it is XML").to_owned()
    }
}

/// It tells the service, and nothing is verified.
fn unsigned(service: &str) -> String {
    let scope = format!("nobody/20260101/{}/{service}/aws4_request", Moto::REGION);
    format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none")
}

#[track_caller]
fn done((status, answer): (u16, Value)) -> Value {
    assert!((200..300).contains(&status), "{status}: {answer}");
    answer
}

/// One call on a connection of its own, as to the API of a gateway.
fn send(client: ClientBuilder, request: impl FnOnce(&reqwest::Client) -> RequestBuilder) -> (u16, Value) {
    let call = async {
        let client = client.no_proxy().timeout(READY).build()?;
        let response = request(&client).send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok::<_, reqwest::Error>((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(call).unwrap_or_else(|error| panic!("{error:?}"))
}
