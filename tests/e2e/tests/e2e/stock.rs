//! The stock gateway, as an operator starts it.

use std::process::Command;
use std::time::Duration;

use hoop_testkit::{Folder, Guarded, Plan, gateway_environment, hoop_gateway, output, until};
use serde_json::Value;

/// A running `hoop-gateway`.
pub(crate) struct Stock {
    pub(crate) server: Guarded,
    addresses: Value,
}

impl Stock {
    /// Starts one with its data in this folder, on free ports.
    pub(crate) fn start(folder: &Folder, settings: &[String], environment: &[(&str, &str)]) -> Self {
        let mut command = vec![hoop_gateway().display().to_string(), "start".to_owned()];
        command.extend(["--output", "json"].map(str::to_owned));
        let doors =
            ["http", "grpc", "postgres", "ssh", "proxy"].map(|door| format!("listen.{door}.address=127.0.0.1:0"));
        for setting in doors.iter().chain(settings) {
            command.extend(["--set".to_owned(), setting.clone()]);
        }
        let mut all = gateway_environment();
        all.push(data(folder));
        all.extend(environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (name, folder) = ("hoop-gateway".to_owned(), folder.path().to_owned());
        let server = Guarded::start(&Plan { name, command, environment: all, stop: "TERM", folder });
        let line = until(Duration::from_secs(20), "the addresses of its doors", || {
            assert!(server.is_alive(), "the gateway ended: {}", server.log());
            server.printed().split_once('\n').map(|(line, _)| line.to_owned())
        });
        Self { server, addresses: serde_json::from_str(&line).expect("a line of JSON") }
    }

    /// The address of a door: `http`, `grpc`, `postgres`, `ssh`, `proxy`.
    pub(crate) fn address(&self, door: &str) -> &str {
        self.addresses[door].as_str().expect("the line has every door")
    }
}

/// Makes the first administrator, `root`, and gives the password that is good for nothing but to set another.
pub(crate) fn first_admin(folder: &Folder) -> String {
    let made = output(Command::new(hoop_gateway()).args(["first-admin", "root"]).envs([data(folder)]), b"").ok();
    let password = made.lines().find_map(|line| line.strip_prefix("password")).expect("it is shown once");
    password.trim().to_owned()
}

fn data(folder: &Folder) -> (String, String) {
    ("HOOP_DATA".to_owned(), folder.join("data").display().to_string())
}
