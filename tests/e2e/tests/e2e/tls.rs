//! The certificate that a gateway shows: at each of its doors, and another one while it runs.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::stock::{Stock, first_admin};
use crate::trust::{Authority, write};
use hoop_testkit::{Folder, Gateway, Options, Output, Terminal, direct_only, find, hoop, output, psql, until};

const SOON: Duration = Duration::from_secs(20);

/// The same login for whoever trusts this authority; it is bound to the certificate that is shown.
fn trusting(url: &str, authority: &Authority) -> String {
    let root = authority.pem.display();
    url.replace("sslmode=disable", &format!("sslmode=verify-ca&channel_binding=require&sslrootcert={root}"))
}

#[test]
fn a_renewed_certificate_is_shown_and_no_session_ends() {
    if direct_only() {
        return;
    }
    let folder = Folder::new("renewal");
    let [old, new] = ["old", "new"].map(|name| Authority::new(folder.path(), name));
    let (certificate, key) = old.issue(folder.path());
    let [first, second] = [&old, &new].map(|authority| std::fs::read_to_string(&authority.pem).expect("a file"));
    let both = write(folder.path(), "both.pem", &(first + &second)).display().to_string();
    let config = Some(format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"));
    let environment = vec![("HOOP_CA_FILE".to_owned(), both)];
    let gateway = Gateway::start(&Options { demo: true, config, environment, ..Options::default() });
    let (url, _) = gateway.demo_urls();
    let [for_old, for_new] = [&old, &new].map(|authority| trusting(&url, authority));
    let select = ["-c", "select 1"];
    let mut session = Terminal::psql(&for_old);
    session.line("select 'before ' || 40 + 2;");
    session.expect("before 42");
    let refused = psql(&for_new, &select).failure();
    assert!(refused.contains("certificate verify failed"), "{refused}");

    std::fs::write(&certificate, "no certificate").expect("an own folder takes a file");
    until(SOON, "a complaint that names the file", || {
        let log = gateway.log();
        (log.contains("the new certificate cannot be used") && log.contains("gateway.crt")).then_some(())
    });
    assert_eq!(psql(&for_old, &select).ok(), "1\n", "the old one is still shown");

    new.issue(folder.path());
    until(SOON, "the new certificate", || psql(&for_new, &select).status.success().then_some(()));
    let refused = psql(&for_old, &select).failure();
    assert!(refused.contains("certificate verify failed"), "{refused}");
    session.line("select 'after ' || 40 + 2;");
    session.expect("after 42");
}

/// Version and status of the answer that curl gets.
fn curl(url: &str, authority: &Authority) -> Output {
    let mut curl = Command::new(find("curl", "curl"));
    curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_version} %{response_code}", "--noproxy", "*", "--cacert"]);
    output(curl.arg(&authority.pem).arg(format!("{url}/healthz")), b"")
}

#[test]
fn the_api_over_tls() {
    if direct_only() {
        return;
    }
    let folder = Folder::new("secured");
    let [old, new] = ["old", "new"].map(|name| Authority::new(folder.path(), name));
    let (certificate, key) = old.issue(folder.path());
    let files = [("certificate", certificate), ("key", key)];
    let mut settings = files.map(|(setting, file)| format!("tls.{setting}={}", file.display())).to_vec();
    settings.push("listen.http.tls=true".to_owned());
    let gateway = Stock::start(&folder, &settings, &[]);
    let url = format!("https://{}", gateway.address("http"));
    assert_eq!(curl(&url, &old).ok(), "2 200");
    assert!(curl(&url, &new).failure().contains("certificate"));
    curl(&url.replace("https", "http"), &old).failure();
    sign_in(&folder, &url, &old);

    new.issue(folder.path());
    until(SOON, "the new certificate", || curl(&url, &new).status.success().then_some(()));
    assert!(curl(&url, &old).failure().contains("certificate"));
    assert!(gateway.server.is_alive());
}

#[test]
fn a_certificate_that_ends_soon_is_said() {
    if direct_only() {
        return;
    }
    let folder = Folder::new("ending");
    let authority = Authority::new(folder.path(), "old");
    let end = SystemTime::now() + Duration::from_secs(10 * 24 * 3600 + 60);
    let (certificate, key) = authority.issue_with(folder.path(), |params| params.not_after = end.into());
    let settings =
        [("certificate", certificate), ("key", key)].map(|(setting, file)| format!("tls.{setting}={}", file.display()));
    let gateway = Stock::start(&folder, &settings, &[]);
    let warning = until(SOON, "a warning", || {
        let log = gateway.server.log();
        log.lines().find(|line| line.contains("the certificate ends soon")).map(str::to_owned)
    });
    assert!(warning.contains("\"days\":10"), "{warning}");
    let (metric, end) =
        ("\nhoop_tls_certificate_expiry_timestamp_seconds ", end.duration_since(UNIX_EPOCH).expect("later"));
    let url = format!("http://{}/metrics", gateway.address("http"));
    let mut curl = Command::new(find("curl", "curl"));
    let metrics = output(curl.args(["-sS", "--noproxy", "*", &url]), b"").ok();
    assert!(metrics.contains(&format!("{metric}{}\n", end.as_secs())), "{metrics}");

    authority.issue(folder.path());
    until(SOON, "the end of another certificate", || {
        let mut curl = Command::new(find("curl", "curl"));
        let metrics = output(curl.args(["-sS", "--noproxy", "*", &url]), b"").ok();
        let end: u64 = metrics.split_once(metric)?.1.lines().next()?.parse().ok()?;
        (end > u64::from(u32::MAX)).then_some(())
    });
}

/// The first administrator signs in from the command line.
fn sign_in(folder: &Folder, url: &str, authority: &Authority) {
    let first = first_admin(folder);
    let lines = format!("{first}\na long enough passphrase\n");
    let mut login = Command::new(hoop());
    login.args(["login", url, "--user", "root", "--password-stdin", "--ca-file"]).arg(&authority.pem);
    output(login.env("XDG_CONFIG_HOME", folder.path()), lines.as_bytes()).ok();
    let mut whoami = Command::new(hoop());
    whoami.args(["whoami"]).env("XDG_CONFIG_HOME", folder.path());
    assert!(output(&mut whoami, b"").ok().contains("root"));
}

#[test]
fn the_api_of_a_hoop_dev_is_plain() {
    let folder = Folder::new("dev");
    let mut dev = Command::new(hoop());
    dev.args(["dev", "--port-offset", "0", "--dir"]).arg(folder.join("dev")).env("HOOP_LISTEN_HTTP_TLS", "true");
    let refused = output(&mut dev, b"").failure();
    assert!(
        refused.contains("`listen.http.tls` is not for a hoop dev") && refused.contains("hoop-gateway start"),
        "{refused}"
    );
}
