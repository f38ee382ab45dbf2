//! Whom an agent takes for its gateway.

use std::path::{Path, PathBuf};
use std::process::Command;

use hoop_testkit::{Folder, Gateway, Options, Output, direct_only, hoop_agent, output};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;

/// A private authority.
pub(crate) struct Authority {
    /// The file with its own certificate.
    pub(crate) pem: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = write(folder, &format!("{name}.pem"), &params.self_signed(&key).expect("signed").pem());
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// The files with a certificate for the loopback address, and its key: the same two at each call.
    pub(crate) fn issue(&self, folder: &Path) -> (PathBuf, PathBuf) {
        self.issue_with(folder, |_| {})
    }

    /// As [`issue`](Self::issue), with something else in it.
    pub(crate) fn issue_with(&self, folder: &Path, edit: impl FnOnce(&mut CertificateParams)) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("names");
        edit(&mut params);
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        (write(folder, "gateway.crt", &signed.pem()), write(folder, "gateway.key", &key.serialize_pem()))
    }
}

pub(crate) fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("an own folder takes a file");
    path
}

fn key(gateway: &Gateway, agent: &str) -> String {
    let made = gateway.api().post("/api/v1/agents", &json!({ "name": agent }));
    made["key"].as_str().expect("a new agent has a key").to_owned()
}

/// What `hoop-agent check` says.
fn check(key: &str, environment: &[(&str, &Path)], arguments: &[&Path]) -> Output {
    let mut command = Command::new(hoop_agent());
    command.arg("check").args(arguments).env("HOOP_KEY", key).env_remove("HOOP_CA_FILE");
    output(command.envs(environment.iter().copied()), b"")
}

#[test]
fn a_private_authority() {
    if direct_only() {
        return;
    }
    let folder = Folder::new("authority");
    let (ours, theirs) = (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "theirs"));
    let (certificate, private) = ours.issue(folder.path());
    let config = format!("[tls]\ncertificate = {certificate:?}\nkey = {private:?}\n");
    let environment = vec![("HOOP_CA_FILE".to_owned(), ours.pem.display().to_string())];
    let gateway = Gateway::start(&Options { config: Some(config), environment, ..Options::default() });
    let key = key(&gateway, "far");

    for (environment, why) in [(vec![], "public authorities"), (vec![("HOOP_CA_FILE", &*theirs.pem)], "another one")] {
        let refused = check(&key, &environment, &[]).failure();
        assert!(refused.contains("HOOP_CA_FILE") && refused.contains("ca_file"), "{why}: {refused}");
    }
    let attached = check(&key, &[("HOOP_CA_FILE", &ours.pem)], &[]).ok();
    assert!(attached.ends_with("attached\n"), "{attached}");

    let file = |pem: &Path| write(folder.path(), "agent.toml", &format!("ca_file = {pem:?}\n"));
    let attached = check(&key, &[], &[Path::new("--config"), &file(&ours.pem)]).ok();
    assert!(attached.ends_with("attached\n"), "{attached}");
    let arguments = [Path::new("--config"), &file(&theirs.pem)];
    check(&key, &[("HOOP_CA_FILE", &ours.pem)], &arguments).ok();
    let missing = folder.join("missing.pem");
    let refused = check(&key, &[("HOOP_CA_FILE", &missing)], &[]).failure();
    assert!(refused.contains("missing.pem"), "{refused}");
}

/// A key that pins a certificate takes no other, and says what is to be done.
#[test]
fn another_certificate_than_the_keys() {
    if direct_only() {
        return;
    }
    let names = |name: &str| format!("[tls]\nnames = [{name:?}]\n");
    let config = Some(names("gw.example.com"));
    let mut gateway = Gateway::start(&Options { config, ..Options::default() });
    let key = key(&gateway, "far");
    check(&key, &[], &[]).ok();
    let address = gateway.ready()["grpc"].as_str().expect("its address").to_owned();
    gateway.server().stop("TERM");
    let listen = format!("[listen.grpc]\naddress = {address:?}\n");
    std::fs::write(gateway.dir().join("gateway.toml"), names("other.example.com") + &listen).expect("written");
    gateway.start_again();
    let refused = check(&key, &[], &[]).failure();
    assert!(refused.contains("give the agent a new key"), "{refused}");
}
