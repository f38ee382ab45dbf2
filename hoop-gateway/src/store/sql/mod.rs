//! The store on SQL. The texts are written once for every engine: `$1` placeholders, RETURNING, and no function of one
//! engine alone. Each engine compiles this module for itself (see [`super`]'s file): `Engine`, `Connection` and `Row` are
//! those of the engine, and a query is sqlx's own, checked against that engine's types.

mod access_rules;
mod admissions;
mod agents;
mod credentials;
mod events;
mod groups;
mod idempotency;
mod reviews;
mod roles;
mod rows;
mod schema;
mod secrets;
pub(super) mod sessions;
mod sign_ins;
mod tokens;
mod user_keys;
mod users;
mod versions;

use chrono::{DateTime, Utc};
use hoop_core::id::OrgId;
use hoop_core::{Clock, SystemClock};
use sqlx::types::Uuid;

use super::{Connection, Engine, Row};
use crate::store::{
    AccessRules, Admissions, Agents, Credentials, Events, Idempotency, Result, Reviews, RoleSecrets, Roles, Sessions,
    SignInRequests, Store, StoreError, Tokens, UserKeys, Users, Versions,
};

impl Engine {
    /// Adds the organisation of a gateway that serves only one.
    pub(in crate::store) async fn default_org(&self) -> Result<()> {
        sqlx::query("INSERT INTO orgs (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(OrgId::DEFAULT.as_uuid())
            .bind("default")
            .bind(micros(SystemClock.now()))
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Closes the store; what is under way is finished.
    pub(in crate::store) async fn close(&self) {
        self.read.close().await;
        self.notes.close().await;
        self.write.close().await;
    }

    #[cfg(test)]
    pub(in crate::store) async fn execute(&self, text: &'static str) {
        sqlx::query(text).execute(&self.write).await.expect("a statement of a test");
    }
}

impl Store for Engine {
    fn users(&self) -> &dyn Users {
        self
    }

    fn roles(&self) -> &dyn Roles {
        self
    }

    fn role_secrets(&self) -> &dyn RoleSecrets {
        self
    }

    fn access_rules(&self) -> &dyn AccessRules {
        self
    }

    fn admissions(&self) -> &dyn Admissions {
        self
    }

    fn agents(&self) -> &dyn Agents {
        self
    }

    fn credentials(&self) -> &dyn Credentials {
        self
    }

    fn tokens(&self) -> &dyn Tokens {
        self
    }

    fn user_keys(&self) -> &dyn UserKeys {
        self
    }

    fn sessions(&self) -> &dyn Sessions {
        self
    }

    fn events(&self) -> &dyn Events {
        self
    }

    fn versions(&self) -> &dyn Versions {
        self
    }

    fn idempotency(&self) -> &dyn Idempotency {
        self
    }

    fn sign_in_requests(&self) -> &dyn SignInRequests {
        self
    }

    fn reviews(&self) -> &dyn Reviews {
        self
    }
}

/// After every id that there is: where a list begins that goes back in time.
const LAST: Uuid = Uuid::max();

/// Times are stored as microseconds, so that they compare alike on every engine.
fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

fn corrupt(what: &'static str) -> impl FnOnce(serde_json::Error) -> StoreError {
    move |source| StoreError::Corrupt { what, source: Box::new(source) }
}

/// An insertion that finds the name taken is a conflict, and not a failure.
fn unless_exists(what: impl FnOnce() -> String) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match &error {
        sqlx::Error::Database(database) if database.is_unique_violation() => StoreError::Exists { what: what() },
        _ => error.into(),
    }
}

fn hash(bytes: Vec<u8>) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|bytes: Vec<u8>| StoreError::Corrupt {
        what: "hash",
        source: format!("{} bytes instead of 32", bytes.len()).into(),
    })
}
