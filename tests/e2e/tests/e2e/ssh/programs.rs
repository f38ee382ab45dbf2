//! Shells and commands, with and without a terminal.

use hoop_testkit::output;
use serde_json::json;

use super::{OPEN, PLAIN, events, of_kind, role, stand};

#[test]
fn a_command_is_as_if_it_were_run_directly() {
    let stand = stand();
    for command in [
        "echo out; echo err >&2",
        "exit 0",
        "exit 7",
        "exit 255",
        "kill -TERM $$",
        "false | true",
        "printf 'a\\0b'",
        "cat /nowhere",
        "head -c 300000 /dev/zero | tr '\\0' x",
        "sleep 0.2 & echo now",
    ] {
        let direct = stand.sshd.run(command);
        let through = stand.client.run(PLAIN, command);
        assert_eq!(through.status.code(), direct.status.code(), "{command}: {through}");
        assert_eq!(through.stdout, direct.stdout, "{command}");
        assert_eq!(through.stderr, direct.stderr, "{command}");
    }
}

#[test]
fn what_goes_in_comes_out() {
    let stand = stand();
    let input: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let echoed = output(stand.client.ssh(&[], PLAIN).arg("cat"), &input);
    assert!(echoed.status.success() && echoed.stdout == input, "{} bytes came back", echoed.stdout.len());
}

#[test]
fn variables_go_by_the_roles_list() {
    let stand = stand();
    let shown = |role: &str| {
        let mut ssh = stand.client.ssh(&["-o", "SendEnv=LC_HOOP HOOP_E2E LD_PRELOAD"], role);
        ssh.env("LC_HOOP", "lc").env("HOOP_E2E", "yes");
        output(ssh.arg("echo $LC_HOOP,$HOOP_E2E"), b"").ok()
    };
    assert_eq!(shown(PLAIN), "lc,\n");
    assert_eq!(shown(OPEN), "lc,yes\n");
}

#[test]
fn a_shell_at_a_terminal_has_its_size_and_is_recorded() {
    let stand = stand();
    role(&stand.gateway, "shell", &stand.sshd, |_| {});
    let mut shell = stand.client.terminal("shell", "'PS1=ready: exec sh'");
    shell.line("echo rows $(stty size)");
    shell.expect("rows 24 80");
    shell.line("tty | grep -c pts; exit 3");
    shell.expect("1");
    drop(shell);
    let events = events(&stand.gateway, "shell");
    let command = of_kind(&events, "command").next().expect("the command is recorded");
    assert_eq!((command["program"].as_str(), command["columns"].as_u64()), (Some("exec"), Some(80)));
    let output: String = of_kind(&events, "output").filter_map(|event| event["bytes"].as_str()).collect();
    assert!(output.contains("rows 24 80"), "{output}");
    let input: String = of_kind(&events, "input").filter_map(|event| event["bytes"].as_str()).collect();
    assert!(input.contains("stty size"), "{input}");
}

#[test]
fn a_terminal_can_be_made_larger() {
    let stand = stand();
    role(&stand.gateway, "resized", &stand.sshd, |_| {});
    let mut shell = stand.client.terminal("resized", "sh");
    shell.line("stty rows 40 cols 100; stty size");
    shell.expect("40 100");
    shell.line("exit");
}

#[test]
fn programs_that_draw_work() {
    let stand = stand();
    let mut shell = stand.client.terminal(PLAIN, "'TERM=xterm vi -u NONE -N'");
    shell.keys("ihello from vi\x1b:w! /tmp/hoop-e2e-vi\r");
    shell.expect("written");
    shell.keys(":q!\r");
    let read = stand.sshd.run("cat /tmp/hoop-e2e-vi; rm -f /tmp/hoop-e2e-vi");
    assert_eq!(read.ok(), "hello from vi\n");
    let mut top = stand.client.terminal(PLAIN, "'TERM=xterm top -d 1'");
    top.expect("PID");
    top.keys("q");
}

#[test]
fn ctrl_c_reaches_the_program() {
    let stand = stand();
    let mut shell = stand.client.terminal(PLAIN, "sh");
    shell.line("trap 'echo caught' INT; echo waiting; sleep 100; echo after");
    shell.expect("waiting\r\n");
    shell.keys("\x03");
    shell.expect("caught");
    shell.line("exit");
}

#[test]
fn what_a_role_does_not_allow_is_refused_and_recorded() {
    let stand = stand();
    role(&stand.gateway, "no-shell", &stand.sshd, |target| {
        target["allow"] = json!({ "shell": false, "exec": false, "subsystems": [] });
    });
    let refused = stand.client.run("no-shell", "id");
    assert_eq!(refused.status.code(), Some(126), "{refused}");
    assert!(refused.stderr.contains("hoop: this role does not allow commands"), "{refused}");
    assert_eq!(refused.text(), "");
    let events = events(&stand.gateway, "no-shell");
    let closed = of_kind(&events, "channel_closed").next().expect("the refusal is recorded");
    assert_eq!(closed["denial"], "command_denied", "{closed}");
    assert_eq!(of_kind(&events, "command").next().expect("the command, too")["text"], "id");
    let mut shell = stand.client.terminal("no-shell", "");
    shell.expect("this role does not allow a shell");
}
