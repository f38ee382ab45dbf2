//! `ssh -X`: programs on the target, on the client's display.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use hoop_testkit::{Folder, Output, Sshd, find, output};
use serde_json::json;

use super::{events, of_kind, role, stand};

/// A display that only who has its cookie may use.
struct Display {
    server: Child,
    folder: Folder,
    name: String,
}

impl Display {
    fn start() -> Self {
        let folder = Folder::new("x11");
        let cookie = "00112233445566778899aabbccddeeff";
        let add = |file: &str, display: &str| {
            let mut xauth = Command::new(find("xauth", "xauth"));
            output(xauth.arg("-f").arg(folder.join(file)).args(["add", display, ".", cookie]), b"").ok();
        };
        add("server", ":0");
        let mut server = Command::new(find("Xvfb", "xvfb"));
        server
            .args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "320x200x24", "-auth"])
            .arg(folder.join("server"));
        let mut server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("Xvfb starts");
        let mut number = String::new();
        BufReader::new(server.stdout.take().expect("it is piped")).read_line(&mut number).expect("it says its number");
        let name = format!(":{}", number.trim());
        add("client", &name);
        Self { server, folder, name }
    }

    /// Runs a command on a role, with the display lent by this option.
    fn run(&self, option: &str, role: &str, command: &str) -> Output {
        let mut ssh = stand().client.ssh(&[option], role);
        ssh.env("DISPLAY", &self.name).env("XAUTHORITY", self.folder.join("client"));
        output(ssh.arg(command), b"")
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

#[test]
fn a_display_is_lent_where_the_role_and_the_server_allow_it() {
    let (stand, display) = (stand(), Display::start());
    find("xdpyinfo", "x11-utils");
    let sshd = Sshd::with(|folder| {
        let cookies = folder.join("xauthority").display().to_string();
        format!("X11Forwarding yes\nX11UseLocalhost yes\nSetEnv XAUTHORITY={cookies}\n")
    });
    let key = std::fs::read_to_string(stand.sshd.private_key().with_added_extension("pub")).expect("its public key");
    sshd.authorize(&key);
    let lends = |target: &mut serde_json::Value| target["allow"] = json!({ "x11_forwarding": true });
    role(&stand.gateway, "display", &sshd, lends);
    for option in ["-X", "-Y"] {
        let shown = display.run(option, "display", "xdpyinfo").ok();
        assert!(shown.contains("name of display:    localhost:") && shown.contains("320x200 pixels"), "{shown}");
    }
    let events = events(&stand.gateway, "display");
    let forward = of_kind(&events, "forward").find(|event| event["forward"] == "x11").expect("it is recorded");
    assert!(forward["originator"].as_str().is_some_and(|from| from.starts_with("127.0.0.1:")), "{forward}");
    let closed = of_kind(&events, "channel_closed").find(|event| event["channel"] == forward["channel"]);
    let closed = closed.expect("its end, too");
    assert!(closed["bytes_out"].as_u64() > Some(0) && closed["bytes_in"].as_u64() > Some(1000), "{closed}");

    // The program runs all the same, without a display.
    role(&stand.gateway, "display-none", &sshd, |_| {});
    role(&stand.gateway, "display-server", &stand.sshd, lends);
    let none = display.run("-X", "display-none", "echo \"display=$DISPLAY\"");
    assert_eq!(none.ok(), "display=\n");
    assert!(none.stderr.contains("X11 forwarding request failed"), "{none}");
    assert_eq!(display.run("-X", "display-server", "echo \"display=$DISPLAY\"").ok(), "display=\n");
}

#[test]
fn a_variable_that_the_server_does_not_take_does_not_stop_the_program() {
    let stand = stand();
    role(&stand.gateway, "variables", &stand.sshd, |target| target["allow"] = json!({ "environment": ["*"] }));
    let mut ssh = stand.client.ssh(&["-o", "SetEnv=REFUSED_BY_SERVER=1"], "variables");
    assert_eq!(output(ssh.arg("echo in"), b"").ok(), "in\n");
}
