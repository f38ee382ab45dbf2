//! Another operator's key for every secret.

use super::seal::rewrap;
use super::{OperatorKey, SealError};
use crate::store::{Store, StoreError};

/// The secrets stay under the key that they are under.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// One of them cannot be opened.
    #[error("the secret `{field}` of role {role} cannot be wrapped again")]
    Secret {
        /// The role's id.
        role: String,
        /// The field.
        field: String,
        /// Why.
        #[source]
        source: SealError,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Wraps the data key of every secret with the new key, in one transaction: until it is done the old key opens all of them,
/// and from then on the new one alone. What is under the new key already stays, so that it can be done again after
/// whatever has stopped it. Gives how many were wrapped.
///
/// # Errors
/// [`RotateError`]; nothing is changed then.
pub async fn rotate(store: &dyn Store, old: &OperatorKey, new: &OperatorKey) -> Result<usize, RotateError> {
    let secrets = store.role_secrets();
    loop {
        let all = secrets.all().await?;
        let behind = all.iter().filter(|stored| stored.key_id != new.id());
        let wrapped = behind.map(|stored| {
            rewrap(old, new, stored).map_err(|source| RotateError::Secret {
                role: stored.role.to_string(),
                field: stored.field.clone(),
                source,
            })
        });
        let wrapped = wrapped.collect::<Result<Vec<_>, _>>()?;
        // When one was changed meanwhile, nothing was done.
        if secrets.rewrap(&wrapped).await? {
            return Ok(wrapped.len());
        }
    }
}
