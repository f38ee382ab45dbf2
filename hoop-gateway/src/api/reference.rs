//! `/api/v1/openapi.json` and `/api/v1/docs`: what the API is, for programs and for people. The page is made from the
//! document when the gateway starts; it has no script, and nothing of it comes from elsewhere.

use std::fmt::Write as _;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::describe::Answer;
use super::document::Operation;
use super::html::{self, escape};
use super::parts::Api;
use super::route::{Permission, Routes};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/api/v1/openapi.json", Permission::Public, "This document.", openapi).get(
        "/api/v1/docs",
        Permission::Public,
        "This document, as a page for people.",
        docs,
    )
}

/// The document in both forms.
pub(super) struct Reference {
    json: Bytes,
    page: Bytes,
    /// The page's policy: its own style, and nothing else.
    policy: String,
}

impl Reference {
    pub(super) fn new(document: &Value) -> Self {
        Self { json: document.to_string().into(), page: page(document).into(), policy: html::policy(STYLE, "'none'") }
    }
}

struct Json(Bytes);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

impl Answer for Json {
    fn describe(operation: &mut Operation) {
        let content = json!({ "application/json": { "schema": { "type": "object" } } });
        operation.answer(StatusCode::OK, json!({ "description": "OpenAPI 3.1.", "content": content }));
    }
}

struct Html {
    page: Bytes,
    policy: String,
}

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        let kind = "text/html; charset=utf-8".to_owned();
        ([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, self.policy)], self.page).into_response()
    }
}

impl Answer for Html {
    fn describe(operation: &mut Operation) {
        let content = json!({ "text/html": { "schema": { "type": "string" } } });
        operation.answer(StatusCode::OK, json!({ "description": "A page.", "content": content }));
    }
}

async fn openapi(State(api): State<Api>) -> Json {
    Json(api.reference().json.clone())
}

async fn docs(State(api): State<Api>) -> Html {
    let Reference { page, policy, .. } = api.reference();
    Html { page: page.clone(), policy: policy.clone() }
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
    padding:0 1rem}code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow-x:auto;padding:.75rem;border:1px \
    solid #8886}table{border-collapse:collapse}td,th{text-align:left;padding:.15rem 1rem .15rem 0;vertical-align:top}\
    h3{margin-top:2.5rem}summary{cursor:pointer}";

/// The page of a document.
fn page(document: &Value) -> String {
    let mut html = String::new();
    let title = text(&document["info"]["title"]);
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}: API</title><style>{STYLE}</style></head><body><main><h1>{title}: API</h1><p>{}</p>\
         <p><a href=\"openapi.json\">OpenAPI document</a></p><h2>Operations</h2>",
        text(&document["info"]["description"])
    );
    for (path, methods) in entries(&document["paths"]) {
        for (method, operation) in entries(methods) {
            write_operation(&mut html, path, method, operation);
        }
    }
    html.push_str("<h2>Schemas</h2>");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        let _ =
            write!(html, "<h3 id=\"schema-{0}\">{0}</h3><pre>{1}</pre>", escape(name), escape(&format!("{schema:#}")));
    }
    html.push_str("</main></body></html>");
    html
}

fn write_operation(html: &mut String, path: &str, method: &str, operation: &Value) {
    let _ = write!(
        html,
        "<h3 id=\"{}\"><code>{} {}</code></h3><p>{}</p><p>Needs: <code>{}</code></p>",
        text(&operation["operationId"]),
        escape(&method.to_ascii_uppercase()),
        escape(path),
        text(&operation["summary"]),
        text(&operation["x-permission"])
    );
    if let Some(parameters) = operation["parameters"].as_array() {
        html.push_str("<table><tr><th>Parameter</th><th>In</th><th></th></tr>");
        for parameter in parameters {
            let _ = write!(
                html,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                text(&parameter["description"])
            );
        }
        html.push_str("</table>");
    }
    let _ = write!(html, "<p>{}</p>", schema_link("Takes", &operation["requestBody"]["content"]));
    html.push_str("<table><tr><th>Status</th><th></th></tr>");
    for (status, answer) in entries(&operation["responses"]) {
        let about = if answer["$ref"].is_string() { "a problem".to_owned() } else { text(&answer["description"]) };
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{about} {}</td></tr>",
            escape(status),
            schema_link("", &answer["content"])
        );
    }
    html.push_str("</table>");
}

/// A link to the schema of the first of these contents.
fn schema_link(label: &str, content: &Value) -> String {
    let Some((_, content)) = entries(content).next() else { return String::new() };
    let Some(name) = content["schema"]["$ref"].as_str().and_then(|name| name.rsplit('/').next()) else {
        return String::new();
    };
    format!("{label} <a href=\"#schema-{0}\">{0}</a>", escape(name))
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_document_says_is_text_on_the_page() {
        let document = json!({
            "info": { "title": "<script>", "description": "a & b" },
            "paths": { "/x": { "get": { "operationId": "\"x", "summary": "<b>", "responses": {} } } },
        });
        let page = page(&document);
        assert!(page.contains("&lt;script&gt;") && page.contains("id=\"&quot;x\"") && page.contains("a &amp; b"));
        assert!(!page.contains("<script") && !page.contains("<b>"));
    }
}
