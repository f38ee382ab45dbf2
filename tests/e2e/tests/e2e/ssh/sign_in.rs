//! Signing in with a browser, for who comes to the SSH door with neither a credential nor a key.

use std::sync::OnceLock;

use hoop_testkit::{Browser, Gateway, Page, Sshd, Terminal};
use serde_json::json;

use super::{Client, PLAIN, gateway_with, role};

const PASSWORD: &str = "a long enough passphrase";

struct Stand {
    gateway: Gateway,
    client: Client,
    _sshd: Sshd,
}

/// The login itself has a second: who waits for a browser has longer.
fn stand() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| start("[limits]\nlogin_timeout = \"1s\"\n[listen.ssh]\nsign_in_timeout = \"90s\"\n"))
}

fn start(config: &str) -> Stand {
    let sshd = Sshd::start();
    let gateway = gateway_with(&sshd, Some(config));
    role(&gateway, PLAIN, &sshd, |_| {});
    let client = Client::new(&gateway);
    Stand { gateway, client, _sshd: sshd }
}

impl Stand {
    fn account(&self, name: &str) {
        self.gateway.user(name, &[]);
        let rule = json!({
            "name": format!("rule-{name}"), "effect": "allow", "subjects": { "users": [name] }, "roles": { "names": [PLAIN] },
        });
        self.gateway.api().post("/api/v1/access-rules", &rule);
    }

    /// `ssh` that has no key.
    fn ssh(&self, login: &str, command: &str) -> Terminal {
        let known_hosts = self.client.folder.join("known_hosts");
        Terminal::start(&format!(
            "ssh -F none -vv -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=2 -o UserKnownHostsFile={} -p {} {login}@127.0.0.1 {command}; \
             echo ended with $?",
            known_hosts.display(),
            self.client.port,
        ))
    }
}

/// What the user is shown: the link, with the code in it.
fn link(ssh: &mut Terminal) -> String {
    ssh.expect("hoop: to go on as ");
    ssh.expect("shows the code ");
    let code = ssh.expect(":").trim_end_matches(':').to_owned();
    ssh.expect("hoop: ");
    let link = ssh.expect(&code);
    assert!(link.starts_with("http://127.0.0.1:") && link.contains("/device?user_code="), "{link}");
    link
}

/// The page on which this user decides.
fn asked(browser: &mut Browser, link: &str, user: &str) -> Page {
    let login = browser.open(link);
    assert_eq!((login.url.path(), login.status), ("/login", 200), "{}", login.html);
    let typed = browser.press(&login, "Sign in", &[("user", user), ("password", PASSWORD)]);
    browser.press(&typed, "Go on", &[])
}

#[test]
fn a_user_without_a_key_is_let_in_by_a_browser_and_leaves_with_its_sign_in() {
    let stand = stand();
    stand.account("bea");
    let (mut ssh, mut browser) = (stand.ssh(PLAIN, "'echo in as $((40 + 2)); exec cat'"), Browser::new());
    let link = link(&mut ssh);
    let asked = asked(&mut browser, &link, "bea");
    assert!(asked.html.contains(&format!("ssh {PLAIN}")) && asked.html.contains("127.0.0.1:"), "{}", asked.html);
    // The client is asked once a second: by now a login would have been too late.
    for _ in 0..3 {
        ssh.expect("input_userauth_info_req");
    }
    assert_eq!(browser.press(&asked, "Approve", &[]).url.path(), "/done");
    ssh.expect("in as 42");
    let session = &stand.gateway.sessions()[0];
    assert_eq!((session["user"].as_str(), session["role"].as_str()), (Some("bea"), Some(PLAIN)));
    let account = browser.open(&format!("{}/", stand.gateway.api().base()));
    browser.press(&account, "Sign out", &[]);
    ssh.expect("the token or login that it came in by was taken away");
    ssh.expect("ended with 255");
}

#[test]
fn a_login_that_names_a_user_is_that_users() {
    let stand = stand();
    stand.account("cleo");
    let (mut ssh, mut browser) = (stand.ssh(&format!("cleo+{PLAIN}"), "echo in as '$((40 + 2))'"), Browser::new());
    let asked_cleo = asked(&mut browser, &link(&mut ssh), "cleo");
    browser.press(&asked_cleo, "Approve", &[]);
    ssh.expect("in as 42");

    // Whether there is such a user is not told.
    for named in ["dora", "admin"] {
        let mut ssh = stand.ssh(&format!("{named}+{PLAIN}"), "echo in as '$((40 + 2))'");
        let typed = browser.open(&link(&mut ssh));
        let asked = browser.press(&typed, "Go on", &[]);
        browser.press(&asked, "Approve", &[]);
        ssh.expect(&format!("hoop: the sign-in was approved by somebody else than {named}"));
        ssh.expect("Permission denied");
    }
}

#[test]
fn who_is_denied_is_told() {
    let stand = stand();
    stand.account("eva");
    let (mut ssh, mut browser) = (stand.ssh("no-such-role", "true"), Browser::new());
    let asked = asked(&mut browser, &link(&mut ssh), "eva");
    browser.press(&asked, "Deny", &[]);
    ssh.expect("hoop: the sign-in was denied");
    ssh.expect("Permission denied");
    ssh.expect("ended with 255");
}

#[test]
fn a_credential_is_asked_for_its_password_as_before() {
    let stand = stand();
    let made = stand.gateway.api().post(&format!("/api/v1/roles/{PLAIN}/credentials"), &json!({}));
    let (login, password) = (made["user"].as_str().expect("a login"), made["password"].as_str().expect("a password"));
    let mut ssh = stand.ssh(login, "echo in as '$((40 + 2))'");
    ssh.expect("Password: ");
    ssh.line(password);
    ssh.expect("in as 42");
}

#[test]
fn nobody_waits_longer_than_the_setting_says_and_0s_keeps_it_shut() {
    let stand = start("[listen.ssh]\nsign_in_timeout = \"1s\"\n");
    let mut ssh = stand.ssh(PLAIN, "true");
    link(&mut ssh);
    ssh.expect("hoop: nobody has approved the sign-in in time");
    ssh.expect("ended with 255");
    drop(stand);
    let stand = start("[listen.ssh]\nsign_in_timeout = \"0s\"\n");
    let mut ssh = stand.ssh(PLAIN, "true");
    ssh.expect("Password: ");
}

#[test]
fn a_connection_begins_one_sign_in_and_who_gives_up_often_waits() {
    let stand = start("[listen.ssh]\nsign_in_timeout = \"1s\"\n");
    // Five come to nothing for free, each on a connection of its own: OpenSSH's client does not begin another on it.
    for _ in 0..6 {
        let mut ssh = stand.ssh("somebody+plain", "true");
        link(&mut ssh);
        ssh.expect("hoop: nobody has approved the sign-in in time");
        let rest = ssh.expect("ended with 255");
        assert!(!rest.contains("hoop: to go on as"), "{rest}");
    }
    let mut ssh = stand.ssh("somebody+plain", "true");
    ssh.expect("hoop: too many failed logins");
    ssh.expect("ended with 255");
}
