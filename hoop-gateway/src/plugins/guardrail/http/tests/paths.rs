//! Paths that try to walk past a rule.

use proptest::prelude::*;

use super::super::path::{Readings, folded};
use super::*;

fn is_admin(path: &str) -> bool {
    let path = folded(path);
    ["/admin", "/admin/*"].iter().any(|pattern| hoop_core::role::matches_wildcard(pattern, &path))
}

/// Each is `/admin`, or below it, for some service.
const ADMIN: [&str; 84] = [
    "/admin",
    "/admin/",
    "/admin/x",
    "//admin",
    "///admin",
    "/admin//x",
    "/./admin",
    "/././admin",
    "/x/../admin",
    "/x/y/../../admin",
    "/../admin",
    "/../../admin",
    "/x/..//admin",
    "/x//../admin",
    "/x//../../admin",
    "/admin/.",
    "/admin/./",
    "/admin/x/..",
    "/admin/..;/admin",
    "/x/..;/admin",
    "/x/..;a=b/admin",
    "/x/;/../admin",
    "/;/admin",
    "/;a=b/admin",
    "/.;/admin",
    "/admin;x",
    "/admin;",
    "/admin;jsessionid=1/x",
    "/admin/;x",
    "/ADMIN",
    "/Admin/",
    "/aDmIn/X",
    "/admin.",
    "/admin..",
    "/admin./x",
    "/admin%20",
    "/admin%20%20/x",
    "/admin.%20",
    "/x/..%20/admin",
    "\\admin",
    "/\\admin",
    "/x\\..\\admin",
    "/x/..\\admin",
    "/x\\../admin",
    "/.\\admin",
    "/%61dmin",
    "/%61%64%6d%69%6e",
    "/%41dmin",
    "/admi%6E/x",
    "/%2e/admin",
    "/x/%2e%2e/admin",
    "/x/%2E./admin",
    "/x/.%2e/admin",
    "/x%2f..%2fadmin",
    "/x%2F%2e%2e%2Fadmin",
    "%2fadmin",
    "/%2fadmin",
    "/%2f%2fadmin",
    "/admin%2fx",
    "/%5cadmin",
    "/x%5c..%5cadmin",
    "/x/..%5Cadmin",
    "/x/..%2fadmin",
    "/admin%3bx",
    "/x/..%3b/admin",
    "/x/%2e%2e%3ba/admin",
    "/admin%3fx",
    "/admin%23x",
    "/%2561dmin",
    "/%25%36%31dmin",
    "/x/%252e%252e/admin",
    "/x%252f..%252fadmin",
    "/x%255c..%255cadmin",
    "/admin%253bx",
    "/%252561dmin",
    "/x/%25252e./admin",
    "/adm\u{131}n/../admin",
    "/%EF%BC%A1dmin",
    "/%EF%BC%8Fadmin",
    "/x%EF%BC%8F..%EF%BC%8Fadmin",
    "/%E2%81%84admin",
    "/x/%EF%BC%8E%EF%BC%8E/admin",
    "/adm\u{130}n/../admin",
    "/x/.../../../admin",
];

/// Nobody can say what these are.
const UNREADABLE: [&str; 14] = [
    "/admin%00",
    "/%00admin",
    "/admin%0a",
    "/admin%0d%0aX",
    "/admin%09",
    "/%c0%afadmin",
    "/%c0%ae%c0%ae/admin",
    "/%ff",
    "/%u0061dmin",
    "/%zz",
    "/%",
    "/admin%",
    "/%6",
    "/%2525252561dmin",
];

/// None of these is.
const OTHERS: [&str; 20] = [
    "/",
    "/x",
    "/administrator",
    "/admin-x",
    "/x/admin",
    "/x/admin/y",
    "/admin/../x",
    "/admin/..;/x",
    "/admin/%2e%2e/x",
    "/admi",
    "/x;admin",
    "/x;/admin/../y",
    "/x%20admin",
    "/x.admin",
    "/x%3fadmin",
    "/xadmin",
    "/adm%69",
    "/caf%C3%A9",
    "/a%20b/c.txt",
    "/100%25",
];

#[test]
fn no_spelling_walks_past_a_rule() {
    for path in ADMIN {
        let readings = Readings::of(path).unwrap_or_else(|why| panic!("{path}: {why}"));
        assert!(readings.compare(is_admin).0, "{path} is {readings:?}");
    }
    for path in UNREADABLE {
        assert!(Readings::of(path).is_err(), "{path}");
    }
    for path in OTHERS {
        let readings = Readings::of(path).unwrap_or_else(|why| panic!("{path}: {why}"));
        let matched = readings.compare(is_admin).0;
        // As it is written it goes through a folder that a service may not take out.
        assert_eq!(matched, path.starts_with("/admin/"), "{path} is {readings:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_the_reason() {
    let mut asked = Asked::new(json!([{ "name": "no-admin", "paths": ["/admin", "/admin/*"] }])).await;
    for (url, words) in [
        ("/x%00", "control character"),
        ("/x%c0%af", "not UTF-8"),
        ("/x%zz", "a % that encodes nothing"),
        ("/%2525252561", "encoded too often"),
    ] {
        refused(asked.get(url), words);
    }
    let long = format!("/{}", "a".repeat(20_000));
    refused(asked.get(&long), "too long");
    asked.ask("OPTIONS", "*", &[]).expect("no path");
    let mut others = Asked::new(json!([{ "name": "r", "methods": ["DELETE"] }])).await;
    others.get("/x%zz").expect("no rule is about paths");
}

/// A service that decodes once and takes out dots, as most do.
fn usual(path: &str) -> Option<String> {
    let decoded = super::super::super::super::percent::decode(path.as_bytes(), false);
    let text = String::from_utf8(decoded.bytes).ok()?;
    let mut names = Vec::new();
    for name in text.split('/').filter(|name| !name.is_empty() && *name != ".") {
        if name == ".." { drop(names.pop()) } else { names.push(name.to_owned()) }
    }
    Some(format!("/{}", names.join("/")))
}

proptest! {
    /// What a usual service takes for the path is among its readings, and so is how it is written.
    #[test]
    fn the_usual_reading_is_there(path in "/([a.;/\\\\ ]|%2[eEfF]|%5c|%3b|%61|\\.\\.){0,12}") {
        if let (Ok(readings), Some(usual)) = (Readings::of(&path), usual(&path)) {
            prop_assert!(readings.compare(|reading| reading == usual).0, "{} not in {:?}", usual, readings);
            let written = path.trim_end_matches('/');
            prop_assert!(readings.compare(|reading| reading.trim_end_matches('/') == written).0, "{:?}", readings);
        }
    }

    /// More encoding never makes a path something else.
    #[test]
    fn encoding_hides_nothing(name in "[a-z]{1,6}", which in prop::collection::vec(any::<bool>(), 6), twice: bool) {
        let percent = if twice { "%25" } else { "%" };
        let encoded: String = name
            .bytes()
            .zip(which)
            .map(|(byte, encode)| if encode { format!("{percent}{byte:02x}") } else { char::from(byte).to_string() })
            .collect();
        let readings = Readings::of(&format!("/x/../{encoded}")).expect("readable");
        prop_assert!(readings.compare(|reading| reading.strip_prefix('/') == Some(name.as_str())).0);
    }

    #[test]
    fn nothing_makes_it_panic(path in "\\PC{0,40}") {
        let _ = Readings::of(&path);
    }
}
