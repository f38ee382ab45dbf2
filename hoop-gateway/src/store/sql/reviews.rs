use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{OrgId, RequestId, ReviewId, RoleId, SessionId, UserId};
use sqlx::types::Uuid;
use sqlx::{FromRow, QueryBuilder};

use super::{Connection, Engine, LAST, Result, Reviews, hash, micros, time, unless_exists};
use crate::store::{Page, Review, ReviewDecision, ReviewFilter, ReviewKind, ReviewState, StoreError};

#[derive(FromRow)]
struct ReviewRow {
    org_id: Uuid,
    id: Uuid,
    request_id: Uuid,
    session_id: Option<Uuid>,
    user_id: Uuid,
    user_name: String,
    role_id: Uuid,
    role_name: String,
    mode: String,
    target_db: Option<String>,
    source: Option<String>,
    group_name: String,
    rule: Option<String>,
    reason: Option<String>,
    kind: String,
    subject: Option<String>,
    asked_hash: Vec<u8>,
    state: String,
    decided_by: Option<Uuid>,
    decided_name: Option<String>,
    decided_at: Option<i64>,
    comment: Option<String>,
    good_until: Option<i64>,
    good_once: bool,
    used_by: Option<Uuid>,
    used_at: Option<i64>,
    created_at: i64,
    expires_at: i64,
}

impl ReviewRow {
    fn review(self) -> Result<Review> {
        let state = ReviewState::ALL.into_iter().find(|state| state.as_str() == self.state);
        let unknown = || StoreError::Corrupt { what: "state of a review", source: self.state.clone().into() };
        let kind = ReviewKind::ALL.into_iter().find(|kind| kind.as_str() == self.kind);
        let of_no_kind = || StoreError::Corrupt { what: "kind of a review", source: self.kind.clone().into() };
        Ok(Review {
            kind: kind.ok_or_else(of_no_kind)?,
            subject: self.subject,
            state: state.ok_or_else(unknown)?,
            org: OrgId::from_uuid(self.org_id),
            id: ReviewId::from_uuid(self.id),
            request_id: RequestId::from_uuid(self.request_id),
            session: self.session_id.map(SessionId::from_uuid),
            user: UserId::from_uuid(self.user_id),
            user_name: self.user_name,
            role: RoleId::from_uuid(self.role_id),
            role_name: self.role_name,
            mode: self.mode,
            database: self.target_db,
            source: self.source,
            group: self.group_name,
            rule: self.rule,
            reason: self.reason,
            asked_hash: hash(self.asked_hash)?,
            decided_by: self.decided_by.map(UserId::from_uuid),
            decided_name: self.decided_name,
            decided_at: self.decided_at.map(time),
            comment: self.comment,
            good_until: self.good_until.map(time),
            good_once: self.good_once,
            used_by: self.used_by.map(SessionId::from_uuid),
            used_at: self.used_at.map(time),
            created_at: time(self.created_at),
            expires_at: time(self.expires_at),
        })
    }
}

/// What the engine calls its database.
type Database = <Connection as sqlx::Connection>::Database;

/// The reviews that a filter takes.
fn selected(org: OrgId, filter: &ReviewFilter, before: Option<ReviewId>) -> QueryBuilder<Database> {
    let mut query = QueryBuilder::new("SELECT * FROM reviews WHERE org_id = ");
    query.push_bind(org.as_uuid()).push(" AND id < ").push_bind(before.map_or(LAST, |id| id.as_uuid()));
    if let Some(user) = filter.of {
        query.push(" AND (user_id = ").push_bind(user.as_uuid());
        query.push(" OR group_name IN (SELECT m.group_name FROM memberships m WHERE m.org_id = ");
        query.push_bind(org.as_uuid()).push(" AND m.user_id = ").push_bind(user.as_uuid()).push("))");
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some(role) = &filter.role {
        query.push(" AND role_name = ").push_bind(role.clone());
    }
    query
}

#[async_trait]
impl Reviews for Engine {
    async fn create(&self, review: &Review, most: u32) -> Result<bool> {
        // They are counted in the same statement: several may be asked for at once.
        let done = sqlx::query(
            "INSERT INTO reviews (org_id, id, request_id, session_id, user_id, user_name, role_id, role_name, mode, \
             target_db, source, group_name, rule, reason, asked_hash, state, good_once, created_at, expires_at, \
             kind, subject) \
             SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'pending', $16, $17, $18, $20, $21 \
             FROM orgs WHERE id = $1 AND \
             (SELECT COUNT(*) FROM reviews WHERE org_id = $1 AND user_id = $5 AND state = 'pending') < $19",
        )
        .bind(review.org.as_uuid())
        .bind(review.id.as_uuid())
        .bind(review.request_id.as_uuid())
        .bind(review.session.map(|session| session.as_uuid()))
        .bind(review.user.as_uuid())
        .bind(&review.user_name)
        .bind(review.role.as_uuid())
        .bind(&review.role_name)
        .bind(&review.mode)
        .bind(&review.database)
        .bind(&review.source)
        .bind(&review.group)
        .bind(&review.rule)
        .bind(&review.reason)
        .bind(&review.asked_hash[..])
        .bind(review.good_once)
        .bind(micros(review.created_at))
        .bind(micros(review.expires_at))
        .bind(i64::from(most))
        .bind(review.kind.as_str())
        .bind(&review.subject)
        .execute(&self.write)
        .await
        .map_err(unless_exists(|| format!("review {}", review.id)))?;
        Ok(done.rows_affected() > 0)
    }

    async fn get(&self, org: OrgId, id: ReviewId) -> Result<Option<Review>> {
        let row: Option<ReviewRow> = sqlx::query_as("SELECT * FROM reviews WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .fetch_optional(&self.read)
            .await?;
        row.map(ReviewRow::review).transpose()
    }

    async fn list(
        &self,
        org: OrgId,
        filter: &ReviewFilter,
        before: Option<ReviewId>,
        limit: u32,
    ) -> Result<Page<Review>> {
        let mut query = selected(org, filter, before);
        // One more than asked for tells whether there are more.
        query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(limit) + 1);
        let rows: Vec<ReviewRow> = query.build_query_as().fetch_all(&self.read).await?;
        let items = rows.into_iter().map(ReviewRow::review).collect::<Result<_>>()?;
        Ok(Page::cut(items, limit))
    }

    async fn standing(
        &self,
        org: OrgId,
        user: UserId,
        asked_hash: &[u8; 32],
        at: DateTime<Utc>,
    ) -> Result<Option<Review>> {
        // An approval comes before what is pending, and of two the one that is not used up.
        let row: Option<ReviewRow> = sqlx::query_as(
            "SELECT * FROM reviews WHERE org_id = $1 AND user_id = $2 AND asked_hash = $3 AND ( \
             (state = 'approved' AND good_until > $4 AND (NOT good_once OR (session_id IS NULL AND used_at IS NULL))) \
             OR (state = 'pending' AND expires_at > $4 AND session_id IS NULL)) \
             ORDER BY state, good_once, id LIMIT 1",
        )
        .bind(org.as_uuid())
        .bind(user.as_uuid())
        .bind(&asked_hash[..])
        .bind(micros(at))
        .fetch_optional(&self.read)
        .await?;
        row.map(ReviewRow::review).transpose()
    }

    async fn asked_before(&self, org: OrgId, user: UserId, asked_hash: &[u8; 32]) -> Result<Vec<Review>> {
        let rows: Vec<ReviewRow> = sqlx::query_as(
            "SELECT * FROM reviews WHERE org_id = $1 AND user_id = $2 AND asked_hash = $3 ORDER BY id DESC LIMIT 8",
        )
        .bind(org.as_uuid())
        .bind(user.as_uuid())
        .bind(&asked_hash[..])
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(ReviewRow::review).collect()
    }

    async fn decide(&self, org: OrgId, id: ReviewId, decision: &ReviewDecision) -> Result<bool> {
        let state = if decision.approve { ReviewState::Approved } else { ReviewState::Denied };
        let done = sqlx::query(
            "UPDATE reviews SET state = $3, decided_by = $4, decided_name = $5, decided_at = $6, comment = $7, \
             good_until = $8, good_once = $9 \
             WHERE org_id = $1 AND id = $2 AND state = 'pending' AND expires_at > $6 AND user_id <> $4 \
             AND ($9 OR kind = 'session') \
             AND EXISTS (SELECT 1 FROM users u JOIN memberships m ON m.org_id = u.org_id AND m.user_id = u.id \
             WHERE u.org_id = $1 AND u.id = $4 AND NOT u.disabled AND NOT u.service_account \
             AND m.group_name = reviews.group_name)",
        )
        .bind(org.as_uuid())
        .bind(id.as_uuid())
        .bind(state.as_str())
        .bind(decision.user.as_uuid())
        .bind(&decision.user_name)
        .bind(micros(decision.at))
        .bind(&decision.comment)
        .bind(decision.approve.then(|| micros(decision.good_until)))
        .bind(decision.good_once)
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn withdraw(&self, org: OrgId, id: ReviewId, user: UserId) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE reviews SET state = 'withdrawn' \
             WHERE org_id = $1 AND id = $2 AND user_id = $3 AND state = 'pending'",
        )
        .bind(org.as_uuid())
        .bind(id.as_uuid())
        .bind(user.as_uuid())
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn take(&self, review: &Review, session: SessionId, at: DateTime<Utc>) -> Result<bool> {
        let mut transaction = self.write.begin().await?;
        let done = sqlx::query(
            "UPDATE reviews SET used_by = $5, used_at = $6 \
             WHERE org_id = $1 AND id = $2 AND user_id = $3 AND asked_hash = $4 AND state = 'approved' \
             AND good_until > $6 \
             AND (NOT good_once OR (used_at IS NULL AND (session_id IS NULL OR session_id = $5 OR kind = 'request')))",
        )
        .bind(review.org.as_uuid())
        .bind(review.id.as_uuid())
        .bind(review.user.as_uuid())
        .bind(&review.asked_hash[..])
        .bind(session.as_uuid())
        .bind(micros(at))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        if review.kind != ReviewKind::Session {
            transaction.commit().await?;
            return Ok(true);
        }
        sqlx::query("UPDATE sessions SET review_id = $3 WHERE org_id = $1 AND id = $2")
            .bind(review.org.as_uuid())
            .bind(session.as_uuid())
            .bind(review.id.as_uuid())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn pending(&self) -> Result<Vec<(OrgId, ReviewId, DateTime<Utc>)>> {
        let rows: Vec<(Uuid, Uuid, i64)> =
            sqlx::query_as("SELECT org_id, id, expires_at FROM reviews WHERE state = 'pending'")
                .fetch_all(&self.read)
                .await?;
        let of = |(org, id, at)| (OrgId::from_uuid(org), ReviewId::from_uuid(id), time(at));
        Ok(rows.into_iter().map(of).collect())
    }

    async fn expire(&self, at: DateTime<Utc>) -> Result<Vec<Review>> {
        let rows: Vec<ReviewRow> = sqlx::query_as(
            "UPDATE reviews SET state = 'expired' WHERE state = 'pending' AND expires_at <= $1 RETURNING *",
        )
        .bind(micros(at))
        .fetch_all(&self.write)
        .await?;
        rows.into_iter().map(ReviewRow::review).collect()
    }

    async fn revoke_of(&self, org: OrgId, session: SessionId, at: DateTime<Utc>) -> Result<Vec<Review>> {
        let mut transaction = self.write.begin().await?;
        sqlx::query(
            "UPDATE reviews SET good_until = $3 WHERE org_id = $1 AND session_id = $2 AND kind <> 'session' \
             AND state = 'approved' AND used_at IS NULL AND good_until > $3",
        )
        .bind(org.as_uuid())
        .bind(session.as_uuid())
        .bind(micros(at))
        .execute(&mut *transaction)
        .await?;
        let rows: Vec<ReviewRow> = sqlx::query_as(
            "UPDATE reviews SET state = 'withdrawn' WHERE org_id = $1 AND session_id = $2 AND kind <> 'session' \
             AND state = 'pending' RETURNING *",
        )
        .bind(org.as_uuid())
        .bind(session.as_uuid())
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        rows.into_iter().map(ReviewRow::review).collect()
    }

    async fn withdraw_orphans(&self) -> Result<u64> {
        let done =
            sqlx::query("UPDATE reviews SET state = 'withdrawn' WHERE state = 'pending' AND session_id IS NOT NULL AND kind <> 'request'")
                .execute(&self.write)
                .await?;
        Ok(done.rows_affected())
    }
}
