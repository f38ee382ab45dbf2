//! What requests are authenticated with, and what of the client's stays behind.

use hoop_proto::tunnel::v1::http_target::Login;
use hoop_proto::tunnel::v1::{HttpAwsSigv4, HttpBasic, HttpBearer, HttpCookie, HttpHeader, HttpOauthClientCredentials};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::server::{Asked, Server, full, serve};
use super::*;

fn with(port: u16, login: Login) -> HttpTarget {
    HttpTarget { login: Some(login), ..target(port) }
}

fn theirs() -> Vec<HttpField> {
    ["authorization", "x-api-key", "x_api_key", "x-amz-date"].map(|name| field(name, "theirs")).into()
}

#[tokio::test]
async fn each_login_says_its_own_in_the_place_of_the_clients() {
    let server = Server::start().await;
    let header = |name: &str| Login::Header(HttpHeader { name: name.to_owned() });
    for (login, ours, theirs_left) in [
        (Login::Bearer(HttpBearer {}), "authorization: Bearer s3cret", 3),
        (Login::Basic(HttpBasic { user: "app".to_owned() }), "authorization: Basic YXBwOnMzY3JldA==", 3),
        (header("X-Api-Key"), "x-api-key: s3cret", 2),
        (Login::Cookie(HttpCookie { name: "sid".to_owned() }), "cookie: a=1; sid=s3cret", 4),
    ] {
        let target = with(server.port, login);
        let mut channel = Channel::with(&target, &secret("s3cret"), &settings()).await.expect("a session");
        let mut asked = get("/");
        asked.fields = theirs();
        asked.fields.push(field("cookie", "sid=theirs1; a=1"));
        let text = channel.ask(asked).await.text();
        assert!(text.contains(&format!("{ours}\n")), "{ours} in {text}");
        assert_eq!(text.matches(": theirs\n").count(), theirs_left, "{text}");
    }
}

#[tokio::test]
async fn without_a_login_the_clients_own_goes_on() {
    let server = Server::start().await;
    let asked = HttpRequest { fields: theirs(), ..get("/") };
    let text = Channel::open(&target(server.port)).await.ask(asked).await.text();
    assert_eq!(text.matches(": theirs\n").count(), 4, "{text}");
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_told_without_being_shown() {
    let server = Server::start().await;
    let cookie = Login::Cookie(HttpCookie { name: "sid".to_owned() });
    for (login, supplied) in [
        (Login::Bearer(HttpBearer {}), vec![]),
        (Login::Bearer(HttpBearer {}), secret("hunter2\n")),
        (cookie, secret("hunter2; admin=1")),
    ] {
        let target = with(server.port, login);
        let failure = Channel::with(&target, &supplied, &settings()).await.err().expect("no login");
        assert_eq!(failure.code, Code::SecretUnavailable);
        assert!(!failure.reason.contains("hunter2"), "{}", failure.reason);
    }
}

#[tokio::test]
async fn requests_are_signed_for_aws() {
    let server = Server::start().await;
    let login = Login::AwsSigv4(HttpAwsSigv4 {
        region: "eu-central-1".to_owned(),
        service: "es".to_owned(),
        access_key_id: "AKIDEXAMPLE".to_owned(),
    });
    let mut channel =
        Channel::with(&with(server.port, login), &secret("s3cret"), &settings()).await.expect("a session");
    let text = channel.ask(HttpRequest { fields: theirs(), ..get("/a?b=c") }).await.text();
    assert!(text.contains("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{text}");
    assert!(
        text.contains("/eu-central-1/es/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date"),
        "{text}"
    );
    assert!(text.contains("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"), "{text}");
    assert!(!text.contains("x-amz-date: theirs") && !text.contains("authorization: theirs"), "{text}");
    let known = HttpRequest { fields: vec![field("content-length", "4")], ..request("POST", "/") };
    let text = channel.ask_with(known, &["bo", "dy"], vec![]).await.text();
    let hash = "x-amz-content-sha256: 230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5\n";
    assert!(text.contains(hash) && text.ends_with("\n\nbody"), "{text}");
    let text = channel.ask_with(request("POST", "/"), &["body"], vec![]).await.text();
    assert!(text.contains("x-amz-content-sha256: UNSIGNED-PAYLOAD\n") && text.ends_with("\n\nbody"), "{text}");
}

#[tokio::test]
async fn the_token_of_a_temporary_key_is_sent_and_signed() {
    let server = Server::start().await;
    let login = Login::AwsSigv4(HttpAwsSigv4 {
        region: "eu-central-1".to_owned(),
        service: "es".to_owned(),
        access_key_id: "ASIAEXAMPLE".to_owned(),
    });
    let supplied = |token: &str| {
        let token = SuppliedSecret { field: "aws_session_token".to_owned(), value: token.to_owned() };
        [secret("s3cret"), vec![token]].concat()
    };
    let target = with(server.port, login);
    let mut channel = Channel::with(&target, &supplied("tempo/rary+="), &settings()).await.expect("a session");
    let asked = HttpRequest { fields: vec![field("x-amz-security-token", "theirs")], ..get("/a") };
    let text = channel.ask(asked).await.text();
    assert!(text.contains("x-amz-security-token: tempo/rary+=\n") && !text.contains("theirs"), "{text}");
    let signed = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
    assert!(text.contains(signed), "{text}");
    for wrong in ["", "two lines\n"] {
        let failure = Channel::with(&target, &supplied(wrong), &settings()).await.err().expect("no login");
        assert_eq!(failure.code, Code::SecretUnavailable);
        assert!(!failure.reason.contains("two lines"), "{}", failure.reason);
    }
}

/// An endpoint that gives the tokens `t1`, `t2` … and a target that takes those that are listed.
async fn issuer(asked: Asked, answer: fn(usize) -> (StatusCode, String)) -> Server {
    Server::with(move |io| {
        let asked = asked.clone();
        serve(io, move |request: Request<Incoming>| {
            let asked = asked.clone();
            async move {
                let login = request.headers()[http::header::AUTHORIZATION].to_str().expect("text").to_owned();
                let body = http_body_util::BodyExt::collect(request.into_body()).await.expect("a body").to_bytes();
                let number = asked.note(format!("{login} {}", String::from_utf8_lossy(&body)));
                let (status, text) = answer(number);
                let mut response = Response::new(full(text));
                *response.status_mut() = status;
                response
            }
        })
    })
    .await
}

fn oauth(port: u16) -> Login {
    Login::OauthClientCredentials(HttpOauthClientCredentials {
        token_url: format!("http://127.0.0.1:{port}/token"),
        client_id: "my app".to_owned(),
        scope: "a b".to_owned(),
    })
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_again_when_it_is_refused() {
    let asked = Asked::default();
    let give =
        |number| (StatusCode::OK, format!(r#"{{"access_token":"t{number}","token_type":"bearer","expires_in":3600}}"#));
    let issuer = issuer(asked.clone(), give).await;
    // Takes the second token alone, and only at the path /two.
    let server = Server::with(|io| {
        serve(io, |request: Request<Incoming>| async move {
            let used = request.headers()[http::header::AUTHORIZATION].to_str().expect("text").to_owned();
            let mut response = Response::new(full(used.clone()));
            if request.uri().path() == "/refuse" {
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            }
            response
        })
    })
    .await;
    let target = with(server.port, oauth(issuer.port));
    let channel = Channel::with(&target, &secret("p&ss"), &settings()).await.expect("a session");
    let (mut one, mut two) = (channel.beside(), channel.beside());
    let (one_answer, two_answer) = tokio::join!(one.ask(get("/")), two.ask(get("/")));
    assert_eq!((one_answer.text().as_str(), two_answer.text().as_str()), ("Bearer t1", "Bearer t1"));
    // base64 of `my+app:p%26ss`.
    assert_eq!(asked.all(), ["Basic bXkrYXBwOnAlMjZzcw== grant_type=client_credentials&scope=a+b"]);
    for (path, status, token) in
        [("/refuse", 401, "Bearer t1"), ("/", 200, "Bearer t2"), ("/refuse", 401, "Bearer t2"), ("/", 200, "Bearer t2")]
    {
        let answer = one.ask(get(path)).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, token));
    }
}

#[tokio::test]
async fn an_endpoint_that_gives_no_token_fails_the_exchange() {
    for (answer, code) in [
        (
            (|_| (StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client"}"#.to_owned()))
                as fn(usize) -> (StatusCode, String),
            Code::TargetLoginFailed,
        ),
        (|_| (StatusCode::OK, "<html>".to_owned()), Code::TargetLoginFailed),
        (|_| (StatusCode::OK, r#"{"access_token":"x","token_type":"mac"}"#.to_owned()), Code::TargetLoginFailed),
        (|_| (StatusCode::OK, "x".repeat(1 << 20)), Code::TargetLost),
    ] {
        let (issuer, server) = (issuer(Asked::default(), answer).await, Server::start().await);
        let target = with(server.port, oauth(issuer.port));
        let mut channel = Channel::with(&target, &secret("hunter2"), &settings()).await.expect("a session");
        let answer = channel.ask(get("/")).await;
        assert_eq!(answer.code(), Some(code), "{answer:?}");
        assert!(!format!("{answer:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn the_endpoint_for_tokens_is_an_address_that_the_agents_owner_allows() {
    let server = Server::start().await;
    let target = with(server.port, oauth(1));
    let restricted = Settings { targets: vec![format!("127.0.0.1:{}", server.port)], ..settings() };
    let failure = Channel::with(&target, &secret("x"), &restricted).await.err().expect("not allowed");
    assert_eq!(failure.code, Code::AgentRefused);
}
