//! `hoop admin`, `hoop apply`, `hoop export`.

use hoop_testkit::{Gateway, Options, direct_only};
use serde_json::{Value, json};

use super::{Machine, PASSWORD, fails, parsed};
use crate::stand::stand;

const FILE: &str = "
agents:
  - name: co-agent
roles:
  - name: co-orders
    agent: co-agent
    target:
      kind: postgres
      host: db.internal
      user: app
      password: env:PG
      database: orders
    labels: { env: test }
    allowed_groups: [co-dev]
    plugins:
      guardrail:
        rules:
          - name: no-drop
            kinds: [drop_table]
users:
  - name: co-ada
    groups: [co-ops, co-dev]
  - name: 'on'
    kind: auditor
    disabled: true
service_accounts:
  - name: co-ci
    description: builds
    groups: [co-dev]
access_rules:
  - name: co-rule
    effect: allow
    subjects: { service_accounts: [co-ci] }
    roles: { labels: { env: test } }
    obligations: { max_duration_seconds: 3600 }
";

/// A machine on which a new administrator has signed in.
fn boss(name: &str) -> Machine {
    let user = json!({ "name": name, "kind": "admin", "password": PASSWORD, "must_change_password": false });
    stand().gateway.api().post("/api/v1/users", &user);
    let machine = Machine::new();
    machine.login(name).ok();
    machine
}

fn write(machine: &Machine, text: &str) {
    std::fs::write(machine.folder.join("company.yaml"), text).expect("an own folder takes a file");
}

#[test]
fn a_file_is_applied_once_and_again_without_a_change() {
    if direct_only() {
        return;
    }
    let machine = boss("co-boss");
    write(&machine, FILE);
    let apply = |more: &[&str]| machine.run(&[&["apply", "-f", "company.yaml", "-o", "json"], more].concat());
    let actions = |changes: &Value| -> Vec<String> {
        let changes = changes.as_array().expect("a list of changes");
        changes.iter().map(|change| format!("{} {}", change["action"], change["name"]).replace('"', "")).collect()
    };
    let all = ["create co-agent", "create co-orders", "create co-ada", "create on", "create co-ci", "create co-rule"];
    assert_eq!(actions(&parsed(&apply(&["--dry-run"]))), all);
    fails(&machine.run(&["admin", "roles", "show", "co-orders"]), 8);
    let made = parsed(&apply(&[]));
    assert_eq!(actions(&made), all);
    assert!(made[0]["HOOP_KEY"].as_str().is_some_and(|key| key.starts_with("grpcs://co-agent:")), "{made}");
    let password = made[2]["one_time_password"].as_str().expect("shown once").to_owned();
    assert_eq!(parsed(&apply(&[])), json!([]));

    let ada = parsed(&machine.run(&["admin", "users", "show", "co-ada", "-o", "json"]));
    assert_eq!(ada["groups"], json!(["co-dev", "co-ops"]));
    let new = Machine::new();
    let login = ["login", super::url(), "--user", "co-ada", "--password-stdin"];
    new.run_with(&login, &format!("{password}\n{PASSWORD}\n")).ok();

    // What is exported applies to nothing; other tests change other things meanwhile.
    let exported = machine.run(&["export"]).ok();
    assert!(!exported.contains(&password) && !exported.contains("hoopk_"), "{exported}");
    write(&machine, &exported);
    let changes = parsed(&apply(&["--dry-run"])).to_string();
    assert!(!changes.contains("co-") && !changes.contains("\"on\""), "{changes}");

    let changed = FILE.replace("db.internal", "db2.internal").replace("    labels: { env: test }\n", "");
    let changed = changed
        .replace("    description: builds\n", "")
        .replace("    obligations: { max_duration_seconds: 3600 }\n", "");
    write(&machine, &changed);
    let changed = parsed(&apply(&[]));
    assert_eq!(actions(&changed), ["update co-orders", "update co-ci", "update co-rule"]);
    let fields: Vec<&Value> = changed[0]["fields"].as_array().expect("fields").iter().map(|f| &f["field"]).collect();
    assert_eq!(fields, ["labels", "target.host"]);
    assert_eq!(parsed(&apply(&[])), json!([]));
}

/// A gateway deletes nobody whom a rule names: the rule goes first.
#[test]
fn an_account_and_the_rule_that_names_it_go_with_one_file() {
    if direct_only() {
        return;
    }
    let gateway = Gateway::start(&Options::default());
    let apply = |text: &str| {
        std::fs::write(gateway.dir().join("company.yaml"), text).expect("an own folder takes a file");
        gateway.hoop(&["apply", "-f", "company.yaml", "--prune"])
    };
    let accounts = "service_accounts: [{ name: ci }, { name: deploy }]\n";
    let rule = |name: &str| {
        format!(
            "access_rules: [{{ name: programs, effect: allow, subjects: {{ service_accounts: [{name}] }}, roles: {{ names: ['*'] }} }}]\n"
        )
    };
    apply(&format!("{accounts}{}", rule("ci, deploy"))).ok();
    let refused = apply("service_accounts: [{ name: deploy }]\n");
    assert!(fails(&refused, 1).contains("access rules name service account ci: programs"), "{refused}");
    let told = apply(&format!("service_accounts: [{{ name: deploy }}]\n{}", rule("deploy"))).ok();
    assert!(told.contains("~ access rule programs") && told.contains("- service account ci"), "{told}");
    let told = apply("service_accounts: []\naccess_rules: []\n").ok();
    assert!(told.contains("- access rule programs") && told.contains("- service account deploy"), "{told}");
}

#[test]
fn a_wrong_key_is_told_by_file_line_and_name() {
    if direct_only() {
        return;
    }
    let machine = boss("ca-wrong");
    write(&machine, &FILE.replace("host: db.internal", "hots: db.internal"));
    let told = machine.run(&["apply", "-f", "company.yaml"]);
    assert!(fails(&told, 1).contains("company.yaml line 9: target: unknown field `hots`"), "{told}");
}

#[test]
fn things_are_made_shown_changed_and_deleted_one_by_one() {
    if direct_only() {
        return;
    }
    let machine = boss("ca-admin");
    let run = |line: &str| machine.run(&line.split_whitespace().collect::<Vec<_>>());
    let key = run("admin agents create ca-one").ok();
    assert!(key.starts_with("grpcs://ca-one:") && key.lines().count() == 1, "{key}");
    run("admin roles create ca-role --agent ca-one --host db --target-user app --password env:PG --database shop --group co-dev")
        .ok();
    run("admin roles update ca-role --port 6432 --label env=test").ok();
    let role = parsed(&run("admin roles show ca-role -o json"));
    assert_eq!((&role["target"]["port"], &role["target"]["host"]), (&json!(6432), &json!("db")));
    assert_eq!((&role["labels"], &role["allowed_groups"]), (&json!({ "env": "test" }), &json!(["co-dev"])));
    write(&machine, "plugins:\n  guardrail:\n    rules: [{ name: no-drop, kinds: [drop_table] }]\n");
    run("admin roles update ca-role -f company.yaml").ok();
    let role = parsed(&run("admin roles show ca-role -o json"));
    assert_eq!(role["plugins"]["guardrail"]["rules"][0]["name"], "no-drop");
    let refused = run("admin roles update ca-role --password secret");
    assert!(fails(&refused, 1).contains("env:NAME, file:/path"), "{refused}");
    run("admin roles delete ca-role").ok();
    fails(&run("admin roles show ca-role"), 8);
    run("admin users create ca-joe --kind auditor").ok();
    assert_eq!(parsed(&run("admin users update ca-joe --disable -o json"))["disabled"], true);
    assert!(run("admin agents revoke ca-one -o ndjson").ok().contains("revoked_at"));

    let member = Machine::of("ca-member");
    fails(&member.run(&["admin", "users", "list"]), 4);
}
