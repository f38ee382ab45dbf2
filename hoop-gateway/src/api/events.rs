//! `/api/v1/events`: what was done, or tried, through the API.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use hoop_core::id::{EventId, RequestId, TokenId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::page::{Page, Paging};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes};
use crate::store::Event;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(
        "/api/v1/events",
        Permission::Auditor,
        "What was done, or tried, through the API; the latest first.",
        list,
    )
}

#[derive(Serialize, ToSchema)]
struct EventView {
    id: EventId,
    at: DateTime<Utc>,
    request_id: RequestId,
    user_id: Option<UserId>,
    user: Option<String>,
    /// The token that the request came with.
    token_id: Option<TokenId>,
    /// Its name; that of a sign-in has none.
    token: Option<String>,
    action: String,
    subject: String,
    source: Option<String>,
    status: u16,
    code: Option<String>,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            at: event.at,
            request_id: event.request_id,
            user_id: event.user,
            user: event.user_name,
            token_id: event.token,
            token: event.token_name,
            action: event.action,
            subject: event.subject,
            source: event.source,
            status: event.status,
            code: event.code,
        }
    }
}

async fn list(State(api): State<Api>, caller: Caller, paging: Paging) -> Result<Json<Page<EventView>>, Problem> {
    let found = api.store.events().list(caller.user.org, paging.after()?, paging.limit()).await?;
    Ok(paging.page(found, |event| event.id.to_string(), EventView::from))
}
