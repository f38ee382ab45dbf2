//! The gateway's API, as a client of it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

/// A signed-in caller.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    token: String,
}

impl Api {
    /// Signs in; a first password is changed as its owner would have to.
    ///
    /// # Panics
    /// When the API refuses.
    pub fn sign_in(base: &str, user: &str, password: &str) -> Self {
        let login = |password: &str| {
            let body = json!({ "user": user, "password": password });
            let (status, answer) = send(base, None, Method::POST, "/api/v1/login", Some(&body));
            assert_eq!(status, 200, "login: {answer}");
            answer
        };
        let answer = login(password);
        let token = |answer: &Value| answer["token"].as_str().expect("a login gives a token").to_owned();
        let api = Self { base: base.to_owned(), token: token(&answer) };
        if answer["must_change_password"] == true {
            let new = format!("{password}-changed");
            api.call(Method::PUT, "/api/v1/me/password", Some(&json!({ "current": password, "new": new })));
        }
        api
    }

    /// A caller who is not signed in.
    pub fn nobody(base: &str) -> Self {
        Self { base: base.to_owned(), token: String::new() }
    }

    /// Calls, and gives what came back.
    ///
    /// # Panics
    /// When the status is not a success.
    #[track_caller]
    pub fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.try_call(method.clone(), path, body);
        assert!((200..300).contains(&status), "{method} {path} with {body:?} gave {status}: {answer}");
        answer
    }

    /// Calls, and gives status and body, whatever they are.
    pub fn try_call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        send(&self.base, Some(self.token.as_str()).filter(|token| !token.is_empty()), method, path, body)
    }

    /// The header that makes a request this caller's.
    pub fn authorization(&self) -> String {
        format!("Authorization: Bearer {}", self.token)
    }

    /// Where the API is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `GET`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None)
    }

    /// `POST`.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.call(Method::POST, path, Some(body))
    }
}

/// One call on a connection of its own: callers are on many threads, and none of them has a runtime.
fn send(base: &str, token: Option<&str>, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
    let call = async {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build()?;
        let changes = matches!(method, Method::PATCH | Method::DELETE);
        let mut request = client.request(method, format!("{base}{path}"));
        if changes {
            request = request.header("if-match", "*");
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok::<_, reqwest::Error>((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(call).unwrap_or_else(|error| panic!("{base}{path}: {error:?}"))
}
