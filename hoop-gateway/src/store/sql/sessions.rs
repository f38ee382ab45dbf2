use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{OrgId, RequestId, ReviewId, RoleId, SessionId, UserId};
use sqlx::types::Uuid;
use sqlx::{FromRow, QueryBuilder};

use super::{Connection, Engine, Result, Sessions, corrupt, micros, time, unless_exists};
use crate::store::{Ended, Page, Session, SessionFilter, SessionState};

#[derive(FromRow)]
struct SessionRow {
    org_id: Uuid,
    id: Uuid,
    request_id: Uuid,
    user_id: Uuid,
    user_name: String,
    role_id: Uuid,
    role_name: String,
    agent: String,
    mode: String,
    source: Option<String>,
    application: Option<String>,
    target_db: Option<String>,
    state: String,
    started_at: i64,
    ended_at: Option<i64>,
    outcome: Option<String>,
    code: Option<String>,
    reason: Option<String>,
    totals: Option<String>,
    log_head: Option<String>,
    log_records: Option<i64>,
    review_id: Option<Uuid>,
}

impl SessionRow {
    fn session(self) -> Result<Session> {
        let ended = match (self.ended_at, self.outcome) {
            (Some(at), Some(outcome)) => Some(Ended {
                at: time(at),
                outcome,
                code: self.code,
                reason: self.reason,
                totals: self
                    .totals
                    .map(|text| serde_json::from_str(&text))
                    .transpose()
                    .map_err(corrupt("set of totals"))?,
                log_head: self.log_head,
                log_records: self.log_records.and_then(|count| u64::try_from(count).ok()),
            }),
            _ => None,
        };
        Ok(Session {
            org: OrgId::from_uuid(self.org_id),
            id: SessionId::from_uuid(self.id),
            request_id: RequestId::from_uuid(self.request_id),
            user: UserId::from_uuid(self.user_id),
            user_name: self.user_name,
            role: RoleId::from_uuid(self.role_id),
            role_name: self.role_name,
            agent: self.agent,
            mode: self.mode,
            source: self.source,
            application: self.application,
            database: self.target_db,
            state: self.state,
            started_at: time(self.started_at),
            review: self.review_id.map(ReviewId::from_uuid),
            ended,
        })
    }
}

/// What the engine calls its database.
type Database = <Connection as sqlx::Connection>::Database;

/// The first sessions that a filter takes. Only what is asked for is in the text, since each is a range of another index.
pub(in crate::store) fn selected(
    org: OrgId,
    filter: &SessionFilter,
    before: Option<SessionId>,
    count: i64,
) -> QueryBuilder<Database> {
    let (first, last) = filter.ids(before);
    let mut query = QueryBuilder::new("SELECT * FROM sessions WHERE org_id = ");
    // Of `>=` and `<` in its place, SQLite makes a range of the primary key, whatever else is asked for.
    query.push_bind(org.as_uuid()).push(" AND id BETWEEN ").push_bind(first.as_uuid());
    query.push(" AND ").push_bind(last.as_uuid());
    if let Some(user) = filter.of {
        query.push(" AND user_id = ").push_bind(user.as_uuid());
    }
    let texts = [
        (" AND user_name = ", &filter.user),
        (" AND role_name = ", &filter.role),
        (" AND target_db = ", &filter.database),
        (" AND outcome = ", &filter.outcome),
    ];
    for (condition, text) in texts {
        if let Some(text) = text {
            query.push(condition).push_bind(text.clone());
        }
    }
    match filter.state {
        None => {}
        Some(SessionState::Closed) => drop(query.push(" AND state = 'closed'")),
        Some(SessionState::Open) => drop(query.push(" AND state <> 'closed'")),
        // The index is of those that have not ended.
        Some(state) => drop(query.push(" AND state <> 'closed' AND state = ").push_bind(state.as_str())),
    }
    if let Some(since) = filter.since {
        query.push(" AND started_at >= ").push_bind(micros(since));
    }
    if let Some(until) = filter.until {
        query.push(" AND started_at < ").push_bind(micros(until));
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(count);
    query
}

#[async_trait]
impl Sessions for Engine {
    async fn open(&self, session: &Session) -> Result<()> {
        sqlx::query(
            "INSERT INTO sessions (org_id, id, request_id, user_id, user_name, role_id, role_name, agent, mode, source, \
             application, target_db, state, started_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'opening', $13)",
        )
        .bind(session.org.as_uuid())
        .bind(session.id.as_uuid())
        .bind(session.request_id.as_uuid())
        .bind(session.user.as_uuid())
        .bind(&session.user_name)
        .bind(session.role.as_uuid())
        .bind(&session.role_name)
        .bind(&session.agent)
        .bind(&session.mode)
        .bind(&session.source)
        .bind(&session.application)
        .bind(&session.database)
        .bind(micros(session.started_at))
        .execute(&self.notes)
        .await
        .map_err(unless_exists(|| format!("session {}", session.id)))?;
        Ok(())
    }

    async fn running(&self, org: OrgId, id: SessionId) -> Result<()> {
        sqlx::query("UPDATE sessions SET state = 'running' WHERE org_id = $1 AND id = $2 AND state = 'opening'")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .execute(&self.notes)
            .await?;
        Ok(())
    }

    async fn close(&self, org: OrgId, id: SessionId, ended: &Ended) -> Result<bool> {
        let totals = ended.totals.as_ref().map(serde_json::to_string).transpose().map_err(corrupt("set of totals"))?;
        let done = sqlx::query(
            "UPDATE sessions SET state = 'closed', ended_at = $3, outcome = $4, code = $5, reason = $6, totals = $7, \
             log_head = $8, log_records = $9 WHERE org_id = $1 AND id = $2 AND state <> 'closed'",
        )
        .bind(org.as_uuid())
        .bind(id.as_uuid())
        .bind(micros(ended.at))
        .bind(&ended.outcome)
        .bind(&ended.code)
        .bind(&ended.reason)
        .bind(totals)
        .bind(&ended.log_head)
        .bind(ended.log_records.and_then(|count| i64::try_from(count).ok()))
        .execute(&self.notes)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn get(&self, org: OrgId, id: SessionId) -> Result<Option<Session>> {
        let row: Option<SessionRow> = sqlx::query_as("SELECT * FROM sessions WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .fetch_optional(&self.read)
            .await?;
        row.map(SessionRow::session).transpose()
    }

    async fn list(
        &self,
        org: OrgId,
        filter: &SessionFilter,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Page<Session>> {
        // One more than asked for tells whether there are more.
        let mut query = selected(org, filter, before, i64::from(limit) + 1);
        let query = query.build_query_as();
        let rows: Vec<SessionRow> = query.fetch_all(&self.read).await?;
        let items = rows.into_iter().map(SessionRow::session).collect::<Result<_>>()?;
        Ok(Page::cut(items, limit))
    }

    async fn open_of(&self, org: OrgId, user: UserId) -> Result<Vec<SessionId>> {
        let ids: Vec<Uuid> =
            sqlx::query_scalar("SELECT id FROM sessions WHERE org_id = $1 AND user_id = $2 AND state <> 'closed'")
                .bind(org.as_uuid())
                .bind(user.as_uuid())
                .fetch_all(&self.read)
                .await?;
        Ok(ids.into_iter().map(SessionId::from_uuid).collect())
    }

    async fn close_orphans(&self, at: DateTime<Utc>) -> Result<u64> {
        let done = sqlx::query(
            "UPDATE sessions SET state = 'closed', ended_at = $1, outcome = 'gateway_lost', \
             reason = 'the gateway that ran it died' WHERE state <> 'closed'",
        )
        .bind(micros(at))
        .execute(&self.notes)
        .await?;
        Ok(done.rows_affected())
    }
}
