//! The gateway's API, as a client.

use std::time::Duration;

use reqwest::header::IF_MATCH;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::place::{Admin, Place};

/// A signed-in client.
pub(crate) struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    /// Signs in.
    pub(crate) async fn sign_in(base: &str, admin: &Admin) -> Result<Self, Failure> {
        let client = Client::builder().timeout(Duration::from_secs(30)).no_proxy().build()?;
        let mut api = Self { client, base: base.to_owned(), token: String::new() };
        let body = json!({ "user": admin.user, "password": admin.password });
        let signed_in = api.call(Method::POST, "/api/v1/login", Some(&body)).await?;
        api.token = signed_in["token"].as_str().unwrap_or_default().to_owned();
        Ok(api)
    }

    /// Signs in at the gateway of this place.
    pub(crate) async fn of(place: &Place) -> Result<Self, Failure> {
        Self::sign_in(&place.api, &place.admin).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let changes = matches!(method, Method::PATCH | Method::DELETE);
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if changes {
            // What is there is meant, whatever it is: nothing was read that it could differ from.
            request = request.header(IF_MATCH, "*");
        }
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| {
            let text = format!("the gateway at {} does not answer ({error}); is it running?", self.base);
            Failure::new(Failure::UNAVAILABLE, text)
        })?;
        if response.status().is_success() {
            let text = response.text().await?;
            return Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? });
        }
        Err(refusal(response).await)
    }
}

/// What the gateway says, as RFC 9457 has it.
async fn refusal(response: Response) -> Failure {
    let status = response.status();
    let problem: Value = response.json().await.unwrap_or_default();
    let field = |name: &str| problem[name].as_str().map(str::to_owned);
    let mut text = field("detail").or_else(|| field("title")).unwrap_or_else(|| status.to_string());
    if let Some(hint) = field("hint") {
        text = format!("{text}; {hint}");
    }
    let code = match status {
        StatusCode::UNAUTHORIZED => Failure::NOT_SIGNED_IN,
        StatusCode::FORBIDDEN => Failure::DENIED,
        StatusCode::NOT_FOUND => Failure::NOT_FOUND,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => Failure::UNAVAILABLE,
        _ => 1,
    };
    Failure::new(code, text)
}
