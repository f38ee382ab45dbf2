//! Waiting for somebody's agreement before a client is started: its own time-outs do not matter then, and what became of it is
//! an exit code.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::{PATH, path};
use crate::api::Api;
use crate::failure::Failure;
use crate::output::{printable, text};
use crate::shell::Shell;

/// How often the gateway is asked what became of a review.
const EVERY: Duration = Duration::from_secs(2);

/// What is done about a role that needs somebody's agreement.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Agreement {
    /// What you need the role for; whoever must agree reads it.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Does not wait for somebody's agreement where the role needs it: it is asked for, and the command exits with 5. Once it was
    /// given, the same command goes on.
    #[arg(long)]
    no_wait: bool,
}

impl Agreement {
    /// The reason as a setting of a PostgreSQL session, in the form of `PGOPTIONS`.
    pub(crate) fn setting(&self) -> Option<String> {
        let escaped = |reason: &str| reason.replace('\\', r"\\").replace(' ', r"\ ");
        self.reason.as_deref().map(|reason| format!("-c hoop.reason={}", escaped(reason)))
    }
}

/// Sees to the agreement that a role needs: asks for it, and waits. A role that needs none takes no time but for one question.
///
/// # Errors
/// [`Failure::WAITING`] with `--no-wait`; [`Failure::NOT_AGREED`] when somebody has not agreed, or nobody has decided in time;
/// `stopped`, and then the review is withdrawn.
pub(crate) async fn agreed(
    api: &Api,
    role: &str,
    database: Option<&str>,
    agreement: &Agreement,
    stopped: impl Future<Output = Failure>,
    shell: &Shell,
) -> Result<(), Failure> {
    let reason = agreement.reason.as_deref();
    let check = json!({ "role": role, "reason": reason });
    // Whoever may not use the role is told so by what follows, and in the same words as ever.
    let Ok(answer) = api.post("/api/v1/access/check", &check).await else { return Ok(()) };
    if answer["code"] != "review_required" {
        return Ok(());
    }
    let ask = json!({ "role": role, "database": database, "reason": reason });
    let review = api.post(PATH, &ask).await?;
    let id = text(&review, "id");
    if review["state"] == "approved" {
        return Ok(());
    }
    let group = text(&review, "group");
    let told =
        format!("somebody of group {group} must agree to role {} first: hoop reviews approve {id}", printable(role));
    if agreement.no_wait {
        return Err(
            Failure::new(Failure::WAITING, told).hint(format!("hoop reviews show {id} tells whether they have"))
        );
    }
    shell.tell(format!("{told}\nwaiting until {} UTC …", crate::output::time(&review, "expires_at")));
    tokio::select! {
        decided = decided(api, &id) => {
            let review = decided?;
            shell.tell(format!("{} has agreed", text(&review, "decided_by")));
            Ok(())
        }
        failure = stopped => {
            if let Err(error) = api.post(&format!("{}/withdraw", path(&id)), &json!({})).await {
                eprintln!("hoop: review {id} could not be withdrawn, and expires by itself: {error}");
            }
            Err(failure)
        }
    }
}

/// The review once somebody has agreed.
async fn decided(api: &Api, id: &str) -> Result<Value, Failure> {
    loop {
        let review = api.get(&path(id)).await?;
        match review["state"].as_str() {
            Some("pending") => tokio::time::sleep(EVERY).await,
            Some("approved") => return Ok(review),
            _ => return Err(not_agreed(&review)),
        }
    }
}

fn not_agreed(review: &Value) -> Failure {
    let (id, group) = (text(review, "id"), text(review, "group"));
    let reason = match review["state"].as_str() {
        Some("denied") => {
            let comment = text(review, "comment");
            let said = if comment.is_empty() { String::new() } else { format!(": {comment}") };
            format!("{} of group {group} has not agreed (review {id}){said}", text(review, "decided_by"))
        }
        Some("expired") => format!("nobody of group {group} has decided on review {id} in time"),
        _ => format!("review {id} was withdrawn"),
    };
    Failure::new(Failure::NOT_AGREED, reason).hint("talk to them, and ask again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_word_of_the_options() {
        let agreement = Agreement { reason: Some(r"ticket 42 \o/".to_owned()), no_wait: false };
        assert_eq!(agreement.setting().as_deref(), Some(r"-c hoop.reason=ticket\ 42\ \\o/"));
        assert_eq!(Agreement::default().setting(), None);
    }

    #[test]
    fn what_became_of_it_is_an_exit_code() {
        let review = |state: &str| json!({ "id": "rev_1", "group": "leads", "state": state, "decided_by": "lena", "comment": "no" });
        for (state, expected) in [
            ("denied", "lena of group leads has not agreed (review rev_1): no"),
            ("expired", "nobody of group leads has decided on review rev_1 in time"),
            ("withdrawn", "review rev_1 was withdrawn"),
        ] {
            let failure = not_agreed(&review(state));
            assert_eq!((failure.code(), failure.to_string().as_str()), (6, expected));
        }
    }
}
