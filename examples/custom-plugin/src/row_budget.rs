//! *row-budget*: a session is shown so many rows and no more.

use async_trait::async_trait;
use hoop_core::{
    Code, Denial, Interest, Outcome, Plugin, ResourceRole, Response, SessionContext, SessionPlugin, Verdict,
};
use serde::Deserialize;

const NAME: &str = "row-budget";

/// The plugin: one value for all sessions.
pub(crate) struct RowBudget {
    /// For roles that do not say otherwise.
    pub(crate) rows: u64,
}

/// What a role may say: `"plugins": { "row-budget": { "rows": 100 } }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    rows: u64,
}

impl RowBudget {
    fn of(&self, role: &ResourceRole) -> Result<u64, Denial> {
        Ok(role.settings::<Settings>(NAME)?.map_or(self.rows, |settings| settings.rows))
    }
}

#[async_trait]
impl Plugin for RowBudget {
    fn name(&self) -> &str {
        NAME
    }

    async fn open(&self, session: &SessionContext) -> Result<Option<Box<dyn SessionPlugin>>, Denial> {
        if session.principal.is_in("auditors") {
            return Ok(None); // not interested: this session costs nothing from here on
        }
        Ok(Some(Box::new(Budget { left: self.of(&session.role)? })))
    }

    // An administrator hears of a mistake when the role is stored, and not its users.
    fn check_role(&self, role: &ResourceRole) -> Result<(), Denial> {
        self.of(role).map(drop)
    }
}

/// What it keeps for one session.
struct Budget {
    left: u64,
}

#[async_trait]
impl SessionPlugin for Budget {
    fn interest(&self) -> Interest {
        Interest::ROWS
    }

    fn on_response(&mut self, response: Response) -> Verdict<Response> {
        let Response::Rows(batch) = &response else { return Verdict::Pass(response) };
        match self.left.checked_sub(batch.rows() as u64) {
            Some(left) => {
                self.left = left;
                Verdict::Pass(response)
            }
            None => {
                let reason = format!("this session may see {} more rows, and the result has more", self.left);
                Verdict::Deny(
                    Denial::new(NAME, Code::LimitExceeded, reason).hint("narrow the query with WHERE or LIMIT"),
                )
            }
        }
    }

    async fn close(&mut self, _outcome: &Outcome) {}
}
