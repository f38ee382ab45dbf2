//! Port 8010 as native clients use it, message by message.

use bytes::Bytes;
use chrono::TimeDelta;
use hoop_core::id::{OrgId, TokenId};
use hoop_core::{Clock as _, SystemClock};
use hoop_proto::tunnel::v1::access_client::AccessClient;
use hoop_proto::tunnel::v1::{DialDown, DialStart, DialUp, dial_down, dial_up};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use super::{config, start};
use crate::Running;
use crate::auth::token;
use crate::store::tests::user;
use crate::store::{Token, User};

/// A new user's token.
async fn signed_in(running: &Running, user: User) -> String {
    let (token, hash) = token::generate();
    let (store, now) = (running.gateway().store(), SystemClock.now());
    store.users().create(&user).await.expect("stored");
    let (id, expires_at) = (TokenId::new(&SystemClock), now + TimeDelta::hours(1));
    let made = Token {
        org: user.org,
        id,
        user: user.id,
        hash,
        expires_at,
        grant: None,
        revoked_at: None,
        last_used_at: None,
        created_at: now,
    };
    store.tokens().create(&made).await.expect("stored");
    token.expose().clone()
}

async fn member(running: &Running) -> String {
    signed_in(running, User { must_change_password: false, ..user("ada", &[]) }).await
}

fn postgres() -> dial_up::Body {
    dial_up::Body::Start(DialStart { protocol: "postgres".to_owned() })
}

fn data(bytes: &'static [u8]) -> dial_up::Body {
    dial_up::Body::Data(Bytes::from_static(bytes))
}

async fn connected(running: &Running) -> AccessClient<Channel> {
    AccessClient::connect(format!("http://{}", running.addresses().grpc)).await.expect("connected")
}

/// A call on a connection of its own.
async fn dial(
    running: &Running,
    token: &str,
    first: &[dial_up::Body],
) -> Result<(mpsc::Sender<DialUp>, Streaming<DialDown>), Status> {
    call(&mut connected(running).await, token, first).await
}

/// A call with this token that says this first, and does not end.
async fn call(
    client: &mut AccessClient<Channel>,
    token: &str,
    first: &[dial_up::Body],
) -> Result<(mpsc::Sender<DialUp>, Streaming<DialDown>), Status> {
    let (up, outgoing) = mpsc::channel(4);
    for body in first {
        up.try_send(DialUp { body: Some(body.clone()) }).expect("room");
    }
    let mut request = Request::new(ReceiverStream::new(outgoing));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a token"));
    Ok((up, client.dial(request).await?.into_inner()))
}

/// A request for TLS (`SSLRequest`), as PostgreSQL's clients begin.
const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];

#[tokio::test]
async fn who_shows_no_good_token_gets_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(config(folder.path(), &[])).await;
    let good = member(&running).await;
    let new = signed_in(&running, user("new", &[])).await;
    let agent = super::token(&running, "here").await;
    for (token, code) in [
        ("", Code::Unauthenticated),
        ("hoopt_made-up", Code::Unauthenticated),
        (&agent, Code::Unauthenticated),
        (&new, Code::PermissionDenied),
    ] {
        let refused = dial(&running, token, &[postgres()]).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{refused}");
    }
    let (up, _down) = dial(&running, &good, &[postgres()]).await.expect("let in");
    drop(up);
    let users = running.gateway().store().users();
    let ada = users.by_name(OrgId::DEFAULT, "ada").await.expect("asked").expect("there");
    running.gateway().store().tokens().revoke_all(ada.org, ada.id, None, SystemClock.now()).await.expect("revoked");
    let refused = dial(&running, &good, &[postgres()]).await.expect_err("revoked");
    assert_eq!(refused.code(), Code::Unauthenticated);
    running.shutdown().await;
}

#[tokio::test]
async fn the_first_message_says_which_door_is_meant_and_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(config(folder.path(), &[("limits.login_timeout", "300ms")])).await;
    let token = member(&running).await;
    let elsewhere = dial_up::Body::Start(DialStart { protocol: "gopher".to_owned() });
    for (first, code) in [(&[elsewhere][..], Code::InvalidArgument), (&[data(SSL_REQUEST)], Code::InvalidArgument)] {
        let refused = dial(&running, &token, first).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{refused}");
    }
    // Who then says nothing to the door is told what the door tells, and that this was all.
    let mut client = connected(&running).await;
    let (_up, mut down) = call(&mut client, &token, &[postgres()]).await.expect("let in");
    let told = down.message().await.expect("told").expect("an error of PostgreSQL's");
    assert!(matches!(told.body, Some(dial_down::Body::Data(data)) if data.first() == Some(&b'E')));
    assert!(down.message().await.expect("ended in order").is_none());
    // The connection is known by now, and its next call has a deadline of its own.
    let refused = call(&mut client, &token, &[]).await.expect_err("refused");
    assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused}");
    running.shutdown().await;
}

#[tokio::test]
async fn bytes_reach_the_door_and_its_answers_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(config(folder.path(), &[("listen.postgres.tls", "off")])).await;
    let token = member(&running).await;
    let pieces = [postgres(), data(&SSL_REQUEST[..3]), data(&SSL_REQUEST[3..])];
    let (up, mut down) = dial(&running, &token, &pieces).await.expect("let in");
    let answer = down.message().await.expect("answered").expect("an answer");
    assert_eq!(answer.body, Some(dial_down::Body::Data(Bytes::from_static(b"N"))));
    drop(up);
    assert!(down.message().await.expect("ended in order").is_none(), "the end of one direction ends the other");

    let (up, mut down) = dial(&running, &token, &[postgres()]).await.expect("let in");
    up.send(DialUp { body: Some(postgres()) }).await.expect("sent");
    assert!(down.message().await.expect("ended").is_none(), "who leaves the protocol is let go");
    running.shutdown().await;
}
