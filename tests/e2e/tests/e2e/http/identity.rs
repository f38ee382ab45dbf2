//! `Hoop-Identity`, verified by what the documentation has for it.

use std::process::Command;

use hoop_testkit::{Folder, direct_only, find, output};
use serde_json::{Value, json};

use super::{Client, role, stand};

const PAGE: &str = include_str!("../../../../../docs/web-apps.md");

/// The value of the field as the service gets it.
fn shown(client: &Client, options: &[&str], path: &str) -> Option<String> {
    client.ask(options, path);
    stand().app.asked(path).last().expect("it was asked").field("hoop-identity").map(str::to_owned)
}

#[test]
fn the_documented_program_knows_who_asks() {
    if direct_only() {
        return;
    }
    let gateway = &stand().gateway;
    role(gateway, "known", &stand().app, |_| {});
    let client = Client::new(gateway, "known");
    let token =
        shown(&client, &["-H", "Hoop-Identity: forged", "-H", "Hoop_Identity: forged"], "/known").expect("the field");
    let folder = Folder::new("identity");
    let (_, sample) = PAGE.split_once("```js\n").expect("the page has a program");
    let (sample, _) = sample.split_once("```").expect("it ends");
    let main = "\ntry {\n  console.log(JSON.stringify(await identity(...process.argv.slice(2))));\n} catch (error) {\n  console.error(error.message);\n  process.exitCode = 1;\n}\n";
    let file = folder.join("identity.mjs");
    std::fs::write(&file, format!("{sample}{main}")).expect("an own folder takes a file");
    let issuer = gateway.ready()["api"].as_str().expect("the line has the API");
    let run = |token: &str, issuer: &str, role: &str| {
        output(Command::new(find("node", "nodejs")).arg(&file).args([token, issuer, role]), b"")
    };
    let who: Value = serde_json::from_str(&run(&token, issuer, "known").ok()).expect("claims are JSON");
    assert_eq!((&who["name"], &who["aud"], &who["iss"]), (&json!("admin"), &json!("known"), &json!(issuer)));
    assert!(who["sub"].as_str().is_some_and(|id| id.starts_with("usr_")), "{who}");
    assert!(who["sid"].as_str().is_some_and(|id| id.starts_with("ses_")), "{who}");
    assert!(run(&token, issuer, "other").failure().contains("not for here"));
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    let forged = format!("{signed}.{}", "A".repeat(86));
    assert!(run(&forged, issuer, "known").failure().contains("not signed by the gateway"));
}

#[test]
fn a_service_that_is_not_to_know_is_not_told() {
    if direct_only() {
        return;
    }
    role(&stand().gateway, "unknown", &stand().app, |role| role["target"]["identity"] = json!(false));
    let client = Client::new(&stand().gateway, "unknown");
    assert_eq!(shown(&client, &["-H", "Hoop-Identity: forged"], "/unknown"), None);
}
