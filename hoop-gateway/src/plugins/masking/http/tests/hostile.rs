//! Texts that are written so that a value in them is not seen.

use super::*;

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n\
                   UURKRkdISUpLTE1OT1BRUlNUVVZXWFlaYWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4\n-----END PRIVATE KEY-----\n";

/// Whatever the pieces, the same is shown.
fn shown(session: &Session, kind: &str, body: &str) -> String {
    let text = session.text(kind, body);
    for longest in [1, 2, 7, 64] {
        let pieces = session.response(&[("content-type", kind)], body.as_bytes().chunks(longest));
        assert_eq!(pieces.text(), text, "{kind}: {body} in pieces of {longest}");
    }
    text
}

#[test]
fn markup_that_begins_with_a_bracket_is_markup() {
    let session = Session::new("{}");
    for kind in ["text/html", "text/html; charset=utf-8", "application/xml"] {
        for (body, expected) in [
            ("[1] ada&#64;example.com", "[1] a***@***.com"),
            ("{x} <p>ada<em>@</em>example.com", "{x} <p>a***@***.com<em></em>"),
            ("[new] ada<!-- -->@example.com", "[new] a***@***.com<!-- -->"),
            ("{\"a\":[1,true,\"ada\\u0040example.com\"]}", "{\"a\":[1,true,\"a***@***.com\"]}"),
            ("[1, 4111111111111111]", "[1, \"**** **** **** 1111\"]"),
        ] {
            assert_eq!(shown(&session, kind, body), expected, "{kind}");
        }
    }
    assert_eq!(shown(&session, "text/html", "ada<x-hit>@</x-hit>example.com"), "a***@***.com<x-hit></x-hit>");
}

#[test]
fn settings_and_logs_that_begin_with_a_bracket_show_no_key() {
    let session = Session::new("{}");
    for kind in ["text/plain", "text/plain; charset=utf-16", "application/octet-stream"] {
        for (before, after) in [
            ("[tls]\nkey =\n", ""),
            ("[tls]\nkey = ", "mail = ada@example.com\n"),
            ("{\"a\":1}\n", "[b]\n"),
            ("[2026-11-27 10:00:00] it reads ", "[2026-11-27 10:00:01] it is read\n"),
        ] {
            let text = format!("{before}{KEY}{after}");
            let body: Vec<u8> = match kind.ends_with("16") {
                true => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                false => text.into_bytes(),
            };
            for longest in [1, 5, 64, body.len()] {
                let shown = session.response(&[("content-type", kind)], body.chunks(longest));
                let text = shown.text().replace('\0', "");
                let expected =
                    format!("{before}\"[cloud_key]\"\n{}", after.replace("ada@example.com", "\"a***@***.com\""));
                assert_eq!(text, expected, "{kind} in pieces of {longest}");
            }
        }
    }
}

#[test]
fn json_with_something_before_it_is_json() {
    let session = Session::new(r#"{"fields": [{"path": "$..pin"}]}"#);
    let (json, masked) = (r#"{"m":"ada\u0040example.com","pin":"1234"}"#, r#"{"m":"a***@***.com","pin":"[pin]"}"#);
    let spaces = " ".repeat(100);
    for (kind, before, after) in [
        ("text/event-stream", "\u{feff}data: ", "\n\n"),
        ("text/event-stream", &*format!("data:{spaces}"), "\n\n"),
        ("text/plain", &*spaces, ""),
        ("text/javascript", "cb(", ");"),
        ("application/javascript; charset=utf-8", "/**/ typeof cb === 'function' && a.b$(", ")"),
        ("application/javascript", "", ""),
    ] {
        let body = shown(&session, kind, &format!("{before}{json}{after}"));
        assert_eq!(body, format!("{before}{masked}{after}"), "{kind}");
    }
    let code = "define([\"a\"], function (a) { return { pin: \"1234\" } })";
    assert_eq!(shown(&session, "text/javascript", code), code);
    let channel = session.ask(ExchangeKind::WebSocket);
    session.head(channel, 101, &[]).expect("a head");
    for before in ["42[1,", "430[", "42/admin,[", "42/admin,7[", "451-[", "a["] {
        let message = session.message(channel, MessageKind::Text, format!("{before}{json}]").as_bytes());
        assert_eq!(message.expect("a message"), format!("{before}{masked}]"));
    }
    for text in ["123-45-6789[x]", "4111111111111111{}", "42/ada@example.com,[1]"] {
        let message = session.message(channel, MessageKind::Text, text.as_bytes()).expect("a message");
        assert_ne!(message, text, "what is before the JSON is looked at, too");
    }
}

#[test]
fn messages_of_grpc_that_were_asked_for_otherwise_are_not_shown() {
    let session = Session::new("{}");
    let body = b"\0\0\0\0\x11\x0a\x0fada@example.com";
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "Application/GRPC; x=y",
        "application/grpc ,a",
        "application/grpc-web",
        "application/grpc-Web-Text+proto",
    ] {
        let channel = session.ask(ExchangeKind::Plain);
        let head = session.head(channel, 200, &[("content-type", kind)]);
        assert_eq!(head.err(), Some(Code::MaskingFailed), "{kind}");
        assert_eq!(session.piece(channel, body, false, None).err(), Some(Code::MaskingFailed), "{kind}");
        let channel = session.ask(ExchangeKind::Grpc { service: "a.B".into(), method: "C".into() });
        assert!(session.head(channel, 200, &[("content-type", kind)]).is_ok(), "{kind}");
    }
    let seen = Session::new(r#"{"unsearched": ["application/grpc"]}"#);
    assert_eq!(seen.body("application/grpc", body).bytes, body);
}

#[test]
fn no_other_form_of_the_same_values_is_asked_for() {
    let session = Session::new("{}");
    // {"mail": "ada@example.com"}
    let body = b"\xa1\x64mail\x6fada@example.com";
    for kind in [
        "application/cbor",
        "application/vnd.elasticsearch+cbor;compatible-with=8",
        "application/x-msgpack",
        "application/vnd.msgpack",
        "application/smile",
        "application/x-jackson-smile",
        "application/vnd.kubernetes.protobuf",
        "application/x-protobuf",
        "application/vnd.google.protobuf",
    ] {
        assert_eq!(session.body(kind, body).denied, Some(Code::MaskingFailed), "{kind}");
        assert_eq!(session.body(kind, b""), Shown { headers: headers(&[("content-type", kind)]), ..Shown::default() });
    }
    let masked = Session::new(r#"{"fail": "mask"}"#);
    assert_eq!(masked.text("application/cbor", body), "[masked]");
    for (settings, shown) in
        [(r#"{"unsearched": ["application/*"]}"#, &body[..]), (r#"{"types": ["application/cbor"]}"#, b"***@***.com")]
    {
        assert_eq!(Session::new(settings).body("application/cbor", body).bytes, shown, "{settings}");
    }
    assert_eq!(session.body("application/octet-stream", b"\0\x01").bytes, b"\0\x01");
}
