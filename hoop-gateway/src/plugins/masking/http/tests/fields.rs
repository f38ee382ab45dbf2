//! Rules for fields.

use super::*;

#[test]
fn paths_lead_into_json() {
    let session = Session::new(
        r#"{"detectors": {}, "fields": [
            {"path": "customers[*].email", "action": "label"},
            {"path": "$..ssn", "action": "null"},
            {"path": "a[\"x.y\"].*", "label": "secret"},
            {"path": "address"}
        ]}"#,
    );
    for (body, shown) in [
        (
            r#"{"customers":[{"email":"x","id":1},{"email":null}]}"#,
            r#"{"customers":[{"email":"[email]","id":1},{"email":null}]}"#,
        ),
        (r#"{"email":"x","customers":{"email":"x"}}"#, r#"{"email":"x","customers":{"email":"x"}}"#),
        (r#"[{"b":{"ssn":123}},{"SSN":"1"}]"#, r#"[{"b":{"ssn":null}},{"SSN":null}]"#),
        (r#"{"a":{"x.y":{"k": true, "l" : 1.5e3}}}"#, r#"{"a":{"x.y":{"k": "[secret]", "l" : "[secret]"}}}"#),
        (r#"{"address":{"street":["A 1", 2],"x":{}}}"#, r#"{"address":{"street":["[address]", "[address]"],"x":{}}}"#),
        (r#"{"\u0073sn":"1"}"#, r#"{"\u0073sn":null}"#),
        (r#"{'ssn': '1'} {"ssn":2}"#, r#"{'ssn': null} {"ssn":null}"#),
    ] {
        assert_eq!(session.text("application/json", body), shown);
    }
    assert_eq!(session.text("application/x-ndjson", "{\"ssn\":1}\n{\"ssn\":2}\n"), "{\"ssn\":null}\n{\"ssn\":null}\n");
    assert_eq!(
        session.text("text/event-stream", "data: {\"a\":\ndata: {\"ssn\":1}}\n\n"),
        "data: {\"a\":\ndata: {\"ssn\":null}}\n\n"
    );
    assert_eq!(session.text("text/plain", "{\"ssn\":1} and more"), "{\"ssn\":null} and more");
    assert_eq!(session.text("text/plain", "{\n\"ssn\":\n1}"), "{\n\"ssn\":\nnull}");
    let long = format!("{{\"ssn\":\"{}\",\"b\":1}}", "x".repeat(200_000));
    assert_eq!(session.text("application/json", long), "{\"ssn\":\"[ssn]\",\"b\":1}");
}

#[test]
fn what_rules_cannot_be_applied_to_is_refused_or_left_out() {
    let rules = r#""fields": [{"path": "$..ssn"}]"#;
    let denies = Session::new(&format!("{{{rules}}}"));
    let masks = Session::new(&format!("{{{rules}, \"fail\": \"mask\"}}"));
    for body in ["{\"a\" \"ssn\": 1}", "[1}", "{\"a\":1}}", &"[".repeat(300)] {
        assert_eq!(denies.body("application/json", body).denied, Some(Code::MaskingFailed), "{body}");
        assert!(masks.text("application/json", body).ends_with("[masked]"), "{body}");
    }
    let left = masks.response(&[("content-type", "application/json")], [&b"{}}"[..], b"{\"ssn\":1}"]);
    assert_eq!(left.text(), "{}[masked]");
}

#[test]
fn forms_parts_and_elements_have_names() {
    let session = Session::new(
        r#"{"detectors": {}, "fields": [
            {"form": "pin"}, {"element": "Ssn"}, {"element": "@mail", "action": "null"}
        ]}"#,
    );
    let form = "application/x-www-form-urlencoded";
    assert_eq!(session.text(form, "a=1&pin=12%2034&%50in=5&b"), "a=1&pin=%5Bpin%5D&%50in=%5Bpin%5D&b");
    let parts = "--b\r\nContent-Disposition: form-data; name=\"pin\"\r\n\r\n1234\r\n--b--\r\n";
    assert_eq!(session.text("multipart/form-data; boundary=\"b\"", parts), parts.replace("1234", "[pin]"));
    for (body, shown) in [
        ("<a><x:Ssn>1<![CDATA[2]]></x:Ssn><b>3</b></a>", "<a><x:Ssn>[Ssn]<![CDATA[]]></x:Ssn><b>3</b></a>"),
        ("<a><ssn><b>1</b> <c/>2</ssn>3</a>", "<a><ssn><b>[Ssn]</b> <c/>[Ssn]</ssn>3</a>"),
        ("<a mail='x' b='y'/><ssn/>1", "<a mail='' b='y'/><ssn/>1"),
    ] {
        assert_eq!(session.text("application/xml", body), shown);
    }
}

#[test]
fn groups_see_what_is_theirs() {
    let rules = r#"{"detectors": {}, "fields": [{"path": "a", "for_groups": ["support"]}]}"#;
    assert_eq!(Session::new(rules).text("application/json", "{\"a\":1}"), "{\"a\":1}");
}
