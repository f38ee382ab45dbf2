use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::*;
use crate::trust::Trust;

/// The next request's method and path.
async fn request(gateway: &mut (impl AsyncBufRead + Unpin)) -> String {
    let (mut first, mut length) = (String::new(), 0);
    gateway.read_line(&mut first).await.expect("a request");
    loop {
        let mut line = String::new();
        gateway.read_line(&mut line).await.expect("a header");
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.trim().is_empty() {
            break;
        }
    }
    gateway.read_exact(&mut vec![0; length]).await.expect("a body");
    first.trim_end_matches(" HTTP/1.1\r\n").to_owned()
}

#[tokio::test]
async fn who_is_stopped_while_one_is_made_gives_it_back() {
    let door = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", door.local_addr().expect("an address"));
    let api = Api::new(&url, &Trust::default()).expect("a client");
    let ((stop, asked), (heard, known)) = (oneshot::channel(), oneshot::channel());
    let stopped = async {
        asked.await.expect("it is asked");
        heard.send(()).expect("somebody waits");
        Failure::new(Failure::INTERRUPTED, "interrupted")
    };
    let gateway = async {
        let mut gateway = BufReader::new(door.accept().await.expect("a client").0);
        assert_eq!(request(&mut gateway).await, "POST /api/v1/roles/shop/credentials");
        stop.send(()).expect("somebody listens");
        known.await.expect("it was heard");
        let made = json!({
            "id": "crd_1", "role": "shop", "host": "localhost", "port": 1, "user": "u", "password": "p",
            "database": "d", "sslmode": "disable",
        })
        .to_string();
        let answer = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n{made}", made.len());
        gateway.write_all(answer.as_bytes()).await.expect("answered");
        assert_eq!(request(&mut gateway).await, "DELETE /api/v1/credentials/crd_1");
        gateway.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("answered");
    };
    let wish = Wish::default();
    let (borrowed, ()) = tokio::join!(Credential::borrow(&api, "shop", &wish, stopped), gateway);
    assert_eq!(borrowed.expect_err("it was stopped").code(), Failure::INTERRUPTED);
}

#[test]
fn a_gateway_that_calls_itself_localhost_is_where_its_api_is() {
    for (host, api, better) in [
        ("localhost", "https://gw.example.com", Some("gw.example.com")),
        ("127.0.0.1", "https://[2001:db8::1]:8009", Some("2001:db8::1")),
        ("localhost", "http://127.0.0.1:8009", None),
        ("pg.example.com", "https://gw.example.com", None),
        ("127.example.com", "https://gw.example.com", None),
    ] {
        assert_eq!(better_host(host, api).as_deref(), better, "{host} {api}");
    }
}

fn credential(host: &str, sslmode: &str) -> Credential {
    Credential {
        id: String::new(),
        role: "shop".to_owned(),
        host: host.to_owned(),
        port: 15432,
        user: "shop-abc".to_owned(),
        password: Secret::new("secret".to_owned()),
        database: "it's a/db".to_owned(),
        sslmode: sslmode.to_owned(),
        kind: "postgres".to_owned(),
        known_hosts: Vec::new(),
        tunnel: None,
        origin: None,
    }
}

fn web(url: &str, api: &str) -> (Credential, Value) {
    let mut made = json!({
        "id": "crd_1", "role": "app", "kind": "http", "host": "127.0.0.1", "port": 18888, "user": "app-abc",
        "password": "secret", "database": "", "sslmode": "", "url": url, "command": "as it was",
    });
    let mut credential = Credential::deserialize(&made).expect("a credential");
    credential.find_web(api, &mut made);
    (credential, made)
}

#[test]
fn a_web_app_is_where_its_origin_is() {
    let (own, made) = web("http://app-abc:secret@app.localhost:18888/", "http://127.0.0.1:8009");
    assert_eq!((own.base().as_str(), own.host.as_str()), ("http://app.localhost:18888", "127.0.0.1"));
    assert_eq!(made["command"], "as it was");
    assert!(own.is_reached_by_browsers() && own.check_transport(false).is_ok());
    let (far, made) = web("https://app-abc:secret@app.apps.example.com/", "https://gw.example.com");
    assert_eq!(
        (far.host.as_str(), far.port, far.authority().as_str()),
        ("app.apps.example.com", 443, "app.apps.example.com")
    );
    assert_eq!(made["url"], far.url());
    assert!(far.is_reached_by_browsers() && far.check_transport(false).is_ok());
}

#[test]
fn a_gateway_without_a_domain_is_asked_under_the_name_of_its_api() {
    let (far, made) = web("http://app-abc:secret@app.localhost:18888/", "https://gw.example.com");
    assert_eq!((far.host.as_str(), far.authority().as_str()), ("gw.example.com", "app.localhost:18888"));
    assert_eq!(made["url"], "http://app-abc:secret@gw.example.com:18888/");
    assert_eq!(made["command"], "curl -H 'Hoop-Token: hoopw_app-abc.secret' http://gw.example.com:18888/");
    assert!(!far.is_reached_by_browsers() && far.check_transport(false).is_err());
    assert!(!format!("{far:?}").contains(":secret"), "{far:?}");
}

#[test]
fn a_door_for_ssh_is_known_by_the_name_that_it_is_reached_by() {
    let known_hosts = vec!["[localhost]:12222 ssh-ed25519 AAAA".to_owned()];
    let mut ssh = Credential { kind: SSH.to_owned(), port: 12222, known_hosts, ..credential("localhost", "") };
    ssh.check_transport(false).expect("it is encrypted whatever else is said");
    ssh.move_to("gw.example.com".to_owned());
    assert_eq!(ssh.url(), "ssh://shop-abc@gw.example.com:12222");
    assert_eq!(ssh.known_hosts, ["[gw.example.com]:12222 ssh-ed25519 AAAA"]);
    assert_eq!(known_hosts_at_22(), ["gw ssh-ed25519 AAAA"]);
}

fn known_hosts_at_22() -> Vec<String> {
    known_hosts("gw", 22, &["ssh-ed25519 AAAA".to_owned()])
}

#[test]
fn sessions_go_nowhere_in_clear_text() {
    for (host, sslmode, allow_http, is_fine) in [
        ("pg.example.com", "disable", false, false),
        ("127.example.com", "disable", false, false),
        ("pg.example.com", "disable", true, true),
        ("pg.example.com", "require", false, true),
        ("localhost", "disable", false, true),
        ("127.0.0.2", "disable", false, true),
        ("::1", "disable", false, true),
    ] {
        let checked = credential(host, sslmode).check_transport(allow_http);
        assert_eq!(checked.is_ok(), is_fine, "{host} {sslmode} {allow_http}");
    }
}

#[test]
fn a_url_has_one_reading() {
    let rest = "15432/it%27s%20a%2Fdb?sslmode";
    for (host, sslmode, expected) in [
        ("::1", "require", format!("[::1]:{rest}=require&channel_binding=require")),
        ("gw.example.com", "disable", format!("gw.example.com:{rest}=disable")),
        ("a'b", "disable", format!("a%27b:{rest}=disable")),
    ] {
        assert_eq!(credential(host, sslmode).url(), format!("postgresql://shop-abc:secret@{expected}"));
    }
}
