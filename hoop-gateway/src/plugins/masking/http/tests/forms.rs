//! The same values in another form, which who asks may choose: no rule for a field is passed by that.

use super::*;

const RULE: &str = r#"{"detectors": {}, "fields": [{"path": "user.ssn"}]}"#;
const JSON: &str = r#"{"user":{"ssn":"123"}}"#;
const MASKED: &str = r#"{"user":{"ssn":"[ssn]"}}"#;

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn utf32(text: &str) -> Vec<u8> {
    text.chars().flat_map(|char| u32::from(char).to_be_bytes()).collect()
}

#[test]
fn json_is_json_whatever_it_is_called_and_written_in() {
    let session = Session::new(RULE);
    for kind in [
        "application/json",
        "application/json; charset=iso-8859-1",
        "application/vnd.api+json",
        "application/problem+json; charset=UTF-8",
        "application/graphql-response+json",
        "application/x-ndjson",
        "application/json-seq",
        "text/plain",
        "text/html",
        "application/octet-stream",
        "",
    ] {
        assert_eq!(session.text(kind, JSON), MASKED, "{kind}");
        assert_eq!(session.text(kind, format!("\u{feff}{JSON}")), format!("\u{feff}{MASKED}"), "{kind} with a mark");
    }
    for kind in ["application/json", "application/json; charset=utf-16", "application/json; charset=UTF-16LE"] {
        assert_eq!(session.body(kind, utf16(JSON)).bytes, utf16(MASKED), "{kind}");
        let marked = session.body(kind, utf16(&format!("\u{feff}{JSON}")));
        assert_eq!(marked.bytes, utf16(&format!("\u{feff}{MASKED}")), "{kind} with a mark");
    }
    let parts = |json: &str| format!("--b\r\nContent-Type: application/json\r\n\r\n{json}\r\n--b--\r\n");
    assert_eq!(session.text("multipart/mixed; boundary=b", parts(JSON)), parts(MASKED));
    assert_eq!(
        session.text("application/json", r#"{"user":{"ssn":1,"ssn":2,"\u0073SN":3}}"#),
        r#"{"user":{"ssn":"[ssn]","ssn":"[ssn]","\u0073SN":"[ssn]"}}"#
    );
}

#[test]
fn what_is_in_no_charset_that_is_read_is_not_shown() {
    let masks = Session::new("{}");
    let ruled = Session::new(RULE);
    let mail = r#"{"m":"ada@example.com"}"#;
    for (kind, body) in [
        ("application/json", utf32(mail)),
        ("text/plain", utf32(mail)),
        ("application/json; charset=utf-32", utf32(mail)),
        ("application/json", [&b"\0\0\xfe\xff"[..], &utf32(mail)].concat()),
        ("application/json", mail.chars().flat_map(|char| u32::from(char).to_le_bytes()).collect()),
        // Programs read it as what it is, and not as what it is said to be.
        ("application/json; charset=utf-16", mail.into()),
        ("application/json; charset=utf-16be", mail.into()),
        ("application/x-ndjson; charset=UTF-16LE", mail.into()),
        ("application/json; charset=utf-7", mail.into()),
        ("application/json; charset=ibm037", mail.into()),
    ] {
        for session in [&masks, &ruled] {
            assert_eq!(session.body(kind, &body).denied, Some(Code::MaskingFailed), "{kind}");
        }
    }
}

#[test]
fn an_answer_to_several_questions_is_one_to_each() {
    let session = Session::new(RULE);
    assert_eq!(session.text("application/json", format!("[{JSON}, {JSON}]")), format!("[{MASKED}, {MASKED}]"));
    assert_eq!(session.text("application/x-ndjson", format!("[{JSON}]\n{JSON}\n")), format!("[{MASKED}]\n{MASKED}\n"));
    let within = r#"{"a":[{"user":{"ssn":"123"}}]}"#;
    assert_eq!(session.text("application/json", within), within, "the path leads from the root on");
}

#[test]
fn where_a_rule_is_for_json_its_fields_are_asked_for_in_no_other_form() {
    let rules = |more: &str| format!(r#"{{"detectors": {{}}, "fields": [{{"path": "$..ssn"}}{more}]}}"#);
    let (session, elements) = (Session::new(&rules("")), Session::new(&rules(r#", {"element": "ssn"}"#)));
    let none = Session::new(r#"{"detectors": {}}"#);
    for (kind, body) in [
        ("application/yaml", "ssn: 123"),
        ("text/x-yaml; charset=utf-8", "ssn: 123"),
        ("application/openapi+yaml", "ssn: 123"),
        ("text/vnd.yaml", "ssn: 123"),
        ("text/csv", "ssn\n123"),
        ("text/tab-separated-values", "ssn\n123"),
        ("application/toml", "ssn = 123"),
        ("application/xml", "<ssn>123</ssn>"),
        ("text/xml", "<ssn>123</ssn>"),
        ("application/vnd.api+xml", "<ssn>123</ssn>"),
    ] {
        assert_eq!(session.body(kind, body).denied, Some(Code::MaskingFailed), "{kind}");
        assert_eq!(session.text(kind, ""), "", "{kind}: nothing is in it");
        assert_eq!(none.text(kind, body), body, "{kind}: without such a rule");
    }
    assert_eq!(elements.text("application/xml", "<ssn>123</ssn>"), "<ssn>[ssn]</ssn>");
    let picture = "<svg><text>123</text></svg>";
    assert_eq!(session.text("image/svg+xml", picture), picture);
    let searched = Session::new(r#"{"fields": [{"path": "$..ssn"}], "types": ["text/csv"], "unsearched": ["*/yaml"]}"#);
    assert_eq!(searched.text("text/csv", "a,ada@example.com"), "a,a***@***.com");
    assert_eq!(searched.text("application/yaml", "m: ada@example.com"), "m: ada@example.com");
}

#[test]
fn messages_of_connect_are_read_where_they_are_json_by_themselves() {
    let session = Session::new(RULE);
    assert_eq!(session.text("application/json", JSON), MASKED);
    // A length of 34 is a quotation mark, and turns what is within strings and without around.
    let framed = [&b"\0\0\0\0\""[..], JSON.as_bytes()].concat();
    for kind in ["application/proto", "application/connect+proto", "application/connect+json"] {
        assert_eq!(session.body(kind, &framed).denied, Some(Code::MaskingFailed), "{kind}");
    }
    for kind in ["application/vnd.apache.arrow.stream", "application/vnd.apache.parquet", "application/x-pickle"] {
        assert_eq!(session.body(kind, b"\x01").denied, Some(Code::MaskingFailed), "{kind}");
    }
}

#[test]
fn calls_of_grpc_in_json_are_read_as_json() {
    let message = |settings: &str, kind: &str, message: &str| {
        let session = Session::new(settings);
        let channel = session.ask(ExchangeKind::Grpc { service: "a.B".into(), method: "C".into() });
        session.head(channel, 200, &[("content-type", kind)]).expect("a head");
        session.message(channel, MessageKind::Grpc, message.as_bytes())
    };
    for kind in ["application/grpc+json", "Application/gRPC+JSON; x=y"] {
        assert_eq!(message(RULE, kind, JSON).expect("a message"), MASKED, "{kind}");
        let escaped = message("{}", kind, r#"{"m":"ada\u0040example.com"}"#);
        assert_eq!(escaped.expect("a message"), r#"{"m":"a***@***.com"}"#, "{kind}");
        let fields = r#"{"fields": [{"grpc": "a.Reply.ssn"}]}"#;
        assert_eq!(message(fields, kind, JSON), Err(Code::MaskingFailed), "{kind}: the field has another name there");
    }
    for kind in ["application/grpc+thrift", "application/grpc+flatbuffers"] {
        assert_eq!(message("{}", kind, JSON), Err(Code::MaskingFailed), "{kind}");
    }
    for kind in ["application/grpc", "application/grpc+proto", "application/grpc; a=b+json"] {
        assert_eq!(message("{}", kind, "\n\x01x").expect("a message"), "\n\x01x", "{kind}");
    }
}
