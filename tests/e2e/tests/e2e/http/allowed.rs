//! What a role does not allow: it is refused, reaches nobody, and is on record.

use hoop_testkit::direct_only;
use serde_json::json;

use super::{Client, events, role, stand};

#[test]
fn what_a_role_does_not_allow_is_recorded_and_reaches_nobody() {
    if direct_only() {
        return;
    }
    let stand = stand();
    role(&stand.gateway, "reading", &stand.app, |role| {
        role["target"]["allow"] = json!({ "methods": ["GET", "POST"], "paths": ["/shown/*"], "websocket": false });
    });
    let client = Client::new(&stand.gateway, "reading");
    assert_eq!(client.ask(&[], "/shown/1").0, 200);
    for (options, path) in [
        (&["-X", "DELETE"][..], "/shown/2"),
        (&["-d", "", "-H", "X-HTTP-Method-Override: DELETE"], "/shown/3"),
        (&["-d", ""], "/shown/4?_method=DELETE"),
        (&[], "/hidden/5"),
        (&["--path-as-is"], "/shown/../hidden/6"),
    ] {
        assert_eq!(client.ask(options, path).0, 403, "{options:?} {path}");
    }
    assert_eq!(client.websocket("/shown/7").err(), Some(403));
    client.leave(&stand.gateway);
    let events: Vec<String> = events(&stand.gateway, "reading").iter().map(ToString::to_string).collect();
    for path in ["/shown/2", "/shown/3", "/shown/4", "/hidden/5", "/hidden/6", "/shown/7"] {
        let asked = events.iter().any(|event| event.contains("\"http_request\"") && event.contains(path));
        assert!(asked && stand.app.asked(path).is_empty(), "{path}: {events:#?}");
    }
}
