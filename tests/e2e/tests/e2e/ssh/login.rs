//! Who gets in, and what for.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hoop_testkit::ssh::{Payload, SshPeer, kind};
use hoop_testkit::{Sshd, find, make_key, output, public_key};
use reqwest::Method;
use serde_json::json;

use super::{AGENT, PLAIN, role, stand};

/// `ssh` that answers every question with this password.
fn with_password(login: &str, password: &str, method: &str) -> Command {
    let stand = stand();
    let askpass = stand.client.folder.join(format!("askpass-{}", login.replace('/', "")));
    std::fs::write(&askpass, format!("#!/bin/sh\necho '{password}'\n")).expect("an own folder takes a file");
    std::fs::set_permissions(&askpass, std::fs::Permissions::from_mode(0o700)).expect("an own file");
    let known_hosts = stand.client.folder.join("known_hosts").display().to_string();
    let mut command = Command::new(find("ssh", "openssh-client"));
    command.args(["-F", "none", "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]);
    command.args([
        "-o",
        &format!("PreferredAuthentications={method}"),
        "-o",
        &format!("UserKnownHostsFile={known_hosts}"),
    ]);
    command.args(["-p", &stand.client.port.to_string(), &format!("{login}@127.0.0.1"), "echo in"]);
    command.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force");
    command
}

#[test]
fn a_credential_lets_in_by_password_and_by_question() {
    let stand = stand();
    let made = stand.gateway.api().post(&format!("/api/v1/roles/{PLAIN}/credentials"), &json!({}));
    let (login, password) = (made["user"].as_str().expect("a login"), made["password"].as_str().expect("a password"));
    for method in ["password", "keyboard-interactive"] {
        assert_eq!(output(&mut with_password(login, password, method), b"").ok(), "in\n", "{method}");
        let refused = output(&mut with_password(login, "wrong", method), b"").failure();
        assert!(refused.contains("Permission denied"), "{method}: {refused}");
    }
    let refused = output(&mut with_password("nobody", password, "password"), b"").failure();
    assert!(refused.contains("Permission denied"), "{refused}");
}

/// The key may be signed with; its number is also that of a question.
const PK_OK: u8 = kind::USERAUTH_INFO_REQUEST;
/// `limits.ssh_keys`, where nothing is said.
const KEYS: usize = 20;

/// Who asks about a key and never signs with it is not one whose login fails; it costs a look-up each time all the same.
#[test]
fn a_key_is_asked_about_so_often() {
    let stand = stand();
    let line = public_key(&stand.client.folder.join("key"));
    let mut words = line.split_whitespace();
    let (algorithm, blob) = (words.next().expect("an algorithm"), words.next().expect("a key"));
    let blob = BASE64_STANDARD.decode(blob).expect("base64");
    let probe = || {
        let asked = Payload::of(kind::USERAUTH_REQUEST).string(PLAIN).string("ssh-connection").string("publickey");
        asked.byte(0).string(algorithm).string(&blob)
    };
    let mut peer = SshPeer::dial(Ipv4Addr::LOCALHOST, stand.client.port).expect("the door listens");
    peer.greet().and_then(|()| peer.ask_service()).expect("it speaks SSH");
    for number in 0..KEYS {
        peer.send(probe()).expect("a request");
        let answer = peer.expect(&[PK_OK]);
        assert!(answer.is_ok(), "{number}: {answer:?}");
    }
    peer.send(probe()).expect("a request");
    assert!(peer.is_cut(), "one too many");
    assert_eq!(stand.client.run(PLAIN, "echo in").ok(), "in\n", "others are let in");
}

#[test]
fn the_login_name_is_a_role_and_may_name_the_user() {
    let stand = stand();
    assert_eq!(stand.client.run(&format!("admin+{PLAIN}"), "echo in").ok(), "in\n");
    let refused = stand.client.run(&format!("somebody+{PLAIN}"), "echo in");
    assert!(refused.failure().contains("hoop: "), "{refused}");
    let refused = stand.client.run("nowhere", "echo in");
    assert_eq!(refused.status.code(), Some(255));
    assert!(refused.stderr.contains("hoop: there is no role nowhere"), "{refused}");
    assert!(refused.stderr.contains(PLAIN), "{refused}");
}

#[test]
fn who_names_no_role_chooses_one() {
    let stand = stand();
    let mut shell = stand.client.terminal("choose", "");
    shell.expect("Which? ");
    shell.keys("nothing\r");
    shell.expect("There is no such role. Which? ");
    shell.keys(&format!("{PLAIN}\r"));
    shell.line("echo chosen $((40 + 2))");
    shell.expect("chosen 42");
    shell.line("exit");
}

#[test]
fn a_key_that_nobody_registered_is_refused() {
    let stand = stand();
    let key = stand.client.folder.join("stranger");
    make_key(&key, "ed25519");
    let option = format!("IdentityFile={}", key.display());
    let options: Vec<_> =
        stand.client.options().into_iter().filter(|option| !option.starts_with("IdentityFile")).collect();
    let mut command = Command::new(find("ssh", "openssh-client"));
    // An `-o` whose value was taken out takes the new one.
    let mut taken = false;
    for (at, word) in options.iter().enumerate() {
        command.arg(word);
        if !taken && word == "-o" && options.get(at + 1).is_some_and(|next| next == "-o") {
            command.arg(&option);
            taken = true;
        }
    }
    let refused = output(command.args([&format!("{PLAIN}@127.0.0.1"), "echo in"]), b"").failure();
    assert!(refused.contains("Permission denied"), "{refused}");
}

#[test]
fn a_key_that_is_removed_ends_its_sessions() {
    let stand = stand();
    let client = super::Client::new(&stand.gateway);
    let mut shell = client.terminal(PLAIN, "sh");
    shell.line("echo here $((1 + 1))");
    shell.expect("here 2");
    let keys = stand.gateway.api().get("/api/v1/keys");
    let own = hoop_testkit::public_key(&client.folder.join("key"));
    let key = keys["items"].as_array().expect("keys").iter().find(|key| key["public_key"] == own.as_str());
    let id = key.expect("the key is listed")["id"].as_str().expect("an id").to_owned();
    stand.gateway.api().call(Method::DELETE, &format!("/api/v1/keys/{id}"), None);
    shell.expect("hoop: ");
    assert!(client.run(PLAIN, "true").failure().contains("Permission denied"));
}

#[test]
fn a_target_takes_passwords_and_certificates_that_are_made_for_each_login() {
    let stand = stand();
    let authority = stand.client.folder.join("authority");
    make_key(&authority, "ed25519");
    let trusted = authority.with_added_extension("pub");
    let sshd = Sshd::with(|_| format!("TrustedUserCAKeys {}\nAuthorizedKeysFile none\n", trusted.display()));
    let secret = std::fs::read_to_string(&authority).expect("an own key");
    let mut gateway = hoop_testkit::Gateway::start(&hoop_testkit::Options {
        environment: vec![("HOOP_SECRET_SSH_CA".to_owned(), secret)],
        ..hoop_testkit::Options::default()
    });
    role(&gateway, "minted", &sshd, |target| {
        target["private_key"] = serde_json::Value::Null;
        target["certificate_authority"] = json!("env:HOOP_SECRET_SSH_CA");
    });
    let client = super::Client::new(&gateway);
    assert_eq!(client.run("minted", "echo in").ok(), "in\n");
    assert!(sshd.log().contains("hoop ses_"), "the certificate names the session: {}", sshd.log());
    let tried = gateway.api().post("/api/v1/roles/minted/test", &json!({}));
    assert_eq!(tried["agent"], AGENT);
    gateway.server().stop("TERM");
}

#[test]
fn a_certificate_lets_in_whom_it_names_and_from_where_and_when_it_says() {
    let sshd = Sshd::start();
    let folder = hoop_testkit::Folder::new("ssh-authorities");
    let (authority, other) = (folder.join("authority"), folder.join("other"));
    make_key(&authority, "ed25519");
    make_key(&other, "ed25519");
    let secret = std::fs::read_to_string(sshd.private_key()).expect("the server's key can be read");
    let line = hoop_testkit::public_key(&authority);
    let gateway = hoop_testkit::Gateway::start(&hoop_testkit::Options {
        config: Some(format!("[listen.ssh]\nuser_authorities = [\"{line}\"]\n")),
        environment: vec![(super::SECRET.to_owned(), secret)],
        ..hoop_testkit::Options::default()
    });
    role(&gateway, PLAIN, &sshd, |_| {});
    let client = super::Client::new(&gateway);
    // Another key than the one that is registered, so that nothing but its certificate lets it in.
    let key = client.folder.join("key");
    make_key(&key, "ed25519");
    let certify = |by: &std::path::Path, options: &[&str]| {
        let mut keygen = Command::new(find("ssh-keygen", "openssh-client"));
        keygen.args(["-q", "-s"]).arg(by).args(["-I", "test"]).args(options).arg(key.with_added_extension("pub"));
        output(&mut keygen, b"").ok();
    };
    let known = ["-n", "admin", "-V", "+5m"];
    assert!(client.run(PLAIN, "echo in").failure().contains("Permission denied"), "without a certificate");
    certify(&authority, &known);
    assert_eq!(client.run(PLAIN, "echo in").ok(), "in\n");
    certify(&authority, &["-n", "admin,somebody", "-V", "+5m"]);
    assert_eq!(client.run(&format!("admin+{PLAIN}"), "echo in").ok(), "in\n");
    certify(&authority, &["-n", "admin", "-V", "+5m", "-O", "source-address=127.0.0.0/8"]);
    assert_eq!(client.run(PLAIN, "echo in").ok(), "in\n");
    // Less than everything, as its authority has said.
    role(&gateway, "open", &sshd, |target| {
        target["allow"] = json!({ "direct_tcpip": ["*:*"], "tcpip_forward": ["*:*"], "agent_forwarding": true });
    });
    let through = |client: &super::Client| {
        let to = format!("127.0.0.1:{}", sshd.port);
        output(&mut client.ssh(&["-W", &to], "open"), b"")
    };
    certify(&authority, &known);
    assert!(through(&client).ok().starts_with("SSH-2.0-"));
    certify(&authority, &["-n", "admin", "-V", "+5m", "-O", "clear"]);
    assert_eq!(client.run(PLAIN, "echo in").ok(), "in\n");
    let refused = output(client.ssh(&["-tt"], PLAIN).arg("echo in"), b"");
    assert!(refused.failure().contains("the certificate permits no terminal"), "{refused}");
    let refused = through(&client).failure();
    assert!(refused.contains("does not allow direct-tcpip"), "{refused}");
    for (by, options, why) in [
        (&other, &known[..], "another authority"),
        (&authority, &["-n", "nobody", "-V", "+5m"], "nobody's"),
        (&authority, &["-n", "admin", "-V", "-10m:-5m"], "expired"),
        (&authority, &["-h", "-n", "admin", "-V", "+5m"], "a host's"),
        (&authority, &["-n", "admin", "-V", "+5m", "-O", "source-address=10.0.0.0/8"], "from elsewhere"),
        (&authority, &["-n", "admin", "-V", "+5m", "-O", "force-command=true"], "an option that is not understood"),
    ] {
        certify(by, options);
        assert!(client.run(PLAIN, "echo in").failure().contains("Permission denied"), "{why}");
    }
}
