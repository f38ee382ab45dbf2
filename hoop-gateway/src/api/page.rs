//! Lists come in pages: `?limit=50&cursor=…`. A cursor is opaque; it is where the page before ended, so that what is added
//! meanwhile moves nothing, and it is good for the same list alone: the same path, filter, and caller's reach.

use std::borrow::Cow;
use std::str::FromStr;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::body::Parameters;
use super::describe::Input;
use super::document::Operation;
use super::problem::Problem;
use super::route::Caller;
use crate::store;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// The part of a list that is asked for.
#[derive(Debug)]
pub(super) struct Paging {
    limit: u32,
    cursor: Option<String>,
    list: ListId,
}

/// Tells lists apart.
type ListId = [u8; 8];

/// A page.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// What to ask for the next page with; there is none after the last.
    pub(super) next_cursor: Option<String>,
}

const DEFAULT: u32 = 50;
const MOST: u32 = 200;

impl Paging {
    fn new(query: Query, list: ListId) -> Result<Self, Problem> {
        let limit = match query.limit {
            None => DEFAULT,
            Some(limit @ 1..=MOST) => limit,
            Some(_) => return Err(Problem::field("limit", format!("a page has 1 to {MOST} items"))),
        };
        Ok(Self { limit, cursor: query.cursor, list })
    }

    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    /// The key of the last item of the page before.
    pub(super) fn after<K: FromStr>(&self) -> Result<Option<K>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
        let key = bytes.strip_prefix(&self.list).and_then(|key| std::str::from_utf8(key).ok()?.parse().ok());
        key.map(Some)
            .ok_or_else(|| Problem::field("cursor", "not a cursor of this list").hint("begin again without a cursor"))
    }

    /// What to ask for the page after this key with.
    pub(super) fn cursor(&self, key: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode([&self.list, key.as_bytes()].concat())
    }

    /// A page of the API from one of the store; `key` is what the list is ordered by.
    pub(super) fn page<T, V>(
        &self,
        page: store::Page<T>,
        key: impl Fn(&T) -> String,
        view: impl FnMut(T) -> V,
    ) -> Json<Page<V>> {
        let next_cursor = page.items.last().filter(|_| page.more).map(|item| self.cursor(&key(item)));
        Json(Page { items: page.items.into_iter().map(view).collect(), next_cursor })
    }
}

/// What makes two lists the same: the path, every parameter but the page's own, and whose things the caller sees.
fn list_id(parts: &Parts) -> ListId {
    let query = parts.uri.query().unwrap_or_default();
    let mut filter: Vec<_> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| !matches!(&**name, "limit" | "cursor"))
        .collect();
    filter.sort();
    let reach = parts.extensions.get::<Caller>().map(|caller| (caller.user.org, caller.scope()));
    let text = format!("{:?}", (parts.uri.path(), filter, reach));
    let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(text.as_bytes()).as_bytes();
    [a, b, c, d, e, f, g, h]
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Parameters(query) = Parameters::<Query>::from_request_parts(parts, state).await?;
        Self::new(query, list_id(parts))
    }
}

/// The part of a list that is asked for, of those items that a filter takes.
pub(super) struct Filtered<F> {
    pub(super) paging: Paging,
    pub(super) filter: F,
}

impl<F: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Filtered<F> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let given = url::form_urlencoded::parse(query.as_bytes());
        let (own, others): (Vec<_>, Vec<_>) = given.partition(|(name, _)| matches!(&**name, "limit" | "cursor"));
        let (Parameters(query), Parameters(filter)) = (Parameters::of(&own)?, Parameters::of(&others)?);
        Ok(Self { paging: Paging::new(query, list_id(parts))?, filter })
    }
}

impl<F: Input> Input for Filtered<F> {
    fn describe(operation: &mut Operation) {
        F::describe(operation);
        Paging::describe(operation);
    }
}

impl Input for Paging {
    fn describe(operation: &mut Operation) {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT });
        operation.parameter("limit", "query", false, "Items of a page at most.", limit);
        let about = "`next_cursor` of the page before, for the same list.";
        operation.parameter("cursor", "query", false, about, json!({ "type": "string" }));
        operation.refuses(&[StatusCode::BAD_REQUEST]);
    }
}

impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let cursor = SchemaType::Array(vec![Type::String, Type::Null]);
        let about = "What to ask for the next page with; null after the last.";
        ObjectBuilder::new()
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .property("next_cursor", ObjectBuilder::new().schema_type(cursor).description(Some(about)))
            .required("items")
            .required("next_cursor")
            .into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paging(limit: Option<u32>, cursor: Option<&str>, list: u8) -> Result<Paging, Problem> {
        Paging::new(Query { limit, cursor: cursor.map(str::to_owned) }, [list; 8])
    }

    #[test]
    fn a_cursor_leads_on_from_the_last_item_of_its_own_list() {
        let list = paging(Some(2), None, 1).expect("fits");
        let Json(first) =
            list.page(store::Page { items: vec!["a", "b"], more: true }, |item| (*item).to_owned(), |item| item);
        let next = paging(Some(2), first.next_cursor.as_deref(), 1).expect("fits");
        assert_eq!(next.after::<String>().expect("ours"), Some("b".to_owned()));
        let other = paging(Some(2), first.next_cursor.as_deref(), 2).expect("fits");
        assert!(other.after::<String>().is_err());
        let Json(last) =
            next.page(store::Page { items: vec!["c"], more: false }, |item| (*item).to_owned(), |item| item);
        assert_eq!(last.next_cursor, None);
    }

    #[test]
    fn foreign_cursors_and_sizes_are_refused() {
        for cursor in ["!", "YQ", "AQEBAQEBAQFh"] {
            let list = paging(None, Some(cursor), 1).expect("the size fits");
            assert!(list.after::<hoop_core::id::SessionId>().is_err(), "{cursor}");
        }
        assert!(paging(Some(0), None, 1).is_err() && paging(Some(201), None, 1).is_err());
        assert_eq!(paging(None, None, 1).expect("a default").limit(), 50);
    }
}
