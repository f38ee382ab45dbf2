//! The example as a user would see it: a real server behind an agent, and psql in front.

use std::time::Duration;

use hoop_testkit::{Api, Folder, Guarded, Plan, Postgres, hoop_agent, psql, until};
use serde_json::json;

#[test]
fn a_session_sees_its_rows_and_no_more() {
    let folder = Folder::new("custom-plugin");
    let gateway = start(&folder);
    let api = sign_in(&gateway);
    let postgres = Postgres::start();
    let _agent = agent(&api, &folder);

    let mut role = json!({
        "name": "orders",
        "agent": "here",
        "target": {
            "kind": "postgres", "host": "127.0.0.1", "port": postgres.port, "user": "e2e",
            "password": "env:HOOP_SECRET_E2E", "database": "postgres", "sslmode": "disable",
        },
        "plugins": { "row-budget": { "rows": "three" } },
        "allowed_groups": ["*"],
    });
    let (status, refusal) = api.try_call("POST".parse().expect("a method"), "/api/v1/roles", Some(&role));
    assert_eq!(status, 400, "a mistake in a role is its administrator's to hear of: {refusal}");
    role["plugins"]["row-budget"]["rows"] = json!(3);
    api.post("/api/v1/roles", &role);

    let credential = api.post("/api/v1/roles/orders/credentials", &json!({}));
    let url = credential["url"].as_str().expect("a credential has a URL");
    assert_eq!(psql(url, &["-c", "select generate_series(1, 3)"]).ok(), "1\n2\n3\n");
    let refused = psql(url, &["-c", "select generate_series(1, 4)"]).failure();
    assert!(refused.contains("this session may see 3 more rows, and the result has more"), "{refused}");
    assert!(refused.contains("narrow the query"), "{refused}");
}

fn start(folder: &Folder) -> Guarded {
    let free = |name: &str| (format!("HOOP_LISTEN_{name}_ADDRESS"), "127.0.0.1:0".to_owned());
    let data = ("HOOP_DATA".to_owned(), folder.join("data").display().to_string());
    Guarded::start(&Plan {
        name: "custom-plugin".to_owned(),
        command: vec![env!("CARGO_BIN_EXE_custom-plugin").to_owned()],
        environment: vec![data, free("HTTP"), free("GRPC"), free("POSTGRES"), free("SSH")],
        stop: "INT",
        folder: folder.path().to_owned(),
    })
}

/// The administrator of the gateway, by what it printed.
fn sign_in(gateway: &Guarded) -> Api {
    let words = until(Duration::from_secs(60), "the gateway's three lines", || {
        assert!(gateway.is_alive(), "{}", gateway.log());
        let printed = gateway.printed();
        let words: Vec<_> = printed.split_whitespace().map(|word| word.trim_end_matches(',').to_owned()).collect();
        (printed.lines().count() == 3 && printed.ends_with('\n')).then_some(words)
    });
    let after = |word: &str| &words[words.iter().position(|known| known == word).expect("it is printed") + 1];
    Api::sign_in(after("api"), after("admin"), after("password"))
}

fn agent(api: &Api, folder: &Folder) -> Guarded {
    let made = api.post("/api/v1/agents", &json!({ "name": "here" }));
    let key = made["key"].as_str().expect("a new agent has a key").to_owned();
    let secret = ("HOOP_SECRET_E2E".to_owned(), Postgres::password().to_owned());
    let agent = Guarded::start(&Plan {
        name: "agent".to_owned(),
        command: vec![hoop_agent().display().to_string(), "start".to_owned()],
        environment: vec![("HOOP_KEY".to_owned(), key), secret],
        stop: "TERM",
        folder: folder.path().to_owned(),
    });
    until(Duration::from_secs(20), "the attached agent", || {
        assert!(agent.is_alive(), "{}", agent.log());
        let attached = api.get("/api/v1/agents/here");
        attached["attached"].as_array().filter(|all| !all.is_empty()).map(|_| ())
    });
    agent
}
