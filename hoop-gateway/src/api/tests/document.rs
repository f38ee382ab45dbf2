//! The document is the API.

use std::path::PathBuf;
use std::sync::LazyLock;

use super::*;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&openapi()).expect("JSON"));

fn file(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The operation of a request, when the API has it.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let path: Vec<_> = path.split('?').next()?.split('/').collect();
    let fits = |template: &str| {
        let parts: Vec<_> = template.split('/').collect();
        parts.len() == path.len() && parts.iter().zip(&path).all(|(part, own)| part == own || part.starts_with('{'))
    };
    let paths = DOCUMENT["paths"].as_object()?;
    let found = paths.iter().filter(|(template, _)| fits(template)).min_by_key(|(template, _)| template.contains('{'));
    found?.1.get(method.as_str().to_ascii_lowercase())
}

/// Fails for an answer that the document does not tell of.
pub(super) fn check(method: &Method, path: &str, status: StatusCode, kind: &str) {
    let Some(operation) = operation(method, path) else {
        assert!(matches!(status.as_u16(), 404 | 405), "{method} {path} is not in the document and answers {status}");
        return;
    };
    let mut answer = &operation["responses"][status.as_str()];
    if let Some(pointer) = answer["$ref"].as_str() {
        answer = DOCUMENT.pointer(pointer.trim_start_matches('#')).expect("a reference leads somewhere");
    }
    assert!(answer.is_object(), "{method} {path} answers {status}, which is not in the document");
    let kinds: Vec<_> = answer["content"].as_object().into_iter().flat_map(|kinds| kinds.keys()).collect();
    let fits =
        if kind.is_empty() { kinds.is_empty() } else { kinds.iter().any(|known| kind.starts_with(known.as_str())) };
    assert!(fits, "{method} {path} answers {status} with {kind}, and the document says {kinds:?}");
}

#[test]
fn the_file_is_what_the_code_says() {
    assert!(file("openapi.json") == openapi(), "docs/openapi.json is stale: run `make openapi`");
}

#[test]
fn nothing_breaks_what_was_released() {
    let released: Value = serde_json::from_str(&file("openapi.released.json")).expect("JSON");
    let broken = breaking::breaks(&released, &DOCUMENT);
    assert!(broken.is_empty(), "callers of the released API would break:\n{}", broken.join("\n"));
}

#[test]
fn every_operation_is_whole() {
    let mut ids = std::collections::HashSet::new();
    for (path, methods) in DOCUMENT["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(id), "two operations are called {id}");
            assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{id}");
            let public = operation["x-permission"] == "public";
            assert_eq!(operation["security"].as_array().map(Vec::is_empty), Some(public), "{method} {path}");
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.keys().any(|status| status.starts_with('2')), "{id} never succeeds");
            assert!(public || responses.contains_key("401"), "{id}");
        }
    }
    assert!(ids.len() > 25, "{ids:?}");
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(pointer)) = fields.get("$ref") {
                    assert!(DOCUMENT.pointer(pointer.trim_start_matches('#')).is_some(), "{pointer}");
                }
                fields.values().for_each(walk);
            }
            Value::Array(items) => items.iter().for_each(walk),
            _ => {}
        }
    }
    walk(&DOCUMENT);
}

#[tokio::test]
async fn it_is_served_and_the_page_has_no_script() {
    let gateway = Gateway::start().await;
    let served = gateway.call(Method::GET, "/api/v1/openapi.json").send().await;
    assert_eq!(served.json, *DOCUMENT);
    let request = gateway.call(Method::GET, "/api/v1/docs").request();
    let response = gateway.router.clone().oneshot(request).await.expect("infallible");
    let policy = response.headers()["content-security-policy"].to_str().expect("ascii").to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let page =
        String::from_utf8(to_bytes(response.into_body(), 2 << 20).await.expect("a body").to_vec()).expect("UTF-8");
    assert!(page.contains("/api/v1/agents/{name}/rotate") && !page.contains("<script"));
}
