//! The target against servers that keep to the protocol, and against such that do not. The tests play the gateway.

mod exchange;
mod hostile;
mod login;
mod secure;
mod server;
mod websocket;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use hoop_core::Code;
use hoop_proto::tunnel::BusyPoll;
use hoop_proto::tunnel::v1::{
    Failure, HttpEnd, HttpField, HttpMessage, HttpRequest, HttpResponse, HttpTarget, SuppliedSecret, carry_down,
    carry_up, http_message,
};
use rustls::RootCertStore;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::agent::Settings;
use crate::error::TargetFailure;
use crate::secret::SecretSources;
use crate::target::{self, Served, Sink as _, Target};

/// One channel, as the gateway has it.
struct Channel {
    up: mpsc::Receiver<carry_up::Body>,
    down: super::Down,
    served: super::Served,
}

/// What came of an exchange.
#[derive(Debug, Default)]
struct Answer {
    status: u32,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
    failed: Option<Failure>,
}

impl Answer {
    fn text(&self) -> String {
        assert_eq!(self.failed, None);
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn code(&self) -> Option<Code> {
        self.failed.as_ref().map(|failure| failure.code.parse().expect("a code"))
    }
}

fn settings() -> Settings {
    let key = format!("grpcs://shop:hoopk_{}@localhost:8010", "A".repeat(43));
    Settings {
        dsn: key.parse().expect("a key"),
        labels: Default::default(),
        secrets: SecretSources::default(),
        targets: Vec::new(),
        roots: RootCertStore::empty(),
        continue_trace: None,
        busy_poll: BusyPoll::Off,
        #[cfg(feature = "postgres")]
        scram_keys: Default::default(),
    }
}

/// A target on this machine.
fn target(port: u16) -> HttpTarget {
    HttpTarget { scheme: "http".to_owned(), host: "127.0.0.1".to_owned(), port: port.into(), ..HttpTarget::default() }
}

fn secret(value: &str) -> Vec<SuppliedSecret> {
    vec![SuppliedSecret { field: "secret".to_owned(), value: value.to_owned() }]
}

fn request(method: &str, path: &str) -> HttpRequest {
    HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        authority: "app.example".to_owned(),
        ..HttpRequest::default()
    }
}

fn get(path: &str) -> HttpRequest {
    HttpRequest { bodiless: true, ..request("GET", path) }
}

fn field(name: &str, value: &str) -> HttpField {
    HttpField { name: name.to_owned(), value: value.to_owned().into_bytes().into() }
}

fn texts(fields: &[HttpField]) -> Vec<(String, String)> {
    fields.iter().map(|field| (field.name.clone(), String::from_utf8_lossy(&field.value).into_owned())).collect()
}

/// Reads as the link does, which asks for more while there is room for it.
fn read(mut up: BoxStream<'static, carry_up::Body>) -> mpsc::Receiver<carry_up::Body> {
    let (send, receive) = mpsc::channel(1);
    TaskTracker::new().spawn(async move {
        while let Some(body) = up.next().await {
            if send.send(body).await.is_err() {
                return;
            }
        }
    });
    receive
}

impl Channel {
    async fn open(target: &HttpTarget) -> Self {
        Self::with(target, &[], &settings()).await.expect("a session")
    }

    async fn with(target: &HttpTarget, secrets: &[SuppliedSecret], settings: &Settings) -> Result<Self, TargetFailure> {
        super::connect(target, secrets, settings).await.map(Self::of)
    }

    fn of(target: Target) -> Self {
        let Target {
            up: target::Up::Messages(up), down: target::Down::Http(down), served: Served::Http(served), ..
        } = target
        else {
            panic!("a target of another kind")
        };
        Self { up: read(up), down, served }
    }

    /// One more of the same session.
    fn beside(&self) -> Self {
        Self::of(super::open(&self.served))
    }

    async fn say(&mut self, body: http_message::Body) {
        let message = HttpMessage { body: Some(body) };
        self.pass(carry_down::Body::Http(message)).await;
    }

    async fn data(&mut self, data: impl Into<Bytes>) {
        self.pass(carry_down::Body::Data(data.into())).await;
    }

    /// Passes one message on, and then nothing more is here.
    async fn pass(&mut self, body: carry_down::Body) {
        assert!(self.down.take(body).await.is_ok(), "the channel has ended");
        assert!(self.down.settle().await.is_ok(), "the channel has ended");
    }

    /// Passes on a request and all of its body, which are here together.
    async fn ask_at_once(&mut self, asked: HttpRequest, pieces: &[&'static str], trailers: Vec<HttpField>) -> Answer {
        let http = |body| carry_down::Body::Http(HttpMessage { body: Some(body) });
        let data = pieces.iter().map(|piece| carry_down::Body::Data(Bytes::from_static(piece.as_bytes())));
        let end = http(http_message::Body::End(HttpEnd { trailers }));
        for body in [http(http_message::Body::Request(asked))].into_iter().chain(data).chain([end]) {
            assert!(self.down.take(body).await.is_ok(), "the channel has ended");
        }
        assert!(self.down.settle().await.is_ok(), "the channel has ended");
        self.answer().await
    }

    async fn end(&mut self) {
        self.say(http_message::Body::End(HttpEnd::default())).await;
    }

    async fn next(&mut self) -> carry_up::Body {
        self.up.recv().await.expect("more")
    }

    async fn head(&mut self) -> Result<HttpResponse, Failure> {
        match self.next().await {
            carry_up::Body::Http(HttpMessage { body: Some(http_message::Body::Response(head)) }) => Ok(head),
            carry_up::Body::Http(HttpMessage { body: Some(http_message::Body::Failed(failure)) }) => Err(failure),
            other => panic!("{other:?} in the place of a head"),
        }
    }

    /// What comes of an exchange, to its end.
    async fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        match self.head().await {
            Ok(head) => {
                (answer.status, answer.fields) = (head.status, texts(&head.fields));
                if !head.bodiless {
                    self.rest(&mut answer).await;
                }
            }
            Err(failure) => answer.failed = Some(failure),
        }
        answer
    }

    async fn rest(&mut self, answer: &mut Answer) {
        loop {
            match self.next().await {
                carry_up::Body::Data(data) => answer.body.extend_from_slice(&data),
                carry_up::Body::Http(HttpMessage { body: Some(http_message::Body::End(end)) }) => {
                    answer.trailers = texts(&end.trailers);
                    return;
                }
                carry_up::Body::Http(HttpMessage { body: Some(http_message::Body::Failed(failure)) }) => {
                    answer.failed = Some(failure);
                    return;
                }
                other => panic!("{other:?} in a body"),
            }
        }
    }

    /// A request without a body, and what comes of it.
    async fn ask(&mut self, request: HttpRequest) -> Answer {
        assert!(request.bodiless || request.websocket);
        self.say(http_message::Body::Request(request)).await;
        self.answer().await
    }

    /// A request with a body and what comes after it, and what comes of it.
    async fn ask_with(&mut self, request: HttpRequest, body: &[&'static str], trailers: Vec<HttpField>) -> Answer {
        self.say(http_message::Body::Request(request)).await;
        for piece in body {
            self.data(Bytes::from_static(piece.as_bytes())).await;
        }
        self.say(http_message::Body::End(HttpEnd { trailers })).await;
        self.answer().await
    }
}
