//! Users' public keys in a file: those that do not expire. Others are of machines and programs, and come and go.

use serde_json::{Value, json};

use crate::api::{Api, segment};
use crate::failure::Failure;
use crate::output::text;

/// The users with their keys, as a file says them.
pub(super) async fn with(mut users: Vec<Value>, api: &Api) -> Result<Vec<Value>, Failure> {
    let keys = api.some(crate::keys::PATH, usize::MAX, lasts).await?;
    for user in &mut users {
        user["keys"] = keys.iter().filter(|key| key["user_id"] == user["id"]).map(line).collect();
    }
    Ok(users)
}

fn lasts(key: &Value) -> bool {
    key["expires_at"].is_null()
}

fn line(key: &Value) -> String {
    format!("{} {}", text(key, "public_key"), text(key, "name"))
}

/// Gives a user the keys that a file has, and takes those away that it has not.
pub(super) async fn set(api: &Api, user: &str, wanted: &Value) -> Result<(), Failure> {
    let wanted: Vec<&str> = wanted.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let path = format!("/api/v1/users/{}/keys", segment(user));
    let present = api.some(&path, usize::MAX, lasts).await?;
    for key in present.iter().filter(|key| !wanted.contains(&line(key).as_str())) {
        api.delete(&format!("{path}/{}", segment(&text(key, "id")))).await?;
    }
    for new in wanted.into_iter().filter(|wanted| present.iter().all(|key| line(key) != **wanted)) {
        api.post(&path, &json!({ "public_key": new })).await?;
    }
    Ok(())
}
