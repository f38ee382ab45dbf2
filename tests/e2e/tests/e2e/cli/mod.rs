//! `hoop` as people use it who have a gateway: the built program, with settings of its own.

mod accounts;
mod browser;
mod company;
mod connect;
mod exec;
mod keys;
mod login;
mod sign_in;
mod verify;
mod via;

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use hoop_testkit::{Api, Folder, Output, hoop, output, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::stand::{AGENT, guardrail, no_masking, stand};

/// The role of these tests; `drop table` is refused.
const ROLE: &str = "cli";
/// The group that may use it.
const GROUP: &str = "cli-users";
const PASSWORD: &str = "a long enough passphrase";

/// Somebody's machine: nothing of it is anybody else's.
struct Machine {
    folder: Folder,
}

impl Machine {
    fn new() -> Self {
        Self { folder: Folder::new("cli") }
    }

    /// One on which a new user of the role has signed in.
    fn of(user: &str) -> Self {
        let machine = Self::new();
        account(user);
        machine.login(user).ok();
        machine
    }

    fn login(&self, user: &str) -> Output {
        self.run_with(&["login", url(), "--user", user, "--password-stdin"], &format!("{PASSWORD}\n"))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        output(&mut self.command(arguments), input.as_bytes())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(hoop());
        command.args(arguments).current_dir(self.folder.path());
        command.env("XDG_CONFIG_HOME", self.folder.path());
        let settings =
            ["HOOP_URL", "HOOP_TOKEN", "HOOP_CONTEXT", "HOOP_CA_FILE", "HOOP_OUTPUT", "HOOP_ALLOW_HTTP", "HOOP_VIA"];
        for name in settings {
            command.env_remove(name);
        }
        command
    }

    /// Starts something that does not end by itself.
    fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self, &mut self.command(arguments))
    }

    /// The token that a login has left.
    fn token(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("hoop/tokens.toml")).expect("a login leaves a token");
        let line = text.lines().find_map(|line| line.strip_prefix("token = "));
        line.expect("a line with the token").trim_matches('"').to_owned()
    }
}

/// A program that runs; it is killed with its handle.
struct Running {
    child: Child,
    out: std::path::PathBuf,
    err: std::path::PathBuf,
}

impl Running {
    fn start(machine: &Machine, command: &mut Command) -> Self {
        let (out, err) = (machine.folder.join("running.out"), machine.folder.join("running.err"));
        let file = |path| File::create(path).expect("an own folder takes a file");
        command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
        Self { child: command.spawn().expect("hoop starts"), out, err }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.out).expect("its output is a file")
    }

    fn complaints(&self) -> String {
        std::fs::read_to_string(&self.err).expect("its complaints are in a file")
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, and gives the exit code.
    fn signal(&mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).expect("it runs");
        until(Duration::from_secs(15), "the end of hoop", || self.child.try_wait().expect("an own child")).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- hoop printed\n{}{}", self.text(), self.complaints());
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the gateway is.
fn url() -> &'static str {
    stand().gateway.ready()["api"].as_str().expect("the line has the API")
}

/// A new user of the role, and the API as they use it.
fn account(name: &str) -> Api {
    role();
    stand().gateway.user(name, &[GROUP])
}

fn role() {
    static ROLE_MADE: OnceLock<()> = OnceLock::new();
    ROLE_MADE.get_or_init(|| {
        stand().gateway.role(ROLE, AGENT, &stand().postgres, |role| {
            role["allowed_groups"] = json!([GROUP]);
            role["plugins"] = json!({ "masking": no_masking(), "guardrail": guardrail() });
        });
    });
}

/// What was printed, as JSON.
#[track_caller]
fn parsed(output: &Output) -> Value {
    serde_json::from_str(&output.ok()).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// Asserts on an exit code, and gives what was complained about.
#[track_caller]
fn fails(output: &Output, code: i32) -> &str {
    assert_eq!(output.status.code(), Some(code), "{output}");
    &output.stderr
}
