use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use hoop_core::{AccessMode, AccessRequest, Clock, Code, Decision, Policy as _, SystemClock};
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use super::effect::{Comparison, Reach};
use super::evaluate::{Mismatch, Question, Ruling, evaluate, explain, mismatch};
use super::rule::SubjectKind;
use super::*;
use crate::auth::credential::principal;
use crate::store::tests::wrapped::Wrapped;
use crate::store::tests::{delete_role, role, update_role, update_user, user};
use crate::store::{Role, SqlStore, Store, User, UserKind};

/// A rule that matches everything, with these parts replaced.
pub(crate) fn rule(name: &str, parts: Value) -> RuleDefinition {
    let mut rule = json!({
        "name": name, "effect": "allow", "subjects": { "everyone": true }, "roles": { "names": ["*"] },
    });
    for (part, value) in parts.as_object().expect("parts") {
        rule[part] = value.clone();
    }
    serde_json::from_value(rule).expect("a rule")
}

/// Alice of dba and dev, on the role `shop-eu` with the label `env=prod`, on a Friday at 12:00 UTC, from 10.1.2.3.
struct Case {
    user: User,
    role: Role,
}

impl Case {
    fn new() -> Self {
        Self { user: user("alice", &["dba", "dev"]), role: role("shop-eu") }
    }

    fn question(&self) -> Question<'_> {
        Question {
            user: &self.user,
            kind: SubjectKind::Member,
            role: &self.role.role,
            mode: AccessMode::Native,
            source: Some([10, 1, 2, 3].into()),
            at: at("2026-11-27T12:00:00Z"),
            reason: None,
            since: None,
        }
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

#[test]
fn a_rule_matches_when_every_part_of_it_does() {
    let case = Case::new();
    for (parts, expected) in [
        (json!({}), None),
        (json!({ "enabled": false }), Some(Mismatch::Disabled)),
        (json!({ "subjects": { "groups": ["ops", "dev"] } }), None),
        (json!({ "subjects": { "groups": ["ops"] } }), Some(Mismatch::Subject)),
        (json!({ "subjects": { "groups": ["*"] } }), Some(Mismatch::Subject)),
        (json!({ "subjects": { "users": ["alice"] } }), None),
        (json!({ "subjects": { "users": ["Alice"] } }), Some(Mismatch::Subject)),
        (json!({ "subjects": { "users": ["bob"], "groups": ["dba"] } }), None),
        (json!({ "subjects": { "service_accounts": ["alice"] } }), Some(Mismatch::Subject)),
        (json!({ "subjects": { "kinds": ["admin", "member"] } }), None),
        (json!({ "subjects": { "kinds": ["admin", "service-account"] } }), Some(Mismatch::Subject)),
        (json!({ "subjects": {} }), Some(Mismatch::Subject)),
        (json!({ "roles": { "names": ["shop-*"] } }), None),
        (json!({ "roles": { "names": ["shop-us", "*-eu"] } }), None),
        (json!({ "roles": { "names": ["shop"] } }), Some(Mismatch::Role)),
        (json!({ "roles": { "labels": { "env": "prod" } } }), None),
        (json!({ "roles": { "labels": { "env": "prod", "team": "x" } } }), Some(Mismatch::Role)),
        (json!({ "roles": { "labels": { "env": "dev" } } }), Some(Mismatch::Role)),
        (json!({ "roles": { "names": ["*"], "labels": { "env": "dev" } } }), Some(Mismatch::Role)),
        (json!({ "roles": { "kinds": ["postgres"] } }), None),
        (json!({ "roles": {} }), Some(Mismatch::Role)),
        (json!({ "modes": ["native", "exec"] }), None),
        (json!({ "modes": ["web"] }), Some(Mismatch::Mode)),
        (json!({ "conditions": { "sources": ["192.168.0.0/16", "10.0.0.0/8"] } }), None),
        (json!({ "conditions": { "sources": ["10.2.0.0/16"] } }), Some(Mismatch::Source)),
        (json!({ "conditions": { "sources": ["::/0"] } }), Some(Mismatch::Source)),
        (json!({ "conditions": { "valid_from": "2026-11-27T12:00:00Z" } }), None),
        (json!({ "conditions": { "valid_from": "2026-11-27T12:00:01Z" } }), Some(Mismatch::NotYet)),
        (json!({ "conditions": { "valid_until": "2026-11-27T12:00:01Z" } }), None),
        (json!({ "conditions": { "valid_until": "2026-11-27T12:00:00Z" } }), Some(Mismatch::Over)),
        (json!({ "conditions": { "times": [{ "weekdays": ["fri"], "zone": "UTC" }] } }), None),
        (json!({ "conditions": { "times": [{ "weekdays": ["sat"], "zone": "UTC" }] } }), Some(Mismatch::Time)),
        (
            json!({ "conditions": { "times": [{ "weekdays": ["sat"], "zone": "UTC" }, { "to": "12:01", "zone": "UTC" }] } }),
            None,
        ),
        // It is 21:00 in Tokyo.
        (
            json!({ "conditions": { "times": [{ "from": "09:00", "to": "18:00", "zone": "Asia/Tokyo" }] } }),
            Some(Mismatch::Time),
        ),
    ] {
        assert_eq!(mismatch(&rule("r", parts.clone()), &case.question()), expected, "{parts}");
    }
}

#[test]
fn an_address_in_ipv6_clothes_is_the_same_and_an_unknown_one_counts_against_the_caller() {
    let case = Case::new();
    let inside = json!({ "sources": ["10.0.0.0/8"] });
    let (allow, deny) =
        (rule("a", json!({ "conditions": inside })), rule("d", json!({ "effect": "deny", "conditions": inside })));
    let mapped = Question { source: Some("::ffff:10.1.2.3".parse().expect("an address")), ..case.question() };
    assert_eq!(mismatch(&allow, &mapped), None);
    let unknown = Question { source: None, ..case.question() };
    assert_eq!(mismatch(&allow, &unknown), Some(Mismatch::Source));
    assert_eq!(mismatch(&deny, &unknown), None);
}

#[test]
fn a_program_is_not_the_person_of_its_name() {
    let case = Case::new();
    let program = Question { kind: SubjectKind::ServiceAccount, ..case.question() };
    for (subjects, person, machine) in [
        (json!({ "users": ["alice"] }), true, false),
        (json!({ "service_accounts": ["alice"] }), false, true),
        (json!({ "kinds": ["service-account"] }), false, true),
        (json!({ "kinds": ["member"] }), true, false),
        (json!({ "everyone": true }), true, true),
    ] {
        let rule = rule("r", json!({ "subjects": subjects }));
        let matches = |question: &Question<'_>| mismatch(&rule, question).is_none();
        assert_eq!((matches(&case.question()), matches(&program)), (person, machine), "{subjects}");
    }
}

#[test]
fn nobody_may_what_no_rule_allows_and_who_denies_wins() {
    let case = Case::new();
    let question = case.question();
    let denial = |rules: &[RuleDefinition]| evaluate(rules, &question).denial(&question);
    let refused = denial(&[]).expect("nothing allows it");
    assert_eq!(refused.reason, "user alice may not use role shop-eu: no access rule allows it");

    let (yes, no) = (rule("yes", json!({})), rule("no", json!({ "effect": "deny", "description": "it is frozen" })));
    assert!(denial(std::slice::from_ref(&yes)).is_none());
    let refused = denial(&[yes.clone(), no.clone()]).expect("denied");
    assert_eq!((refused.code, &*refused.by), (Code::AccessDenied, "access rule no"));
    assert_eq!(refused.reason, "access rule no denies user alice role shop-eu");
    assert_eq!(refused.hint.as_deref(), Some("it is frozen"));

    let nights = json!([{ "from": "20:00", "to": "06:00", "zone": "Europe/Berlin" }]);
    let night = rule("night", json!({ "conditions": { "times": nights } }));
    let refused = denial(&[night, rule("zzz", json!({ "modes": ["web"] }))]).expect("it is noon");
    let words = "user alice may not use role shop-eu now: access rule night holds 20:00 to 06:00 in Europe/Berlin, \
        and not at 2026-11-27 12:00 UTC";
    assert_eq!(refused.reason, words);
}

/// The name of the rule that decides, and what it asks.
fn decides(rules: &[RuleDefinition], question: &Question<'_>) -> (String, hoop_core::Obligations) {
    match evaluate(rules, question) {
        Ruling::Allowed(rule, obligations) => (rule.name.clone(), obligations),
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_rules_that_allow_the_one_decides_that_asks_least() {
    let case = Case::new();
    let reason = rule("a-reason", json!({ "obligations": { "reason": true } }));
    let review = rule("a-review", json!({ "obligations": { "review": { "group": "leads" } } }));
    let short = rule("b-short", json!({ "obligations": { "max_duration_seconds": 60 } }));
    let long = rule("c-long", json!({ "obligations": { "max_duration_seconds": 3600 } }));
    let free = rule("z-free", json!({}));
    let asked = case.question();
    let all = [review.clone(), reason.clone(), short.clone(), long.clone(), free.clone()];
    assert_eq!(decides(&all, &asked).0, "z-free");
    assert_eq!(decides(&all[..4], &asked).0, "c-long");
    assert_eq!(decides(&all[..3], &asked).0, "b-short");
    assert_eq!(decides(&all[..2], &asked), ("a-reason".to_owned(), obliged("a-reason", true, None, None)));
    assert_eq!(decides(&all[..1], &asked).1, obliged("a-review", false, Some("leads"), None));
    // A reason that was given asks for nothing more.
    let said = Question { reason: Some("ticket"), ..asked };
    assert_eq!(decides(&all[..4], &said).0, "a-reason");
    assert_eq!(decides(&[free.clone(), rule("y-free", json!({}))], &asked).0, "y-free");

    // The time of a session that runs is counted from its beginning.
    let since = |seconds: i64| Question { since: Some(asked.at - chrono::TimeDelta::seconds(seconds)), ..asked };
    let end = |seconds: i64| Some(asked.at + chrono::TimeDelta::seconds(seconds));
    assert_eq!(decides(std::slice::from_ref(&short), &asked).1.expires_at, end(60));
    assert_eq!(decides(std::slice::from_ref(&short), &since(59)).1.expires_at, end(1));
    assert_eq!(decides(std::slice::from_ref(&short), &since(60)).1.expires_at, end(0));
    assert_eq!(decides(&[short, long, reason], &since(120)).0, "c-long");
}

fn obliged(
    rule: &str,
    reason: bool,
    review: Option<&str>,
    expires_at: Option<DateTime<Utc>>,
) -> hoop_core::Obligations {
    hoop_core::Obligations { rule: Some(rule.into()), reason, review: review.map(Into::into), expires_at }
}

#[test]
fn obligations_that_are_not_met_are_refusals_that_say_how() {
    let case = Case::new();
    let principal = principal(case.user.clone());
    let Question { mode, source, at, .. } = case.question();
    let ask =
        AccessRequest { principal: &principal, role: &case.role.role, mode, source, at, reason: None, since: None };
    assert!(unmet(&ask, &obliged("r", false, None, Some(at + chrono::TimeDelta::seconds(1)))).is_ok());
    let reason = unmet(&ask, &obliged("r", true, None, None)).expect_err("none was given");
    assert_eq!(reason.code, Code::ReasonRequired);
    assert!(reason.hint.as_deref().is_some_and(|hint| hint.contains("PGOPTIONS='-c hoop.reason=")), "{reason:?}");
    let said = AccessRequest { reason: Some("ticket"), ..ask };
    assert!(unmet(&said, &obliged("r", true, None, None)).is_ok());
    let obliged_to_ask = obliged("r", true, Some("leads"), None);
    assert!(unmet(&said, &obliged_to_ask).is_ok(), "nobody meets that alone");
    let review = unreviewed(&said, &obliged_to_ask).expect_err("nobody has agreed");
    assert_eq!(review.code, Code::ReviewRequired);
    assert!(review.reason.contains("leads") && review.reason.contains("access rule r"), "{review}");
    let over = unmet(&said, &obliged("r", false, None, Some(at))).expect_err("over");
    assert_eq!(over.code, Code::SessionExpired);
}

#[test]
fn each_rule_says_why() {
    let case = Case::new();
    let rules = [
        rule("all", json!({ "obligations": { "reason": true, "max_duration_seconds": 60 } })),
        rule("bob", json!({ "subjects": { "users": ["bob"] } })),
        rule("far", json!({ "conditions": { "sources": ["192.0.2.0/24"] } })),
        rule("not", json!({ "effect": "deny" })),
        rule("old", json!({ "conditions": { "valid_until": "2026-01-01T00:00:00Z" } })),
        rule("web", json!({ "modes": ["web", "exec"] })),
    ];
    let said: Vec<_> = explain(&rules, &case.question()).map(|said| (said.matches, said.why)).collect();
    for (said, expected) in said.iter().zip([
        (true, "allows it, if a reason is given and it ends after 60 seconds"),
        (false, "is not for user alice"),
        (false, "is for callers from 192.0.2.0/24, and not from 10.1.2.3"),
        (true, "denies it"),
        (false, "held until 2026-01-01 00:00 UTC"),
        (false, "is for access mode web, exec, and not for native"),
    ]) {
        assert_eq!((said.0, said.1.as_str()), expected);
    }
}

#[test]
fn a_rule_that_cannot_be_meant_is_refused() {
    let long: Vec<String> = (0..257).map(|number| format!("user-{number}")).collect();
    for (parts, pointer) in [
        (json!({ "name": "No Slug" }), "/name"),
        (json!({ "name": "role:shop" }), "/name"),
        (json!({ "description": "x".repeat(1025) }), "/description"),
        (json!({ "subjects": {} }), "/subjects"),
        (json!({ "subjects": { "users": [" alice"] } }), "/subjects/users"),
        (json!({ "subjects": { "groups": ["a\nb"] } }), "/subjects/groups"),
        (json!({ "subjects": { "users": long } }), "/subjects/users"),
        (json!({ "roles": {} }), "/roles"),
        (json!({ "roles": { "labels": { "": "x" } } }), "/roles/labels"),
        (json!({ "modes": [] }), "/modes"),
        (json!({ "conditions": { "sources": ["::ffff:10.0.0.0/104"] } }), "/conditions/sources"),
        (
            json!({ "conditions": { "times": [{ "from": "10:00", "to": "10:00", "zone": "UTC" }] } }),
            "/conditions/times",
        ),
        (
            json!({ "conditions": { "valid_from": "2026-01-02T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z" } }),
            "/conditions/valid_until",
        ),
        (json!({ "obligations": { "max_duration_seconds": 0 } }), "/obligations/max_duration_seconds"),
        (json!({ "obligations": { "max_duration_seconds": 40_000_000 } }), "/obligations/max_duration_seconds"),
        (json!({ "obligations": { "review": { "group": "" } } }), "/obligations/review/group"),
        (json!({ "effect": "deny", "obligations": { "reason": true } }), "/obligations"),
    ] {
        let invalid = rule("r", parts.clone()).check().expect_err(&parts.to_string());
        assert_eq!(invalid.pointer, pointer, "{parts}");
    }
    rule("r", json!({})).check().expect("a whole rule");
    for part in ["subjects", "roles", "conditions", "obligations"] {
        let mut unknown = serde_json::to_value(rule("r", json!({}))).expect("JSON");
        unknown[part]["colour"] = json!("red");
        assert!(serde_json::from_value::<RuleDefinition>(unknown).is_err(), "{part}");
    }
}

#[test]
fn the_groups_of_a_role_are_a_rule() {
    let mut case = Case::new();
    case.role.allowed_groups = Vec::new();
    assert_eq!(RuleDefinition::of_role(&case.role), None);
    for (groups, allowed) in [(vec!["ops", "dba"], true), (vec!["ops"], false), (vec!["ops", "*"], true)] {
        case.role.allowed_groups = groups.into_iter().map(str::to_owned).collect();
        let own = RuleDefinition::of_role(&case.role).expect("it has groups");
        assert_eq!(own.name, "role:shop-eu");
        assert_eq!(mismatch(&own, &case.question()).is_none(), allowed);
        let other = role("shop-us");
        assert!(mismatch(&own, &Question { role: &other.role, ..case.question() }).is_some());
    }
}

#[test]
fn a_change_says_who_gains_and_who_loses() {
    let mut out = user("out", &["dba"]);
    out.disabled = true;
    let users = vec![user("alice", &["dba"]), user("bob", &[]), out];
    let roles = vec![role("archive"), role("shop")];
    let change = |before: &[RuleDefinition], after: &[RuleDefinition]| {
        let (before, after) = (before.to_vec(), after.to_vec());
        let (users, mut roles) = ((users.clone(), true), (roles.clone(), true));
        // What a role's own groups allow is neither gained nor lost.
        roles.0[0].allowed_groups = vec!["dba".to_owned()];
        roles.0[1].allowed_groups = Vec::new();
        Comparison { before, after, users, roles, at: at("2026-11-27T12:00:00Z"), source: None }.change()
    };
    let reach = |user: &str, role: &str, modes: &[AccessMode]| Reach {
        user: user.to_owned(),
        role: role.to_owned(),
        modes: modes.to_vec(),
    };
    let (native, all) = ([AccessMode::Native], AccessMode::ALL);
    let all_native = rule("n", json!({ "modes": ["native"], "obligations": { "reason": true } }));
    let found = change(&[], std::slice::from_ref(&all_native));
    assert_eq!(
        found.gains,
        [reach("alice", "shop", &native), reach("bob", "archive", &native), reach("bob", "shop", &native)]
    );
    assert!(found.losses.is_empty() && found.complete);
    let found = change(std::slice::from_ref(&all_native), &[]);
    assert_eq!((found.gains.len(), found.losses.len()), (0, 3));
    let deny = rule("d", json!({ "effect": "deny", "subjects": { "users": ["alice"] } }));
    let found = change(std::slice::from_ref(&all_native), &[all_native.clone(), deny]);
    assert_eq!(found.losses, [reach("alice", "archive", &all), reach("alice", "shop", &native)]);
    // Nobody gains what nobody can meet.
    let review = rule("r", json!({ "obligations": { "review": { "group": "leads" } } }));
    assert!(change(&[], &[review]).gains.is_empty());
}

fn any_rule() -> impl Strategy<Value = RuleDefinition> {
    let pick = |items: &'static [&'static str]| prop::sample::subsequence(items, 0..=items.len());
    (
        (any::<bool>(), any::<bool>(), prop::bool::weighted(0.3), pick(&["dba", "ops"]), pick(&["alice", "bob"])),
        (pick(&["shop-*", "archive", "*"]), pick(&["native", "web", "exec"]), pick(&["10.0.0.0/8", "192.0.2.0/24"])),
        (any::<bool>(), prop::option::of(prop::sample::select(vec![60, 3600])), prop::bool::weighted(0.2)),
        "[a-e]{1,3}",
    )
        .prop_map(
            |((deny, enabled, everyone, groups, users), (names, modes, sources), (reason, lasts, review), name)| {
                let review = review.then(|| json!({ "group": "leads" }));
                rule(
                    &name,
                    json!({
                        "effect": if deny { "deny" } else { "allow" }, "enabled": enabled,
                        "subjects": { "everyone": everyone, "groups": groups, "users": users },
                        "roles": { "names": names }, "modes": modes, "conditions": { "sources": sources },
                        "obligations": { "reason": reason, "max_duration_seconds": lasts, "review": review },
                    }),
                )
            },
        )
}

fn any_rules() -> impl Strategy<Value = Vec<RuleDefinition>> {
    prop::collection::vec(any_rule(), 0..8).prop_map(|mut rules| {
        rules.sort_by(|one, other| one.name.cmp(&other.name));
        rules.dedup_by(|one, other| one.name == other.name);
        rules
    })
}

proptest! {
    #[test]
    fn the_order_of_rules_means_nothing(rules in any_rules(), turn in 0..8usize, reason: bool) {
        let case = Case::new();
        let question = Question { reason: reason.then_some("ticket"), ..case.question() };
        let mut others = rules.clone();
        others.rotate_left(turn.min(rules.len()));
        others.reverse();
        prop_assert_eq!(evaluate(&rules, &question), evaluate(&others, &question));
    }

    #[test]
    fn a_rule_that_denies_never_widens(rules in any_rules(), mut deny in any_rule(), known_source: bool) {
        let case = Case::new();
        let question = Question { source: case.question().source.filter(|_| known_source), ..case.question() };
        deny.effect = Effect::Deny;
        let more: Vec<_> = rules.iter().cloned().chain([deny]).collect();
        let (before, after) = (evaluate(&rules, &question), evaluate(&more, &question));
        match after {
            Ruling::Allowed(..) => prop_assert_eq!(after, before),
            Ruling::Denied(_) => {}
            Ruling::Unruled(_) => prop_assert!(!matches!(before, Ruling::Allowed(..))),
        }
    }

    #[test]
    fn a_rule_that_allows_never_narrows(rules in any_rules(), mut allow in any_rule()) {
        let case = Case::new();
        let question = case.question();
        allow.effect = Effect::Allow;
        let more: Vec<_> = rules.iter().cloned().chain([allow]).collect();
        let is_open = |ruling: &Ruling<'_>| matches!(ruling, Ruling::Allowed(_, asks) if !asks.reason && asks.review.is_none());
        let (before, after) = (evaluate(&rules, &question), evaluate(&more, &question));
        prop_assert!(!is_open(&before) || is_open(&after));
        prop_assert!(!matches!(before, Ruling::Denied(_)) || matches!(after, Ruling::Denied(_)));
    }

    #[test]
    fn what_is_stored_reads_back(rule in any_rule()) {
        let text = serde_json::to_string(&rule).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<RuleDefinition>(&text).expect("what was written"), rule);
    }
}

/// A policy on a store with these users and roles.
async fn policy(users: &[&User], roles: &[&Role]) -> (tempfile::TempDir, Arc<dyn Store>, Access, AccessPolicy) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
    let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.expect("a store"));
    for user in users {
        store.users().create(user).await.expect("stored");
    }
    for role in roles {
        store.roles().create(role).await.expect("stored");
    }
    let access = Access::load(Arc::clone(&store), Arc::new(SystemClock)).await.expect("no rule");
    let policy = AccessPolicy::new(Arc::clone(&store), access.clone());
    (folder, store, access, policy)
}

/// The code of the refusal; `None` when it is allowed. One question alone is answered as among others.
async fn refused(policy: &AccessPolicy, user: &User, role: &Role) -> Option<Code> {
    let (principal, at) = (principal(user.clone()), SystemClock.now());
    let mode = AccessMode::Native;
    let ask =
        AccessRequest { principal: &principal, role: &role.role, mode, source: None, at, reason: None, since: None };
    let code = |decision: Decision| match decision {
        Decision::Allow(_) => None,
        Decision::Deny(denial) => {
            assert!(denial.reason.contains(&*role.role.name) && denial.hint.is_some(), "{denial}");
            Some(denial.code)
        }
    };
    let one = code(policy.decide(&ask).await.expect("the store answers"));
    let many = policy.decide_all(&[ask, ask]).await.expect("the store answers");
    assert_eq!(many.into_iter().map(code).collect::<Vec<_>>(), [one, one]);
    one
}

#[tokio::test]
async fn users_and_roles_are_asked_for_each_time() {
    let (mut shop, mut alice, mut root) = (role("shop"), user("alice", &["friends"]), user("root", &[]));
    shop.allowed_groups = vec!["friends".to_owned()];
    root.kind = UserKind::Admin;
    let (_folder, store, _, policy) = policy(&[&alice, &root], &[&shop]).await;
    assert_eq!(refused(&policy, &alice, &shop).await, None);
    assert_eq!(refused(&policy, &root, &shop).await, Some(Code::AccessDenied), "an administrator needs a rule, too");
    assert_eq!(refused(&policy, &user("stranger", &["friends"]), &shop).await, Some(Code::AccessDenied));

    let member = alice.clone();
    alice.groups = Vec::new();
    update_user(&*store, &alice).await.expect("stored");
    assert_eq!(refused(&policy, &member, &shop).await, Some(Code::AccessDenied), "whatever the caller was at login");
    shop.allowed_groups = vec!["*".to_owned()];
    update_role(&*store, &shop).await.expect("stored");
    assert_eq!(refused(&policy, &alice, &shop).await, None);

    alice.disabled = true;
    update_user(&*store, &alice).await.expect("stored");
    assert_eq!(refused(&policy, &alice, &shop).await, Some(Code::AccessDenied));
    delete_role(&*store, &shop).await.expect("gone");
    assert_eq!(refused(&policy, &root, &shop).await, Some(Code::RoleNotFound));
}

#[tokio::test]
async fn rules_hold_from_the_next_reading_on() {
    let (mut shop, alice) = (role("shop"), user("alice", &["friends"]));
    shop.allowed_groups = Vec::new();
    let (_folder, store, access, policy) = policy(&[&alice], &[&shop]).await;
    let now = SystemClock.now();
    let id = hoop_core::id::AccessRuleId::new(&SystemClock);
    let friends = json!({ "subjects": { "groups": ["friends"] } });
    let stored =
        AccessRule { org: alice.org, id, definition: rule("friends", friends), created_at: now, updated_at: now };
    store.access_rules().create(&stored).await.expect("stored");
    assert_eq!(refused(&policy, &alice, &shop).await, Some(Code::AccessDenied));
    access.reload().await.expect("readable");
    assert_eq!(refused(&policy, &alice, &shop).await, None);
    store.versions().delete_access_rule(stored.org, id, 1).await.expect("gone");
    access.reload().await.expect("readable");
    assert_eq!(refused(&policy, &alice, &shop).await, Some(Code::AccessDenied));
}

/// A clock that is moved by hand.
struct Moved(Mutex<Duration>);

impl Clock for Moved {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + *self.0.lock()
    }
    fn monotonic(&self) -> Instant {
        SystemClock.monotonic() + *self.0.lock()
    }
}

#[tokio::test]
async fn rules_that_hang_hold_nothing_up_and_let_nobody_in_for_long() {
    let (mut shop, alice) = (role("shop"), user("alice", &["friends"]));
    shop.allowed_groups = vec!["friends".to_owned()];
    let (_folder, store, ..) = policy(&[&alice], &[&shop]).await;
    let store = Arc::new(Wrapped::new(store));
    let clock = Arc::new(Moved(Mutex::default()));
    let access = Access::load(store.clone(), clock.clone()).await.expect("no rule");
    let policy = AccessPolicy::new(store.clone(), access.clone());
    store.hangs.store(true, Ordering::Relaxed);
    tokio::time::pause();
    access.reload().await.expect_err("in time");
    tokio::time::resume();
    assert_eq!(refused(&policy, &alice, &shop).await, None, "a moment is nothing");

    *clock.0.lock() += Duration::from_secs(11);
    let principal = principal(alice.clone());
    let (mode, at) = (AccessMode::Native, SystemClock.now());
    let ask =
        AccessRequest { principal: &principal, role: &shop.role, mode, source: None, at, reason: None, since: None };
    tokio::time::pause();
    policy.decide(&ask).await.expect_err("nobody new");
    tokio::time::resume();
    let running = policy.decide_all(&[ask]).await.expect("decided by what is known");
    assert!(matches!(running[..], [Decision::Allow(_)]));

    store.hangs.store(false, Ordering::Relaxed);
    assert_eq!(refused(&policy, &alice, &shop).await, None, "they are read before somebody is let in");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_its_own_trouble_alone() {
    let (mut shop, mut hr, alice) = (role("shop"), role("hr"), user("alice", &["friends"]));
    for role in [&mut shop, &mut hr] {
        role.allowed_groups = vec!["friends".to_owned()];
    }
    let (folder, _, _, policy) = policy(&[&alice], &[&shop, &hr]).await;
    spoil(&folder, "UPDATE roles SET labels = 'x' WHERE name = 'hr'").await;
    let principal = principal(alice);
    let (mode, at) = (AccessMode::Native, SystemClock.now());
    let ask = |role| AccessRequest { principal: &principal, role, mode, source: None, at, reason: None, since: None };
    let decisions = policy.decide_all(&[ask(&hr.role), ask(&shop.role)]).await.expect("decided");
    assert!(matches!(decisions[..], [Decision::Deny(_), Decision::Allow(_)]), "{decisions:?}");
}

/// Does to the store in this folder what no gateway does.
pub(crate) async fn spoil(folder: &tempfile::TempDir, text: &'static str) {
    let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
    let mut store = SqliteConnection::connect(&url).await.expect("opened");
    sqlx::query(text).execute(&mut store).await.expect("done");
    store.close().await.expect("closed");
}
