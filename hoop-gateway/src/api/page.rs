//! Lists come in pages: `?limit=50&cursor=…`. A cursor is opaque; it is where the page before ended, so that what is added
//! meanwhile moves nothing.

use std::str::FromStr;

use axum::Json;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::store;

/// The parameters of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    limit: Option<u32>,
    cursor: Option<String>,
}

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
    pub(super) fn limit(&self) -> Result<u32, Problem> {
        match self.limit {
            None => Ok(DEFAULT),
            Some(limit @ 1..=MOST) => Ok(limit),
            Some(_) => Err(Problem::field("limit", format!("a page has 1 to {MOST} items"))),
        }
    }

    /// The key of the last item of the page before.
    pub(super) fn after<K: FromStr>(&self) -> Result<Option<K>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
        let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| text.parse().ok());
        key.map(Some).ok_or_else(|| Problem::field("cursor", "not a cursor of this list"))
    }
}

/// What to ask for the page after this key with.
pub(super) fn cursor(key: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(key)
}

/// A page of the API from one of the store; `key` is what the list is ordered by.
pub(super) fn page<T, V>(page: store::Page<T>, key: impl Fn(&T) -> String, view: impl FnMut(T) -> V) -> Json<Page<V>> {
    let next_cursor = page.items.last().filter(|_| page.more).map(|item| cursor(&key(item)));
    Json(Page { items: page.items.into_iter().map(view).collect(), next_cursor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_on_from_the_last_item() {
        let Json(first) =
            page(store::Page { items: vec!["a", "b"], more: true }, |item| (*item).to_owned(), |item| item);
        let next = Paging { limit: Some(2), cursor: first.next_cursor };
        assert_eq!(next.after::<String>().expect("ours"), Some("b".to_owned()));
        let Json(last) = page(store::Page { items: vec!["c"], more: false }, |item| (*item).to_owned(), |item| item);
        assert_eq!(last.next_cursor, None);
    }

    #[test]
    fn foreign_cursors_and_sizes_are_refused() {
        let paging = |limit, cursor: Option<&str>| Paging { limit, cursor: cursor.map(str::to_owned) };
        assert!(paging(None, Some("!")).after::<String>().is_err());
        assert!(paging(None, Some("YQ")).after::<hoop_core::id::SessionId>().is_err());
        assert!(paging(Some(0), None).limit().is_err() && paging(Some(201), None).limit().is_err());
        assert_eq!(paging(None, None).limit().expect("a default"), 50);
    }
}
