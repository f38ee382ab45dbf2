//! `hoop audit verify` of a gateway elsewhere: its key is remembered when it is first seen.

use std::time::Duration;

use hoop_testkit::{direct_only, until};

use super::{Machine, ROLE, fails, parsed};
use crate::stand::{recording, stand};

/// The public half of the key whose seed is 32 sevens.
const ANOTHER: &str = "hoop-gateway+37ce90ab+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";

impl Machine {
    fn config(&self) -> (std::path::PathBuf, String) {
        let path = self.folder.join("hoop/config.toml");
        let text = std::fs::read_to_string(&path).expect("a login leaves a context");
        (path, text)
    }
}

#[test]
fn a_recording_in_the_place_of_another_is_not_taken_for_it() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("swap");
    let ids = ["select 1", "select 2"].map(|statement| {
        machine.run(&["exec", ROLE, "-c", statement]).ok();
        until(Duration::from_secs(60), "the end of the session", || {
            let sessions = parsed(&machine.run(&["sessions", "list", "-o", "json"]));
            let id = sessions[0]["id"].as_str().expect("an id").to_owned();
            (!sessions[0]["ended_at"].is_null()).then_some(id)
        })
    });
    let [one, other] = ids.each_ref().map(|id| recording(&stand().gateway, id));
    let kept = std::fs::read(&one).expect("it is there");
    std::fs::copy(&other, &one).expect("the gateway's own folder");
    let verified = machine.run(&["audit", "verify", &ids[0]]);
    std::fs::write(&one, kept).expect("the gateway's own folder");
    let told = fails(&verified, 1);
    assert!(told.contains("REPLACED: this is the recording of") && told.contains(&ids[1]), "{verified}");
    assert!(machine.run(&["audit", "verify", &ids[0]]).ok().contains("is as it was written"));
}

#[test]
fn the_key_of_a_gateway_is_remembered() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("vera");
    machine.run(&["exec", ROLE, "-c", "select 1"]).ok();
    let sessions = parsed(&machine.run(&["sessions", "list", "-o", "json"]));
    let id = sessions[0]["id"].as_str().expect("an id").to_owned();
    let verify = |arguments: &[&str]| machine.run(&[&["audit", "verify", &id], arguments].concat());
    let public = std::fs::read_to_string(stand().gateway.dir().join("recording.pub")).expect("the gateway's own");
    let public = public.trim();

    let first = verify(&[]);
    assert!(first.ok().contains("is as it was written"), "{first}");
    assert!(first.stderr.contains("with the key sha256:") && first.stderr.contains("is remembered"), "{first}");
    let (path, config) = machine.config();
    assert!(config.contains(public), "{config}");
    let again = verify(&[]);
    assert!(again.ok().contains("is as it was written") && !again.stderr.contains("sha256:"), "{again}");

    // Another gateway in its place, or the key that it had before.
    std::fs::write(&path, config.replace(public, ANOTHER)).expect("the machine's own");
    let refused = verify(&[]);
    let told = fails(&refused, 1);
    assert!(told.contains("another key by now") && told.contains("nothing was verified"), "{refused}");
    let file = machine.folder.join("recording.pub");
    std::fs::write(&file, public).expect("an own folder takes a file");
    verify(&["--key", &file.display().to_string()]).ok();
    std::fs::write(&file, ANOTHER).expect("an own folder takes a file");
    assert!(fails(&verify(&["--key", &file.display().to_string()]), 1).contains("CHANGED"));
}
