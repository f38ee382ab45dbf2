//! What must be done so that a gateway is as a file says.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use super::spec::{Company, Role, Thing};
use crate::failure::Failure;
use crate::output::brief;

/// What a change is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Agent,
    Role,
    User,
    ServiceAccount,
    AccessRule,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Role => "role",
            Self::User => "user",
            Self::ServiceAccount => "service account",
            Self::AccessRule => "access rule",
        }
    }

    /// Where the API has them.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Agent => "/api/v1/agents",
            Self::Role => "/api/v1/roles",
            Self::User => "/api/v1/users",
            Self::ServiceAccount => "/api/v1/service-accounts",
            Self::AccessRule => "/api/v1/access-rules",
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) act: Act,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    /// With this definition.
    Create(Value),
    /// As RFC 7396 has it, and each field with what it was and will be.
    Update { patch: Value, fields: Vec<Field> },
    /// Deletes a role, a rule or a service account, takes an agent's key away, shuts a user out.
    Delete,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) from: Value,
    pub(super) to: Value,
}

/// Whether what a file does not have is deleted, and who is not, since they are asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prune<'a> {
    No,
    AllBut(&'a str),
}

/// The changes, in the order in which they can be made. What a file says nothing of stays.
pub(super) fn plan(wanted: &Company, present: &Company, prune: Prune<'_>) -> Result<Vec<Change>, Failure> {
    let mut changes = compared(Kind::Agent, wanted.agents.as_deref(), present.agents.as_deref(), prune)?;
    changes.extend(compared(Kind::Role, wanted.roles.as_deref(), present.roles.as_deref(), prune)?);
    changes.extend(compared(Kind::User, wanted.users.as_deref(), present.users.as_deref(), prune)?);
    let (accounts, rules) = (wanted.service_accounts.as_deref(), wanted.access_rules.as_deref());
    changes.extend(compared(Kind::ServiceAccount, accounts, present.service_accounts.as_deref(), prune)?);
    changes.extend(compared(Kind::AccessRule, rules, present.access_rules.as_deref(), prune)?);
    // What goes, goes when everything else is in its place.
    let (mut deleted, mut ordered): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|change| change.act == Act::Delete);
    deleted.reverse();
    stay_reachable(wanted.roles.as_deref().unwrap_or_default(), &deleted)?;
    let roles = present.roles.as_deref().unwrap_or_default();
    // Within its kind, as the sort is stable. A jump host goes once nobody passes through it.
    deleted.sort_by_key(|change| (Reverse(change.kind as u8), Reverse(hops(change, roles))));
    ordered.extend(deleted);
    Ok(ordered)
}

/// The gateway deletes no role that others are reached through: better said before anything is changed.
fn stay_reachable(wanted: &[Role], deleted: &[Change]) -> Result<(), Failure> {
    let is_deleted = |name: &str| deleted.iter().any(|change| change.kind == Kind::Role && change.name == name);
    let Some(role) = wanted.iter().find(|role| role.jump().is_some_and(is_deleted)) else { return Ok(()) };
    let (name, jump) = (role.name(), role.jump().unwrap_or_default());
    Err(Failure::new(
        1,
        format!("role {name} is reached through role {jump}, which would be deleted; nothing was changed"),
    )
    .hint(format!("add {jump} to the file's roles, or give {name} another target.jump, or none")))
}

/// Through how many others a role is reached.
fn hops(change: &Change, roles: &[Role]) -> usize {
    let jump_of = |name: &str| roles.iter().find(|role| role.name() == name).and_then(Role::jump);
    if change.kind != Kind::Role {
        return 0;
    }
    std::iter::successors(jump_of(&change.name), |name| jump_of(name)).take(roles.len()).count()
}

fn compared<T: Thing>(
    kind: Kind,
    wanted: Option<&[T]>,
    present: Option<&[T]>,
    prune: Prune<'_>,
) -> Result<Vec<Change>, Failure> {
    let (Some(wanted), present) = (wanted, present.unwrap_or_default()) else { return Ok(Vec::new()) };
    let mut changes = Vec::new();
    for thing in wanted {
        let after = serde_json::to_value(thing)?;
        let act = match present.iter().find(|other| other.name() == thing.name()) {
            None => Act::Create(after),
            Some(before) => {
                let mut before = before.clone();
                before.silent_where(thing);
                let before = serde_json::to_value(before)?;
                let mut fields = Vec::new();
                differences("", &before, &after, &mut fields);
                if fields.is_empty() {
                    continue;
                }
                Act::Update { patch: merge_patch(&before, &after), fields }
            }
        };
        changes.push(Change { kind, name: thing.name().to_owned(), act });
    }
    if let Prune::AllBut(caller) = prune {
        let gone = present.iter().filter(|other| wanted.iter().all(|thing| thing.name() != other.name()));
        for thing in gone.filter(|thing| kind != Kind::User || thing.name() != caller) {
            let shut_out = kind == Kind::User && serde_json::to_value(thing)?["disabled"] == true;
            if !shut_out {
                changes.push(Change { kind, name: thing.name().to_owned(), act: Act::Delete });
            }
        }
    }
    Ok(changes)
}

/// Every field that differs, objects field by field.
fn differences(path: &str, before: &Value, after: &Value, found: &mut Vec<Field>) {
    if before == after {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            differences(&path, &before[name], &after[name], found);
        }
        return;
    }
    found.push(Field { name: path.to_owned(), from: before.clone(), to: after.clone() });
}

/// What turns one into the other ([RFC 7396]).
///
/// [RFC 7396]: https://www.rfc-editor.org/rfc/rfc7396
fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return after.clone() };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        match old.get(name) {
            Some(same) if same == value => {}
            Some(other) => drop(patch.insert(name.clone(), merge_patch(other, value))),
            None => drop(patch.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

impl Change {
    /// For people: what it does, and to what.
    pub(super) fn line(&self) -> String {
        let (kind, name) = (self.kind.as_str(), brief(&Value::from(self.name.as_str())));
        match (&self.act, self.kind) {
            (Act::Create(_), _) => format!("+ {kind} {name}"),
            (Act::Delete, Kind::Role | Kind::AccessRule) => format!("- {kind} {name}"),
            (Act::Delete, Kind::ServiceAccount) => format!("- {kind} {name}, with its tokens"),
            (Act::Delete, Kind::Agent) => format!("- {kind} {name}: its key is taken away"),
            (Act::Delete, Kind::User) => format!("- {kind} {name}: is shut out"),
            (Act::Update { fields, .. }, _) => {
                let said = |value: &Value| if value.is_null() { "nothing".to_owned() } else { value.to_string() };
                let told = fields
                    .iter()
                    .map(|field| format!("\n    {}: {} -> {}", field.name, said(&field.from), said(&field.to)));
                format!("~ {kind} {name}{}", told.collect::<String>())
            }
        }
    }

    /// For programs.
    pub(super) fn document(&self) -> Value {
        let action = match self.act {
            Act::Create(_) => "create",
            Act::Update { .. } => "update",
            Act::Delete => "delete",
        };
        let mut document = json!({ "action": action, "kind": self.kind.as_str(), "name": self.name });
        if let Act::Update { fields, .. } = &self.act {
            let fields = fields.iter().map(|field| json!({ "field": field.name, "from": field.from, "to": field.to }));
            document["fields"] = fields.collect();
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_patch_says_what_differs_and_what_is_gone() {
        let before = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "e": [1], "f": 3 });
        let after = json!({ "a": 1, "b": { "c": 2 }, "e": [1, 2], "g": 4 });
        let patch = merge_patch(&before, &after);
        assert_eq!(patch, json!({ "b": { "c": 2, "d": null }, "e": [1, 2], "f": null, "g": 4 }));
        let mut fields = Vec::new();
        differences("", &before, &after, &mut fields);
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["b.c", "b.d", "e", "f", "g"]);
    }

    /// The gateway deletes nothing that a rule names.
    #[test]
    fn a_rule_lets_go_of_a_role_before_the_role_goes() {
        let company = |text: &str| Company::parse(text, Path::new("company.yaml")).expect("readable");
        let present = company(
            "roles: [{ name: shop, agent: a, target: { kind: postgres, host: h, user: u, database: d } }]\n\
             access_rules: [{ name: shoppers, effect: allow, subjects: { everyone: true }, roles: { names: [shop] } }]",
        );
        let changes = plan(&company("roles: []\naccess_rules: []"), &present, Prune::AllBut("root")).expect("a plan");
        let kinds: Vec<_> = changes.iter().map(|change| change.document()["kind"].clone()).collect();
        assert_eq!(kinds, ["access rule", "role"]);
    }

    /// The gateway deletes no role that others are reached through.
    #[test]
    fn a_jump_host_goes_behind_those_that_are_reached_through_it() {
        let role = |name: &str, jump: &str| {
            format!("{{ name: {name}, agent: a, target: {{ kind: ssh, host: h, user: u, jump: {jump} }} }}")
        };
        let roles = [role("b", "c"), role("c", "a"), role("a", "null"), role("d", "a")].join(", ");
        let present = Company::parse(&format!("roles: [{roles}]"), Path::new("company.yaml")).expect("readable");
        let wanted = Company::parse("roles: []", Path::new("company.yaml")).expect("readable");
        let changes = plan(&wanted, &present, Prune::AllBut("root")).expect("a plan");
        let names: Vec<_> = changes.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(names, ["b", "d", "c", "a"]);
    }

    #[test]
    fn a_jump_host_that_is_needed_does_not_go() {
        let company = |text: &str| Company::parse(text, Path::new("company.yaml")).expect("readable");
        let web = "{ name: web, agent: a, target: { kind: ssh, host: h, user: u, jump: bastion } }";
        let bastion = "{ name: bastion, agent: a, target: { kind: ssh, host: b, user: u } }";
        let present = company(&format!("roles: [{web}, {bastion}]"));
        let kept = company(&format!("roles: [{web}]"));
        let refused = plan(&kept, &present, Prune::AllBut("root")).expect_err("web would be reached through nothing");
        assert!(refused.to_string().contains("role web is reached through role bastion"), "{refused}");
        assert!(plan(&kept, &present, Prune::No).expect("a plan").is_empty());
        let without = company(&format!("roles: [{}]", web.replace(", jump: bastion", "")));
        assert_eq!(plan(&without, &present, Prune::AllBut("root")).expect("a plan").len(), 2);
    }

    /// The gateway deletes nobody whom a rule names.
    #[test]
    fn a_rule_lets_go_of_an_account_before_the_account_goes() {
        let company = |accounts: &str, rules: &str| {
            let text = format!("service_accounts: [{accounts}]\naccess_rules: [{rules}]");
            Company::parse(&text, Path::new("company.yaml")).expect("readable")
        };
        let rule = |names: &str| {
            format!(
                "{{ name: ci, effect: allow, subjects: {{ service_accounts: [{names}] }}, roles: {{ names: ['*'] }} }}"
            )
        };
        let present = company("{ name: ci }, { name: deploy }", &rule("ci, deploy"));
        let planned = |wanted: Company| {
            let changes = plan(&wanted, &present, Prune::AllBut("root")).expect("a plan");
            let told = changes.iter().map(Change::document);
            let told = told.map(|change| format!("{} {} {}", change["action"], change["kind"], change["name"]));
            told.map(|line| line.replace('"', "")).collect::<Vec<_>>()
        };
        let all = ["delete access rule ci", "delete service account deploy", "delete service account ci"];
        assert_eq!(planned(company("", "")), all);
        let one = ["update access rule ci", "delete service account ci"];
        assert_eq!(planned(company("{ name: deploy }", &rule("deploy"))), one);
    }
}
