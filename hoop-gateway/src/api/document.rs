//! The OpenAPI 3.1 document, made from the routes themselves.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::problem;
use super::route::Permission;

/// One route, as the document tells it.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) needs: Permission,
    /// The module and the name of the handler.
    id: (String, String),
    about: &'static str,
    /// Whether the answer holds a secret.
    pub(super) shown_once: bool,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    refusals: BTreeSet<u16>,
    schemas: BTreeMap<String, Value>,
}

impl Operation {
    /// `handler` is the path of the handler in the program.
    pub(super) fn new(method: Method, path: &str, needs: Permission, about: &'static str, handler: &str) -> Self {
        let mut names = handler.rsplit("::");
        let (name, module) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let mut operation = Self {
            method,
            path: path.to_owned(),
            needs,
            id: (module.to_owned(), name.to_owned()),
            about,
            shown_once: false,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            refusals: BTreeSet::new(),
            schemas: BTreeMap::new(),
        };
        for name in placeholders(path) {
            operation
                .parameters
                .push(json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
        }
        operation.refuses_as_every_route();
        operation
    }

    fn refuses_as_every_route(&mut self) {
        self.refusals.extend([429, 500, 503, 504]);
        if self.needs != Permission::Public {
            self.refusals.extend([401, 403]);
        }
        if self.needs != Permission::Public && self.method == Method::POST {
            self.refusals.extend([400, 409, 422]);
            let about = "The request acts once, however often it is sent with the same key within 24 hours.";
            self.parameter(
                "Idempotency-Key",
                "header",
                false,
                about,
                json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" }),
            );
        }
    }

    pub(super) fn refuses(&mut self, statuses: &[StatusCode]) {
        self.refusals.extend(statuses.iter().map(StatusCode::as_u16));
    }

    pub(super) fn parameter(&mut self, name: &str, place: &str, required: bool, about: &str, schema: Value) {
        self.parameters
            .push(json!({ "name": name, "in": place, "required": required, "description": about, "schema": schema }));
    }

    /// The parameter's values stand in one text, separated by commas.
    pub(super) fn not_exploded(&mut self, name: &str) {
        for parameter in self.parameters.iter_mut().filter(|parameter| parameter["name"] == name) {
            parameter["style"] = "form".into();
            parameter["explode"] = false.into();
        }
    }

    pub(super) fn body<T: ToSchema>(&mut self, required: bool, kinds: &[&str]) {
        let schema = self.schema::<T>();
        let content: Map<_, _> = kinds.iter().map(|kind| ((*kind).to_owned(), json!({ "schema": schema }))).collect();
        self.body = Some(json!({ "required": required, "content": content }));
        self.refuses(&[StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE]);
    }

    pub(super) fn json<T: ToSchema>(&mut self, status: StatusCode, about: &str) {
        let schema = self.schema::<T>();
        self.answer(status, json!({ "description": about, "content": { "application/json": { "schema": schema } } }));
    }

    /// An answer that may come in the place of the others.
    pub(super) fn or_json<T: ToSchema>(&mut self, status: StatusCode, about: &str) {
        let other = self.answers.remove(&status.as_u16());
        self.json::<T>(status, about);
        let Some(mut either) = other else { return };
        let schema = |answer: &Value| answer["content"]["application/json"]["schema"].clone();
        let schemas = [schema(&either), schema(&self.answers[&status.as_u16()])];
        either["content"]["application/json"]["schema"] = json!({ "oneOf": schemas });
        self.answer(status, either);
    }

    pub(super) fn answer(&mut self, status: StatusCode, response: Value) {
        self.answers.insert(status.as_u16(), response);
    }

    pub(super) fn header(&mut self, status: StatusCode, name: &str, about: &str) {
        if let Some(answer) = self.answers.get_mut(&status.as_u16()) {
            answer["headers"][name] = json!({ "description": about, "schema": { "type": "string" } });
        }
    }

    /// A reference to the schema of a type, which comes into the document with all that it refers to.
    fn schema<T: ToSchema>(&mut self) -> Value {
        let mut found = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut found);
        for (name, schema) in found {
            let schema = serde_json::to_value(schema).unwrap_or_default();
            let before = self.schemas.insert(name.clone(), schema.clone());
            debug_assert!(before.is_none_or(|before| before == schema), "two schemas are called {name}");
        }
        json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
    }

    fn render(&self) -> Value {
        let mut responses: Map<_, _> =
            self.answers.iter().map(|(status, answer)| (status.to_string(), answer.clone())).collect();
        for status in &self.refusals {
            responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{status}") }));
        }
        let mut rendered = json!({
            "operationId": format!("{}_{}", self.id.0, self.id.1),
            "tags": [self.id.0],
            "summary": self.about,
            "responses": responses,
            "x-permission": self.needs.as_str(),
            "security": if self.needs == Permission::Public { json!([]) } else { json!([{ "bearer": [] }, { "cookie": [] }]) },
        });
        if self.needs != Permission::Public {
            let scopes = self.needs.scopes(&self.method).iter().map(|scope| scope.as_str());
            rendered["x-scopes"] = scopes.collect();
        }
        if !self.parameters.is_empty() {
            rendered["parameters"] = Value::Array(self.parameters.clone());
        }
        if let Some(body) = &self.body {
            rendered["requestBody"] = body.clone();
        }
        if self.shown_once {
            rendered["x-shown-once"] = Value::Bool(true);
        }
        rendered
    }
}

fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// The document of these routes.
pub(super) fn document(operations: &[Operation]) -> Value {
    let (mut paths, mut schemas, mut refusals) = (Map::new(), BTreeMap::new(), BTreeSet::new());
    for operation in operations {
        let path = paths.entry(operation.path.clone()).or_insert_with(|| Value::Object(Map::new()));
        path[operation.method.as_str().to_ascii_lowercase()] = operation.render();
        schemas.extend(operation.schemas.clone());
        refusals.extend(operation.refusals.iter().copied());
    }
    schemas.insert("Problem".to_owned(), problem::schema());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hoop gateway",
            "version": "1",
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals.into_iter().map(|status| (status.to_string(), refusal(status))).collect::<Map<_, _>>(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "The token that a sign-in gives, or an API token." },
                "cookie": {
                    "type": "apiKey", "in": "cookie", "name": super::cookie::NAME,
                    "description": "For browsers; what changes something must come from the gateway's own origin.",
                },
            },
        },
    })
}

const ABOUT: &str = "Lists come in pages: `limit` and `cursor`. Refusals are RFC 9457 problems. `x-permission` names what a \
    caller must be: `public`, `own_account` (also with a password that must be changed first), `member`, `sign_in` \
    (not with an API token), `auditor` or `admin`; each may do what those before it may. `x-scopes` names what an API token \
    must be for, one of them; it never may more than its owner. `x-shown-once` marks answers with a secret that is shown this once.";

fn refusal(status: u16) -> Value {
    let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    let mut refusal = json!({
        "description": title,
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    if status == 429 {
        refusal["headers"]["Retry-After"] =
            json!({ "description": "Seconds to wait.", "schema": { "type": "integer", "minimum": 0 } });
    }
    refusal
}
