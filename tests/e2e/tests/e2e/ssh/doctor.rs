//! `hoop doctor`, of the SSH door.

use hoop_testkit::{Gateway, Options, Output, free_port};
use serde_json::{Value, json};

use super::{PLAIN, SECRET, events, of_kind, role, stand};

fn finding(doctor: &Output, what: &str) -> Value {
    let all: Value = serde_json::from_slice(&doctor.stdout).unwrap_or_else(|_| panic!("{doctor}"));
    let found = all.as_array().expect("findings").iter().find(|finding| finding["what"] == what);
    found.unwrap_or_else(|| panic!("nothing of {what}: {doctor}")).clone()
}

#[test]
fn the_doctor_says_whether_the_door_is_the_gateways_and_leads_to_machines() {
    let stand = stand();
    role(&stand.gateway, "doctor", &stand.sshd, |_| {});
    let doctor = stand.gateway.hoop(&["doctor", "--role", "doctor", "-o", "json"]);
    doctor.ok();
    let door = finding(&doctor, "ssh");
    assert!(door["found"].as_str().is_some_and(|found| found.contains("is the gateway's: SHA256:")), "{door}");
    assert!(finding(&doctor, "ssh roles")["found"].as_str().is_some_and(|found| found.contains(PLAIN)), "{doctor}");
    assert!(finding(&doctor, "ssh keys")["found"].as_str().is_some_and(|found| found.starts_with("registered: ")));
    assert_eq!((&finding(&doctor, "ssh role")["state"], &doctor.stderr), (&json!("ok"), &String::new()));
    // The machine has heard of nothing but the login.
    let events = events(&stand.gateway, "doctor");
    let commands: Vec<_> = of_kind(&events, "command").collect();
    assert!(matches!(commands[..], [only] if only.to_string().contains("hoop-doctor")), "{commands:?}");
    let left = stand.gateway.api().get("/api/v1/credentials?limit=200");
    let good = left["items"].as_array().expect("credentials").iter().filter(|one| one["role"] == "doctor");
    assert!(good.clone().all(|one| !one["revoked_at"].is_null()), "{left}");

    let nowhere = free_port();
    role(&stand.gateway, "doctor-nowhere", &stand.sshd, |target| target["port"] = json!(nowhere));
    let doctor = stand.gateway.hoop(&["doctor", "--role", "doctor-nowhere", "-o", "json"]);
    assert_eq!(doctor.status.code(), Some(9), "{doctor}");
    let found = finding(&doctor, "ssh role");
    assert!(
        found["found"].as_str().is_some_and(|why| why.contains(&format!("127.0.0.1:{nowhere} cannot be reached"))),
        "{found}"
    );
}

#[test]
fn a_door_that_is_another_ones_is_found_out() {
    let stand = stand();
    let gateway = Gateway::start(&Options {
        config: Some(format!("[listen.ssh]\npublic = \"127.0.0.1:{}\"\n", stand.sshd.port)),
        environment: vec![(SECRET.to_owned(), String::new())],
        ..Options::default()
    });
    let doctor = gateway.hoop(&["doctor", "-o", "json"]);
    assert_eq!(doctor.status.code(), Some(9), "{doctor}");
    let door = finding(&doctor, "ssh");
    assert!(door["found"].as_str().is_some_and(|found| found.contains("is not one of the gateway's")), "{door}");
    assert_eq!(finding(&doctor, "ssh roles")["state"], "note");
}
