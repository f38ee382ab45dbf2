//! What a gateway does first: it ends, in the store, the sessions of one that died.

use chrono::{DateTime, Utc};
use hoop_core::id::OrgId;

use crate::record::{Recovered, Recovery};
use crate::store::{Ended, Store, StoreError};

/// How a session ended of which nobody saw the end.
const GATEWAY_LOST: &str = "gateway_lost";

/// Gives every session that was left open its outcome: from its recording where there is one, and otherwise as
/// `gateway_lost`. Reviews that such a session has waited for are withdrawn. Returns how many there were.
pub(crate) async fn close_orphans(
    store: &dyn Store,
    recovery: &Recovery,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let mut closed = 0;
    for log in &recovery.logs {
        let org = log.org.unwrap_or(OrgId::DEFAULT);
        closed += u64::from(store.sessions().close(org, log.session, &ended(log, now)).await?);
    }
    closed += store.sessions().close_orphans(now).await?;
    store.reviews().withdraw_orphans().await?;
    if closed > 0 {
        tracing::warn!(sessions = closed, recordings = recovery.logs.len(), "closed sessions of a gateway that died");
    }
    Ok(closed)
}

/// What the recording tells of the end. A session that had ended, but whose gateway died before it could say so, ended
/// with its last record; the end of another one was noticed now.
fn ended(log: &Recovered, now: DateTime<Utc>) -> Ended {
    let lost = log.outcome == GATEWAY_LOST;
    let last = log.last_time.and_then(DateTime::from_timestamp_micros);
    let whole = log.damaged.is_none();
    Ended {
        at: last.filter(|_| !lost).unwrap_or(now),
        outcome: log.outcome.clone(),
        code: None,
        reason: lost.then(|| "the gateway that ran it died".to_owned()),
        totals: serde_json::to_value(&log.totals).ok(),
        // Of a log that was changed nobody can say what its head would be.
        log_head: whole.then(|| blake3::Hash::from(log.head).to_hex().to_string()),
        log_records: whole.then_some(log.records),
    }
}
