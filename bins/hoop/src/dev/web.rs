//! The sample web app: customers as a page, as JSON, line by line and as events; notes by a form, a chat by a WebSocket, and a
//! file to download.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Form, Path, Request, State};
use axum::http::header::{
    CONNECTION, CONTENT_DISPOSITION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{SinkExt as _, Stream, StreamExt as _};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::wrappers::IntervalStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::task::TaskTracker;

use super::sample::{self, CUSTOMERS, Customer, Sample};
use crate::failure::Failure;

/// The role on it.
pub(crate) const ROLE: &str = "demo-web";
const PORT: u16 = 18889;
/// A stream has a customer as often.
const PACE: Duration = Duration::from_millis(500);
/// Notes and messages that are kept.
const NOTES: usize = 20;
/// Characters of one.
const NOTE: usize = 500;

const PAGE: &str = include_str!("web.html");

/// What the app remembers for as long as it runs.
#[derive(Clone)]
struct App {
    notes: Arc<Mutex<Vec<String>>>,
    chat: broadcast::Sender<String>,
    /// WebSockets.
    tasks: TaskTracker,
}

/// Starts it.
pub(crate) async fn start(port_offset: Option<u16>) -> Result<Sample, Failure> {
    let serve = |listener: TcpListener| async move {
        // It ends with the listener, which nobody takes away from it.
        let _ = axum::serve(listener, router()).await;
    };
    Sample::start(PORT, port_offset, "1.1", serve).await
}

fn router() -> Router {
    let app = App { notes: Arc::default(), chat: broadcast::Sender::new(NOTES), tasks: TaskTracker::new() };
    Router::new()
        .route("/", get(page))
        .route("/api/customers", get(async || Json(CUSTOMERS)))
        .route("/api/customers.ndjson", get(lines))
        .route("/api/customers/{id}", get(one))
        .route("/events", get(async || Sse::new(events())))
        .route("/notes", post(note))
        .route("/export.csv", get(export))
        .route("/ws", get(socket))
        .with_state(app)
}

async fn page(State(app): State<App>) -> Html<String> {
    let row = |Customer { id, name, email, card_number }: Customer| {
        format!("<tr><td>{id}</td><td>{name}</td><td>{email}</td><td>{card_number}</td></tr>\n")
    };
    let notes = app.notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let notes: String = notes.iter().map(|note| format!("<li>{}</li>\n", escaped(note))).collect();
    let rows: String = CUSTOMERS.into_iter().map(row).collect();
    Html(PAGE.replace("<!-- customers -->", &rows).replace("<!-- notes -->", &notes))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

async fn one(Path(id): Path<i32>) -> Result<Json<Customer>, (StatusCode, String)> {
    sample::by_id(id).map(Json).ok_or_else(|| (StatusCode::NOT_FOUND, format!("there is no customer {id}\n")))
}

/// All of them, one after the other, so that it is seen to be a stream.
async fn lines() -> Response {
    let ticks = IntervalStream::new(tokio::time::interval(PACE / 2));
    let lines = futures::stream::iter(CUSTOMERS)
        .zip(ticks)
        .map(|(customer, _)| serde_json::to_string(&customer).map(|line| line + "\n"));
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

fn events() -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let ticks = IntervalStream::new(tokio::time::interval(PACE));
    let customers = futures::stream::iter(CUSTOMERS.into_iter().cycle());
    customers.zip(ticks).map(|(customer, _)| {
        let event = Event::default().event("customer").id(customer.id.to_string());
        Ok(event.json_data(customer).unwrap_or_default())
    })
}

#[derive(Deserialize)]
struct Note {
    text: String,
}

async fn note(State(app): State<App>, Form(Note { text }): Form<Note>) -> Redirect {
    let mut notes = app.notes.lock().unwrap_or_else(PoisonError::into_inner);
    notes.push(text.chars().take(NOTE).collect());
    let oldest = notes.len().saturating_sub(NOTES);
    notes.drain(..oldest);
    Redirect::to("/")
}

async fn export() -> Response {
    let mut text = "id,name,email,card_number\n".to_owned();
    for Customer { id, name, email, card_number } in CUSTOMERS {
        text += &format!("{id},{name},{email},{card_number}\n");
    }
    let fields =
        [(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"customers.csv\"")];
    (fields, text).into_response()
}

/// A WebSocket ([RFC 6455 §4.2.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2)).
async fn socket(State(app): State<App>, mut request: Request) -> Response {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes())) else {
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], "this is a WebSocket\n")
            .into_response();
    };
    let on = hyper::upgrade::on(&mut request);
    let tasks = app.tasks.clone();
    tasks.spawn(async move {
        // An end that breaks off is gone.
        let _ = chat(&app, on).await;
    });
    let fields = [(UPGRADE, "websocket"), (CONNECTION, "upgrade"), (SEC_WEBSOCKET_ACCEPT, key.as_str())];
    (StatusCode::SWITCHING_PROTOCOLS, fields).into_response()
}

/// What one says, all hear.
async fn chat(app: &App, on: hyper::upgrade::OnUpgrade) -> anyhow::Result<()> {
    let mut said = app.chat.subscribe();
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(on.await?), Role::Server, None).await;
    let (mut to, mut from) = socket.split();
    loop {
        tokio::select! {
            message = from.next() => match message.transpose()? {
                // Nobody else may be here, but the one who has said it is.
                Some(Message::Text(text)) => drop(app.chat.send(text.chars().take(NOTE).collect())),
                Some(Message::Close(_)) | None => return Ok(()),
                Some(_) => {}
            },
            // Who hears too slowly misses something.
            said = said.recv() => match said {
                Ok(text) => to.send(Message::text(text)).await?,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            },
        }
    }
}
