//! Access rules: who may reach which role, how, when, from where, for how long, and under which obligations.
//!
//! Nobody may do what no rule allows. A rule that denies wins over every rule that allows; of those that allow, the one
//! decides that asks least of the caller. The order of rules means nothing. The groups of a role are a rule, too:
//! `role:<name>`, which allows them that role.
//!
//! [`evaluate`](evaluate::evaluate) is a pure function of rules and a question. [`Access`] keeps the rules in memory,
//! [`AccessPolicy`] asks them for each session, and [`effect`] says what a change would do.

pub mod effect;
pub mod evaluate;
mod live;
mod oblige;
mod policy;
pub mod rule;
#[cfg(test)]
pub(crate) mod tests;
pub mod window;

pub use live::Access;
pub(crate) use oblige::{unmet, unreviewed};
pub use policy::AccessPolicy;
pub(crate) use policy::unreadable;
pub use rule::{AccessRule, Effect, RuleDefinition};
