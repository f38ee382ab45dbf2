use async_trait::async_trait;
use hoop_core::id::{EventId, OrgId, RequestId, TokenId, UserId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::{Engine, Events, LAST, Result, micros, time, unless_exists};
use crate::store::{Event, Page};

#[derive(FromRow)]
struct EventRow {
    org_id: Uuid,
    id: Uuid,
    request_id: Uuid,
    user_id: Option<Uuid>,
    user_name: Option<String>,
    action: String,
    subject: String,
    source: Option<String>,
    status: i64,
    code: Option<String>,
    at: i64,
    token_id: Option<Uuid>,
    token_name: Option<String>,
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Self {
        Self {
            org: OrgId::from_uuid(row.org_id),
            id: EventId::from_uuid(row.id),
            request_id: RequestId::from_uuid(row.request_id),
            user: row.user_id.map(UserId::from_uuid),
            user_name: row.user_name,
            token: row.token_id.map(TokenId::from_uuid),
            token_name: row.token_name,
            action: row.action,
            subject: row.subject,
            source: row.source,
            status: u16::try_from(row.status).unwrap_or_default(),
            code: row.code,
            at: time(row.at),
        }
    }
}

#[async_trait]
impl Events for Engine {
    async fn add(&self, event: &Event) -> Result<()> {
        sqlx::query(
            "INSERT INTO events (org_id, id, request_id, user_id, user_name, action, subject, source, status, code, at, \
             token_id, token_name) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(event.org.as_uuid())
        .bind(event.id.as_uuid())
        .bind(event.request_id.as_uuid())
        .bind(event.user.map(|user| user.as_uuid()))
        .bind(&event.user_name)
        .bind(&event.action)
        .bind(&event.subject)
        .bind(&event.source)
        .bind(i64::from(event.status))
        .bind(&event.code)
        .bind(micros(event.at))
        .bind(event.token.map(|token| token.as_uuid()))
        .bind(&event.token_name)
        .execute(&self.write)
        .await
        .map_err(unless_exists(|| format!("event {}", event.id)))?;
        Ok(())
    }

    async fn list(&self, org: OrgId, before: Option<EventId>, limit: u32) -> Result<Page<Event>> {
        let rows: Vec<EventRow> =
            sqlx::query_as("SELECT * FROM events WHERE org_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
                .bind(org.as_uuid())
                .bind(before.map_or(LAST, |id| id.as_uuid()))
                .bind(i64::from(limit) + 1)
                .fetch_all(&self.read)
                .await?;
        Ok(Page::cut(rows.into_iter().map(Event::from).collect(), limit))
    }
}
