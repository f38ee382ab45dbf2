//! Rules on commands and files.

use hoop_core::{ChannelId, Command, CommandKind, FileKind, FileOperation, PrincipalKind, id};

use super::*;

fn run(guardrail: &mut SessionGuardrail, kind: CommandKind, text: &str) -> Result<(), Denial> {
    let text = Bytes::copy_from_slice(text.as_bytes());
    let command = Command { channel: ChannelId(1), kind, text, terminal: None, environment: Vec::new() };
    passes(guardrail, Request::Command(command))
}

fn exec(guardrail: &mut SessionGuardrail, text: &str) -> Result<(), Denial> {
    run(guardrail, CommandKind::Exec, text)
}

fn file(guardrail: &mut SessionGuardrail, kind: FileKind, path: &str, to: Option<&str>) -> Result<(), Denial> {
    let bytes = |path: &str| Bytes::copy_from_slice(path.as_bytes());
    let operation = FileOperation { channel: ChannelId(1), id: 1, kind, path: bytes(path), to: to.map(bytes) };
    passes(guardrail, Request::File(operation))
}

fn passes(guardrail: &mut SessionGuardrail, request: Request) -> Result<(), Denial> {
    match guardrail.on_request(request) {
        Verdict::Pass(_) => Ok(()),
        Verdict::Deny(denial) => Err(denial),
        Verdict::Hold(_) | Verdict::Review(..) => panic!("it never waits"),
    }
}

#[track_caller]
fn refused(result: Result<(), Denial>, code: Code, words: &str) {
    let denial = result.expect_err(words);
    assert_eq!(denial.code, code, "{denial}");
    assert!(denial.reason.contains(words), "{denial} is not about {words}");
    assert!(denial.hint.is_some(), "{denial}");
}

#[test]
fn a_command_that_a_rule_refuses() {
    let mut guardrail = guardrail(
        r#"{"commands":[{"name":"no-rm","patterns":["rm *","> /etc/*","git *--force*"],"hint":"use trash"}]}"#,
    );
    for text in [
        "rm -rf /",
        "/bin/rm x",
        "~/rm x",
        "r''m x",
        r"\rm x",
        "\"rm\" 'x y'",
        "ls; rm x",
        "ls|rm x",
        "echo $(rm x)",
        "echo `rm x`",
        "A=1 rm x",
        "true && /usr/bin/../bin/rm x",
        "echo x >/etc/passwd",
        "echo x >| '/etc/passwd'",
        "git push --force",
    ] {
        refused(exec(&mut guardrail, text), Code::CommandDenied, "rule no-rm refuses the command");
    }
    for text in ["$X x", "/bin/r? x", "$(cat cmd)", "echo x > $F", "{rm,x}"] {
        refused(exec(&mut guardrail, text), Code::CommandDenied, "may be about it");
    }
    for text in ["if true; then rm x; fi", "rm() { a; }", "cat <<x\nrm\nx"] {
        refused(exec(&mut guardrail, text), Code::CommandDenied, "could not be read surely");
    }
    for text in ["ls -l", "echo 'rm x'", "rmdir x", "echo $HOME", "ls *.c >/dev/null 2>&1", "grep rm x > /tmp/etc"] {
        exec(&mut guardrail, text).unwrap_or_else(|denial| panic!("{text}: {denial}"));
    }
    run(&mut guardrail, CommandKind::Shell, "").expect("a shell is a shell");
    run(&mut guardrail, CommandKind::Subsystem, "sftp").expect("no rule is about it");
    assert_eq!(exec(&mut guardrail, "rm x").expect_err("refused").hint.as_deref(), Some("use trash"));
    let mut lenient = super::guardrail(r#"{"commands":[{"name":"r","patterns":["rm *"]}],"unparsable":"pass"}"#);
    exec(&mut lenient, "if true; then rm x; fi").expect("as the role says");
}

#[test]
fn what_no_rule_allows_is_refused() {
    let mut guardrail = guardrail(
        r#"{"commands":[
            {"name":"no-stop","patterns":["systemctl stop *"]},
            {"name":"services","action":"allow","patterns":["systemctl *","wc -l","echo *"]},
            {"name":"files","action":"allow","subsystems":["sftp"]}],"unparsable":"pass"}"#,
    );
    for text in
        ["systemctl status nginx", "systemctl list-units | wc -l", "echo $HOME; systemctl status 'a b' 2>/dev/null"]
    {
        exec(&mut guardrail, text).unwrap_or_else(|denial| panic!("{text}: {denial}"));
    }
    refused(exec(&mut guardrail, "systemctl stop nginx"), Code::CommandDenied, "rule no-stop refuses");
    for text in [
        "id",
        "systemctl status nginx; id",
        "systemctl status nginx > /etc/passwd",
        "systemctl status $(id)",
        "systemctl",
        "/tmp/systemctl status",
        "LD_PRELOAD=/tmp/x systemctl status",
        "A=1",
        "wc -l x",
        "'systemctl status'",
    ] {
        refused(exec(&mut guardrail, text), Code::CommandDenied, "no rule allows the command");
    }
    refused(
        exec(&mut guardrail, "$X status"),
        Code::CommandDenied,
        "rule no-stop refuses the command $X, since it may",
    );
    refused(exec(&mut guardrail, "if a; then b; fi"), Code::CommandDenied, "could not be read surely");
    refused(exec(&mut guardrail, ""), Code::CommandDenied, "could not be read surely");
    run(&mut guardrail, CommandKind::Subsystem, "sftp").expect("allowed");
    refused(
        run(&mut guardrail, CommandKind::Subsystem, "netconf"),
        Code::CommandDenied,
        "no rule allows the subsystem netconf",
    );
    run(&mut guardrail, CommandKind::Shell, "").expect("a shell is a shell");
}

#[test]
fn links_that_every_machine_has_could_lead_anywhere() {
    use FileKind::{Link, Read, Rename, Write};
    let mut guardrail = guardrail(r#"{"files":[{"name":"no-etc","paths":["/etc/*"]}]}"#);
    for path in [
        "/proc/self/root/etc/passwd",
        "/proc/self/root/../etc/passwd",
        "/proc/1/cwd/passwd",
        "//proc/./thread-self/root/etc/passwd",
        "/proc/self/task/7/root/etc/passwd",
        "/tmp/../proc/self/fd/3/passwd",
        "/dev/fd/3/passwd",
    ] {
        for kind in [Read, Write] {
            refused(file(&mut guardrail, kind, path, None), Code::FileDenied, "may be about it");
        }
    }
    for path in ["/proc/self/root/etc/passwd.txt/../../x", "/proc/self/status", "/srv/root/x", "/proc/root"] {
        let decided = file(&mut guardrail, Read, path, None);
        assert_eq!(decided.is_err(), path.starts_with("/proc/self/root"), "{path}: {decided:?}");
    }
    for kind in [Link, Rename] {
        for root in ["/", "//", "/..", "/."] {
            refused(file(&mut guardrail, kind, root, Some("/tmp/l")), Code::FileDenied, "may be about it");
        }
        file(&mut guardrail, kind, "/srv/x", Some("/tmp/l")).expect("no rule is about it");
    }
    let mut allows = super::guardrail(r#"{"files":[{"name":"all","action":"allow","paths":["/proc/*"]}]}"#);
    file(&mut allows, Read, "/proc/self/status", None).expect("it is allowed");
    refused(file(&mut allows, Read, "/proc/self/root/etc/passwd", None), Code::FileDenied, "no rule allows");
}

#[test]
fn a_path_is_compared_in_full() {
    use FileKind::{Read, Remove, Write};
    let mut guardrail = guardrail(
        r#"{"files":[{"name":"no-etc","operations":["write","remove"],"paths":["/etc/*"],"hint":"ask ops"}]}"#,
    );
    for path in ["/etc/passwd", "//etc/passwd", "/etc/./passwd", "/a/../etc/x/y", "/../../etc//passwd", "/etc/x/"] {
        refused(file(&mut guardrail, Write, path, None), Code::FileDenied, "rule no-etc refuses to write /");
    }
    for path in ["passwd", "../etc/passwd", "~/x", "~ada/x", ""] {
        let result = file(&mut guardrail, Remove, path, None);
        let hint = result.as_ref().expect_err(path).hint.clone();
        refused(result, Code::FileDenied, "may be about it");
        assert_eq!(hint.as_deref(), Some("give the path in full; if the rule is about it: ask ops"));
    }
    for path in ["/srv/etc/x", "/etcetera", "/etc/../srv/x", "/etc"] {
        file(&mut guardrail, Write, path, None).unwrap_or_else(|denial| panic!("{path}: {denial}"));
    }
    file(&mut guardrail, Read, "/etc/passwd", None).expect("no rule is about reading");
    file(&mut guardrail, Read, "passwd", None).expect("no rule is about reading");
    let scp = file(&mut guardrail, Write, "/etc", Some("/etc/passwd"));
    refused(scp, Code::FileDenied, "rule no-etc refuses to write /etc/passwd");
}

#[test]
fn what_leads_around_a_rule_counts() {
    use FileKind::{Link, List, ReadWrite, Remove, Rename, SetAttributes, Write};
    let rule = |operations: &str| {
        guardrail(&format!(r#"{{"files":[{{"name":"r","operations":{operations},"paths":["/srv/keys/*"]}}]}}"#))
    };
    let (key, other) = ("/srv/keys/a", "/tmp/a");
    for (operations, kind, path, to, is_refused) in [
        (r#"["read"]"#, ReadWrite, key, None, true),
        (r#"["read"]"#, Link, key, Some(other), true),
        (r#"["read"]"#, Link, "keys/a", Some(other), true),
        (r#"["read"]"#, Link, other, Some(key), false),
        (r#"["read"]"#, Rename, key, Some(other), true),
        (r#"["read"]"#, Rename, "/srv/keys", Some("/tmp/keys"), true),
        (r#"["read"]"#, Link, "/srv", Some("/tmp/srv"), true),
        (r#"["read"]"#, Link, "../keys", Some("/tmp/srv"), true),
        (r#"["read"]"#, Rename, "/srv/key", Some("/tmp/key"), false),
        (r#"["read"]"#, Write, key, None, false),
        (r#"["write"]"#, ReadWrite, key, None, true),
        (r#"["write"]"#, Rename, other, Some(key), true),
        (r#"["write"]"#, Rename, key, Some(other), false),
        (r#"["write"]"#, Link, key, Some(other), true),
        (r#"["remove"]"#, Rename, key, Some(other), true),
        (r#"["remove"]"#, Remove, other, None, false),
        (r#"["change"]"#, SetAttributes, key, None, true),
        (r#"["change"]"#, List, key, None, false),
        (r#"[]"#, List, key, None, true),
    ] {
        let result = file(&mut rule(operations), kind, path, to);
        assert_eq!(result.is_err(), is_refused, "{operations} {kind:?} {path} {to:?}: {result:?}");
    }
}

#[test]
fn an_allow_list_of_files() {
    use FileKind::{List, Read, Rename, Write};
    let mut guardrail = guardrail(
        r#"{"files":[
            {"name":"no-keys","paths":["*/.ssh/*"]},
            {"name":"releases","action":"allow","operations":["change"],"paths":["/srv/*"]},
            {"name":"look","action":"allow","operations":["read","list"]}]}"#,
    );
    file(&mut guardrail, Read, "/etc/passwd", None).expect("anything may be read");
    file(&mut guardrail, List, "/", None).expect("anything may be listed");
    file(&mut guardrail, Write, "/srv/x", None).expect("it is there");
    file(&mut guardrail, Rename, "/srv/x", Some("/srv/y")).expect("both are there");
    refused(file(&mut guardrail, Rename, "/srv/x", Some("/tmp/y")), Code::FileDenied, "no rule allows to rename");
    refused(file(&mut guardrail, Write, "srv/x", None), Code::FileDenied, "rule no-keys");
    refused(file(&mut guardrail, Write, "/home/ada/.ssh/authorized_keys", None), Code::FileDenied, "rule no-keys");
    let mut strict = super::guardrail(r#"{"files":[{"name":"a","action":"allow","paths":["/srv/*"]}]}"#);
    refused(file(&mut strict, Write, "x", None), Code::FileDenied, "no rule allows to write x");
    refused(file(&mut strict, Write, "/srv/../etc/x", None), Code::FileDenied, "no rule allows");
}

#[test]
fn rules_hold_for_groups() {
    let principal = |groups: &[&str]| Principal {
        org: id::OrgId::DEFAULT,
        user: id::UserId::new(&hoop_core::SystemClock),
        name: "ann".into(),
        groups: groups.iter().map(|group| (*group).into()).collect(),
        kind: PrincipalKind::User,
    };
    let rules = r#"{"files":[{"name":"a","action":"allow","for_groups":["ops"]}]}"#;
    let mut ops = guardrail(rules).of(&principal(&["ops"]));
    file(&mut ops, FileKind::Write, "/x", None).expect("it holds for them");
    let mut others = guardrail(rules).of(&principal(&["dev"]));
    assert_eq!(others.interest(), Interest::FILES);
    refused(file(&mut others, FileKind::Write, "/x", None), Code::FileDenied, "no rule allows");
    let denies = r#"{"commands":[{"name":"a","patterns":["x"],"except_groups":["ops"]}]}"#;
    assert_eq!(guardrail(denies).of(&principal(&["ops"])).interest(), Interest::NONE);
    assert_eq!(guardrail(denies).of(&principal(&[])).interest(), Interest::COMMANDS);
}

#[test]
fn lists_that_cannot_be_used_are_named() {
    for (rules, word) in [
        (r#"{"files":[{"name":"r"}]}"#, "everything"),
        (r#"{"files":[{"name":"","paths":["/x"]}]}"#, "no name"),
        (r#"{"files":[{"name":"r","paths":["etc/x"]}]}"#, "in full"),
        (r#"{"files":[{"name":"r","paths":["/etc/"]}]}"#, "in full"),
        (r#"{"files":[{"name":"r","paths":["/etc/../x"]}]}"#, "in full"),
        (r#"{"files":[{"name":"r","paths":[""]}]}"#, "empty"),
        (r#"{"files":[{"name":"a","action":"allow"},{"name":"r","paths":["/x"]}]}"#, "never be asked"),
        (r#"{"commands":[{"name":"r"}]}"#, "everything"),
        (r#"{"commands":[{"name":"r","patterns":[""]}]}"#, "empty"),
    ] {
        let denial = SessionGuardrail::new(serde_json::from_str(rules).expect("of the right form")).err().expect(rules);
        assert!(denial.code == Code::InvalidRequest && denial.reason.contains(word), "{denial}");
    }
    for rules in [r#"{"files":[{"name":"r","operations":["delete"]}]}"#, r#"{"commands":[{"name":"r","command":"x"}]}"#]
    {
        assert!(serde_json::from_str::<GuardrailRules>(rules).is_err(), "{rules}");
    }
}
