//! A small web app with customers: a page (`/`), JSON (`/api/customers`, `/api/customers/{id}`) and a WebSocket (`/live`), which
//! says one customer after the other and answers every message with those whose name contains it.

use axum::extract::Path;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{Html, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

/// A customer.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Customer {
    /// The number.
    pub id: u32,
    /// The name.
    pub name: &'static str,
    /// The address for mail.
    pub email: &'static str,
    /// The card.
    pub card: &'static str,
}

const fn customer(id: u32, name: &'static str, email: &'static str, card: &'static str) -> Customer {
    Customer { id, name, email, card }
}

/// All of them.
pub const CUSTOMERS: &[Customer] = &[
    customer(1, "Ada Lovelace", "ada@example.com", "4111 1111 1111 1111"),
    customer(2, "Grace Hopper", "grace@example.org", "5500 0055 5555 5559"),
    customer(3, "Alan Turing", "alan@example.net", "3400 0000 0000 009"),
];

/// The app, to be served.
pub fn app() -> Router {
    Router::new()
        .route("/", get(page))
        .route("/api/customers", get(list))
        .route("/api/customers/{id}", get(one))
        .route("/live", get(live))
}

async fn page() -> Html<String> {
    let row = |Customer { id, name, email, card }: &Customer| {
        format!("<tr><td>{id}</td><td>{name}</td><td>{email}</td><td>{card}</td></tr>\n")
    };
    let rows: String = CUSTOMERS.iter().map(row).collect();
    Html(include_str!("page.html").replace("<!-- rows -->\n", &rows))
}

async fn list() -> Json<&'static [Customer]> {
    Json(CUSTOMERS)
}

async fn one(Path(id): Path<u32>) -> Result<Json<Customer>, StatusCode> {
    CUSTOMERS.iter().find(|customer| customer.id == id).copied().map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn live(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        // A client that goes away needs no answer.
        let _ = talk(&mut socket).await;
    })
}

async fn talk(socket: &mut WebSocket) -> Result<(), axum::Error> {
    for customer in CUSTOMERS {
        socket.send(said(customer)).await?;
    }
    while let Some(message) = socket.recv().await {
        if let Message::Text(wanted) = message? {
            for customer in CUSTOMERS.iter().filter(|customer| customer.name.contains(wanted.as_str())) {
                socket.send(said(customer)).await?;
            }
        }
    }
    Ok(())
}

fn said(Customer { id, name, email, card }: &Customer) -> Message {
    Message::Text(format!("{id} {name} <{email}> {card}").into())
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn asked(path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = app().oneshot(request).await.expect("an answer");
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn the_page_and_the_api_show_every_customer() {
        for path in ["/", "/api/customers"] {
            let (status, text) = asked(path).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert!(CUSTOMERS.iter().all(|customer| text.contains(customer.email)), "{path}: {text}");
        }
        assert!(asked("/api/customers/2").await.1.contains("Grace Hopper"));
        assert_eq!(asked("/api/customers/9").await.0, StatusCode::NOT_FOUND);
    }
}
