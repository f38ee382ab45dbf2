//! Links that are attached are looked at again: who attached with a key that is not good any more is cut off.

use std::sync::Arc;
use std::time::Duration;

use hoop_core::Denial;

use super::registry::Agents;
use super::service::AgentAuthenticator;

/// How long a link can outlive its key: one that was taken away elsewhere, one whose time is over.
const EVERY: Duration = Duration::from_secs(2);

/// Looks at the keys of all links every two seconds. Runs until it is dropped.
pub(crate) async fn watch(agents: Agents, authenticator: Arc<dyn AgentAuthenticator>) {
    let mut failing = false;
    loop {
        tokio::time::sleep(EVERY).await;
        match look(&agents, &*authenticator).await {
            Ok(()) => failing = false,
            // Said once: links stay while nobody can say whose they are, and nobody new gets in meanwhile.
            Err(denial) if !failing => {
                failing = true;
                tracing::warn!(%denial, "agents' keys cannot be looked at again; their links stay meanwhile");
            }
            Err(_) => {}
        }
    }
}

async fn look(agents: &Agents, authenticator: &dyn AgentAuthenticator) -> Result<(), Denial> {
    for token_hash in agents.tokens() {
        if !authenticator.still_good(&token_hash).await? {
            agents.cut_token(&token_hash);
        }
    }
    Ok(())
}
